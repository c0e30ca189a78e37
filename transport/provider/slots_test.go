package provider

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/provider/guard"
)

// slotted is a server that answers so many prompts at once, until it is told to
// go on, and refuses the others.
func slotted(t *testing.T, slots int64, header http.Header) (baseURL string, goOn func()) {
	var taken atomic.Int64
	wait := make(chan struct{})
	goOn = sync.OnceFunc(func() { close(wait) })
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer taken.Add(-1)
		if taken.Add(1) > slots {
			for name, values := range header {
				w.Header()[name] = values
			}
			http.Error(w, `{"error":{"message":"all slots are taken"}}`, http.StatusTooManyRequests)
			return
		}
		<-wait
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, `data: {"choices":[{"delta":{"content":"word"},"finish_reason":"stop"}]}`+"\n\ndata: [DONE]\n\n")
	}))
	t.Cleanup(s.Close)
	t.Cleanup(goOn)
	return s.URL, goOn
}

// Twelve ask a model that has eight slots: all are answered, and its provider is
// not taken for a broken one.
func TestTwelveAskForEightSlots(t *testing.T) {
	for name, header := range map[string]http.Header{
		"no time": nil, "a time": {"Retry-After-Ms": {"20"}}, "a limit": {"X-Ratelimit-Reset-Requests": {"20ms"}},
	} {
		t.Run(name, func(t *testing.T) {
			url, goOn := slotted(t, 8, header)
			m := newModels(t, Options{
				Guard:     guard.Options{RetryDelay: 5 * time.Millisecond, Failures: 2},
				Providers: map[string]ProviderConfig{"mine": {BaseURL: url}},
			})
			var all sync.WaitGroup
			var waiting atomic.Int64
			for range 12 {
				all.Go(func() {
					text, told := "", false
					for d, err := range m.Stream(t.Context(), chat.Prompt{Model: "mine:m"}) {
						if err != nil || d.Health != nil {
							t.Errorf("got %+v, %v", d, err)
						}
						if d.Retrying != nil && !told {
							told = true
							if waiting.Add(1) == 4 {
								goOn()
							}
						}
						text += d.Text
					}
					if text != "word" {
						t.Errorf("got %q", text)
					}
				})
			}
			all.Wait()
			if waiting.Load() < 4 {
				t.Errorf("%d had to wait", waiting.Load())
			}
		})
	}
}
