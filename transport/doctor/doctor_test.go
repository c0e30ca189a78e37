package doctor

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"parlor/protocol/chat"
	"parlor/transport"
	"parlor/transport/origin"
	"parlor/transport/probe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pingInterval is that of the server that is examined.
const pingInterval = 300 * time.Millisecond

// newParlor is what a doctor meets of a parlor.
func newParlor(t *testing.T, pingInterval time.Duration) *httptest.Server {
	t.Helper()
	connections := transport.NewServer(transport.Options{
		PingInterval: pingInterval, Accept: func(*transport.Conn) transport.Receiver { return deaf{} },
	})
	t.Cleanup(func() { _ = connections.Close() })
	p := probe.New(probe.Options{Busy: 8, Limits: probe.Limits{PingInterval: pingInterval.Milliseconds(), Payload: 1000, File: 100_000},
		NewCookie: func(r *http.Request, name, value string, ttl time.Duration) *http.Cookie {
			return &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: int(ttl / time.Second), HttpOnly: true, SameSite: http.SameSiteLaxMode}
		}})
	mux := http.NewServeMux()
	open := func(h func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if err := h(w, r); err != nil {
				http.Error(w, chat.AsError(err).Message, http.StatusBadRequest)
			}
		}
	}
	mux.Handle("/socket.io/", connections)
	mux.Handle("GET /api/v1/probe", open(p.Tell))
	mux.Handle("POST /api/v1/probe", open(p.Count))
	mux.Handle("GET /api/v1/probe/stream", open(p.Stream))
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, "<!doctype html>")
		_ = z.Close()
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"code":"not_found"}`)
	})
	proxies, err := origin.ParseProxies([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(proxies.Handler(mux))
	t.Cleanup(server.Close)
	return server
}

// deaf is an application that says nothing.
type deaf struct{ transport.Receiver }

func (deaf) Closed(string) {}

// A breaker is one thing that a proxy does wrong.
type breaker struct {
	request  func(*http.Request)
	response func(*http.Response) error
	around   func(http.Handler) http.Handler
}

// newProxy is a proxy that does one thing wrong, and speaks TLS.
func newProxy(t *testing.T, server *httptest.Server, b breaker) (string, *tls.Config) {
	t.Helper()
	to, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	outbound := new(http.Transport)
	t.Cleanup(outbound.CloseIdleConnections)
	var handler http.Handler = &httputil.ReverseProxy{
		Transport: outbound,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.SetXForwarded()
			r.Out.Host = r.In.Host
			if b.request != nil {
				b.request(r.Out)
			}
		},
		ModifyResponse: b.response, FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	if b.around != nil {
		handler = b.around(handler)
	}
	proxy := httptest.NewUnstartedServer(handler)
	proxy.Config.ErrorLog = nil
	proxy.StartTLS()
	t.Cleanup(proxy.Close)
	roots := x509.NewCertPool()
	roots.AddCert(proxy.Certificate())
	return proxy.URL, &tls.Config{RootCAs: roots}
}

func diagnose(t *testing.T, o Options) *Report {
	t.Helper()
	report, err := Examine(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// wantFault checks that a report has exactly the faults of the checks, one of which says something.
func wantFault(t *testing.T, report *Report, says string, checks ...string) {
	t.Helper()
	var got []string
	found := false
	for _, f := range report.Findings {
		if f.Level == Fault {
			got = append(got, f.Check)
			found = found || strings.Contains(f.Text, says)
		}
	}
	if strings.Join(got, " ") != strings.Join(checks, " ") || !found && len(checks) > 0 {
		var b strings.Builder
		_ = report.Write(&b, "")
		t.Errorf("want the faults %v, and %q:\n%s", checks, says, &b)
	}
}

// TestProxies breaks one thing after the other in a proxy. The doctor has to name each.
func TestProxies(t *testing.T) {
	server, quiet := newParlor(t, pingInterval), newParlor(t, time.Minute) // long before its heartbeat an impatient proxy cuts
	drop := func(names ...string) func(*http.Request) {
		return func(r *http.Request) {
			for _, name := range names {
				r.Header.Del(name)
			}
		}
	}
	for name, tt := range map[string]struct {
		breaker
		says   string
		checks []string
	}{
		"nothing":             {},
		"no upgrade":          {breaker{request: drop("Upgrade", "Connection")}, "the header Upgrade is missing", []string{"websocket"}},
		"no Connection":       {breaker{request: drop("Connection")}, "Connection: upgrade is missing", []string{"websocket"}},
		"another Host":        {breaker{request: func(r *http.Request) { r.Host = "127.0.0.1:1"; r.Header.Del("X-Forwarded-Host") }}, "X-Forwarded-Host does not count or is missing", []string{"host", "websocket"}},
		"no X-Forwarded-For":  {breaker{request: func(r *http.Request) { r.Header["X-Forwarded-For"] = nil }}, "X-Forwarded-For is missing", []string{"forwarded"}},
		"no forwarded proto":  {breaker{request: drop("X-Forwarded-Proto")}, "X-Forwarded-Proto is missing", []string{"forwarded"}},
		"no Authorization":    {breaker{request: drop("Authorization")}, "does not reach parlor", []string{"authorization"}},
		"no Cookie":           {breaker{request: drop("Cookie")}, "Cookie does not reach parlor", []string{"cookies"}},
		"no query":            {breaker{request: func(r *http.Request) { r.URL.RawQuery = "" }}, "query of the URL", []string{"reach", "websocket", "polling", "cookies"}},
		"short wait":          {breaker{around: impatient}, "a poll was cut", []string{"websocket", "polling"}},
		"small bodies":        {breaker{around: small}, "lets fewer through", []string{"body"}},
		"cut bodies":          {breaker{request: func(r *http.Request) { shorten(r) }}, "of 1000 bytes (max-payload) 10 arrived", []string{"body"}},
		"cookie's path":       {breaker{response: func(r *http.Response) error { return edit(r, "Path=/", "Path=/elsewhere") }}, `Path="/elsewhere"`, []string{"cookies"}},
		"cookie's domain":     {breaker{response: func(r *http.Response) error { return edit(r, "Path=/", "Path=/; Domain=example.org") }}, `Domain="example.org"`, []string{"cookies"}},
		"cookie for scripts":  {breaker{response: func(r *http.Response) error { return edit(r, "; HttpOnly", "") }}, "HttpOnly", []string{"cookies"}},
		"no Set-Cookie":       {breaker{response: func(r *http.Response) error { r.Header.Del("Set-Cookie"); return nil }}, "Set-Cookie is removed", []string{"cookies"}},
		"buffering":           {breaker{around: whole}, "held back (buffering)", []string{"stream"}},
		"compressed stream":   {breaker{around: zipped}, "compressed on the way", []string{"stream"}},
		"packed as it is not": {breaker{response: mislabel}, "cannot be unpacked", []string{"page"}},
		"old answers":         {breaker{around: cached()}, "from a cache", []string{"reach"}},
		"a clock":             {breaker{response: hourAhead}, "ahead of this computer's", []string{"clock"}},
		"nobody there":        {breaker{request: func(r *http.Request) { r.URL.Host = "127.0.0.1:1" }}, "status 502", []string{"reach"}},
		"its own password":    {breaker{around: guarded}, "USER:PASSWORD@", []string{"reach"}},
		"round and round":     {breaker{around: redirecting("/")}, "on and on", []string{"reach", "reach", "reach", "reach"}},
		"a page to sign in":   {breaker{around: redirecting("/login?next=")}, "a page for people to sign in", []string{"reach"}},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name != "nothing" && name != "no upgrade" {
				t.Skip("each takes a second")
			}
			t.Parallel()
			server := server
			if name == "short wait" {
				server = quiet
			}
			address, config := newProxy(t, server, tt.breaker)
			wantFault(t, diagnose(t, Options{URL: address, TLS: config}), tt.says, tt.checks...)
		})
	}
}

// impatient cuts what is quiet long before it may not be any more.
func impatient(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/socket.io/") {
			next.ServeHTTP(w, r)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

func small(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > 50_000 {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func shorten(r *http.Request) {
	if r.ContentLength > 10 {
		r.Body, r.ContentLength = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(r.Body, 10), r.Body}, 10
	}
}

func edit(r *http.Response, before, after string) error {
	for i, line := range r.Header["Set-Cookie"] {
		r.Header["Set-Cookie"][i] = strings.Replace(line, before, after, 1)
	}
	return nil
}

// whole keeps answers that are no sockets until they are complete.
func whole(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/socket.io/") {
			next.ServeHTTP(w, r)
			return
		}
		kept := httptest.NewRecorder()
		next.ServeHTTP(kept, r)
		for name, values := range kept.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(kept.Code)
		_, _ = w.Write(kept.Body.Bytes())
	})
}

// zipped compresses streams, in one piece.
func zipped(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/stream") {
			next.ServeHTTP(w, r)
			return
		}
		kept := httptest.NewRecorder()
		next.ServeHTTP(kept, r)
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = z.Write(kept.Body.Bytes())
		_ = z.Close()
	})
}

func mislabel(r *http.Response) error {
	if r.Request.URL.Path == "/" {
		r.Body = io.NopCloser(strings.NewReader("<!doctype html>"))
		r.ContentLength = 15
		r.Header.Set("Content-Length", "15")
	}
	return nil
}

// cached answers the first question of the probe with what it has answered to somebody else.
func cached() func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		var once sync.Once
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			once.Do(func() { r.URL.RawQuery = "nonce=old" })
			next.ServeHTTP(w, r)
		})
	}
}

func hourAhead(r *http.Response) error {
	if r.Header.Get("Content-Type") != "application/json" || r.Request.URL.Path != "/api/v1/probe" {
		return nil
	}
	body, err := io.ReadAll(r.Body)
	day := time.Now().Format("2006-01-02T")
	body = bytes.Replace(body, []byte(`"now":"`+day), []byte(`"now":"`+time.Now().AddDate(0, 0, 1).Format("2006-01-02T")), 1)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return err
}

func guarded(http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", "Basic")
		w.WriteHeader(http.StatusUnauthorized)
	})
}

func redirecting(path string) func(http.Handler) http.Handler {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, strings.TrimSuffix(path, "/")+r.URL.Path, http.StatusFound)
		})
	}
}

// TestPath tries a URL with a path that neither the proxy nor the server knows.
func TestPath(t *testing.T) {
	wantFault(t, diagnose(t, Options{URL: newParlor(t, pingInterval).URL + "/chat/"}), `does not know the path "/chat"`, "reach")
}

// TestCertificates has each kind of certificate that is not valid.
func TestCertificates(t *testing.T) {
	if testing.Short() {
		t.Skip("each takes a second")
	}
	server := newParlor(t, pingInterval)
	address, config := newProxy(t, server, breaker{})
	wantFault(t, diagnose(t, Options{URL: address}), "signed by itself", "certificate")
	wantFault(t, diagnose(t, Options{URL: address, TLS: config, Now: func() time.Time { return time.Date(2084, 1, 20, 0, 0, 0, 0, time.UTC) }}), "it ends soon", "certificate", "clock")
	expired := config.Clone()
	expired.Time = func() time.Time { return time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC) }
	wantFault(t, diagnose(t, Options{URL: address, TLS: expired}), "it has expired", "certificate")
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(address, "https://"))
	wantFault(t, diagnose(t, Options{URL: "https://localhost:" + port, TLS: config}), "for another name", "certificate")
	wantFault(t, diagnose(t, Options{URL: strings.Replace(server.URL, "http:", "https:", 1)}), "no TLS connection", "certificate")
}

// TestStrangers has servers answer that are no parlor, or mean harm.
func TestStrangers(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	serve := func(h http.HandlerFunc) string {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		return server.URL
	}
	endless := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, strings.Repeat("x", 1<<16)); err != nil {
				return
			}
		}
	}
	for name, tt := range map[string]struct{ url, says string }{
		"silent":       {"http://" + silent.Addr().String(), "did not answer in time"},
		"closed":       {"http://127.0.0.1:1", "refused"},
		"no parlor":    {serve(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<title>\x1b[31mIt works") }), `<title>\x1b[31mIt works`},
		"endless":      {serve(endless), "no parlor answers"},
		"huge headers": {serve(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) }), "server response headers exceeded"},
		"half": {serve(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "{")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}), "did not answer in time"},
		"elsewhere": {serve(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "ftp://x\x1b", http.StatusFound) }), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantFault(t, diagnose(t, Options{URL: tt.url, Timeout: 300 * time.Millisecond}), tt.says, "reach")
		})
	}
	for _, bad := range []string{"", "chat.example.com", "ftp://x", "https://", "http://%zz"} {
		if _, err := Examine(t.Context(), Options{URL: bad}); err != ErrURL {
			t.Errorf("%q: error %v", bad, err)
		}
	}
}

// TestOlderServer examines what can be examined without the probe.
func TestOlderServer(t *testing.T) {
	server := newParlor(t, pingInterval)
	address, config := newProxy(t, server, breaker{request: func(r *http.Request) {
		r.URL.Path = strings.Replace(r.URL.Path, "/probe", "/nothing", 1)
		r.Header.Del("Upgrade")
	}})
	wantFault(t, diagnose(t, Options{URL: address, TLS: config}), "the header Upgrade or Connection is missing", "websocket")
}
