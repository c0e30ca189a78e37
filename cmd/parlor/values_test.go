package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretIsNeverSeen(t *testing.T) {
	const secret = "xyzzy"
	s := Settings{Values: Values{JWTSecret: secret, OpenAIAPIKey: secret}}
	asJSON, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("x", "secret", s.JWTSecret, "settings", s)
	}
	for _, shown := range []string{
		fmt.Sprint(s), fmt.Sprintf("%+v %#v %s %q", s, s, s.JWTSecret, s.JWTSecret), string(asJSON), log.String(),
	} {
		if strings.Contains(shown, secret) || !strings.Contains(shown, hiddenSecret) {
			t.Errorf("shown as %s", shown)
		}
	}
	if got := Secret("").String(); got != "" {
		t.Errorf("no secret is shown as %q", got)
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]struct {
		bytes Size
		shown string
	}{
		"0":                   {0, "0"},
		"1":                   {1, "1"},
		"1000000":             {1000000, "1000000"},
		"65536":               {65536, "64KiB"},
		"64KiB":               {65536, "64KiB"},
		"64 kib":              {65536, "64KiB"},
		"1536KiB":             {1536 << 10, "1536KiB"},
		"1MB":                 {1e6, "1000000"},
		"10G":                 {1e10, "10GB"},
		"10Gi":                {10 << 30, "10GiB"},
		"64k":                 {64000, "64000"},
		"2TiB":                {2 << 40, "2TiB"},
		"1T":                  {1e12, "1TB"},
		"10_000":              {10000, "10000"},
		"10B":                 {10, "10"},
		"3GiB":                {3 << 30, "3GiB"},
		"9223372036854775807": {1<<63 - 1, "9223372036854775807"},
	} {
		var got Size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want.bytes || got.String() != want.shown {
			t.Errorf("%q is %d, shown %q, %v, want %d, %q", text, int64(got), got, err, int64(want.bytes), want.shown)
		}
	}
	for _, text := range []string{"", "KiB", "-1", "1.5MiB", "64KB5", "9223372036854775808", "9223372036854775807KiB", "1e6", "0x10"} {
		var got Size
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was taken for %d bytes", text, int64(got))
		}
	}
}
