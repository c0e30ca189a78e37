package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"parlor/actors/ledger"
	"parlor/transport/auth"
	"parlor/transport/provider"
	"parlor/transport/webhook"
)

// configCmd shows and checks the effective settings, and writes a file to begin with.
type configCmd struct {
	Action string `arg:"" optional:"" enum:"show,check,init" default:"show" help:"show the settings, which is what is done if nothing is said, check them, or init to write a file with all of them."`
	File   string `arg:"" optional:"" default:"parlor.yaml" help:"The file that init writes."`

	Values
}

// Help implements [kong.HelpProvider].
func (*configCmd) Help() string {
	return `Takes the settings that serve takes, checks them, and prints the value that each has and where it came from. Secrets are hidden.

    parlor config          all settings
    parlor config check    only what is wrong or unwise
    parlor config init     writes parlor.yaml, with every setting explained

check fails if serve would not start. init leaves a file that is there as it is.`
}

// Run prints results to stdout and warnings to stderr.
func (c *configCmd) Run(ctx *kong.Context, s *Settings, out *streams) error {
	switch c.Action {
	case "init":
		if err := writeConfig(c.File, settingsOf(ctx)); err != nil {
			return err
		}
		_, err := fmt.Fprintf(out.stdout, "wrote %s: take away the # before a setting to change it\n", c.File)
		return err
	case "show":
		if err := printRows(out.stdout, s.rows); err != nil {
			return fmt.Errorf("print the settings: %w", err)
		}
	}
	for _, w := range s.Warnings() {
		fmt.Fprintf(out.stderr, "warning: %s\n", w)
	}
	if c.Action == "check" {
		if s.Validate() != nil {
			return errTold
		}
		_, err := fmt.Fprintln(out.stdout, "serve would start with these settings")
		return err
	}
	return nil
}

func printRows(w io.Writer, rows []row) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SETTING\tVALUE\tSOURCE")
	for _, r := range rows {
		fmt.Fprintf(table, "%s\t%s\t%s\n", r.name, cell(r.value), r.source)
	}
	return table.Flush()
}

// cell returns a value in a form that fits a line of the table.
func cell(value string) string {
	const longest = 60
	if value == "" {
		return "-"
	}
	if strings.ContainsFunc(value, func(r rune) bool { return !strconv.IsPrint(r) }) {
		value = strconv.Quote(value)
	}
	if utf8.RuneCountInString(value) > longest {
		value = string([]rune(value)[:longest]) + "…"
	}
	return value
}

// loadSettings returns the settings of the command line, the environment and the
// file, or an error that lists all that is wrong with them.
func loadSettings(ctx *kong.Context, r *resolver, v *Values, env environment) (*Settings, error) {
	s, flags := &Settings{Values: *v}, settingsOf(ctx)
	for _, flag := range flags {
		if list, ok := flag.Target.Interface().([]string); ok {
			for i, entry := range list {
				list[i] = strings.TrimSpace(entry) // people write "a, b"
			}
		}
		s.rows = append(s.rows, row{
			name: flag.Name, value: show(flag), source: r.source(ctx, flag), list: flag.IsSlice() || flag.IsMap(), choices: choicesOf(flag), lines: r.lines,
		})
	}
	faults := append(unusedFlags(ctx, flags), r.faults...)
	faults = append(faults, s.readSecretFile(), s.readKeyFile(), s.emptySecret(env), unknownVariables(env, flags, keyVariables(&s.Values)))
	faults = append(faults, s.check()) // one that has a fault already has its default
	return s, errors.Join(faults...)
}

// choicesOf returns the values that a setting may have, or nil if they are not
// listed.
func choicesOf(flag *kong.Flag) []string {
	choices := flag.Tag.Get("choices")
	if choices == "" {
		return nil
	}
	return strings.Split(choices, ",")
}

// unusedFlags returns an error for each setting on the command line that the
// command does not use. In the environment and the file it may be set: these are
// for all commands.
func unusedFlags(ctx *kong.Context, flags []*kong.Flag) (faults []error) {
	command := ctx.Selected().Name
	used, some := usedSettings[command]
	for _, flag := range flags {
		if some && onCommandLine(ctx, flag) && !slices.Contains(used, flag.Name) {
			faults = append(faults, fmt.Errorf("--%s: parlor %s does not use it; of the settings it uses --%s", flag.Name, command, strings.Join(used, ", --")))
		}
	}
	return faults
}

// keyVariables are the environment variables that hold the keys of models and
// providers.
func keyVariables(v *Values) []string {
	var names []string
	for _, m := range v.Models {
		names = append(names, m.KeyVar)
	}
	for _, p := range v.Providers {
		names = append(names, p.KeyVar)
	}
	return names
}

