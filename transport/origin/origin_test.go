package origin

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// asked returns a request with headers, which are names and values.
func asked(headers ...string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr, r.Host = "10.0.0.1:5555", "inside:8080"
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func TestProxies(t *testing.T) {
	proxies, err := ParseProxies([]string{"10.0.0.0/8", "2001:db8::1", "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, remote string
		headers      []string
		want         string // remote, host, secure
	}{
		{"nothing", "10.0.0.1:5555", nil, "10.0.0.1:5555 inside:8080 false"},
		{"all", "10.0.0.1:5555", []string{"X-Forwarded-For", "192.0.2.7", "X-Forwarded-Host", "chat.example:8443", "X-Forwarded-Proto", "https"}, "192.0.2.7:0 chat.example:8443 true"},
		{"a stranger", "192.0.2.9:1", []string{"X-Forwarded-For", "192.0.2.7", "X-Forwarded-Host", "chat.example", "X-Forwarded-Proto", "https"}, "192.0.2.9:1 inside:8080 false"},
		{"a neighbour of a proxy", "127.0.0.2:1", []string{"X-Forwarded-For", "192.0.2.7"}, "127.0.0.2:1 inside:8080 false"},
		{"two proxies", "10.0.0.1:5555", []string{"X-Forwarded-For", "192.0.2.7, 10.1.1.1"}, "192.0.2.7:0 inside:8080 false"},
		{"two headers", "10.0.0.1:5555", []string{"X-Forwarded-For", "192.0.2.7", "X-Forwarded-For", "10.1.1.1"}, "192.0.2.7:0 inside:8080 false"},
		{"made up by the client", "10.0.0.1:5555", []string{"X-Forwarded-For", "1.1.1.1, 192.0.2.7, 10.1.1.1"}, "192.0.2.7:0 inside:8080 false"},
		{"made up proxy", "10.0.0.1:5555", []string{"X-Forwarded-For", "10.9.9.9, 192.0.2.7"}, "192.0.2.7:0 inside:8080 false"},
		{"proxies only", "10.0.0.1:5555", []string{"X-Forwarded-For", "10.2.2.2, 10.1.1.1"}, "10.2.2.2:0 inside:8080 false"},
		{"nonsense", "10.0.0.1:5555", []string{"X-Forwarded-For", "192.0.2.7, unknown, 10.1.1.1"}, "10.1.1.1:0 inside:8080 false"},
		{"ports", "10.0.0.1:5555", []string{"X-Forwarded-For", "192.0.2.7:99"}, "192.0.2.7:0 inside:8080 false"},
		{"IPv6", "[2001:db8::1]:1", []string{"X-Forwarded-For", "[2001:db8::7]:99"}, "[2001:db8::7]:0 inside:8080 false"},
		{"IPv6 without port", "[2001:db8::1]:1", []string{"X-Forwarded-For", "2001:db8::7"}, "[2001:db8::7]:0 inside:8080 false"},
		{"IPv4 in IPv6", "[::ffff:10.0.0.1]:1", []string{"X-Forwarded-For", "::ffff:192.0.2.7"}, "192.0.2.7:0 inside:8080 false"},
		{"lists", "10.0.0.1:5555", []string{"X-Forwarded-Host", "a.example, b.example", "X-Forwarded-Proto", "wss,http"}, "10.0.0.1:5555 a.example true"},
		{"plain HTTP", "10.0.0.1:5555", []string{"X-Forwarded-Proto", "http"}, "10.0.0.1:5555 inside:8080 false"},
		{"other headers", "10.0.0.1:5555", []string{"Forwarded", "for=192.0.2.7;host=a;proto=https", "X-Real-IP", "192.0.2.7"}, "10.0.0.1:5555 inside:8080 false"},
		{"a Unix socket", "@", []string{"X-Forwarded-For", "192.0.2.7"}, "@ inside:8080 false"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := asked(test.headers...)
			r.RemoteAddr = test.remote
			got := ""
			proxies.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				got = fmt.Sprint(r.RemoteAddr, " ", r.Host, " ", Secure(r))
			})).ServeHTTP(nil, r)
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if r.RemoteAddr != test.remote || r.Host != "inside:8080" {
				t.Error("the request itself was changed")
			}
		})
	}
}

func TestParseProxies(t *testing.T) {
	for _, wrong := range []string{"", "localhost", "10.0.0.1:80", "10.0.0.0/33", "*", "fe80::1%eth0", "::ffff:10.0.0.1"} {
		if got, err := ParseProxies([]string{"10.0.0.1", wrong}); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", wrong)) {
			t.Errorf("%q: got %v, error %v", wrong, got, err)
		}
	}
}

