package main

import (
	"net/http"
	"strings"
	"testing"
)

// OpenAI's API is below the base path too, and pages of other origins cannot use it.
func TestOpenAIIsServedAndProtected(t *testing.T) {
	server := startServer(t, "--base-path", "/assistant")
	for _, test := range []struct {
		path, origin string
		status       int
	}{
		{"/v1/chat/completions", "", 200},
		{"/assistant/v1/chat/completions", "", 200},
		{"/v1/chat/completions", "https://evil.example.com", 403},
		{"/v1/nothing", "", 404},
	} {
		body := `{"model": "eliza", "messages": [{"role": "user", "content": "hi"}]}`
		r, err := http.NewRequestWithContext(t.Context(), "POST", server+test.path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if test.origin != "" {
			r.Header.Set("Origin", test.origin)
			r.Header.Set("Content-Type", "text/plain") // which browsers send without asking
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != test.status {
			t.Errorf("%s from %q: status %d, want %d", test.path, test.origin, response.StatusCode, test.status)
		}
	}
}
