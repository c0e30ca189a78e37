package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// fileWidth is how wide the comments of a written file are.
const fileWidth = 100

// writeConfig makes the configuration file with all settings at their defaults, as comments.
// One that is there is not touched.
func writeConfig(path string, flags []*kong.Flag) error {
	text, err := commented(flags)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // it may get secrets
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already, and is left as it is; name another one with --config", path)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// commented is a configuration file in which every setting stands with its help and its
// default, behind a #.
func commented(flags []*kong.Flag) (string, error) {
	var b strings.Builder
	b.WriteString("# The settings of parlor, each with its default. Take away the # before a name to change it.\n" +
		"# Flags and environment variables win over this file. parlor config shows what holds.\n")
	for _, group := range groupTitles {
		fmt.Fprintf(&b, "\n\n# %s %s\n", group.title, strings.Repeat("-", 60-len(group.title)))
		for _, flag := range flags {
			if flag.Group.Key != group.key || flag.Name == "config" {
				continue
			}
			value, err := defaultInFile(flag)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&b, "\n%s#%s: %s\n", comment(flag.Help), flag.Name, value)
		}
	}
	return b.String(), nil
}

// plainValue is what YAML reads as it is written.
var plainValue = regexp.MustCompile(`^[A-Za-z0-9./][A-Za-z0-9./:_=-]*$`)

// defaultInFile is the default of a setting as the file has it.
func defaultInFile(flag *kong.Flag) (string, error) {
	switch {
	case flag.IsMap():
		return "{}", nil
	case flag.IsSlice() && flag.Default == "":
		return "[]", nil
	case flag.IsBool() && flag.Default == "":
		return "false", nil
	case plainValue.MatchString(flag.Default):
		return flag.Default, nil
	}
	quoted, err := yaml.Marshal(flag.Default)
	return strings.TrimSpace(string(quoted)), err
}

// comment breaks a text into lines that begin with a #.
func comment(text string) string {
	var b strings.Builder
	width := 0
	for _, word := range strings.Fields(text) {
		switch {
		case width == 0 || width+1+len(word) > fileWidth:
			if width > 0 {
				b.WriteByte('\n')
			}
			b.WriteString("# " + word)
			width = 2 + len(word)
		default:
			b.WriteString(" " + word)
			width += 1 + len(word)
		}
	}
	b.WriteByte('\n')
	return b.String()
}
