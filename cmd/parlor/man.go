package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// manCmd prints a manual page, from the same source as --help.
type manCmd struct {
	Command string `arg:"" optional:"" help:"The command; parlor itself if none is named."`
}

// Help implements [kong.HelpProvider].
func (*manCmd) Help() string {
	return `Prints the page as man reads it:

    parlor man serve | man -l -
    parlor man > /usr/local/share/man/man1/parlor.1`
}

// Run prints to stdout.
func (c *manCmd) Run(k *kong.Kong, out *streams) error {
	page, err := manPage(k, c.Command)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(out.stdout, page)
	return err
}

// manPage is the page of a command in the language of roff, or that of the program.
func manPage(k *kong.Kong, name string) (string, error) {
	var words []string
	if name != "" {
		words = []string{name}
	}
	parser, err := newParser(&cli{}, words)
	if err != nil {
		return "", err
	}
	node := parser.Model.Node
	title := "parlor"
	for _, command := range parser.Model.Children {
		if command.Name == name {
			node, title = command, "parlor-"+name
		}
	}
	if name != "" && node == parser.Model.Node {
		return "", usageError{noCommand(k, name)}
	}
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1\n.SH NAME\n%s \\- %s\n.SH SYNOPSIS\n%s\n", strings.ToUpper(title), roff(title), roff(strings.TrimSuffix(node.Help, ".")), roff(synopsis(node)))
	b.WriteString(".SH DESCRIPTION\n")
	writeText(&b, node.Help+"\n\n"+node.Detail)
	if node == parser.Model.Node {
		b.WriteString(".SH COMMANDS\n")
		for _, command := range node.Children {
			fmt.Fprintf(&b, ".TP\n.BR parlor\\-%s (1)\n%s\n", roff(command.Name), roff(command.Help))
		}
	}
	if len(node.Positional) > 0 {
		b.WriteString(".SH ARGUMENTS\n")
		for _, argument := range node.Positional {
			fmt.Fprintf(&b, ".TP\n.I %s\n%s\n", roff(argument.Name), roff(argument.Help))
		}
	}
	flags := parser.Model.Flags
	if node != parser.Model.Node {
		flags = slices.Concat(flags, node.Flags)
	}
	writeFlags(&b, flags)
	b.WriteString(".SH EXIT STATUS\n0 if all went well, 1 if not, 2 if the command line or a setting is wrong.\n")
	return b.String(), nil
}

func synopsis(node *kong.Node) string {
	if node.Type == kong.ApplicationNode {
		return "parlor COMMAND [flags]"
	}
	return "parlor " + strings.TrimSpace(node.Summary())
}

func writeFlags(b *strings.Builder, flags []*kong.Flag) {
	groups := append([]struct{ key, title string }{{"", "Options"}}, groupTitles...)
	for _, group := range groups {
		first := true
		for _, flag := range flags {
			key := ""
			if flag.Group != nil {
				key = flag.Group.Key
			}
			if flag.Hidden || key != group.key {
				continue
			}
			if first {
				fmt.Fprintf(b, ".SH %s\n", roff(strings.ToUpper(strings.TrimSuffix(group.title, ":"))))
				first = false
			}
			value := ""
			if !flag.IsBool() {
				value = "=" + flag.FormatPlaceHolder()
			}
			fmt.Fprintf(b, ".TP\n.B %s\n%s\n", roff("--"+flag.Name+value), roff(flag.Help))
		}
	}
}

// writeText writes paragraphs. Those that are indented are examples, and stay as they are.
func writeText(b *strings.Builder, text string) {
	for _, paragraph := range strings.Split(text, "\n\n") {
		if paragraph = strings.Trim(paragraph, "\n"); paragraph == "" {
			continue
		}
		b.WriteString(".PP\n")
		if !strings.HasPrefix(paragraph, " ") {
			b.WriteString(roff(paragraph) + "\n")
			continue
		}
		b.WriteString(".nf\n")
		for _, line := range strings.Split(paragraph, "\n") {
			b.WriteString(roff(line) + "\n")
		}
		b.WriteString(".fi\n")
	}
}

// roff keeps a text from being taken for requests and escapes.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return strings.ReplaceAll(text, "\n.", "\n\\&.")
}
