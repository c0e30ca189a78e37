package probe

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"parlor/protocol/chat"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newServer(busy int) *Server {
	return New(Options{Busy: busy, Limits: Limits{Payload: 10, File: 20}, NewCookie: func(_ *http.Request, name, value string, _ time.Duration) *http.Cookie {
		return &http.Cookie{Name: name, Value: value}
	}})
}

// TestTell checks that what is told back is bounded, and no header that a proxy may have added.
func TestTell(t *testing.T) {
	r := httptest.NewRequest("GET", "/api/v1/probe?cookie=c&nonce="+strings.Repeat("n", 1000), nil)
	r.Header.Set("X-Forwarded-For", strings.Repeat("1", 1000))
	r.Header.Set("X-Secret-Of-Proxy", "secret")
	r.Header.Set("Authorization", "Bearer secret")
	r.Header.Set("Cookie", "access_token=secret; parlor_probe=mine")
	w := httptest.NewRecorder()
	if err := newServer(1).Tell(w, r); err != nil {
		t.Fatal(err)
	}
	var a Arrived
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || strings.Contains(w.Body.String(), "secret") {
		t.Fatalf("%v: %s", err, w.Body)
	}
	if len(a.Nonce) != maxEcho || len(a.Headers["X-Forwarded-For"]) != maxEcho || a.Authorization != len("Bearer secret") || a.Cookie != "mine" {
		t.Errorf("arrived: %+v", a)
	}
	if got := w.Header().Get("Set-Cookie"); got != "parlor_probe=c" {
		t.Errorf("cookie %q", got)
	}
}

func TestCountLimitsBodies(t *testing.T) {
	for n, want := range map[int]chat.Code{20: "", 21: chat.CodeTooLarge} {
		err := newServer(1).Count(httptest.NewRecorder(), httptest.NewRequest("POST", "/", strings.NewReader(strings.Repeat("x", n))))
		if err != nil && chat.AsError(err).Code != want || err == nil && want != "" {
			t.Errorf("%d bytes: %v, want %q", n, err, want)
		}
	}
}

// TestBusy has more streams than are served at once.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(2)
		ctx, leave := context.WithCancel(t.Context())
		stream := func() error {
			return s.Stream(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", "/", nil))
		}
		for range 2 {
			go func() { _ = stream() }()
		}
		synctest.Wait()
		if err := stream(); err != errBusy {
			t.Errorf("a third stream: %v", err)
		}
		if err := s.Count(httptest.NewRecorder(), httptest.NewRequest("POST", "/", strings.NewReader("x"))); err != errBusy {
			t.Errorf("a body beside two streams: %v", err)
		}
		leave()
		synctest.Wait()
		ctx = t.Context()
		begun := time.Now()
		if err := stream(); err != nil || time.Since(begun) != (Pieces-1)*Pause {
			t.Errorf("after they have left: %v, in %v", err, time.Since(begun))
		}
	})
}
