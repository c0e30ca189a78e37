package main

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

var update = flag.Bool("update", false, "write docs/configuration.md and docs/commands.md anew")

// repository is where all files are, also when a test has changed its directory.
var repository, _ = filepath.Abs(filepath.Join("..", ".."))

// chosen are the endings of variables in examples that people choose themselves.
var chosen = []string{"host", "key"}

// TestConfigurationPage compares docs/configuration.md with the settings.
func TestConfigurationPage(t *testing.T) {
	comparePage(t, "configuration.md", configurationPage(allSettings(t)))
}

// TestCommandsPage compares docs/commands.md with the commands.
func TestCommandsPage(t *testing.T) {
	comparePage(t, "commands.md", commandsPage(t))
}

// comparePage compares a page of docs with what the program says.
func comparePage(t *testing.T, name, want string) {
	t.Helper()
	path := filepath.Join(repository, "docs", name)
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("docs/%s is not what the program says (%v): go test ./cmd/parlor -run %s -update", name, err, t.Name())
	}
}

func commandsPage(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("# Commands\n\n" +
		"Made from the program by `go test ./cmd/parlor -run TestCommandsPage -update`; a test compares them. `parlor COMMAND --help` says the same,\n" +
		"and which [settings](configuration.md) a command uses. The exit status is 0 if all went well, 1 if not, 2 if the command line or a setting is wrong.\n")
	for _, command := range commands() {
		parser, err := newParser(&cli{}, []string{command.name})
		if err != nil {
			t.Fatal(err)
		}
		for _, node := range parser.Model.Children {
			if node.Name == command.name {
				writeCommand(&b, node)
			}
		}
	}
	return b.String()
}

// writeCommand writes a command with all that is no setting.
func writeCommand(b *strings.Builder, node *kong.Node) {
	fmt.Fprintf(b, "\n## parlor %s\n\n%s\n", strings.Fields(node.Path())[0], escaped(node.Help))
	if detail := strings.TrimSpace(node.Detail); detail != "" {
		fmt.Fprintf(b, "\n%s\n", detail)
	}
	var rows []string
	for _, argument := range node.Positional {
		rows = append(rows, fmt.Sprintf("| `%s` | %s |\n", argument.Summary(), escaped(argument.Help)))
	}
	for _, flag := range node.Flags {
		if flag.Hidden || flag.Group != nil && flag.Group.Key != "" {
			continue
		}
		name := "--" + flag.Name
		if !flag.IsBool() {
			name += "=" + flag.FormatPlaceHolder()
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s |\n", strings.ReplaceAll(name, "|", `\|`), escaped(flag.Help)))
	}
	if len(rows) > 0 {
		b.WriteString("\n| | |\n|---|---|\n" + strings.Join(rows, ""))
	}
}

// escaped is a text of the program as a cell of a table.
func escaped(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`).Replace(text)
}

// TestDocumentedSettings loads each example of settings that is in a document.
func TestDocumentedSettings(t *testing.T) {
	blocks := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```")
	variables := regexp.MustCompile(`\$\{([A-Z_]+)\}|_var: ([A-Z_]+)`)
	found, shop := 0, filepath.Join(t.TempDir(), "shop.yaml") // the examples name it
	if err := os.WriteFile(shop, []byte(`{openapi: 3.1.0, info: {title: t, version: "1"}, paths: {/o: {get: {operationId: getOrder, summary: s}, post: {operationId: listOrders, summary: s}}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, text := range documents(t) {
		for _, block := range blocks.FindAllStringSubmatch(text, -1) {
			if strings.HasPrefix(block[1], "http:\n") { // of Traefik, see TestProxyLines
				continue
			}
			found++
			var env []string
			for _, v := range variables.FindAllStringSubmatch(block[1], -1) {
				env = append(env, v[1]+v[2]+"=whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
			}
			s, err := loadIn(t, strings.ReplaceAll(block[1], "shop.yaml", shop), env)
			if err == nil {
				err = s.Validate()
			}
			if err != nil {
				t.Errorf("%s: %v:\n%s", path, err, block[1])
			}
		}
	}
	if found < 8 {
		t.Errorf("%d examples", found)
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
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", flag.Name, value, escaped(flag.Help))
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

// TestDocumentedCalls carries out each example that calls a server with curl. It is refused none.
func TestDocumentedCalls(t *testing.T) {
	if testing.Short() {
		t.Skip("each stream is read for a second")
	}
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	url := startServer(t)
	blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```")
	found := 0
	for path, text := range documents(t) {
		for _, block := range blocks.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(block[1], "localhost:8080") || strings.Contains(block[1], "/call ") { // a call waits for a client
				continue
			}
			found++
			script := strings.NewReplacer("localhost:8080", strings.TrimPrefix(url, "http://"), "curl -N", "curl -N --max-time 1").Replace(block[1])
			cmd := exec.CommandContext(t.Context(), "sh", "-c", script+"\nwait")
			out, _ := cmd.CombinedOutput() // of a stream that ends by time curl says that it failed
			if len(out) == 0 || strings.Contains(string(out), "urn:parlor:problem") || strings.Contains(string(out), "curl: (7)") {
				t.Errorf("%s:\n%s%s", path, script, out)
			}
		}
	}
	if found < 3 {
		t.Errorf("%d examples", found)
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
