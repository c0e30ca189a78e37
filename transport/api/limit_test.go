package api_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"parlor/protocol/chat"
	"parlor/transport/api"
	"parlor/transport/auth"
)

// exhausted refuses everything, and notes what was asked.
type exhausted struct{ asked []string }

func (*exhausted) Wait(context.Context, chat.UserID, int) {}

func (e *exhausted) Take(u chat.UserID, address, request string, bytes int) *chat.Error {
	e.asked = append(e.asked, fmt.Sprintf("%s|%s|%s|%d", u, address, request, bytes))
	refusal := chat.Refuse(chat.CodeRateLimited, "too many requests")
	refusal.RetryAfter = 7
	return refusal
}

// A request past a limit is refused with the time to wait. It counts for its user, or for
// its address alone if nobody knows who it is, under the name of the
// endpoint, and with the length of its body.
func TestRateLimited(t *testing.T) {
	limits := &exhausted{}
	mux := newMux(t, conversation(), api.Options{Limits: limits})
	w := do(mux, "GET", "/assistant/api/v1/chat/some-chat/messages?limit=1", "")
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "7" || !strings.Contains(w.Body.String(), `"retry_after":7`) {
		t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
	}
	mux = newMuxFor(t, conversation(), auth.New(auth.Options{Secret: strings.Repeat("s", 32)}), api.Options{Limits: limits})
	if w := do(mux, "GET", "/api/v1/chat", "", "Authorization", "Bearer nonsense"); w.Code != http.StatusTooManyRequests {
		t.Errorf("without a user: got %d", w.Code)
	}
	do(mux, "POST", "/api/v1/chat", `{"model_id": "eliza"}`)
	if w := do(mux, "GET", "/healthz", ""); w.Code != http.StatusOK {
		t.Errorf("healthz: got %d", w.Code)
	}
	want := "alice|192.0.2.1:1234|GET /chat/{chat_id}/messages|0, |192.0.2.1:1234|GET /chat|0, |192.0.2.1:1234|POST /chat|21"
	if got := strings.Join(limits.asked, ", "); got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
}
