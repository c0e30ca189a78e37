package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parlor/transport/provider/guard"
)

func TestMessagesMustFit(t *testing.T) {
	for _, flag := range []string{"--queue-bytes=1KiB", "--max-payload=1KiB"} {
		_, err := loadIn(t, "", nil, flag)
		name := strings.Trim(strings.TrimSuffix(flag, "1KiB"), "-=")
		if want := `max-message-bytes: "64KiB" must not be more than ` + name + " (1KiB)"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", flag, err, want)
		}
	}
}

func TestEmptyDataIsWrong(t *testing.T) {
	if _, err := loadIn(t, "", nil, "--data="); err == nil || !strings.Contains(err.Error(), `data: "" must not be empty (from flag)`) {
		t.Errorf("error = %v", err)
	}
}

func TestEveryFaultIsTold(t *testing.T) {
	_, err := loadIn(t, "listen: x\nwindow: 0\n", []string{"PARLOR_LOG_FORMAT=x", "PARLOR_FOO=1"}, "--ping-timeout=0s")
	if got, want := len(split(err)), 5; got != want {
		t.Errorf("%d faults, want %d:\n%v", got, want, err)
	}
}

func TestValidate(t *testing.T) {
	const long = "0123456789abcdef0123456789abcdef"
	tests := []struct {
		listen, secret string
		ok             bool
		warnings       int
	}{
		{"127.0.0.1:8080", "", true, 0},
		{"127.9.9.9:0", "", true, 0},
		{"[::1]:8080", "", true, 0},
		{"localhost:8080", "", true, 0},
		{":8080", "", false, 1},
		{"0.0.0.0:8080", "", false, 1},
		{"[::]:8080", "", false, 1},
		{"192.168.1.2:8080", "", false, 1},
		{"localhost.example.com:8080", "", false, 1},
		{"0.0.0.0:8080", long, true, 0},
		{"0.0.0.0:8080", long[1:], false, 1},
		{"localhost:8080", long[1:], true, 1},
		{"127.0.0.1:8080", "short", true, 1},
	}
	for _, tt := range tests {
		s, err := loadIn(t, "", nil, "--listen="+tt.listen, "--jwt-secret="+tt.secret)
		if err != nil {
			t.Fatal(err)
		}
		err = s.Validate()
		if (err == nil) != tt.ok || len(s.Warnings()) != tt.warnings {
			t.Errorf("%s with secret %q: %v, warnings %q", tt.listen, tt.secret, err, s.Warnings())
		}
		if err == nil {
			continue
		}
		for _, help := range []string{tt.listen, "PARLOR_JWT_SECRET", "--listen 127.0.0.1:8080", "from flag"} {
			if !strings.Contains(err.Error(), help) {
				t.Errorf("error does not mention %q: %v", help, err)
			}
		}
	}
}

func TestFilesThatOthersCanRead(t *testing.T) {
	dir := t.TempDir()
	secret, data, config := filepath.Join(dir, "secret"), filepath.Join(dir, "data.db"), filepath.Join(dir, "c.yaml")
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(secret, "0123456789abcdef0123456789abcdef")
	write(data, "")
	write(config, "oidc-client-secret: something\n")
	args := []string{"--jwt-secret-file=" + secret, "--data=" + data, "--config=" + config}
	for name, mode := range map[string]os.FileMode{"": 0, secret: 0o604, data: 0o640, config: 0o644} {
		for _, file := range []string{secret, data, config} {
			if err := os.Chmod(file, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want := 0
		if name != "" {
			want = 1
			if err := os.Chmod(name, mode); err != nil {
				t.Fatal(err)
			}
		}
		s, err := loadIn(t, "", nil, args...)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Warnings(); len(got) != want || want == 1 && !strings.Contains(got[0], "chmod 600 "+name) {
			t.Errorf("%q has mode %v: warnings %q", name, mode, got)
		}
	}
}

// Of a directory of keys the files count: without the right to search it, nobody could read them.
func TestKeysThatOthersCanRead(t *testing.T) {
	dir := t.TempDir() // others may search it
	for name, mode := range map[string]os.FileMode{"2026-01": 0o600, "2026-02": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), mode); err != nil {
			t.Fatal(err)
		}
	}
	s, err := loadIn(t, "", nil, "--encryption-key-file="+dir, "--data="+filepath.Join(dir, "no"))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Warnings(); len(got) != 1 || !strings.HasSuffix(got[0], "chmod 600 "+filepath.Join(dir, "2026-02")) {
		t.Errorf("warnings %q", got)
	}
}

// A file of root's that the server reads by its group, as the Debian package has it, is as it should be.
func TestFilesThatTheGroupReads(t *testing.T) {
	for _, tt := range []struct {
		mode    os.FileMode
		byGroup bool
		cure    string
	}{{0o600, false, ""}, {0o640, false, "600"}, {0o604, false, "600"}, {0o640, true, ""}, {0o440, true, ""}, {0o644, true, "o="}} {
		if got := cureOfMode(tt.mode, tt.byGroup); got != tt.cure {
			t.Errorf("mode %v, by the group %v: %q, want %q", tt.mode, tt.byGroup, got, tt.cure)
		}
	}
}

func TestPublicProviderWithoutALimit(t *testing.T) {
	for args, want := range map[string]bool{
		"--oidc-issuer=https://accounts.google.com": true, "--oidc-issuer=https://login.microsoftonline.com/common/v2.0": true,
		"--oidc-issuer=https://accounts.google.com --oidc-allow=@example.com": false, "--oidc-issuer=https://id.example.com": false, "--passwords=on": false,
	} {
		s, err := loadIn(t, "", nil, append(strings.Fields(args), "--oidc-client-id=x")...)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(strings.Join(s.Warnings(), "\n"), "everybody in the world"); got != want {
			t.Errorf("%s: warned = %v, want %v", args, got, want)
		}
	}
}

func TestBudgetsForUnknownModels(t *testing.T) {
	s, err := loadIn(t, `
discover: off
title-model: nothing
models: [{ model_id: best, provider: eliza }]
budgets:
  - { period: day, tokens: 5k }
  - { period: day, tokens: 5k, model: "*" }
  - { period: day, tokens: 5k, model: eliza }
  - { period: day, tokens: 5k, model: best }
  - { period: day, tokens: 5k, model: bset }
  - { period: day, tokens: 5k, model: "nobody:gpt" }
`, nil)
	if err != nil {
		t.Fatal(err)
	}
	server := &server{Settings: *s, log: slog.New(slog.DiscardHandler), guards: guard.NewMetrics()}
	if err := server.openModels(); err != nil {
		t.Fatal(err)
	}
	defer server.models.Close()
	var text syncBuffer
	server.log = slog.New(slog.NewTextHandler(&text, nil))
	server.warnOfModels(s)
	got := strings.Split(strings.TrimSpace(text.take()), "\n")
	want := []string{"title-model: ", `budgets[4]: there is no such model; as it is the budget limits nothing" model=bset`, "budgets[5]: "}
	if len(got) != len(want) {
		t.Fatalf("logged\n%s", strings.Join(got, "\n"))
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("logged %s\nwant %s", got[i], want[i])
		}
	}
}
