package main

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"parlor/protocol/chat"
	"parlor/transport/auth"
)

// runIn carries out a command line in an empty directory.
func runIn(t *testing.T, env []string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	t.Chdir(t.TempDir())
	var out, errs strings.Builder
	status = run(t.Context(), args, env, &streams{&out, &errs})
	return status, out.String(), errs.String()
}

func TestHelp(t *testing.T) {
	t.Setenv("COLUMNS", "80")
	var texts []string
	for _, args := range [][]string{nil, {"--help"}, {"serve", "--help"}, {"token", "--help"}, {"config", "--help"},
		{"check", "--help"}, {"backup", "--help"}, {"compact", "--help"}, {"export", "--help"}, {"import", "--help"},
		{"release", "--help"}, {"help"}, {"help", "release"}, {"completion", "--help"},
	} {
		status, out, errs := runIn(t, nil, args...)
		if status != 0 || errs != "" {
			t.Errorf("%q: status %d, stderr %q", args, status, errs)
		}
		for line := range strings.Lines(out) {
			if n := utf8.RuneCountInString(line); n > 81 && !strings.Contains(line, "curl") {
				t.Errorf("%q: line of %d characters: %s", args, n, line)
			}
		}
		texts = append(texts, out)
	}
	if texts[0] != texts[1] {
		t.Error("parlor alone is not parlor --help")
	}
	if texts[11] != texts[1] || texts[12] != texts[10] {
		t.Error("parlor help is not parlor --help")
	}
	for _, flag := range allSettings(t) {
		for i, text := range texts[5:11] {
			used := fileSettings
			if i == 4 {
				used = importSettings
			}
			if got, want := strings.Contains(text, "--"+flag.Name+"="), slices.Contains(used, flag.Name); got != want {
				t.Errorf("the help of command %d has --%s: %v, want %v", i, flag.Name, got, want)
			}
		}
		if !strings.Contains(texts[2], "--"+flag.Name) || !strings.Contains(texts[4], "--"+flag.Name) {
			t.Errorf("the help of serve and config lacks --%s", flag.Name)
		}
		if got, want := strings.Contains(texts[3], "--"+flag.Name+"="), strings.Contains(strings.Join(tokenSettings, " "), flag.Name); got != want {
			t.Errorf("the help of token has --%s: %v, want %v", flag.Name, got, want)
		}
		if flag.Tag.Group == "" || !strings.HasSuffix(flag.Help, ".") {
			t.Errorf("--%s has no group or no sentence for help", flag.Name)
		}
	}
	for _, g := range groupTitles {
		if !strings.Contains(texts[2], "\n"+g.title+"\n") {
			t.Errorf("the help of serve lacks the heading %s", g.title)
		}
	}
}

func TestVersion(t *testing.T) {
	for _, arg := range []string{"--version", "version"} {
		if status, out, errs := runIn(t, []string{"PARLOR_BOGUS=1"}, arg); status != 0 || !strings.HasPrefix(out, "parlor ") || strings.Count(out, "\n") != 1 || errs != "" {
			t.Errorf("%s: status %d, stdout %q, stderr %q", arg, status, out, errs)
		}
	}
}

