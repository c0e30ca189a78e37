package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCandidates(t *testing.T) {
	for line, want := range map[string]string{ // words are separated by |, candidates by spaces
		"":                              "serve token user key webhook tools top config doctor health encryption check backup restore compact export import release help version man completion",
		"c":                             "config check compact completion",
		"bogus":                         "",
		"--v":                           "--version",
		"help|ch":                       "check",
		"man|ch":                        "check",
		"help|check|":                   "",
		"completion|":                   "bash zsh fish",
		"completion|bash|":              "",
		"backup|":                       "",
		"token|--jwt":                   "--jwt-secret --jwt-secret-file --jwt-key-file --jwt-jwks-url --jwt-algorithms --jwt-issuer --jwt-audience --jwt-leeway --jwt-claim-user --jwt-claim-name --jwt-claim-email --jwt-claim-admin",
		"user|":                         "add passwd disable enable list link unlink links export delete",
		"user|a":                        "add",
		"key|add|--scope|":              "",
		"token|":                        "make check",
		"check|--in":                    "",
		"check|--d":                     "--data",
		"serve|--log-level|":            "debug info warn error",
		"serve|--log-level|w":           "warn",
		"serve|--log-level=":            "--log-level=debug --log-level=info --log-level=warn --log-level=error",
		"serve|--log-level=w":           "--log-level=warn",
		"serve|--log-level|=":           "debug info warn error",
		"serve|--log-level|=|w":         "warn",
		"serve|--turn-policy|s":         "steer",
		"serve|--metrics|":              "",
		"serve|--metrics|=":             "on off",
		"serve|--data|":                 "",
		"serve|--data|x.db|--log-form":  "--log-format",
		"serve|--bogus|=|x|--log-form":  "--log-format",
		"serve|--titles|off|--title-mo": "--title-model",
	} {
		var got strings.Builder
		if err := complete(strings.Split(line, "|"), &streams{stdout: &got}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(strings.Fields(got.String()), " "); got != want {
			t.Errorf("%q: candidates %q, want %q", line, got, want)
		}
	}
	if err := complete(nil, &streams{}); err != nil {
		t.Errorf("no word: %v", err)
	}
}

// The shells understand their scripts. Those that are not installed are left out.
func TestCompletionInShells(t *testing.T) {
	dir := t.TempDir()
	program := "#!/bin/sh\nGO_TEST_RUN_PARLOR=1 exec '" + os.Args[0] + "' \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "parlor"), []byte(program), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	for shell, script := range map[string]string{
		"bash": `source <(parlor completion bash)
			COMP_WORDS=(parlor serve --log-level = w) COMP_CWORD=4; _parlor; echo "${COMPREPLY[@]}"
			COMP_WORDS=(parlor ""); COMP_CWORD=1; _parlor; echo "${COMPREPLY[@]}"`,
		"zsh": `compdef() { }; compadd() { echo $candidates }; source <(parlor completion zsh)
			words=(parlor serve --log-level w) CURRENT=4; _parlor
			words=(parlor ""); CURRENT=2; _parlor`,
		"fish": `parlor completion fish | source
			complete -C "parlor serve --log-level w"
			complete -C "parlor " | string join " "
			complete -C "parlor import c"`,
	} {
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("no %s here", shell)
			continue
		}
		args := []string{"-c", script}
		if shell != "fish" {
			args = slices.Insert(args, 0, map[string]string{"bash": "--norc", "zsh": "-f"}[shell])
		}
		command := exec.Command(path, args...)
		command.Dir = t.TempDir() // its files are candidates too
		if err := os.WriteFile(filepath.Join(command.Dir, "chats.jsonl"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := command.CombinedOutput()
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		if err != nil || len(lines) < 2 || lines[0] != "warn" || !strings.Contains(lines[1], "serve") || !strings.Contains(lines[1], "completion") || strings.Contains(lines[1], "chats") ||
			shell == "fish" && lines[2] != "chats.jsonl" {
			t.Errorf("%s: %v\n%s", shell, err, out)
		}
	}
}
