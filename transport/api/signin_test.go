package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"parlor/protocol/chat"
	"parlor/transport/api"
	"parlor/transport/auth"
)

// noDisk keeps nothing.
type noDisk struct{}

func (noDisk) PutAccount(_ string, _ []byte, done func(error)) { done(nil) }
func (noDisk) DeleteAccount(_ string, done func(error))        { done(nil) }
func (noDisk) EachAccount(func(string, []byte)) error          { return nil }

// signedIn serves to those who have signed in.
func signedIn(t *testing.T) (http.Handler, *auth.Verifier) {
	t.Helper()
	accounts, err := auth.OpenAccounts(auth.AccountOptions{Store: noDisk{}})
	if err != nil {
		t.Fatal(err)
	}
	v := auth.New(auth.Options{Secret: "secret", Accounts: accounts})
	return newMuxFor(t, conversation(), v, api.Options{SignIn: v.SignIns(), AllowedOrigins: []string{"https://app.example.com"}}), v
}

// send sends a request with the cookies of jar, and takes those that are set.
func send(h http.Handler, jar map[string]string, method, path string, kv ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	for name, value := range jar {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	for i := 0; i < len(kv); i += 2 {
		r.Header.Set(kv[i], kv[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if jar[c.Name] = c.Value; c.MaxAge < 0 {
			delete(jar, c.Name)
		}
	}
	return w
}

func wantAnswer(t *testing.T, what string, w *httptest.ResponseRecorder, status int, body string) {
	t.Helper()
	if w.Code != status || !strings.Contains(w.Body.String(), body) {
		t.Errorf("%s: status %d, %s, want %d and %s", what, w.Code, w.Body, status, body)
	}
}

// The calls of the assistant SPA, from the temporary token to signing out.
func TestSignInOfTheSPA(t *testing.T) {
	mux, v := signedIn(t)
	jar := map[string]string{}
	const base = "/assistant/api/v1/auth/"
	wantAnswer(t, "before", send(mux, jar, "GET", base+"me"), 401, "detail")
	wantAnswer(t, "nothing to refresh", send(mux, jar, "POST", base+"refresh"), 401, "detail")
	wantAnswer(t, "no token", send(mux, jar, "GET", base+"validate-token"), 400, "detail")
	wantAnswer(t, "a bad token", send(mux, jar, "GET", base+"validate-token?temp_token=x"), 401, "detail")

	link := "validate-token?temp_token=" + v.SignIns().Handover(chat.User{ID: "alice", Name: "Alice"})
	wantAnswer(t, "a link", send(mux, jar, "GET", base+link, "Sec-Fetch-Mode", "navigate"), 403, "by a link")
	wantAnswer(t, "a foreign page", send(mux, jar, "GET", base+link, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"), 403, "by a link")
	wantAnswer(t, "the SPA", send(mux, jar, "GET", base+link, "Sec-Fetch-Site", "cross-site", "Origin", "https://app.example.com"), 200, `{"status":"success"}`)
	if len(jar) != 3 {
		t.Fatalf("cookies %v, want three", jar)
	}
	wantAnswer(t, "once more", send(mux, jar, "GET", base+link), 401, "used before")
	wantAnswer(t, "me", send(mux, jar, "GET", base+"me"), 200, `{"user_id":"alice","email":null,"name":"Alice","picture":null}`)
	wantAnswer(t, "refresh by GET", send(mux, jar, "GET", base+"refresh"), 405, "only POST")
	wantAnswer(t, "refresh by a foreign page", send(mux, jar, "POST", base+"refresh", "Origin", "https://evil.example"), 403, "origin")
	delete(jar, "access_token")
	wantAnswer(t, "refresh", send(mux, jar, "POST", base+"refresh"), 200, `{"status":"success"}`)
	wantAnswer(t, "me again", send(mux, jar, "GET", base+"me"), 200, `"alice"`)

	wantAnswer(t, "logout by a foreign page", send(mux, jar, "POST", base+"logout", "Origin", "https://evil.example"), 403, "origin")
	stolen := jar["access_token"]
	wantAnswer(t, "logout", send(mux, jar, "POST", base+"logout"), 200, `{"message":"Logged out successfully"}`)
	if len(jar) != 0 {
		t.Errorf("cookies are left: %v", jar)
	}
	wantAnswer(t, "its old token", send(mux, map[string]string{"access_token": stolen}, "GET", base+"me"), 401, "its session has ended")
	wantAnswer(t, "logout of nobody", send(mux, jar, "POST", base+"logout"), 200, `Logged out`)
}

func TestSessionsAreListedAndRevoked(t *testing.T) {
	mux, v := signedIn(t)
	enter := func(u chat.UserID, agent string) map[string]string {
		jar := map[string]string{}
		send(mux, jar, "GET", "/api/v1/auth/validate-token?temp_token="+v.SignIns().Handover(chat.User{ID: u}), "User-Agent", agent)
		return jar
	}
	one, two, three, other := enter("alice", "One"), enter("alice", "Two"), enter("alice", "Three"), enter("bob", "Bob's")
	w := send(mux, one, "GET", "/api/v1/auth/sessions")
	var got struct {
		Sessions []struct {
			ID      string `json:"session_id"`
			Agent   string `json:"user_agent"`
			Current bool
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got.Sessions) != 3 || strings.Contains(w.Body.String(), "secret") {
		t.Fatalf("%s", w.Body)
	}
	id := map[string]string{}
	for _, s := range got.Sessions {
		id[s.Agent] = s.ID
		if s.Current != (s.Agent == "One") {
			t.Errorf("session %+v", s)
		}
	}
	wantAnswer(t, "another's", send(mux, other, "DELETE", "/api/v1/auth/sessions/"+id["Two"]), 404, "no such session")
	wantAnswer(t, "one's own", send(mux, one, "DELETE", "/api/v1/auth/sessions/"+id["Two"]), 200, "ended")
	wantAnswer(t, "the one that was ended", send(mux, two, "GET", "/api/v1/auth/me"), 401, "ended")
	wantAnswer(t, "one that was not", send(mux, three, "GET", "/api/v1/auth/me"), 200, "alice")
	wantAnswer(t, "all others", send(mux, one, "DELETE", "/api/v1/auth/sessions"), 200, "ended")
	wantAnswer(t, "the other", send(mux, three, "GET", "/api/v1/auth/me"), 401, "ended")
	wantAnswer(t, "this one", send(mux, one, "GET", "/api/v1/auth/me"), 200, "alice")
	wantAnswer(t, "another user's", send(mux, other, "GET", "/api/v1/auth/me"), 200, "bob")
}