// emptySecret refuses an empty PARLOR_JWT_SECRET. Other empty variables count as
// not set, but somebody who meant to set a secret must not get a server without
// one.
func (s *Settings) emptySecret(env environment) error {
	const name = envPrefix + "JWT_SECRET"
	if value, set := env[name]; !set || value != "" || !s.Development() {
		return nil
	}
	return row{name: "jwt-secret", source: "environment " + name}.fault(errors.New("is empty: give it a value, or leave it out for development mode"))
}

// readKeyFile reads the keys from the file that jwt-key-file names.
func (s *Settings) readKeyFile() error {
	if s.JWTKeyFile == "" {
		return nil
	}
	text, err := readSmall(s.JWTKeyFile)
	if err == nil {
		s.keys, err = auth.ParseKeys(text)
	}
	if err != nil {
		return s.row("jwt-key-file").fault(err)
	}
	return nil
}

// readSmall reads a file that holds keys or a secret.
func readSmall(path string) ([]byte, error) {
	const largest = 64 << 10
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, largest+1))
	text = bytes.TrimSpace(text) // editors end files with a new line
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot be read: %w", err)
	case len(text) == 0:
		return nil, errors.New("is empty")
	case len(text) > largest:
		return nil, fmt.Errorf("is longer than %d bytes", largest)
	}
	return text, nil
}

// readSecretFile reads the secret from the file that jwt-secret-file names.
func (s *Settings) readSecretFile() error {
	if s.JWTSecretFile == "" {
		return nil
	}
	r := s.row("jwt-secret-file")
	if s.JWTSecret != "" {
		return r.fault(fmt.Errorf("and jwt-secret are both set, leave one of them out: jwt-secret comes from %s, this", s.row("jwt-secret").source))
	}
	text, err := readSmall(s.JWTSecretFile)
	if err != nil {
		return r.fault(err)
	}
	s.JWTSecret = Secret(text)
	for i := range s.rows {
		if s.rows[i].name == "jwt-secret" {
			s.rows[i].value, s.rows[i].source = s.JWTSecret.String(), "file "+s.JWTSecretFile
		}
	}
	return nil
}

// show returns the value of a setting in a form that people may see.
func show(flag *kong.Flag) string {
	switch v := flag.Target.Interface().(type) {
	case []string:
		return withoutSecrets(strings.Join(v, ", "))
	case []provider.Config:
		var ids []string
		for _, m := range v {
			ids = append(ids, m.ModelID)
		}
		return strings.Join(ids, ", ")
	case []ledger.Budget:
		var budgets []string
		for _, b := range v {
			budgets = append(budgets, b.String())
		}
		return strings.Join(budgets, ", ")
	case []webhook.Config:
		var names []string
		for _, h := range v {
			names = append(names, h.Name)
		}
		return strings.Join(names, ", ")
	case providers:
		return strings.Join(slices.Sorted(maps.Keys(v)), ", ")
	case mcpServers:
		return strings.Join(slices.Sorted(maps.Keys(v)), ", ")
	case httpTools:
		return strings.Join(slices.Sorted(maps.Keys(v)), ", ")
	case toolSettings:
		return strings.Join(slices.Sorted(maps.Keys(v)), ", ")
	case time.Duration:
		return showDuration(v)
	case slog.Level:
		return strings.ToLower(v.String())
	case string:
		if strings.HasSuffix(flag.Name, "-url") && strings.Contains(v, "://") {
			return hideSecrets(v) // all of it, with its spaces
		}
		return withoutSecrets(v)
	default:
		return fmt.Sprint(v)
	}
}

// showDuration leaves out the zeros at the end, as in 10m0s.
func showDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// urlPattern finds the URLs in a text.
var urlPattern = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://\S*`)

// withoutSecrets hides what may be secret in the URLs of a text: the user and
// password, the values of the query, and the fragment. It looks for them in the
// text, since they must be hidden in a URL that cannot be parsed too.
func withoutSecrets(s string) string { return urlPattern.ReplaceAllStringFunc(s, hideSecrets) }

func hideSecrets(s string) string {
	s, fragment, cut := strings.Cut(s, "#")
	if cut && fragment != "" {
		fragment = "#" + hiddenSecret
	}
	s, query, _ := strings.Cut(s, "?")
	if query != "" {
		parameters := strings.Split(query, "&")
		for i, p := range parameters {
			name, _, named := strings.Cut(p, "=")
			if parameters[i] = hiddenSecret; named {
				parameters[i] = name + "=" + hiddenSecret
			}
		}
		query = "?" + strings.Join(parameters, "&")
	}
	return withoutPassword(s) + query + fragment
}

func withoutPassword(s string) string {
	scheme, rest, _ := strings.Cut(s, "://")
	at := strings.LastIndex(rest, "@")
	if at < 0 {
		return s
	}
	if u, err := url.Parse(s); err == nil && u.User == nil {
		return s // the @ is in the path
	}
	return scheme + "://" + hiddenSecret + rest[at:]
}
