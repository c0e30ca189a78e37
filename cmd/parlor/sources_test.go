package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUnknownKeys(t *testing.T) {
	tests := []struct{ file, says string }{
		{"\nlissten: x\n", `parlor.yaml:2: unknown setting "lissten", did you mean listen?`},
		{"base_path: /x\n", `parlor.yaml:1: unknown setting "base_path", did you mean base-path?`},
		{"whatever: 1\n", `parlor.yaml:1: unknown setting "whatever"`},
		{"config: other.yaml\n", `unknown setting "config"`},
		{"user: alice\n", `unknown setting "user"`}, // a flag of token, no setting
		{"<<: {listen: x}\n", `unknown setting "<<"`},
		{"window: 1\n\nwindow: 2\n", `parlor.yaml:3: "window" is in line 1 already`},
		{"window:\n", "window: has no value (from file parlor.yaml:1)"},
		{"window: [1]\n", "window: must be a single value"},
		{"system-prompt: {a: b}\n", "system-prompt: must be a single value"},
		{"cors-origins: [[a]]\n", "cors-origins: has an entry in line 1"},
		{"models:\n  - model_id: a\n    modle: b\n", `models[0]: unknown key "modle"; known are model_id, `},
		{"models: 7\n", "models: must be a list"},
		{"- listen\n", "parlor.yaml:1: must be a mapping"},
		{"listen\n", "parlor.yaml:1: must be a mapping"},
		{"listen: :1\n---\nlisten: :2\n", "one YAML document"},
		{"listen: [\n", "parlor.yaml:1: is not YAML"},
		{"listen: *nowhere\n", "parlor.yaml:1: is not YAML: unknown anchor"},
	}
	for _, tt := range tests {
		if _, err := loadIn(t, tt.file, nil); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%q: error %v, want %q in it", tt.file, err, tt.says)
		}
	}
}

func TestFilesWithoutSettings(t *testing.T) {
	for _, file := range []string{"\n", "# nothing\n", "---\n", "null\n", "{}\n", "cors-origins: []\nmodels: []\n"} {
		s, err := loadIn(t, file, nil)
		if err != nil {
			t.Errorf("%q: %v", file, err)
			continue
		}
		if s.Listen != "127.0.0.1:8080" || len(s.CORSOrigins)+len(s.Models) != 0 {
			t.Errorf("%q: settings %+v", file, s.Values)
		}
	}
}

func TestAnchorsInTheFile(t *testing.T) {
	s, err := loadIn(t, "ping-interval: &long 9s\nping-timeout: *long\n", nil)
	if err != nil || s.PingTimeout.Seconds() != 9 {
		t.Errorf("%v, %v", s, err)
	}
}

func TestWhichFile(t *testing.T) {
	dir := t.TempDir()
	named := filepath.Join(dir, "named.yaml")
	if err := os.WriteFile(named, []byte("window: 7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const inDefault = "window: 5\n"
	tests := []struct {
		name, file string
		env, args  []string
		window     int
		says       string // an error
	}{
		{"default", inDefault, nil, nil, 5, ""},
		{"default is missing", "", nil, nil, 128, ""},
		{"variable", inDefault, []string{"PARLOR_CONFIG=" + named}, nil, 7, ""},
		{"flag", inDefault, nil, []string{"--config=" + named}, 7, ""},
		{"flag before variable", inDefault, []string{"PARLOR_CONFIG=none"}, []string{"--config=" + named}, 7, ""},
		{"named and missing", inDefault, nil, []string{"--config=none"}, 0, "open none: no such file or directory (from flag)"},
		{"named by variable and missing", inDefault, []string{"PARLOR_CONFIG=none"}, nil, 0, "(from environment PARLOR_CONFIG)"},
		{"default, but named and missing", "", nil, []string{"--config=parlor.yaml"}, 0, "open parlor.yaml: no such file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := loadIn(t, tt.file, tt.env, tt.args...)
			switch {
			case tt.says != "":
				if err == nil || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("error = %v, want %q in it", err, tt.says)
				}
			case err != nil:
				t.Error(err)
			case s.Window != tt.window:
				t.Errorf("window = %d, want %d", s.Window, tt.window)
			}
		})
	}
}

func TestUnknownVariables(t *testing.T) {
	_, err := loadIn(t, "", []string{"PARLOR_LISTN=x", "PARLOR_ZZZ=", "PARLOR_USER=alice", "HOME=/", "XPARLOR_A=1"})
	if err == nil {
		t.Fatal("unknown variables were ignored")
	}
	for _, want := range []string{"PARLOR_LISTN, did you mean PARLOR_LISTEN?", "PARLOR_ZZZ", "PARLOR_USER"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not mention %q: %v", want, err)
		}
	}
	if got, want := len(split(err)), 3; got != want {
		t.Errorf("%d faults, want %d: %v", got, want, err)
	}
}

