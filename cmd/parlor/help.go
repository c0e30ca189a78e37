package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// versionCmd prints the version, as --version does.
type versionCmd struct{}

// Run prints to stdout.
func (*versionCmd) Run(out *streams) error {
	_, err := fmt.Fprintln(out.stdout, version())
	return err
}

// helpCmd prints the help of a command, as COMMAND --help does.
type helpCmd struct {
	Command string `arg:"" optional:"" help:"The command; all of them if none is named."`
}

// Run prints to stdout.
func (c *helpCmd) Run(k *kong.Kong, out *streams) error {
	args := []string{"--help"}
	if c.Command != "" {
		if !slices.Contains(commandNames(k), c.Command) {
			return usageError{noCommand(k, c.Command)}
		}
		args = []string{c.Command, "--help"}
	}
	_, _, err := load(args, nil, out)
	return err
}

func commandNames(k *kong.Kong) (names []string) {
	for _, command := range k.Model.Children {
		if !command.Hidden {
			names = append(names, command.Name)
		}
	}
	return names
}

func noCommand(k *kong.Kong, name string) error {
	return fmt.Errorf("unknown command %q%s", name, alternatives(name, commandNames(k)))
}

// explain says in an error of the parser what is missing, or what the user may have
// meant.
func explain(err error) error {
	var parse *kong.ParseError
	if !errors.As(err, &parse) {
		return err
	}
	command := parse.Context.Selected()
	word, unexpected := strings.CutPrefix(err.Error(), "unexpected argument ")
	word, _, _ = strings.Cut(word, ", did you mean")
	switch {
	case command == nil && unexpected:
		return noCommand(parse.Context.Kong, word)
	case command == nil:
		return err
	}
	for _, argument := range command.Positional {
		if _, given, wrong := strings.Cut(err.Error(), " but got "); wrong && argument.Enum != "" && strings.Contains(err.Error(), "<"+argument.Name+">") {
			return fmt.Errorf("%s: <%s> must be %s, not %s", command.Name, argument.Name, strings.Join(argument.EnumSlice(), " or "), given)
		}
		if strings.HasPrefix(err.Error(), fmt.Sprintf("expected %q", "<"+argument.Name+">")) {
			return fmt.Errorf("%s: <%s> is missing: %s", command.Name, argument.Name, argument.Help)
		}
	}
	for _, flag := range parse.Context.Flags() {
		name := "--" + flag.Name
		what, about := strings.CutPrefix(err.Error(), name+": ")
		if about && (strings.HasPrefix(what, "missing value") || strings.Contains(what, `but got "EOL"`)) {
			return fmt.Errorf("%s: its value is missing: %s", name, flag.Help)
		}
		if _, given, other := strings.Cut(what, " but got "); about && other {
			value, _, _ := strings.Cut(given, " (")
			return fmt.Errorf("%s: a value that begins with - has to stand behind =: %s=%s", name, name, strings.Trim(value, `"`))
		}
		before := slices.Index(parse.Context.Args, word) - 1
		if unexpected && flag.IsBool() && before >= 0 && parse.Context.Args[before] == name {
			return fmt.Errorf("%s: its value, if it is not on, has to stand behind =: %s=%s", name, name, word)
		}
	}
	if unexpected {
		return fmt.Errorf("unexpected argument %s: it is written parlor %s", word, strings.TrimSpace(command.Summary()))
	}
	return err
}
