package provider

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
	"parlor/transport/provider/guard"
)

// answering is a provider whose models are named after how they answer.
func answering(t *testing.T) (baseURL string, asked *atomic.Int64) {
	asked = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		var req struct{ Model string }
		json.NewDecoder(r.Body).Decode(&req)
		const word = `data: {"choices":[{"delta":{"content":"word"}}]}` + "\n\n"
		switch {
		case strings.HasPrefix(req.Model, "refuses"):
			http.Error(w, req.Model, http.StatusBadRequest)
			return
		case strings.HasPrefix(req.Model, "fails"):
			http.Error(w, req.Model, http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, word)
		if req.Model == "cuts" {
			return
		}
		io.WriteString(w, `data: {"choices":[{"delta":{},"finish_reason":"stop"}]}`+"\n\ndata: [DONE]\n\n")
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

// never asks again, so that tests need no time.
var never = guard.Options{Retries: -1, Failures: -1}

func TestFallback(t *testing.T) {
	url, _ := answering(t)
	for _, test := range []struct {
		name      string
		model     string
		fallbacks []string
		text      string
		models    []chat.ModelID // that were asked in place of the first
		err       string
	}{
		{"not needed", "well", []string{"mine:well"}, "word", nil, ""},
		{"after an error", "fails", []string{"mine:well"}, "word", []chat.ModelID{"mine:well"}, ""},
		{"after a refusal", "refuses", []string{"mine:well"}, "word", []chat.ModelID{"mine:well"}, ""},
		{"in order", "fails", []string{"mine:fails2", "mine:well", "eliza"}, "word", []chat.ModelID{"mine:fails2", "mine:well"}, ""},
		{"all fail", "fails", []string{"mine:fails2", "mine:fails3"}, "", []chat.ModelID{"mine:fails2", "mine:fails3"}, "fails3"},
		{"not after the first word", "cuts", []string{"mine:well"}, "word", nil, "cut off"},
		{"one that cannot be asked is left out", "fails", []string{"groq:x", "mine:well"}, "word", []chat.ModelID{"mine:well"}, ""},
		{"none that can be asked", "fails", []string{"groq:x"}, "", nil, "fails"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newModels(t, Options{
				Guard:     never,
				Providers: map[string]ProviderConfig{"mine": {BaseURL: url}},
				Models:    []Config{{ModelID: "first", Provider: "mine", UpstreamModel: test.model, Fallbacks: test.fallbacks}},
			})
			var text string
			var models []chat.ModelID
			var last error
			for d, err := range m.Stream(t.Context(), chat.Prompt{Model: "first"}) {
				text, last = text+d.Text, err
				if d.Model != "" {
					models = append(models, d.Model)
					if d.Retrying == nil {
						t.Error("it was not said why")
					}
				}
			}
			if diff := cmp.Diff(test.models, models); diff != "" || text != test.text {
				t.Errorf("got %q, models (-want +got):\n%s", text, diff)
			}
			if test.err == "" && last != nil || test.err != "" && (last == nil || !strings.Contains(last.Error(), test.err)) {
				t.Errorf("got error %v, want %q", last, test.err)
			}
		})
	}
}

func TestFallbackEndsWithTheCaller(t *testing.T) {
	url, _ := answering(t)
	m := newModels(t, Options{
		Guard:     never,
		Providers: map[string]ProviderConfig{"mine": {BaseURL: url}},
		Models:    []Config{{ModelID: "m", Provider: "mine", UpstreamModel: "fails", Fallbacks: []string{"mine:well"}}},
	})
	for d := range m.Stream(t.Context(), chat.Prompt{Model: "m"}) {
		if d.Model != "" {
			break
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for d, err := range m.Stream(ctx, chat.Prompt{Model: "m"}) {
		if d.Model != "" || err != context.Canceled {
			t.Errorf("got %+v, %v", d, err)
		}
	}
}

// Models of one provider share its guard, those of another server do not.
func TestGuards(t *testing.T) {
	m := newModels(t, Options{
		Providers: map[string]ProviderConfig{"mine": {BaseURL: "http://localhost:1"}},
		Models: []Config{
			{ModelID: "a", Provider: "mine"}, {ModelID: "b", Provider: "mine"},
			{ModelID: "c", Provider: "mine", BaseURL: "http://localhost:2/v1"},
		},
	})
	guardOf := func(id chat.ModelID) *guard.Guard {
		e, _ := m.find(id)
		return e.guard
	}
	if guardOf("a") != guardOf("b") || guardOf("a") != guardOf("mine:x") {
		t.Error("models of one provider have several guards")
	}
	if guardOf("a") == guardOf("c") {
		t.Error("two servers share a guard")
	}
	if got, want := guardOf("c").Health().Provider, "mine"; got != want { // addresses are the operator's
		t.Errorf("people are told of %q, want %q", got, want)
	}
}