func TestExitStatus(t *testing.T) {
	tests := []struct {
		env, args []string
		want      int
		says      string
	}{
		{nil, []string{"bogus"}, 2, `unknown command "bogus"; known are serve, token, `},
		{nil, []string{"tokn", "--user=a"}, 2, "did you mean token?"},
		{nil, []string{"help", "tokn"}, 2, "did you mean token?"},
		{nil, []string{"help", "token", "x"}, 2, "unexpected argument x: it is written parlor help [<command>]"},
		{nil, []string{"completion"}, 2, "<shell> is missing: bash, zsh or fish"},
		{nil, []string{"completion", "tcsh"}, 2, `completion: <shell> must be bash or zsh or fish, not "tcsh"`},
		{nil, []string{"token", "alice"}, 2, `token: <action> must be make or check, not "alice"`},
		{nil, []string{"token", "--user"}, 2, "--user: its value is missing"},
		{nil, []string{"token", "--user=a", "--ttl=30"}, 2, "30d"},
		{nil, []string{"token", "--user=a", "--listen=:1"}, 2, "--listen: parlor token does not use it; of the settings it uses --config, --jwt-secret, "},
		{nil, []string{"backup", "--window=1", "x"}, 2, "--window: parlor backup does not use it"},
		{nil, []string{"release", "--window=1", "x"}, 2, "--window: parlor release does not use it"},
		{nil, []string{"serve", "--cors-origins"}, 2, "--cors-origins: its value is missing"},
		{nil, []string{"serve", "--metrics", "on"}, 2, "--metrics=on"},
		{nil, []string{"serve", "--retain-for", "-3d"}, 2, "--retain-for: a value that begins with - has to stand behind =: --retain-for=-3d\n"},
		{nil, []string{"serve", "--retain-for=-3d"}, 2, "retain-for: \"-72h\" must not be less than 0"},
		{nil, []string{"serve", "--listen", "--metrics"}, 2, "--listen: a value that begins with - has to stand behind =: --listen=--metrics\n"},
		{nil, []string{"config", "--trusted-proxies=10.0.0.1,nginx"}, 2, `trusted-proxies: has "nginx", which is not an address`},
		{nil, []string{"serve", "--listen=:1", "--jwt-secret=short"}, 2, "5 bytes can be guessed"},
		{nil, []string{"release"}, 2, "<room> is missing"},
		{nil, []string{"release", string(chat.ID("a").Room())}, 1, "none runs with the data file ./parlor.db (from default)"},
		{nil, []string{"release", "r1"}, 2, `"r1" is not a room_id, such as r`},
		{nil, []string{"backup", ""}, 2, `"" is not the name of a file`},
		{nil, []string{"backup", "-"}, 2, `"-" is not the name of a file`},
		{nil, []string{"import", os.DevNull}, 1, "it is empty"},
		{nil, []string{"backup"}, 2, "<file> is missing: The file to make"},
		{nil, []string{"backup", "x"}, 1, "there is no file ./parlor.db (from default)"},
		{[]string{"PARLOR_DATA=none"}, []string{"export"}, 1, "there is no file none (from environment PARLOR_DATA)"},
		{nil, []string{"check"}, 1, "there is no file ./parlor.db"},
		{nil, []string{"compact"}, 1, "there is no file ./parlor.db"},
		{nil, []string{"import", "."}, 1, ". is a directory"},
		{nil, []string{"import", "none"}, 1, "open none"},
		{nil, []string{"--lsiten"}, 2, "--lsiten"},
		{nil, []string{"serve", "--lsten=x"}, 2, `did you mean "--listen"?`},
		{nil, []string{"serve", "extra"}, 2, "extra"},
		{nil, []string{"serve", "--listen=:1"}, 2, "there is no secret"},
		{nil, []string{"serve", "--config=none"}, 2, "none"},
		{[]string{"PARLOR_X=1"}, []string{"config"}, 2, "PARLOR_X"},
		{nil, []string{"token"}, 2, "--user"},
		{nil, []string{"token", "--user=alice"}, 2, "PARLOR_JWT_SECRET"},
		// The data file cannot be made there: the server fails, not its user.
		{nil, []string{"serve", "--listen=127.0.0.1:0", "--data=none/parlor.db"}, 1, ""},
	}
	for _, tt := range tests {
		status, out, errs := runIn(t, tt.env, tt.args...)
		if status != tt.want || out != "" || !strings.HasPrefix(errs, "parlor: ") || !strings.Contains(errs, tt.says) {
			t.Errorf("%q: status %d, want %d; stdout %q; stderr %q", tt.args, status, tt.want, out, errs)
		}
	}
}

