package main

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

var update = flag.Bool("update", false, "write docs/configuration.md anew")

// repository is where all files are, also when a test has changed its directory.
var repository, _ = filepath.Abs(filepath.Join("..", ".."))

// chosen are the endings of variables in examples that people choose themselves.
var chosen = []string{"host", "key"}

// TestConfigurationPage compares docs/configuration.md with the settings.
func TestConfigurationPage(t *testing.T) {
	path := filepath.Join(repository, "docs", "configuration.md")
	want := configurationPage(allSettings(t))
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("docs/configuration.md is not what the settings are (%v): go test ./cmd/parlor -run TestConfigurationPage -update", err)
	}
}

func configurationPage(flags []*kong.Flag) string {
	var b strings.Builder
	b.WriteString("# Settings\n\n" +
		"Made from the program by `go test ./cmd/parlor -run TestConfigurationPage -update`; a test compares them.\n\n" +
		"Every setting is a flag of `parlor serve`, an environment variable and a key of `parlor.yaml`. Flags win over the environment,\n" +
		"and that over the file: `--base-path /chat`, `PARLOR_BASE_PATH=/chat`, or `base-path: /chat`. Times are written as 30s, 10m, 24h or\n" +
		"30d, sizes as 64KiB or 10G, other numbers as 5000, 5k or 2M, what is on or off as that. `parlor config` shows what holds and where\n" +
		"it came from, `parlor config check` what is wrong, and `parlor config init` writes a file with all of them.\n")
	for _, group := range groupTitles {
		fmt.Fprintf(&b, "\n## %s\n\n| setting | default | |\n|---|---|---|\n", strings.TrimSuffix(group.title, ":"))
		for _, flag := range flags {
			if flag.Group.Key != group.key {
				continue
			}
			value := flag.Default
			if value == "" && flag.IsBool() {
				value = "false"
			}
			if value != "" {
				value = "`" + value + "`"
			}
			help := strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`).Replace(flag.Help)
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", flag.Name, value, help)
		}
	}
	return b.String()
}

// TestDocumentedFlags looks in all documents for flags of parlor, environment variables and links to
// other documents. Each has to exist.
func TestDocumentedFlags(t *testing.T) {
	known, named := map[string]bool{"help": true, "version": true}, make(map[string]bool)
	for _, command := range commands() {
		named[command.name] = true
		parser, err := newParser(&cli{}, []string{command.name})
		if err != nil {
			t.Fatal(err)
		}
		for _, node := range parser.Model.Children {
			for _, flag := range node.Flags {
				known[flag.Name] = true
			}
		}
	}
	calls := regexp.MustCompile("(?m)(?:^|[ `/])parlor ([a-z]+)[^`|\n]*")
	flags := regexp.MustCompile(`(?:^| )--([a-z][a-z-]*)`)
	variables := regexp.MustCompile(`\bPARLOR_([A-Z_]+)\b`)
	links := regexp.MustCompile(`\]\(([^)#: ]+)(?:#[^)]*)?\)`)
	for path, text := range documents(t) {
		for _, call := range calls.FindAllStringSubmatch(text, -1) {
			for _, match := range flags.FindAllStringSubmatch(call[0], -1) {
				if named[call[1]] && !known[match[1]] {
					t.Errorf("%s: parlor has no flag --%s (%s)", path, match[1], strings.TrimSpace(call[0]))
				}
			}
		}
		for _, match := range variables.FindAllStringSubmatch(text, -1) {
			name := strings.ToLower(strings.ReplaceAll(match[1], "_", "-"))
			if !known[name] && !known[strings.ReplaceAll(name, "-", "_")] && !slices.Contains(chosen, name) {
				t.Errorf("%s: there is no setting for PARLOR_%s", path, match[1])
			}
		}
		for _, match := range links.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), match[1])); err != nil {
				t.Errorf("%s: there is no %s", path, match[1])
			}
		}
	}
}

// documents are the README, and all pages of docs by their path.
func documents(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	read := func(path string) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[path] = string(text)
	}
	read(filepath.Join(repository, "README.md"))
	err := filepath.WalkDir(filepath.Join(repository, "docs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".md") {
			read(path)
		}
		return err
	})
	if err != nil || len(all) < 10 {
		t.Fatalf("%d documents: %v", len(all), err)
	}
	return all
}
