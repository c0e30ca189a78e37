package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"parlor/protocol/chat"
	"parlor/transport/api"
	"parlor/transport/origin"
)

// anyone is an Authenticator that takes everybody for alice.
type anyone struct{}

func (anyone) Request(*http.Request) (chat.User, error) { return chat.User{ID: "alice"}, nil }
func (anyone) SignIn(*http.Request) (chat.SignIn, error) {
	return chat.SignIn{User: chat.User{ID: "alice"}}, nil
}

// The address of an invitation is the one that the client has asked for, also behind
// proxies.
func TestAddressOfAnInvitation(t *testing.T) {
	mux := newMuxFor(t, conversation(), anyone{}, api.Options{})
	named, err := origin.ParseProxies([]string{"192.0.2.1"}) // from which httptest asks
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		h               http.Handler
		path, proto, at string
	}{
		{mux, "", "", "http://example.com/#i=token"},
		{mux, "/assistant", "", "http://example.com/assistant/#i=token"},
		{mux, "", "https", "https://example.com/#i=token"},
		{named.Handler(mux), "", "https", "https://chat.example/#i=token"},
		{named.Handler(mux), "", "https, http", "https://chat.example/#i=token"},
		{named.Handler(mux), "", "http", "http://chat.example/#i=token"},
	} {
		r := httptest.NewRequest("POST", test.path+"/api/v1/chat/chat-1/invites", strings.NewReader(`{"role":"member"}`))
		r.Header.Set("X-Forwarded-Proto", test.proto)
		r.Header.Set("X-Forwarded-Host", "chat.example")
		w := httptest.NewRecorder()
		test.h.ServeHTTP(w, r)
		if !strings.Contains(w.Body.String(), `"url":"`+test.at+`"`) {
			t.Errorf("%+v: %d %s", test, w.Code, w.Body)
		}
	}
}
