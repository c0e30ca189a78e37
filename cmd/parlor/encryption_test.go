package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"parlor/persistence"
)

// keygen returns the line of a new key.
func keygen(t *testing.T, id string) string {
	t.Helper()
	status, out, errs := runIn(t, nil, "encryption", "keygen", id)
	if status != 0 || !strings.HasPrefix(out, id+":") {
		t.Fatalf("status %d, %q, %q", status, out, errs)
	}
	return out
}

func writeKeys(t *testing.T, name string, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func contains(t *testing.T, path, word string) bool {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(text, []byte(word))
}

// Every command that works on the data file takes the keys, says which one is missing, and
// then leaves the file alone.
func TestCommandsTakeKeys(t *testing.T) {
	export := writeLines(t, exported(t, "a", "b"))
	data := filepath.Join(t.TempDir(), "parlor.db")
	good := writeKeys(t, "keys", keygen(t, "mine"))
	with := []string{"--data=" + data, "--encryption-key-file=" + good}
	if status, out, errs := runIn(t, nil, append([]string{"import", export}, with...)...); status != 0 {
		t.Fatalf("%s%s", out, errs)
	}
	if contains(t, data, "message_added") {
		t.Error("what was imported can be read in the file")
	}
	before, err := os.ReadFile(data)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "copy.db")
	commands := [][]string{
		{"check", "--in-process"}, {"check"}, {"export"}, {"backup", copied}, {"compact"}, {"import", export}, {"user", "export", "alice"},
		{"user", "delete", "alice", "--yes"}, {"user", "list"}, {"key", "list"}, {"encryption", "status"}, {"encryption", "rotate"}, {"encryption", "reencrypt"}, {"serve", "--listen=127.0.0.1:0"},
	}
	for says, keys := range map[string]string{
		`its key "mine" is not given`: "",
		"not among those":             writeKeys(t, "other", keygen(t, "other")),
		"not the one of that id":      writeKeys(t, "wrong", keygen(t, "mine")),
	} {
		for _, command := range commands {
			status, out, errs := runIn(t, nil, append(command, "--data="+data, "--encryption-key-file="+keys)...)
			if status != exitFailure || out != "" || !strings.Contains(errs, says) || !strings.Contains(errs, "encryption-key-file or") || !strings.Contains(errs, data) {
				t.Errorf("%q: status %d, %q, %q, want %q", command, status, out, errs, says)
			}
			if after, err := os.ReadFile(data); !bytes.Equal(before, after) || err != nil {
				t.Fatalf("%q has written to the file: %v", command, err)
			}
		}
		if testing.Short() {
			break // one of them will do
		}
	}
	for _, command := range commands {
		if strings.HasPrefix(command[0], "import") || command[0] == "serve" || len(command) > 1 && command[1] == "delete" {
			continue
		}
		if status, out, errs := runIn(t, nil, append(command, with...)...); status != 0 || errs != "" {
			t.Errorf("%q: status %d, %q, %q", command, status, out, errs)
		}
	}
	if contains(t, copied, "message_added") {
		t.Error("what was said can be read in the backup")
	}
	if status, out, _ := runIn(t, nil, append([]string{"export", "--data=" + copied}, with[1:]...)...); status != 0 || strings.Count(out, "message_added") != 2 {
		t.Errorf("the export of the backup: %s", out)
	}
	if status, out, errs := runIn(t, nil, append([]string{"user", "delete", "alice", "--yes"}, with...)...); status != 0 {
		t.Errorf("user delete: %q, %q", out, errs)
	}
}

