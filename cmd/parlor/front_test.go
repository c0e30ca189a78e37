package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"parlor/transport"
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

// TestTrustedProxiesInDevelopmentMode checks that the start says that they are of no use.
func TestTrustedProxiesInDevelopmentMode(t *testing.T) {
	for secret, want := range map[string]int{"": 1, strings.Repeat("x", minSecretLen): 0} {
		s, err := loadIn(t, "", nil, "--trusted-proxies=127.0.0.1", "--jwt-secret="+secret)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Warnings(); len(got) != want || want == 1 && !strings.Contains(got[0], "trusted-proxies") {
			t.Errorf("secret %q: got warnings %q, want %d", secret, got, want)
		}
	}
}

// TestPageBehindAProxy checks that the server's own page can connect through a proxy that
// changes the host, if the proxy is trusted and says what the browser asked for.
func TestPageBehindAProxy(t *testing.T) {
	connections := transport.NewServer(transport.Options{})
	defer connections.Close()
	for _, test := range []struct {
		remote string
		page   string
		status int
	}{
		{"10.0.0.1:1", "https://chat.example:8443", http.StatusOK},
		{"10.0.0.1:1", "https://evil.example", http.StatusForbidden},
		{"10.0.0.1:1", "http://chat.example:8443", http.StatusForbidden}, // without TLS
		{"192.0.2.7:1", "https://chat.example:8443", http.StatusForbidden},
	} {
		r := request("127.0.0.1:8080", "Origin", test.page, "X-Forwarded-Host", "chat.example:8443", "X-Forwarded-Proto", "https")
		r.URL.RawQuery, r.RemoteAddr = "EIO=4&transport=polling", test.remote
		w := httptest.NewRecorder()
		front(Settings{Values: Values{JWTSecret: "secret", TrustedProxies: []string{"10.0.0.0/8"}}}, connections).ServeHTTP(w, r)
		if w.Code != test.status {
			t.Errorf("page of %s through %s: got status %d, want %d", test.page, test.remote, w.Code, test.status)
		}
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