func TestConfigCommand(t *testing.T) {
	const secret, key = "0123456789abcdef0123456789abcdef", "sk-something"
	status, out, errs := runIn(t, []string{"PARLOR_JWT_SECRET=" + secret, "OPENAI_API_KEY=" + key}, "config", "--listen=:9000", "--system-prompt=Line\nline "+strings.Repeat("x", 99))
	if status != 0 || errs != "" {
		t.Errorf("status %d, stderr %q", status, errs)
	}
	if strings.Contains(out, secret) || strings.Contains(out, key) {
		t.Errorf("a secret is shown:\n%s", out)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if got, want := len(lines), 1+len(allSettings(t)); got != want {
		t.Errorf("%d lines, want %d", got, want)
	}
	source := strings.Index(lines[0], "SOURCE")
	for _, line := range lines[1:] {
		if before, _, _ := strings.Cut(line, "  "); before == "" || []rune(line)[source-1] != ' ' || []rune(line)[source] == ' ' {
			t.Errorf("not aligned: %s", line)
		}
	}
	for _, want := range [][]string{
		{"config", "parlor.yaml", "default, no such file"},
		{"listen", ":9000", "flag"},
		{"base-path", "-", "default"},
		{"jwt-secret", hiddenSecret, "environment PARLOR_JWT_SECRET"},
		{"openai-api-key", hiddenSecret, "environment OPENAI_API_KEY"},
		{"turn-timeout", "10m", "default"},
		{"max-message-bytes", "64KiB", "default"},
		{"system-prompt", `"Line\nline xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…`, "flag"},
	} {
		if !hasRow(lines, want) {
			t.Errorf("no line %q in\n%s", want, out)
		}
	}
}

func hasRow(lines, want []string) bool {
	for _, line := range lines {
		rest, ok := strings.CutPrefix(line, want[0]+" ")
		if !ok {
			continue
		}
		value, ok := strings.CutSuffix(strings.TrimSpace(rest), " "+want[2])
		return ok && strings.TrimSpace(value) == want[1]
	}
	return false
}

func TestConfigCommandWarns(t *testing.T) {
	status, out, errs := runIn(t, nil, "config", "--listen=:9000")
	if status != 0 || !strings.HasPrefix(out, "SETTING") || !strings.HasPrefix(errs, "warning: serve will not start") {
		t.Errorf("status %d, stdout %q, stderr %q", status, out, errs)
	}
}

func TestPasswordsInURLsAreHidden(t *testing.T) {
	for _, value := range []string{"http://me:sesame@example.com/v1", "http://me:ses/ame@exa mple.com", "ftp://sesame@x"} {
		status, out, errs := runIn(t, nil, "config", "--openai-base-url="+value)
		if status != 2 || strings.Contains(out+errs, "sesame") || strings.Contains(out+errs, "ame@") {
			t.Errorf("%s: status %d, stdout %q, stderr %q", value, status, out, errs)
		}
	}
	for value, want := range map[string]string{
		"Mail a@b.c.": "Mail a@b.c.", "http://x/a@b": "http://x/a@b", "http://x": "http://x", "a?b=c#d": "a?b=c#d", "http://x?": "http://x",
		"http://x/v1?key=sesame":                "http://x/v1?key=********",
		"http://x/v1?sesame":                    "http://x/v1?********",
		"http://x/v1?a=sesame&b=sesame=&sesame": "http://x/v1?a=********&b=********&********",
		"http://x/v1#sesame":                    "http://x/v1#********",
		"see http://me:sesame@x?k=sesame. And":  "see http://********@x?k=******** And",
		"http://x/%zz?k=sesame":                 "http://x/%zz?k=********",
	} {
		if got := withoutSecrets(value); got != want {
			t.Errorf("%q is shown as %q, want %q", value, got, want)
		}
	}
}

// Wherever a setting may hold a URL, what is secret in it is not printed.
func TestSecretsInURLsAreHidden(t *testing.T) {
	for _, args := range [][]string{
		{"--openai-base-url=http://h/v1?key=sesame"},
		{"--openai-base-url=h/v1?key=sesame http://x?key=sesame"},
		{"--cors-origins=https://me:sesame@h"},
		{"--cors-origins=https://h?sesame"},
		{"--listen=http://me:sesame@h"},
		{"--system-prompt=Ask http://h?key=sesame"},
		{`--models=[{"model_id":"a","provider":"openai","base_url":"http://h?key=sesame","key_var":"X"}]`},
		{`--models=[{"model_id":"a","provider":"openai","base_url":"ftp://h?key=sesame"}]`},
		{`--providers={"a":{"base_url":"http://h?key=sesame"}}`},
		{`--providers={"a":{"base_url":"http://me:sesame@h"}}`},
	} {
		if _, out, errs := runIn(t, nil, append([]string{"config"}, args...)...); strings.Contains(out+errs, "sesame") || out+errs == "" {
			t.Errorf("%s: stdout %q, stderr %q", args, out, errs)
		}
	}
}

func TestTokenCommand(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	status, out, errs := runIn(t, []string{"PARLOR_JWT_SECRET=" + secret}, "token", "--user=alice", "--name=Alice A.", "--ttl=1h")
	if status != 0 || errs != "" || strings.Count(out, "\n") != 1 {
		t.Fatalf("status %d, stdout %q, stderr %q", status, out, errs)
	}
	for after, want := range map[time.Duration]bool{0: true, 50 * time.Minute: true, 2 * time.Hour: false} {
		v := auth.New(auth.Options{Secret: secret, Now: func() time.Time { return time.Now().Add(after) }})
		got, err := v.Socket("", nil, []byte(`{"token":"`+strings.TrimSpace(out)+`"}`))
		if ok := err == nil && got.User == (chat.User{ID: "alice", Name: "Alice A."}); ok != want {
			t.Errorf("after %v: user %v, error %v, want accepted = %v", after, got, err, want)
		}
	}
}

func TestTokenCommandRefuses(t *testing.T) {
	env := []string{"PARLOR_JWT_SECRET=0123456789abcdef0123456789abcdef"}
	for says, args := range map[string][]string{
		"valid for":     {"--user=alice", "--ttl=0s"},
		"printable":     {"--user=a\tb"},
		"empty":         {"--user="},
		"make or check": {"chek", "x"},
	} {
		if status, out, errs := runIn(t, env, append([]string{"token"}, args...)...); status != 2 || out != "" || !strings.Contains(errs, says) {
			t.Errorf("%q: status %d, stdout %q, stderr %q", args, status, out, errs)
		}
	}
}

func TestTokenCheck(t *testing.T) {
	env := []string{"PARLOR_JWT_SECRET=0123456789abcdef0123456789abcdef"}
	_, token, _ := runIn(t, env, "token", "--user=alice", "--name=Alice A.", "--admin")
	token = strings.TrimSpace(token)
	status, out, errs := runIn(t, env, "token", "check", token)
	if status != 0 || errs != "" || !strings.HasSuffix(out, "accepted\n") {
		t.Errorf("status %d, stdout %q, stderr %q", status, out, errs)
	}
	for _, line := range []string{"algorithm  HS256\n", "user       alice\n", "name       Alice A.\n", "admin      true\n"} {
		if !strings.Contains(out, line) {
			t.Errorf("no line %q in %q", line, out)
		}
	}
	for says, args := range map[string][]string{
		"this server wants to know":    {token, "--jwt-audience=x"},
		"this server's secret (HS256)": {token, "--jwt-secret=another"},
		"it is not a valid token":      {"nonsense"},
	} {
		status, out, _ := runIn(t, env, append([]string{"token", "check"}, args...)...)
		if status != 1 || !strings.Contains(out, "refused    ") || !strings.Contains(out, says) {
			t.Errorf("%q: status %d, stdout %q, want %q", args, status, out, says)
		}
	}
	if status, _, errs := runIn(t, nil, "token", "check", token); status != 2 || !strings.Contains(errs, "nothing to check a token with") {
		t.Errorf("without a key: status %d, stderr %q", status, errs)
	}
}

func TestKeyFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir + "/" + name
	}
	const public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n"
	path := write("keys.pem", public+public)
	s, err := loadIn(t, "jwt-key-file: "+path+"\njwt-algorithms: EdDSA\nlisten: :80\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(); err != nil || s.Development() || len(s.auth().Keys) != 2 {
		t.Errorf("%d keys, development %t, %v", len(s.auth().Keys), s.Development(), err)
	}
	for says, args := range map[string][]string{
		"does not belong here":      {"--jwt-key-file=" + write("private", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")},
		"cannot be read":            {"--jwt-key-file=none"},
		"is empty":                  {"--jwt-key-file=" + write("empty", "")},
		"in PEM form and no secret": {"--jwt-secret=" + public},
		"must begin with https":     {"--jwt-jwks-url=http://id.example.com/jwks"},
		"which needs jwt-secret":    {"--jwt-algorithms=HS256"},
		"neither oidc-issuer":       {"--link-issuers=https://a.example.com", "--jwt-issuer=https://b.example.com"},
		"which is not one of HS256": {"--jwt-algorithms=none", "--jwt-secret=x"},
		"is not CLAIM=VALUE":        {"--jwt-claim-admin=role"},
		"which must be printable":   {"--admins=a\tb"},
	} {
		_, err := loadIn(t, "", nil, args...)
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "(from flag)") || strings.Contains(err.Error(), "MCow") {
			t.Errorf("%q: error %v, want %q in it", args, err, says)
		}
	}
}

func TestSecretFile(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	write := func(t *testing.T, text string) string {
		path := t.TempDir() + "/secret"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	path := write(t, secret+"\n")
	s, err := loadIn(t, "jwt-secret-file: "+path+"\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.row("jwt-secret"); string(s.JWTSecret) != secret || got.value != hiddenSecret || got.source != "file "+path {
		t.Errorf("secret %q, shown as %+v", string(s.JWTSecret), got)
	}
	for says, args := range map[string][]string{
		"both set":       {"--jwt-secret-file=" + path, "--jwt-secret=x"},
		"cannot be read": {"--jwt-secret-file=none"},
		"is empty":       {"--jwt-secret-file=" + write(t, " \n")},
		"longer than":    {"--jwt-secret-file=" + write(t, strings.Repeat("x", 1<<17))},
	} {
		_, err := loadIn(t, "", nil, args...)
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "(from flag)") {
			t.Errorf("%q: error %v, want %q in it", args, err, says)
		}
	}
}
