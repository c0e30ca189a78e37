package main

import (
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
)

// loadIn returns the settings of serve in an empty directory that holds file
// as parlor.yaml, unless it is empty.
func loadIn(t *testing.T, file string, env []string, args ...string) (*Settings, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	if file != "" {
		if err := os.WriteFile("parlor.yaml", []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, s, err := load(append([]string{"serve"}, args...), env, &streams{io.Discard, io.Discard})
	return s, err
}

// allSettings returns the flags that Values defines.
func allSettings(t *testing.T) []*kong.Flag {
	t.Helper()
	k, err := kong.New(&struct{ Values }{}, append(valueOptions(), kong.NoDefaultHelp())...)
	if err != nil {
		t.Fatal(err)
	}
	return k.Model.Flags
}

// lists are the settings that the file has as a list of mappings, or as a mapping.
var lists = []string{"models", "providers", "budgets", "webhooks", "tools", "mcp_servers", "tool_settings"}

// samples has three different valid values for every setting: for a flag, a
// variable and the file. They are written as they are shown.
var samples = map[string][3]string{
	"listen":                 {"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"},
	"acme-hosts":             {"a.example.com", "b.example.com, c.example.com", "d.example.com"},
	"acme-email":             {"a@example.com", "b@example.com", "c@example.com"},
	"acme-url":               {"https://a.example.com/dir", "https://b.example.com/dir", "https://127.0.0.1:14000/dir"},
	"acme-dir":               {"a", "b", "c"},
	"drain-timeout":          {"0s", "1s", "2s"},
	"base-path":              {"/a", "/b/c", "/d.e"},
	"data":                   {"a.db", "b.db", "c.db"},
	"request-log":            {"true", "false", "true"},
	"encryption-key-file":    {"a", "b", "c"},
	"encryption-key-timeout": {"1s", "2s", "3s"},
	"traces":                 {"true", "false", "true"},
	"retain-for":             {"720h", "1m", "2m"},
	"retain-bytes":           {"1GiB", "2GiB", "3000"},
	"backup-to":              {"/a", "b", "/c/d"},
	"backup-every":           {"1s", "2s", "3s"},
	"backup-keep":            {"1", "2", "3"},
	"backup-keep-for":        {"0s", "1s", "2s"},
	"backup-timeout":         {"1s", "2s", "3s"},
	"backup-s3-endpoint":     {"http://a", "http://b", "http://c"},
	"backup-s3-region":       {"a", "b", "c"},
	"max-chats-per-user":     {"1", "2", "3"},
	"max-folders-per-user":   {"1", "2", "3"},
	"max-pinned-per-user":    {"1", "2", "3"},
	"max-bytes-per-user":     {"1GiB", "2GiB", "3000"},
	"cors-origins":           {"https://a.example.com", "https://b.example.com, http://b.example.com:81", "https://c.example.com"},
	"trusted-proxies":        {"10.0.0.1", "10.0.0.0/8, ::1", "127.0.0.1"},
	"jwt-issuer":             {"a", "b", "c"},
	"jwt-audience":           {"a", "b, c", "d"},
	"jwt-leeway":             {"0s", "1s", "2s"},
	"jwt-jwks-url":           {"https://a.example.com/jwks", "http://127.0.0.1:1/jwks", "https://c.example.com"},
	"jwt-jwks-refresh":       {"1s", "2s", "3s"},
	"jwt-jwks-pause":         {"1s", "2s", "3s"},
	"jwt-claim-user":         {"a", "b.c", "d"},
	"jwt-claim-name":         {"a", "b.c", "d"},
	"jwt-claim-email":        {"a", "b.c", "d"},
	"jwt-claim-admin":        {"a=b", "b.c=d", "e=f=g"},
	"passwords":              {"on", "off", "on"},
	"login-rate":             {"1", "2", "3"},
	"oidc-client-id":         {"a", "b", "c"},
	"oidc-redirect-url":      {"https://a.example.com/x", "https://b.example.com", "http://localhost:1/x"},
	"oidc-return-url":        {"https://a.example.com/x", "https://b.example.com", "http://localhost:1/x"},
	"oidc-allow":             {"@a.example.com", "a@b.c, @d.e", "a@b.c"},
	"session-ttl":            {"1h", "2h", "3h"},
	"access-ttl":             {"1m", "2m", "3m"},
	"max-sign-ins":           {"1", "2", "3"},
	"admins":                 {"a", "b, c", "d"},
	"models":                 {`[{"model_id":"a","provider":"openai"}]`, `[{"model_id":"b","provider":"eliza"}]`, `[{"model_id":"c","provider":"openai"}]`},
	"tools":                  {`{"a":{"url":"http://h"}}`, `{"b":{"url":"http://h"}}`, `{"c":{"url":"http://h"}}`},
	"mcp_servers":            {`{"a":{"url":"http://h"}}`, `{"b":{"command":"x","args":["y"]}}`, `{"c":{"url":"http://h","start_timeout":"5s"}}`},
	"tool_settings":          {`{"a":{"approval":"ask"}}`, `{"b":{"approval":"never"}}`, `{"c":{"timeout":"5s"}}`},
	"providers":              {`{"a":{"base_url":"http://h"}}`, `{"b":{"base_url":"http://h"}}`, `{"c":{"base_url":"http://h"}}`},
	"guests":                 {"on", "off", "on"},
	"guest-rate":             {"1", "2", "3"},
	"max-guest-rate":         {"1", "2", "3"},
	"file-share":             {"1", "2", "3"},
	"max-file-bytes":         {"1GiB", "2GiB", "3000"},
	"max-image-bytes":        {"1GiB", "2GiB", "3000"},
	"max-import-bytes":       {"1MiB", "2MiB", "3000"},
	"pdf-timeout":            {"1s", "2s", "0s"},
	"pdf-memory":             {"1GiB", "32MiB", "64MiB"},
	"max-pdf-readers":        {"1", "2", "3"},
	"max-files-per-chat":     {"1", "2", "3"},
	"max-message-files":      {"1", "2", "3"},
	"context-window":         {"1000", "2000", "3000"},
	"budgets":                {`[{"period":"day","tokens":1}]`, `[{"period":"day","tokens":2}]`, `[{"user":"*","period":"total","tokens":3}]`},
	"currency":               {"EUR", "CHF", "JPY"},
	"titles":                 {"off", "on", "off"},
	"title-model":            {"a", "b", "c"},
	"discover":               {"false", "true", "false"},
	"discover-every":         {"1m", "2m", "3m"},
	"discover-timeout":       {"1s", "2s", "3s"},
	"discover-limit":         {"1", "2", "3"},
	"models-only":            {"true", "false", "true"},
	"metrics":                {"true", "false", "true"},
	"max-streams":            {"1", "2", "3"},
	"retries":                {"0", "1", "3"},
	"retry-delay":            {"1s", "2s", "3s"},
	"retry-budget":           {"0s", "1s", "2s"},
	"breaker-failures":       {"0", "1", "2"},
	"breaker-window":         {"1s", "2s", "3s"},
	"breaker-cool-down":      {"1s", "2s", "3s"},
	"openai-base-url":        {"http://a.example.com/v1", "http://b.example.com/v1", "https://c.example.com"},
	"system-prompt":          {"Be a.", "Be b.", "Be c: briefly."},
	"eliza-word-delay":       {"0s", "1ms", "1s"},
	"turn-policy":            {"reject", "steer", "interrupt"},
	"turn-timeout":           {"1m", "2m", "3m"},
	"provider-timeout":       {"1s", "2s", "3s"},
	"first-token-timeout":    {"1s", "2s", "3s"},
	"thinking-timeout":       {"1s", "2s", "3s"},
	"keep-alive-timeout":     {"1s", "2s", "3s"},
	"silence-timeout":        {"1s", "2s", "3s"},
	"realtime-voice":         {"alloy", "marin", "cedar"},
	"realtime-transcription": {"whisper-1", "whisper-2", "whisper-3"},
	"realtime-max-age":       {"10m", "20m", "30m"},
	"realtime-idle-timeout":  {"1m", "3m", "4m"},
	"transcript-timeout":     {"1s", "2s", "3s"},
	"max-attempts":           {"1", "2", "4"},
	"checkpoint-every":       {"100ms", "2s", "3s"},
	"max-restarts":           {"1", "2", "3"},
	"max-queued-turns":       {"1", "2", "3"},
	"max-branches":           {"2", "3", "4"},
	"max-members":            {"2", "3", "4"},
	"max-listed-members":     {"2", "3", "4"},
	"max-message-bytes":      {"1KiB", "2KiB", "3000"},
	"max-answer-bytes":       {"5KiB", "6KiB", "7000"},
	"max-payload":            {"1MiB", "2MiB", "3000000"},
	"window-per-user":        {"1", "2", "3"},
	"window":                 {"1", "2", "3"},
	"max-connections":        {"10", "20", "30"},
	"queue-bytes":            {"2MiB", "3MiB", "4MiB"},
	"ui-max-body":            {"1MiB", "2MiB", "3MiB"},
	"ui-max-requests":        {"1", "2", "3"},
	"ui-replay-window":       {"0s", "2s", "3s"},
	"ui-keep-alive":          {"1s", "2s", "3s"},
	"ping-interval":          {"1s", "2s", "1h"},
	"ping-timeout":           {"1s", "2s", "1h30m"},
	"connect-timeout":        {"1s", "2s", "3s"},
	"recovery-window":        {"0s", "2s", "3s"},
	"max-sessions":           {"1", "2", "3"},
	"max-sessions-per-user":  {"1", "2", "3"},
	"max-joined-rooms":       {"1", "2", "3"},
	"max-rooms-per-user":     {"1", "2", "3"},
	"max-reads":              {"1", "2", "3"},
	"max-reads-per-user":     {"1", "2", "3"},
	"max-waiting-reads":      {"1", "2", "3"},
	"max-search-bytes":       {"1MiB", "2MiB", "3000"},
	"max-mcp-wait":           {"1s", "2s", "3s"},
	"max-audit-entries":      {"1", "20", "300"},
	"max-mcp-result":         {"1KiB", "2KiB", "3000"},
	"room-idle-timeout":      {"1s", "2s", "3s"},
	"log-level":              {"debug", "warn", "error"},
	"log-format":             {"json", "text", "json"},

	"max-connections-per-address": {"1", "2", "3"},
	"max-connections-per-user":    {"1", "2", "3"},
	"webhooks":                    {`[{"name":"a","url":"https://h","secret_var":"S","events":["message"]}]`, `[{"name":"b","url":"https://h","secret_var":"S","events":["turn"]}]`, `[{"name":"c","url":"http://h","secret_var":"S","events":["message"],"chats":["x"],"users":["y"]}]`},
	"webhook-timeout":             {"1s", "2s", "3s"},
	"webhook-retry-delay":         {"1s", "2s", "3s"},
	"webhook-retry-for":           {"0s", "1s", "2s"},
	"webhook-concurrency":         {"1", "2", "3"},
	"max-dead-letters":            {"1", "2", "3"},
	"private-targets":             {"10.0.0.1", "10.0.0.0/8, ::1", "127.0.0.1"},
	"push-contact":                {"mailto:a@example.com", "https://b.example.com", "mailto:c@example.com"},
	"push-after":                  {"0s", "1s", "2s"},
	"push-content":                {"on", "off", "on"},
	"max-push-subscriptions":      {"1", "2", "3"},
	"max-client-tools":            {"1", "2", "3"},
	"max-client-tool-bytes":       {"1KiB", "2KiB", "3000"},
	"client-tool-timeout":         {"1m", "2m", "3m"},
	"client-tool-grace":           {"1s", "2s", "3s"},
	"fetch-hosts":                 {"a.example.com", "*.example.com, b", "c.example.com"},
	"fetch-max-bytes":             {"1KiB", "2KiB", "3000"},
	"fetch-timeout":               {"1s", "2s", "3s"},
	"approval-expiry":             {"1h", "2h", "3h"},
	"max-emit-bytes":              {"1KiB", "2KiB", "3000"},
	"max-emit-targets":            {"1", "2", "3"},
	"max-emit-rate":               {"1", "2", "3"},
	"max-calls":                   {"1", "2", "3"},
	"max-call-timeout":            {"1s", "2s", "3s"},
	"max-prompt-bytes":            {"1KiB", "2KiB", "3000"},
	"max-completions-per-user":    {"1", "2", "3"},
	"max-user-rate":               {"1", "2", "3"},
	"max-event-rate":              {"1", "2", "3"},
	"max-address-rate":            {"1", "2", "3"},
	"max-stranger-payload":        {"40KiB", "50KiB", "60KiB"},
	"max-stranger-bytes":          {"1MiB", "2MiB", "3MiB"},
	"max-auth-bytes":              {"1KiB", "2KiB", "3KiB"},
	"max-refusals":                {"1", "2", "3"},
	"max-probes":                  {"0", "1", "2"},
}

// notSampled are settings that are tested on their own.
var notSampled = []string{"config", "jwt-secret", "jwt-secret-file", "jwt-key-file", "jwt-algorithms", "oidc-issuer", "link-issuers", "oidc-client-secret", "openai-api-key", "vapid-private-key", "backup-s3-key", "backup-s3-secret", "tls-cert-file", "tls-key-file", "encryption-key-command"}

// TestPrecedence gives every setting from every combination of sources: a flag
// wins over the environment, that over the file, and that over the default.
func TestPrecedence(t *testing.T) {
	for i, flag := range allSettings(t) {
		values, ok := samples[flag.Name]
		if !ok && !strings.Contains(strings.Join(notSampled, " "), flag.Name) {
			t.Errorf("setting %s has no samples in this test", flag.Name)
		}
		if !ok {
			continue
		}
		variable := variables(flag)[0]
		combinations := []int{0, 1, 2, 3, 4, 5, 6, 7}
		if testing.Short() {
			combinations = []int{i % 8} // to read the settings is slow: the others are for other flags
		}
		for _, given := range combinations {
			var args, env []string
			file, want := "# nothing\n", row{name: flag.Name, value: shownDefault(flag), source: "default"}
			if given&1 != 0 {
				file, want.value, want.source = fmt.Sprintf("# first line\n%s: %s\n", flag.Name, inFile(flag, values[2])), values[2], "file parlor.yaml:2"
			}
			if given&2 != 0 {
				env, want.value, want.source = []string{variable + "=" + values[1]}, values[1], "environment "+variable
			}
			if given&4 != 0 {
				args, want.value, want.source = []string{"--" + flag.Name + "=" + values[0]}, values[0], "flag"
			}
			s, err := loadIn(t, file, env, args...)
			if err != nil {
				t.Errorf("%v %v %q: %v", args, env, file, err)
				continue
			}
			got := s.row(flag.Name)
			got.list, got.lines, got.choices = false, nil, nil
			want.value = shownModel(want.value)
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(row{})); diff != "" {
				t.Errorf("%v %v %q (-want +got):\n%s", args, env, file, diff)
			}
		}
	}
}

// shownDefault is how the default of a setting is shown.
func shownDefault(flag *kong.Flag) string {
	switch {
	case flag.Default == "60s":
		return "1m"
	case flag.Default == "" && flag.IsBool():
		return "false"
	}
	return flag.Default
}

// shownModel is how a sample of the structured settings is shown.
func shownModel(sample string) string {
	for _, prefix := range []string{`[{"model_id":"`, `[{"name":"`, `{"`} {
		if name, ok := strings.CutPrefix(sample, prefix); ok {
			return name[:1]
		}
	}
	for i, budget := range samples["budgets"] {
		if budget == sample {
			return []string{"1 per day", "2 per day", "3 in all for user *"}[i]
		}
	}
	return sample
}

// inFile writes a value as YAML.
func inFile(flag *kong.Flag, value string) string {
	switch {
	case slices.Contains(lists, flag.Name):
		return value // JSON is YAML
	case flag.IsSlice():
		return "[" + value + "]"
	}
	return "'" + value + "'"
}

func TestValuesReachTheirFields(t *testing.T) {
	file := `
max-message-bytes: 2kB
cors-origins:
  - https://a.example.com
models:
  - model_id: llama
    model_api_source: aisuite
    provider: openai
    display_name: Llama
    full_name: Llama 3
    description: Local.
    base_url: http://127.0.0.1:11434/v1
    key_var: PARLOR_LLAMA_KEY
    upstream_model: llama3.2
    name: llama
    context_window: 8000
    max_tokens: 500
    system_prompt: Be brief.
    hidden: on
    fallbacks: [mine:small, eliza]
    resume: true
    vision: true
    tools: [current_time]
    approval: ask
    prompt_price: 0.15
    completion_price: 0.6
    usage: false
providers:
  mine:
    base_url: http://127.0.0.1:4000/v1
    key_var: PARLOR_MY_KEY
    key_header: X-Key
    api: openai
    discover: false
    discover_limit: 5
    max_streams: 3
    first_token_timeout: 2m
    silence_timeout: 10s
    system: fold
    finish: lenient
`
	s, err := loadIn(t, file, []string{"PARLOR_LLAMA_KEY=x", "PARLOR_MY_KEY=y", "PARLOR_PING_INTERVAL=7s"}, "--window=9")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := int(s.MaxMessageBytes), 2000; got != want {
		t.Errorf("MaxMessageBytes = %d, want %d", got, want)
	}
	if s.PingInterval.Seconds() != 7 || s.Window != 9 || s.CORSOrigins[0] != "https://a.example.com" {
		t.Errorf("settings = %+v", s.Values)
	}
	if len(s.Models) != 1 {
		t.Fatalf("models = %+v, want one", s.Models)
	}
	for _, v := range []any{s.Models[0], s.Providers["mine"]} {
		v := reflect.ValueOf(v)
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Errorf("field %s is empty: %+v", v.Type().Field(i).Name, v)
			}
		}
	}
}