func TestVariablesThatAreNoSettings(t *testing.T) {
	kubernetes := []string{
		"PARLOR_SERVICE_HOST=10.0.0.1", "PARLOR_SERVICE_PORT=80", "PARLOR_SERVICE_PORT_HTTP=80", "PARLOR_PORT=tcp://10.0.0.1:80",
		"PARLOR_PORT_80_TCP=tcp://10.0.0.1:80", "PARLOR_PORT_80_TCP_ADDR=10.0.0.1",
	}
	if _, err := loadIn(t, "", kubernetes); err != nil {
		t.Errorf("variables of Kubernetes: %v", err)
	}
	for _, flag := range allSettings(t) {
		if name := variables(flag)[0]; fromKubernetes(name) {
			t.Errorf("%s is taken for a variable of Kubernetes", name)
		}
	}
	model := `models: [{model_id: a, provider: openai, key_var: PARLOR_A_KEY}]`
	if _, err := loadIn(t, model, []string{"PARLOR_A_KEY=x"}); err != nil {
		t.Errorf("variable of a model's key: %v", err)
	}
}

func TestEmptyVariablesAreNotSet(t *testing.T) {
	s, err := loadIn(t, "jwt-secret: in the file\n", []string{"PARLOR_JWT_SECRET="})
	if err != nil || s.JWTSecret != "in the file" {
		t.Errorf("secret %q, %v", string(s.JWTSecret), err)
	}
}

// A secret that is set and empty is a mistake, not the wish for none.
func TestEmptySecretIsRefused(t *testing.T) {
	if _, err := loadIn(t, "", []string{"PARLOR_JWT_SECRET="}); err == nil || !strings.Contains(err.Error(), "PARLOR_JWT_SECRET") {
		t.Errorf("got %v, want an error that names the variable", err)
	}
}

func TestOpenAIVariables(t *testing.T) {
	tests := []struct {
		file string
		env  []string
		want Secret
		from string
	}{
		{"", []string{"OPENAI_API_KEY=b"}, "b", "environment OPENAI_API_KEY"},
		{"", []string{"OPENAI_API_KEY=b", "PARLOR_OPENAI_API_KEY=a"}, "a", "environment PARLOR_OPENAI_API_KEY"},
		{"openai-api-key: c\n", []string{"OPENAI_API_KEY=b"}, "b", "environment OPENAI_API_KEY"},
		{"openai-api-key: c\n", nil, "c", "file parlor.yaml:1"},
	}
	for _, tt := range tests {
		s, err := loadIn(t, tt.file, tt.env)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.row("openai-api-key"); s.OpenAIAPIKey != tt.want || got.source != tt.from || got.value != hiddenSecret {
			t.Errorf("%q %q: key %q, shown as %+v, want %q from %s", tt.file, tt.env, string(s.OpenAIAPIKey), got, string(tt.want), tt.from)
		}
	}
	s, err := loadIn(t, "", []string{"OPENAI_BASE_URL=http://127.0.0.1:1/v1"})
	if err != nil || s.OpenAIBaseURL != "http://127.0.0.1:1/v1" {
		t.Errorf("base URL: %v, %v", s, err)
	}
}

func TestSuggest(t *testing.T) {
	known := []string{"listen", "window", "ping-timeout"}
	for name, want := range map[string]string{
		"listen":       ", did you mean listen?",
		"lsiten":       ", did you mean listen?",
		"windows":      ", did you mean window?",
		"ping_timeout": ", did you mean ping-timeout?",
		"something":    "",
		"":             "",
	} {
		if got := suggest(name, known); got != want {
			t.Errorf("suggest(%q) = %q, want %q", name, got, want)
		}
	}
	for _, d := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"abc", "abc", 0}, {"ab", "ba", 2}} {
		if got := editDistance(d.a, d.b); got != d.want {
			t.Errorf("editDistance(%q, %q) = %d, want %d", d.a, d.b, got, d.want)
		}
	}
}

// FuzzFile checks that no file makes the command panic, and that an error
// names the file.
func FuzzFile(f *testing.F) {
	for _, seed := range []string{
		"", "listen: :1", "models: [{model_id: a}]", "a: &a [*a]", "? {}\n: x", "cors-origins: [a, [b]]", "listen: !!binary aGk=",
		"models: {1: 2}", "models: [&a {model_id: a, <<: *a}]", "providers: &a {x: &b {<<: *a}, <<: *b}", "budgets: [{tokens: 5k}]", "retain-for: 1w2d", "models: [{2001-01-01: x}]", "window: 0x10", "\xff\xfe", "log-level: info+999999999999999999999", "max-payload: 9223372036854775807GiB",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, file string) {
		if file == "" {
			t.Skip()
		}
		if _, err := loadIn(t, file, nil); err != nil && !strings.Contains(err.Error(), "parlor.yaml") && !strings.Contains(err.Error(), "max-message-bytes") {
			t.Errorf("error does not name the file: %v", err)
		}
	})
}