// Keys come from a file, a directory and a command. None of them is in what is printed.
func TestSourcesOfKeys(t *testing.T) {
	first, second := keygen(t, "first"), keygen(t, "second")
	dir := t.TempDir()
	for name, line := range map[string]string{"2026-01": first, "2026-02": second, ".hidden": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := writeKeys(t, "keys", "# comment\n", second, first)
	broken := writeKeys(t, "keys", first, "x"+second[:30])
	secret := second[10:25]
	for _, tt := range []struct {
		values Values
		ids    string
		says   string
	}{
		{values: Values{}},
		{values: Values{EncryptionKeyFile: file}, ids: "second, first"},
		{values: Values{EncryptionKeyFile: dir}, ids: "second, first"},
		{values: Values{EncryptionKeyCommand: "cat " + file}, ids: "second, first"},
		{values: Values{EncryptionKeyFile: broken}, says: "encryption-key-file: " + broken + ": line 2"},
		{values: Values{EncryptionKeyFile: dir + "/no"}, says: "no such file"},
		{values: Values{EncryptionKeyFile: t.TempDir()}, says: "there is no key in it"},
		{values: Values{EncryptionKeyCommand: "cat " + broken}, says: "encryption-key-command: what it prints: line 2"},
		{values: Values{EncryptionKeyCommand: "cat " + dir + "/no"}, says: "cat: exit status 1; run it by hand"},
		{values: Values{EncryptionKeyCommand: " "}, says: "is empty"},
		{values: Values{EncryptionKeyCommand: "yes " + first}, says: "yes: "},
		{values: Values{EncryptionKeyCommand: "sleep 60", EncryptionKeyTimeout: time.Millisecond}, says: "sleep has not ended after 1ms"},
	} {
		if tt.values.EncryptionKeyTimeout == 0 {
			tt.values.EncryptionKeyTimeout = time.Minute
		}
		ring, err := (&Settings{Values: tt.values}).encryptionKeys()
		if ring.String() != tt.ids || (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) || strings.Contains(fmt.Sprint(err), secret) {
			t.Errorf("%+v: %v, %v, want %q", tt.values, ring, err, tt.says)
		}
	}
	status, out, errs := runIn(t, []string{"PARLOR_ENCRYPTION_KEY_FILE=" + file}, "config")
	if status != 0 || strings.Contains(out+errs, secret) {
		t.Errorf("status %d, %q, %q", status, out, errs)
	}
	if status, _, errs := runIn(t, nil, "config", "check", "--encryption-key-file=a", "--encryption-key-command=b"); status == 0 || !strings.Contains(errs, "both set") {
		t.Errorf("both: status %d, %q", status, errs)
	}
}

// TestDocumentedRotation carries out the steps that docs/operations.md names, on a file that
// was not encrypted before.
func TestDocumentedRotation(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repository, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Keys of the data file\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var steps []string
	for line := range strings.Lines(section) {
		if step, is := strings.CutPrefix(line, "    "); is && !strings.HasPrefix(step, "encryption-") {
			steps = append(steps, strings.TrimSpace(step))
		}
	}
	if len(steps) < 9 {
		t.Fatalf("steps %q", steps)
	}
	dir := t.TempDir()
	data := filepath.Join(dir, "parlor.db")
	export := writeLines(t, exported(t, "a"))
	if status, _, errs := runIn(t, nil, "import", export, "--data="+data); status != 0 || !contains(t, data, "message_added") {
		t.Fatalf("import: %d, %s", status, errs)
	}
	for name, text := range map[string]string{"keys": keygen(t, "2026-06"), "parlor.yaml": "encryption-key-file: keys\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var said strings.Builder
	for _, step := range steps {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", `parlor() { "$PROGRAM" "$@"; }; `+step)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GO_TEST_RUN_PARLOR=1", "PROGRAM="+os.Args[0])
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", step, err, out)
		}
		fmt.Fprintf(&said, "%s: %s", step, out)
	}
	for _, want := range []string{
		`encryption status: encrypted with the key "2026-06"` + "\n", `encryption rotate: encrypted with the key "2026-12"` + "\n", "encryption off: not encrypted", "encryption status: not encrypted",
	} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("%q is missing in what was said:\n%s", want, said.String())
		}
	}
	if status, out, _ := runIn(t, nil, "export", "--data="+data); status != 0 || !strings.Contains(out, "message_added") {
		t.Errorf("in the end: %s", out)
	}
}

// A reload takes the keys that are in the file now, and keeps those before if they are wrong.
func TestReloadOfKeys(t *testing.T) {
	first, second := keygen(t, "first"), keygen(t, "second")
	file := writeKeys(t, "keys", first)
	s := &server{Settings: Settings{Values: Values{Data: filepath.Join(t.TempDir(), "parlor.db"), EncryptionKeyFile: file}}}
	s.keysFrom.Store(&s.Settings)
	var err error
	if s.store, err = openStore(&s.Settings, nil, nil, nil); err != nil {
		t.Fatal(err)
	}
	defer s.store.Close()
	for _, step := range []struct {
		keys    string
		changed bool
		says    string
		now     string
	}{
		{first, false, "", "first"},
		{second + first, true, "", "second"},
		{"x", false, "line 1", "second"},
		{second, false, "", "second"},
		{first, true, "", "first"}, // the server has the old one still
	} {
		if err := os.WriteFile(file, []byte(step.keys), 0o600); err != nil {
			t.Fatal(err)
		}
		changed, err := s.reloadEncryption(&s.Settings)
		e, _ := s.store.Encryption()
		if changed != step.changed || (err == nil) != (step.says == "") || err != nil && !strings.Contains(err.Error(), step.says) || e.Key != step.now {
			t.Errorf("%.6q: changed %v, %v, %+v", step.keys, changed, err, e)
		}
	}
	for _, action := range []string{"rotate", "reencrypt", "status"} { // as through the control socket
		var e persistence.Encryption
		answer, err := s.answerEncryption(t.Context(), []byte(`{"action":"`+action+`"}`))
		if err = errors.Join(err, json.Unmarshal(answer, &e)); err != nil || !e.On || e.Key != "first" {
			t.Errorf("%s: %+v, %v", action, e, err)
		}
	}
	if _, err := s.answerEncryption(t.Context(), []byte(`{"action":"keygen"}`)); err == nil {
		t.Error("there is such a command")
	}
	if _, err := s.reloadEncryption(&Settings{}); err == nil {
		t.Error("the keys were taken away from an encrypted file")
	}
}