func TestWrongValues(t *testing.T) {
	tests := []struct{ name, value, says string }{
		{"listen", "8080", "HOST:PORT"},
		{"listen", "127.0.0.1:http", "port"},
		{"listen", "127.0.0.1:65536", "port"},
		{"base-path", "assistant", "start with a slash"},
		{"base-path", "/assistant/", "end with a slash"},
		{"base-path", "/", "left out"},
		{"base-path", "/a//b", "segments"},
		{"base-path", "/a/../b", "segments"},
		{"base-path", "/{id}", "segments"},
		{"base-path", "/a b", "segments"},
		{"cors-origins", "*", "wildcard"},
		{"cors-origins", "https://*.example.com", "wildcard"},
		{"cors-origins", "example.com", "origin"},
		{"cors-origins", "https://example.com/", "no path"},
		{"cors-origins", "https://Example.com", "lower case"},
		{"cors-origins", "https://user@example.com", "origin"},
		{"trusted-proxies", "10.0.0.1, nginx", "nginx"},
		{"cors-origins", "ftp://example.com", "origin"},
		{"jwt-leeway", "-1s", "less than 0"},
		{"jwt-leeway", "6m", "more than 5m"},
		{"jwt-audience", "a,,b", "empty entry"},
		{"models", `[{"model_id":"a"`, "JSON"},
		{"models", `[{"model_id":"a","modle":"b"}]`, "modle"},
		{"models", `[] []`, "after top-level value"},
		{"models", `[{"model_id":"a","provider":"x"}]`, "provider"},
		{"models", `[{"model_id":"a","provider":"eliza","fallbacks":["nobody"]}]`, "fallbacks[0]"},
		{"budgets", `[{"period":"week","tokens":0}]`, "budgets[0]: period: must be hour, day, month or total"},
		{"budgets", `[{"perod":"day"}]`, "perod"},
		{"context-window", "0", "more than 0"},
		{"currency", "euro", "three capital letters"},
		{"titles", "maybe", "on or off"},
		{"retain-for", "month", "30d"},
		{"retain-bytes", "10X", "10G"},
		{"context-window", "1e6", "5k"},
		{"providers", `{"a":{"base_url":"h"}}`, `providers["a"]: base_url`},
		{"providers", `{"a":{"base_url":"http://h","key":"k"}}`, `unknown key "key"`},
		{"providers", `{"a":{"base_url":"http://h","silence_timeout":"long"}}`, `providers["a"].silence_timeout: "long" must be a time`},
		{"providers", `[]`, "mapping"},
		{"tools", `{"a":{"url":"h"}}`, `tools["a"]: url`},
		{"tools", `{"a":{"url":"http://h","approval":"maybe"}}`, "approval: must be always, ask or never"},
		{"mcp_servers", `{"a":{"url":"h"}}`, `mcp_servers["a"]: url`},
		{"mcp_servers", `{"client":{"command":"x"}}`, "stands for the pages"},
		{"tools", `{"a":{"openapi":"testdata/none.yaml"}}`, `tools["a"]: openapi: testdata/none.yaml`},
		{"client-tool-grace", "0s", "more than 0"},
		{"fetch-hosts", "https://example.com", "the name of a host"},
		{"fetch-hosts", "a.*.com", "the name of a host"},
		{"mcp_servers", `{"a":{}}`, "either a command or a url"},
		{"mcp_servers", `{"a/b":{"command":"x"}}`, `mcp_servers["a/b"]: the name`},
		{"mcp_servers", `{"a":{"command":"x","idle_timeout":"long"}}`, `"long" must be a time`},
		{"tool_settings", `{"a":{"timeout":"long"}}`, `"long" must be a time`},
		{"tool_settings", `{"a":{"approval":"maybe"}}`, `tool_settings["a"]: approval`},
		{"discover", "perhaps", "on or off"},
		{"metrics", "perhaps", "on or off"},
		{"max-streams", "0", "more than 0"},
		{"retries", "-1", "less than 0"},
		{"breaker-failures", "-1", "less than 0"},
		{"base-path", "/metrics", "/metrics"},
		{"openai-base-url", "example.com/v1", "absolute"},
		{"eliza-word-delay", "-1ms", "less than 0"},
		{"turn-timeout", "0s", "more than 0"},
		{"turn-timeout", "10", "unit"},
		{"max-queued-turns", "0", "more than 0"},
		{"max-queued-turns", "many", "whole number"},
		{"max-message-bytes", "0", "more than 0"},
		{"max-message-bytes", "-1", "number of bytes"},
		{"max-message-bytes", "64 kilo", "number of bytes"},
		{"max-message-bytes", "2MB", "max-payload"},
		{"max-answer-bytes", "0", "more than 0"},
		{"max-answer-bytes", "3MiB", "more than 2MiB"},
		{"max-connections-per-address", "-1", "less than 0"},
		{"max-user-rate", "-1", "less than 0"},
		{"max-prompt-bytes", "0", "more than 0"},
		{"max-completions-per-user", "0", "more than 0"},
		{"vapid-private-key", "short", "32 bytes"},
		{"push-contact", "ops@example.com", "mailto:"},
		{"push-after", "-1s", "less than 0"},
		{"max-push-subscriptions", "0", "more than 0"},
		{"max-emit-bytes", "1GiB", "at most half of queue-bytes"},
		{"webhooks", `[{"name":"a","url":"ftp://h","secret_var":"S","events":["message"]}]`, "absolute URL"},
		{"webhooks", `[{"name":"a b","url":"https://h","secret_var":"S","events":["message"]}]`, "webhooks[0].name"},
		{"webhooks", `[{"name":"a","url":"https://h","secret_var":"S","events":["stream_chunk"]}]`, `no "stream_chunk"`},
		{"webhooks", `[{"name":"a","url":"https://h","events":["message"]}]`, "secret_var"},
		{"webhook-timeout", "0s", "more than 0"},
		{"webhook-retry-delay", "0s", "more than 0"},
		{"webhook-retry-for", "-1s", "less than 0"},
		{"webhook-concurrency", "0", "more than 0"},
		{"max-dead-letters", "0", "more than 0"},
		{"private-targets", "localhost", "not an address"},
		{"max-emit-targets", "0", "more than 0"},
		{"max-emit-rate", "-1", "less than 0"},
		{"max-calls", "0", "more than 0"},
		{"max-call-timeout", "0s", "more than 0"},
		{"max-stranger-payload", "16KiB", "max-auth-bytes"},
		{"max-stranger-bytes", "1KiB", "max-stranger-payload"},
		{"max-auth-bytes", "0", "more than 0"},
		{"max-refusals", "0", "more than 0"},
		{"max-probes", "-1", "less than 0"},
		{"base-path", "/api/v1", "/api"},
		{"base-path", "/socket.io", "/socket.io"},
		{"log-level", "loud", "\"loud\" must be debug, info, warn or error"},
		{"log-level", "info+2", "debug, info, warn or error"},
		{"log-format", "xml", "text or json"},
		{"turn-policy", "wait", "queue or steer or interrupt or reject or merge or rollback"},
	}
	for i, tt := range tests {
		variable := envPrefix + strings.ToUpper(strings.ReplaceAll(tt.name, "-", "_"))
		sources := []string{"--" + tt.name + "|flag", "environment " + variable, "file parlor.yaml:1"}
		for k, try := range []func() (*Settings, error){
			func() (*Settings, error) { return loadIn(t, "", nil, "--"+tt.name+"="+tt.value) },
			func() (*Settings, error) { return loadIn(t, "", []string{variable + "=" + tt.value}) },
			func() (*Settings, error) { return loadIn(t, tt.name+": '"+tt.value+"'\n", nil) },
		} {
			source := sources[k]
			if testing.Short() && k != i%3 {
				continue // to read the settings is slow: the other sources are for other values
			}
			if slices.Contains(lists, tt.name) && strings.HasPrefix(source, "file") {
				continue // there a list or mapping, not its text
			}
			_, err := try()
			if err == nil {
				t.Errorf("%s = %q from %s was taken", tt.name, tt.value, source)
				continue
			}
			named := false
			for s := range strings.SplitSeq(source, "|") {
				named = named || strings.Contains(err.Error(), s)
			}
			if !named || !strings.Contains(err.Error(), tt.name) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s = %q from %s: error %q does not name setting, source and %q", tt.name, tt.value, source, err, tt.says)
			}
		}
	}
}

// Somebody may put the key where the name of its variable belongs.
func TestProvidersShowNoKey(t *testing.T) {
	const key = "sk-0123456789"
	s, err := loadIn(t, "", nil, `--providers={"mine":{"base_url":"http://h/v1?key=`+key+`","key_var":"`+key+`"}}`)
	if err != nil {
		t.Fatal(err)
	}
	var shown strings.Builder
	if err := printRows(&shown, s.rows); err != nil || strings.Contains(shown.String(), key) || !strings.Contains(shown.String(), "mine") {
		t.Errorf("%v, shown as\n%s", err, &shown)
	}
}