func TestSame(t *testing.T) {
	for _, test := range []struct {
		origin, host string
		tls          bool
		want         bool
	}{
		{"http://a.example", "a.example", false, true},
		{"http://a.example", "a.example:80", false, true},
		{"http://a.example:80", "a.example", false, true},
		{"https://a.example", "a.example:443", false, true},
		{"https://a.example:443", "a.example", false, true},
		{"https://A.example", "a.EXAMPLE", false, true},
		{"https://a.example:8443", "a.example:8443", false, true},
		{"http://[::1]:8080", "[::1]:8080", false, true},
		{"http://[::1]", "[::1]:80", false, true},
		{"https://a.example", "a.example", true, true},
		{"http://a.example", "a.example", true, false},
		{"http://a.example", "a.example:443", false, false},
		{"https://a.example", "a.example:80", false, false},
		{"https://a.example", "a.example:8080", false, false},
		{"https://a.example:8443", "a.example", false, false},
		{"https://b.example", "a.example", false, false},
		{"https://a.example.evil.example", "a.example", false, false},
		{"null", "a.example", false, false},
		{"null", "null", false, false},
		{"", "a.example", false, false},
		{"http://%zz", "a.example", false, false},
	} {
		r := asked("Origin", test.origin)
		r.Host = test.host
		if test.tls {
			r.TLS = new(tls.ConnectionState)
		}
		if got := Same(r); got != test.want {
			t.Errorf("page of %q at %q, TLS %t: got %t, want %t", test.origin, test.host, test.tls, got, test.want)
		}
	}
}

func TestListed(t *testing.T) {
	allowed := []string{"https://a.example", "http://b.example:80", "http://c.example:81"}
	for origin, want := range map[string]bool{
		"https://a.example": true, "https://a.example:443": true, "HTTPS://A.example": true,
		"http://b.example": true, "http://b.example:80": true, "http://c.example:81": true,
		"http://a.example": false, "http://a.example:443": false, "https://b.example": false, "http://c.example": false, "null": false, "": false, "http://%zz": false,
	} {
		if got := Listed(allowed, origin); got != want {
			t.Errorf("%q: got %t, want %t", origin, got, want)
		}
	}
	if !Listed([]string{"*"}, "null") {
		t.Error("* does not allow all")
	}
}

func TestForwarded(t *testing.T) {
	for _, name := range []string{"X-Forwarded", "Forwarded-For", "Fly-Client-IP", "X-Azure-ClientIP", "X-ProxyUser-Ip", "X-Appengine-User-IP", "CDN-Loop", "X-Scheme", "Tailscale-User-Login", "X-Forwarded-For", "x-forwarded-anything", "Forwarded", "X-Real-IP", "Via", "CF-Connecting-IP", "True-Client-IP"} {
		if got := Forwarded(asked(name, "x").Header); got != http.CanonicalHeaderKey(name) {
			t.Errorf("%s: got %q", name, got)
		}
	}
	if got := Forwarded(asked("Origin", "x", "X-Requested-With", "x", "Cookie", "x").Header); got != "" {
		t.Errorf("got %q from a browser", got)
	}
}

func TestNeighbourhood(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"192.0.2.7:1", "192.0.2.7:2", true},
		{"192.0.2.7:1", "[::ffff:192.0.2.7]:2", true},
		{"192.0.2.7:1", "192.0.2.8:1", false},
		{"[2001:db8::1]:1", "[2001:db8::ffff:1]:1", true},
		{"[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false},
		{"@", "pipe", true},
	} {
		if got := Neighbourhood(test.a) == Neighbourhood(test.b); got != test.want {
			t.Errorf("%s and %s: got %t, want %t", test.a, test.b, got, test.want)
		}
	}
}

// TestWarnings checks that each origin is one warning an hour, that the warning says
// what to do, and that strangers cannot fill the log or the memory.
func TestWarnings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		w := NewWarnings(slog.New(slog.NewTextHandler(&log, nil)))
		for range 2 {
			for range 3 {
				w.Refused(asked("Origin", "https://evil.example"))
				w.Refused(asked("Origin", "https://other.example"))
			}
			for _, part := range []string{"WARN", "cors-origins", "trusted-proxies", "https://evil.example", "inside:8080"} {
				if !strings.Contains(log.String(), part) {
					t.Errorf("the log does not say %q: %s", part, &log)
				}
			}
			if got := strings.Count(log.String(), "\n"); got != 2 {
				t.Errorf("got %d records, want 2", got)
			}
			log.Reset()
			time.Sleep(warningSpan)
		}
		for i := range 10 * maxWarnings {
			w.Refused(asked("Origin", fmt.Sprint("https://", i, strings.Repeat("x", 10_000))))
		}
		if got := strings.Count(log.String(), "\n"); got != maxWarnings || log.Len() > maxWarnings*1000 {
			t.Errorf("got %d records of %d bytes, want %d short ones", got, log.Len(), maxWarnings)
		}
	})
}
