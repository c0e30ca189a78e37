package openai

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
	"parlor/transport/provider/providertest"
	"parlor/transport/provider/upstream"
)

// A recorder is a server that keeps the last request.
type recorder struct {
	*http.Request
	body []byte
}

func record(t *testing.T) (*recorder, string) {
	r := new(recorder)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.Request = req
		r.body, _ = io.ReadAll(req.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, stop+end)
	}))
	t.Cleanup(s.Close)
	return r, s.URL + "/v1"
}

func TestRequest(t *testing.T) {
	sent, url := record(t)
	prompt := chat.Prompt{Model: "llama3", MaxTokens: 7, Messages: []chat.PromptMessage{
		{Role: chat.RoleSystem, Content: "be short"},
		{Role: chat.RoleUser, Content: "Grüße <b>"},
		{Role: chat.RoleAssistant, Content: ""},
		{Role: chat.RoleUser, Content: "?"},
	}}

	providertest.Collect(t, newClient(t, url+"?api-version=1", Options{}).Stream(t.Context(), prompt)).Check(t, "", "", "")

	if got, want := sent.Method+" "+sent.URL.String(), "POST /v1/chat/completions?api-version=1"; got != want {
		t.Errorf("request is %s, want %s", got, want)
	}
	for name, want := range map[string]string{
		"Authorization":   "Bearer " + providertest.Key,
		"Content-Type":    "application/json",
		"Accept":          "text/event-stream",
		"Accept-Encoding": "",
		"Idempotency-Key": "",
	} {
		if got := sent.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	var got, want any
	if err := json.Unmarshal(sent.body, &got); err != nil {
		t.Fatal(err)
	}
	json.Unmarshal([]byte(`{"model":"llama3","stream":true,"stream_options":{"include_usage":true},"max_tokens":7,"messages":[
		{"role":"system","content":"be short"},{"role":"user","content":"Grüße <b>\n\n?"}]}`), &want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("body differs (-want +got):\n%s", diff)
	}
}

// TestMaxTokens checks the name under which the limit is sent.
func TestMaxTokens(t *testing.T) {
	for _, test := range []struct {
		dialect upstream.Dialect
		model   chat.ModelID
		want    string
	}{
		{upstream.Dialect{}, "gpt-4o", "max_tokens"},
		{upstream.Dialect{}, "o3-mini", "max_completion_tokens"},
		{upstream.Dialect{}, "gpt-5.1", "max_completion_tokens"},
		{upstream.Dialect{}, "openai/gpt-5-mini", "max_completion_tokens"},
		{upstream.Dialect{}, "gpt-oss:20b", "max_tokens"},
		{upstream.Dialect{}, "olmo2", "max_tokens"},
		{upstream.Dialect{MaxTokensField: "max_completion_tokens"}, "gpt-4o", "max_completion_tokens"},
		{upstream.Dialect{MaxTokensField: "max_tokens"}, "o3-mini", "max_tokens"},
	} {
		body, err := json.Marshal(completion(chat.Prompt{Model: test.model, MaxTokens: 7}, test.dialect))
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		json.Unmarshal(body, &got)
		for _, name := range []string{"max_tokens", "max_completion_tokens"} {
			if _, sent := got[name]; sent != (name == test.want) {
				t.Errorf("%s as %+v: %s sent: %v", test.model, test.dialect, name, sent)
			}
		}
	}
}

func TestNoKeyIsSentWithoutOne(t *testing.T) {
	sent, url := record(t)
	c, err := New(url, "", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	providertest.Collect(t, c.Stream(t.Context(), hello)).Check(t, "", "", "")
	if got := sent.Header["Authorization"]; got != nil {
		t.Errorf("Authorization %q was sent", got)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, test := range []struct {
		url, key string
		want     error
	}{
		{"api.example.com/v1", "", upstream.ErrBaseURL},
		{"http://alice:secret-password@api.example.com/v1", "", upstream.ErrBaseURL},
		{"", "secret-password\n", upstream.ErrKey},
	} {
		_, err := New(test.url, test.key, Options{})
		if !errors.Is(err, test.want) {
			t.Errorf("New(%q, %q) = %v, want %v", test.url, test.key, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret-password") {
			t.Errorf("the error %q repeats a secret", err)
		}
	}
}
