package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/api"
	"parlor/transport/auth"
	"parlor/transport/requests"
)

// do sends a request as alice; kv are further headers.
func do(h http.Handler, method, path, body string, kv ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("X-Parlor-User", "alice")
	for i := 0; i < len(kv); i += 2 {
		r.Header.Set(kv[i], kv[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// refusal decodes the body of an error.
func refusal(t *testing.T, w *httptest.ResponseRecorder) (code, detail string) {
	t.Helper()
	var body struct{ Code, Detail string }
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Code == "" || body.Detail == "" {
		t.Fatalf("status %d without {detail, code}: %v: %q", w.Code, err, w.Body)
	}
	return body.Code, body.Detail
}

func TestStatusOfRefusals(t *testing.T) {
	for code, want := range map[chat.Code]int{
		chat.CodeInvalid:            400,
		chat.CodeUnauthenticated:    401,
		chat.CodeForbidden:          403,
		chat.CodeNotFound:           404,
		chat.CodeConflict:           409,
		chat.CodeTooLarge:           413,
		chat.CodeRateLimited:        429,
		chat.CodeBudgetExceeded:     429,
		chat.CodeQuotaExceeded:      429,
		chat.CodeInternal:           500,
		chat.CodeProviderError:      502,
		chat.CodeBusy:               503,
		chat.CodeStorageUnavailable: 503,
		chat.CodeProviderTimeout:    504,
		"of a later version":        500,
	} {
		mux := newMux(t, &chats{fail: fmt.Errorf("list: %w", chat.Refuse(code, "no"))}, api.Options{})
		w := do(mux, "GET", "/api/v1/chat", "")
		if got, _ := refusal(t, w); w.Code != want || got != string(code) {
			t.Errorf("%s: status %d, code %q, want %d", code, w.Code, got, want)
		}
		w = do(requests.Handler(nil, mux), "GET", "/api/v1/chat", "")
		var told struct {
			RequestID string `json:"request_id"`
		}
		id := w.Header().Get("X-Request-Id")
		if err := json.Unmarshal(w.Body.Bytes(), &told); err != nil || (told.RequestID != "") != code.Fault() || code.Fault() && told.RequestID != id {
			t.Errorf("%s: the request is %q, and told as %q", code, id, told.RequestID)
		}
	}
}

func TestInternalErrorsAreLoggedNotShown(t *testing.T) {
	var log bytes.Buffer
	mux := newMux(t, &chats{fail: errors.New("open /secret/path: no")}, api.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	w := do(mux, "GET", "/api/v1/chat/chat-1", "")
	if code, detail := refusal(t, w); w.Code != 500 || code != "internal" || strings.Contains(detail, "secret") {
		t.Errorf("status %d, code %q, detail %q", w.Code, code, detail)
	}
	if !strings.Contains(log.String(), "/secret/path") {
		t.Errorf("the cause is not in the log: %q", &log)
	}

	log.Reset()
	do(mux, "POST", "/api/v1/invites/room-and-secret", "")
	if got := log.String(); !strings.Contains(got, "/api/v1/invites/{token}") || strings.Contains(got, "room-and-secret") {
		t.Errorf("an invitation is logged as %q", got)
	}

	log.Reset()
	r := httptest.NewRequest("GET", "/api/v1/chat", nil)
	gone, leave := context.WithCancel(t.Context())
	leave()
	mux.ServeHTTP(httptest.NewRecorder(), r.WithContext(gone))
	if log.Len() > 0 {
		t.Errorf("logged for a client that had gone away: %q", &log)
	}
}

func TestPanicsBecome500(t *testing.T) {
	var log bytes.Buffer
	c := conversation()
	mux := newMux(t, c, api.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	server := httptest.NewServer(mux)
	defer server.Close()

	c.onGet = func() { panic("a bug") }
	res, err := server.Client().Get(server.URL + "/api/v1/chat/chat-1")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || res.StatusCode != 500 || !strings.Contains(string(body), `"code":"internal"`) || strings.Contains(string(body), "bug") {
		t.Errorf("status %d, body %q, %v", res.StatusCode, body, err)
	}
	if !strings.Contains(log.String(), "a bug") || !strings.Contains(log.String(), "api_test.go") {
		t.Errorf("panic and stack are not in the log: %q", &log)
	}

	c.onGet = func() { panic(http.ErrAbortHandler) }
	if res, err := server.Client().Get(server.URL + "/api/v1/chat/chat-1"); err == nil {
		res.Body.Close()
		t.Errorf("an aborted request was answered with %d", res.StatusCode)
	}
}

func TestEveryAnswerIsUncachedJSON(t *testing.T) {
	mux := newMux(t, conversation(), api.Options{})
	for path, mediaType := range map[string]string{
		"/api/v1/auth/me": "application/json", "/healthz": "application/json", "/assistant/internal/health": "application/json",
		"/api/v1/openapi.json": "application/json",
		"/api/v1/chat/none":    "application/problem+json", "/api/v1/nothing": "application/problem+json",
	} {
		h := do(mux, "GET", path, "").Header()
		for name, want := range map[string]string{"Content-Type": mediaType, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
}

func TestMethodNotAllowedNamesTheOthers(t *testing.T) {
	mux := newMux(t, conversation(), api.Options{})
	w := do(mux, "PUT", "/api/v1/chat/chat-1", "")
	if got, want := w.Header().Get("Allow"), "DELETE, GET, HEAD, PATCH"; w.Code != 405 || got != want {
		t.Errorf("status %d, Allow %q, want 405, %q", w.Code, got, want)
	}
	if w := do(mux, "HEAD", "/api/v1/chat/chat-1", ""); w.Code != 200 {
		t.Errorf("HEAD: status %d, want 200", w.Code)
	}
}

func TestBodiesAreBounded(t *testing.T) {
	mux := newMux(t, conversation(), api.Options{})
	request := `{"model_id":"eliza"}`
	for body, want := range map[string]int{
		request + strings.Repeat(" ", api.MaxBodyBytes-len(request)):   200,
		request + strings.Repeat(" ", api.MaxBodyBytes-len(request)+1): 413,
		`{"model_id":"` + strings.Repeat("e", api.MaxBodyBytes) + `"}`: 413,
	} {
		if w := do(mux, "POST", "/api/v1/chat", body); w.Code != want {
			t.Errorf("%d bytes: status %d, want %d: %s", len(body), w.Code, want, w.Body)
		}
	}
}

func TestChatIDsAreTakenFromOneEscapedSegment(t *testing.T) {
	c := conversation()
	c.infos[0].ID = "a/b?c"
	w := do(newMux(t, c, api.Options{}), "GET", "/assistant/api/v1/chat/a%2Fb%3Fc", "")
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"chat_id":"a/b?c"`) {
		t.Errorf("status %d, %s", w.Code, w.Body)
	}
}

func TestOnlyProvenUsers(t *testing.T) {
	const secret = "a secret of the tests, 32 bytes!"
	mux := newMuxFor(t, conversation(), auth.New(auth.Options{Secret: secret}), api.Options{})
	for _, route := range []string{
		"GET /auth/me", "GET /model", "GET /chat", "POST /chat", "GET /chat/chat-1", "DELETE /chat/chat-1", "GET /chat/chat-1/messages",
		"PATCH /chat/chat-1", "GET /usage",
	} {
		method, path, _ := strings.Cut(route, " ")
		w := do(mux, method, "/api/v1"+path, `{"model_id":"eliza"}`)
		if code, _ := refusal(t, w); w.Code != 401 || code != "unauthenticated" || w.Header().Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s: status %d, code %q, header %v, want 401", route, w.Code, code, w.Header())
		}
	}
	token, err := auth.Sign(auth.Options{Secret: secret}, chat.User{ID: "alice", Name: "Alice", Email: "a@example.com"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	w := do(mux, "GET", "/api/v1/auth/me", "", "Cookie", "access_token="+token)
	if got, want := w.Body.String(), `{"user_id":"alice","email":"a@example.com","name":"Alice","picture":null}`; got != want {
		t.Errorf("me = %s, want %s", got, want)
	}
}

func TestCORS(t *testing.T) {
	allowed := newMux(t, conversation(), api.Options{AllowedOrigins: []string{"https://spa.example.com"}})
	none := newMux(t, conversation(), api.Options{})
	tests := []struct {
		name   string
		mux    http.Handler
		origin string
		want   string // Access-Control-Allow-Origin
	}{
		{"allowed origin", allowed, "https://spa.example.com", "https://spa.example.com"},
		{"allowed origin with its port", allowed, "https://spa.example.com:443", "https://spa.example.com:443"},
		{"another origin", allowed, "https://evil.example.com", ""},
		{"longer origin", allowed, "https://spa.example.com.evil.org", ""},
		{"null origin", allowed, "null", ""},
		{"nothing allowed", none, "https://spa.example.com", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plain := do(tt.mux, "GET", "/api/v1/model", "", "Origin", tt.origin)
			preflight := do(tt.mux, "OPTIONS", "/api/v1/chat/chat-1", "", "Origin", tt.origin,
				"Access-Control-Request-Method", "DELETE", "Access-Control-Request-Headers", "cf-access-token,content-type,x-csrf-token")
			for what, h := range map[string]http.Header{"request": plain.Header(), "preflight": preflight.Header()} {
				if got := h.Get("Access-Control-Allow-Origin"); got != tt.want {
					t.Errorf("%s: allowed origin %q, want %q", what, got, tt.want)
				}
				if got := h.Get("Access-Control-Allow-Credentials") == "true"; got != (tt.want != "") {
					t.Errorf("%s: credentials allowed = %v", what, got)
				}
				if !strings.Contains(strings.Join(h.Values("Vary"), ","), "Origin") {
					t.Errorf("%s: Vary %q lacks Origin", what, h.Values("Vary"))
				}
			}
			if got := preflight.Header().Get("Access-Control-Allow-Methods") == "DELETE"; got != (tt.want != "") {
				t.Errorf("preflight: DELETE allowed = %v", got)
			}
		})
	}
}

// TestRefusedOriginsAreReported checks that the operator learns of pages that may not
// use the API, and of no others.
func TestRefusedOriginsAreReported(t *testing.T) {
	var refused []string
	mux := newMux(t, conversation(), api.Options{
		AllowedOrigins: []string{"https://spa.example.com"},
		OriginRefused:  func(r *http.Request) { refused = append(refused, r.Method+" "+r.Header.Get("Origin")) },
	})
	for _, origin := range []string{"", "http://example.com", "http://example.com:80", "https://spa.example.com", "https://evil.example.com"} {
		do(mux, "GET", "/api/v1/model", "", "Origin", origin)
		do(mux, "POST", "/api/v1/chat", `{"model_id":"eliza"}`, "Origin", origin)
	}
	slices.Sort(refused)
	if got, want := slices.Compact(refused), []string{"GET https://evil.example.com", "POST https://evil.example.com"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestChangesFromOtherOriginsAreRefused(t *testing.T) {
	mux := newMux(t, conversation(), api.Options{AllowedOrigins: []string{"https://spa.example.com"}})
	tests := []struct {
		name    string
		headers []string
		want    int
	}{
		{"no browser", nil, 200},
		{"own page", []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://example.com"}, 200},
		{"own page, without Sec-Fetch-Site", []string{"Origin", "http://example.com"}, 200},
		{"own page, with its port", []string{"Origin", "http://example.com:80"}, 200},
		{"own page, on another port", []string{"Origin", "http://example.com:8080"}, 403},
		{"allowed page, with its port", []string{"Origin", "https://spa.example.com:443"}, 200},
		{"page without TLS", []string{"Sec-Fetch-Site", "cross-site", "Origin", "http://example.com"}, 403},
		{"allowed page", []string{"Sec-Fetch-Site", "same-site", "Origin", "https://spa.example.com"}, 200},
		{"other page", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example.com"}, 403},
		{"sibling page", []string{"Sec-Fetch-Site", "same-site", "Origin", "https://blog.example.com"}, 403},
		{"other page in an old browser", []string{"Origin", "https://evil.example.com"}, 403},
		{"form that hides its origin", []string{"Sec-Fetch-Site", "cross-site", "Origin", "null"}, 403},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := do(mux, "POST", "/api/v1/chat", `{"model_id":"eliza"}`, append(tt.headers, "Content-Type", "text/plain")...)
			if w.Code != tt.want {
				t.Errorf("status %d, want %d: %s", w.Code, tt.want, w.Body)
			}
			if tt.want == 403 {
				if code, _ := refusal(t, w); code != "forbidden" {
					t.Errorf("code %q, want forbidden", code)
				}
			}
		})
	}
}

func TestNewRefusesWhatIsNoOrigin(t *testing.T) {
	for _, origin := range []string{"*", "https://*.example.com", "example.com", "https://example.com/", "null", ""} {
		if _, err := api.New(&chats{}, &chats{}, models{}, auth.New(auth.Options{}), api.Options{AllowedOrigins: []string{origin}}); err == nil {
			t.Errorf("origin %q was taken", origin)
		} else if !strings.Contains(err.Error(), fmt.Sprintf("%q", origin)) {
			t.Errorf("error %q does not name %q", err, origin)
		}
	}
}

// FuzzRequest checks that no path, query or body makes the API panic or answer
// with anything but JSON, and that it is never taken as the server's fault.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "/chat/chat-1/messages", "limit=1&before=2", "")
	f.Add("POST", "/chat", "", `{"model_id":"eliza"}`)
	f.Add("DELETE", "/chat/%2F", "limit=%zz", "{}")
	f.Fuzz(func(t *testing.T, method, path, query, body string) {
		r, err := http.NewRequest(method, "http://example.com/api/v1/", strings.NewReader(body))
		if err != nil {
			t.Skip()
		}
		r.URL.Path, r.URL.RawQuery = "/api/v1/"+path, query
		r.Header.Set("X-Parlor-User", "alice")
		a, err := api.New(conversation(), conversation(), models{elisa}, auth.New(auth.Options{}), api.Options{})
		if err != nil {
			t.Fatal(err)
		}
		mux, w := http.NewServeMux(), httptest.NewRecorder()
		a.Register(mux, "/api/v1")
		mux.ServeHTTP(w, r)
		redirected := w.Code/100 == 3 // by the mux, to the clean path
		if w.Code >= 500 || !redirected && method != "CONNECT" && !json.Valid(w.Body.Bytes()) {
			t.Errorf("status %d, %q", w.Code, w.Body)
		}
	})
}

// A history that cannot be read to its end is no answer: what the client has
// got must not look whole, whether it is still in the server's buffer or not.
func TestBrokenOffHistory(t *testing.T) {
	var log bytes.Buffer
	for _, end := range []string{breaksOff, panics} {
		for _, n := range []int{1, 100} {
			c := &chats{infos: []chat.Info{{ID: "a", Owner: "alice"}}, messages: map[chat.ID][]chat.Message{}}
			for range n {
				c.messages["a"] = append(c.messages["a"], chat.Message{ID: "1", Content: "read"})
			}
			c.messages["a"] = append(c.messages["a"], chat.Message{ID: "2", Content: end})
			body, err := history(t, c, slog.New(slog.NewTextHandler(&log, nil)))
			if err == nil || strings.Contains(body, "internal") {
				t.Errorf("%s after %d messages: the answer looks whole: …%s", end, n, body[max(0, len(body)-100):])
			}
		}
	}
	if got := strings.Count(log.String(), "a bug"); got != 2 {
		t.Errorf("%d panics in the log, want 2: %s", got, &log)
	}
}

// A panic before the first message is answered as any other.
func TestPanicAtTheBeginningOfAHistory(t *testing.T) {
	c := &chats{infos: []chat.Info{{ID: "a", Owner: "alice"}}, messages: map[chat.ID][]chat.Message{"a": {{Content: panics}}}}
	if body, err := history(t, c, nil); err != nil || !strings.Contains(body, `"code":"internal"`) {
		t.Errorf("got %q, %v", body, err)
	}
}

// history asks a real server for the messages of alice's chat a.
func history(t *testing.T, c *chats, log *slog.Logger) (body string, err error) {
	t.Helper()
	s := httptest.NewServer(newMux(t, c, api.Options{Logger: log}))
	defer s.Close()
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/api/v1/chat/a/messages", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Parlor-User", "alice")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	return string(data), err
}
