package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// request returns a request to host with headers, which are names and values.
func request(host string, headers ...string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Host, r.RemoteAddr = host, "127.0.0.1:5555"
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// TestDevelopmentModeStaysOnThisComputer checks that neither the page of an attacker nor
// a proxy on this computer lets others in.
func TestDevelopmentModeStaysOnThisComputer(t *testing.T) {
	old := request("127.0.0.1:8080") // as nginx asks if it is told nothing
	old.Proto, old.ProtoMinor = "HTTP/1.0", 0
	for _, test := range []struct {
		name    string
		request *http.Request
		says    string // in the refusal, empty if there is none
	}{
		{"this computer", request("127.0.0.1:8080"), ""},
		{"its name", request("localhost"), ""},
		{"IPv6", request("[::1]:8080"), ""},
		{"a browser", request("localhost:8080", "Origin", "http://localhost:8080", "Sec-Fetch-Site", "same-origin"), ""},
		{"DNS rebinding", request("evil.example"), "localhost"},
		{"a proxy", request("127.0.0.1:8080", "X-Forwarded-For", "192.0.2.7"), "X-Forwarded-For"},
		{"a proxy that says nothing but its protocol", request("localhost:8080", "X-Forwarded-Proto", "https"), "trusted-proxies"},
		{"RFC 7239", request("localhost:8080", "Forwarded", "for=192.0.2.7"), "jwt-secret"},
		{"nginx", request("localhost:8080", "X-Real-IP", "192.0.2.7"), "X-Real-Ip"},
		{"a proxy by the book", request("localhost:8080", "Via", "1.1 proxy"), "Via"},
		{"a silent proxy", old, "HTTP/1.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			served := false
			w := httptest.NewRecorder()
			s := Settings{Values: Values{TrustedProxies: []string{"127.0.0.1"}}}
			front(s, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served = true })).ServeHTTP(w, test.request)
			if served != (test.says == "") {
				t.Errorf("served %t", served)
			}
			if body := w.Body.String(); !served && (w.Code != http.StatusForbidden || !strings.Contains(body, test.says) || !strings.HasPrefix(body, "development mode: ")) {
				t.Errorf("got %d %q, want 403 and %q", w.Code, body, test.says)
			}
		})
	}
}

// TestTrustedProxies checks that with a secret their headers count, and no others.
func TestTrustedProxies(t *testing.T) {
	s := Settings{Values: Values{JWTSecret: "secret", TrustedProxies: []string{"127.0.0.1"}}}
	for remote, want := range map[string]string{"127.0.0.1:5555": "192.0.2.7:0 chat.example", "127.0.0.2:5555": "127.0.0.2:5555 inside"} {
		r := request("inside", "X-Forwarded-For", "192.0.2.7", "X-Forwarded-Host", "chat.example")
		r.RemoteAddr = remote
		got := ""
		front(s, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr + " " + r.Host })).ServeHTTP(httptest.NewRecorder(), r)
		if got != want {
			t.Errorf("from %s: got %s, want %s", remote, got, want)
		}
	}
}
