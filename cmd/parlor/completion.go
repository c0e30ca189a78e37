package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completionCmd prints a script for a shell. Scripts ask the program itself what
// may follow, so they need not be made anew with each version.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help implements [kong.HelpProvider].
func (*completionCmd) Help() string {
	return `For the shell that runs, and for those to come if the line is in its start file:

    source <(parlor completion bash)       # ~/.bashrc
    source <(parlor completion zsh)        # ~/.zshrc, behind compinit
    parlor completion fish | source        # ~/.config/fish/config.fish`
}

// Run prints the script to stdout.
func (c *completionCmd) Run(out *streams) error {
	_, err := fmt.Fprint(out.stdout, strings.ReplaceAll(completionScripts[c.Shell], "COMPLETE", completeWords))
	return err
}

// completeWords is the command with which scripts ask what the last of the words
// behind it may become. It is for them alone, and not parsed like others.
const completeWords = "__complete"

// In all of them names of files are offered where parlor offers nothing.
var completionScripts = map[string]string{
	"bash": `_parlor() {
  local IFS=$'\n'
  COMPREPLY=($("${COMP_WORDS[0]}" COMPLETE "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _parlor parlor
`,
	"zsh": `_parlor() {
  local -a candidates
  candidates=(${(f)"$("${words[1]}" COMPLETE "${(@)words[2,CURRENT]}" 2>/dev/null)"})
  if (( $#candidates )); then compadd -a candidates; else _files; fi
}
compdef _parlor parlor
`,
	"fish": `function __parlor_complete
  set -l before (commandline -opc)
  set -l last (commandline -ct)
  set -l candidates ($before[1] COMPLETE $before[2..-1] "$last" 2>/dev/null)
  if test (count $candidates) -gt 0
    printf '%s\n' $candidates
  else
    __fish_complete_path "$last"
  end
end
complete -c parlor -f -a '(__parlor_complete)'
`,
}

// complete prints what the last of the words may become, each on a line.
func complete(words []string, out *streams) error {
	k, err := newParser(&cli{}, words)
	if err != nil {
		return err
	}
	for _, candidate := range candidates(k, words) {
		fmt.Fprintln(out.stdout, candidate)
	}
	return nil
}

// candidates returns what the last of the words may become. The words before it
// are taken as they are, right or wrong.
func candidates(k *kong.Kong, words []string) []string {
	if len(words) == 0 {
		return nil
	}
	before, last := words[:len(words)-1], words[len(words)-1]
	node := k.Model.Node
	for _, word := range before {
		if i := slices.IndexFunc(k.Model.Children, func(n *kong.Node) bool { return n.Name == word }); i >= 0 && node == k.Model.Node {
			node = k.Model.Children[i]
		}
	}
	prefix := "" // of the candidates, which bash takes apart
	switch n := len(before); {
	case last == "=" && n > 0: // bash: --flag =
		before, last = append(before, "="), ""
	case strings.HasPrefix(last, "--") && strings.Contains(last, "="):
		flag, value, _ := strings.Cut(last, "=")
		before, last, prefix = append(before, flag, "="), value, flag+"="
	}
	var all []string
	switch flag := flagBefore(node, before); {
	case flag != nil:
		all = valuesFor(flag)
	case strings.HasPrefix(last, "-"):
		all = flagNames(node)
	case node == k.Model.Node:
		all = commandNames(k)
	case (node.Name == "help" || node.Name == "man") && before[len(before)-1] == node.Name:
		all = commandNames(k)
	case len(node.Positional) > 0 && node.Positional[0].Enum != "" && before[len(before)-1] == node.Name:
		all = node.Positional[0].EnumSlice()
	}
	var fit []string
	for _, candidate := range all {
		if strings.HasPrefix(candidate, last) {
			fit = append(fit, prefix+candidate)
		}
	}
	return fit
}

// flagBefore returns the flag whose value is next: --flag, or --flag and =.
func flagBefore(node *kong.Node, before []string) *kong.Flag {
	n, equals := len(before), false
	if n > 0 && before[n-1] == "=" {
		n, equals = n-1, true
	}
	if n == 0 {
		return nil
	}
	for _, flag := range node.Flags {
		if "--"+flag.Name == before[n-1] && (equals || !flag.IsBool()) {
			return flag
		}
	}
	return nil
}

// valuesFor returns the values that a flag may have, if they are few.
func valuesFor(flag *kong.Flag) []string {
	switch choices := choicesOf(flag); {
	case choices != nil:
		return choices
	case flag.IsBool():
		return []string{"on", "off"}
	}
	return nil
}

func flagNames(node *kong.Node) []string {
	names := []string{"--help"}
	for _, flag := range node.Flags {
		if !flag.Hidden && flag.Name != "help" {
			names = append(names, "--"+flag.Name)
		}
	}
	return names
}
