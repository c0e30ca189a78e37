package listen

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/letsencrypt/challtestsrv"
	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// host is the name for which the authority gives certificates in tests.
const host = "chat.example.com"

// An authority is pebble, Let's Encrypt's own server for tests. It looks for the proof where
// names lead to this computer, at the port of the server under test.
type authority struct {
	*httptest.Server
	roots *x509.CertPool
	once  sync.Once
	begin func(tlsPort int)
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	resolver := freePort(t)
	names, err := challtestsrv.New(challtestsrv.Config{DNSAddrs: []string{resolver}, Log: log.New(io.Discard, "", 0)})
	if err != nil {
		t.Fatal(err)
	}
	names.SetDefaultDNSIPv4("127.0.0.1")
	names.SetDefaultDNSIPv6("")
	go names.Run()
	t.Cleanup(names.Shutdown)
	a := &authority{Server: httptest.NewUnstartedServer(nil), roots: x509.NewCertPool()}
	a.begin = func(tlsPort int) {
		quiet, store := log.New(io.Discard, "", 0), db.NewMemoryStore()
		issuer := ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {Description: "default"}})
		verifier := va.New(quiet, 0, tlsPort, true, resolver, store)
		front := wfe.New(quiet, store, verifier, issuer, []string{"pebble.example.com"}, true, false, 0, 0)
		a.Config.Handler = front.Handler()
		a.roots.AppendCertsFromPEM(issuer.GetRootCert(0).PEM())
		a.StartTLS()
		trust(a.Certificate())
	}
	t.Cleanup(func() { a.once.Do(a.Close) })
	return a
}

// trust makes requests of this process trust an authority's own certificate, as they trust that
// of Let's Encrypt. All servers of httptest have the same one. It is not taken back: a manager
// goes on asking when a test has ended.
func trust(own *x509.Certificate) {
	trusted.Do(func() {
		roots := x509.NewCertPool()
		roots.AddCert(own)
		http.DefaultTransport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	})
}

var trusted sync.Once

// freePort returns an address at which nobody listens, with UDP and with TCP.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// openWith serves HTTP with certificates that the authority at url gives.
func openWith(t *testing.T, url, dir string) (l *Listener, logged func() string) {
	t.Helper()
	var mu sync.Mutex
	var text bytes.Buffer
	logger := slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return text.Write(p)
	}), nil))
	l, err := Open(Options{Address: "127.0.0.1:0", ACME: ACME{Hosts: []string{host}, Email: "ops@example.com", URL: url, Dir: dir}, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		Handler:  http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello over "+r.Proto) }),
		ErrorLog: log.New(io.Discard, "", 0),
	}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return l, func() string {
		mu.Lock()
		defer mu.Unlock()
		return text.String()
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// get asks the server by a name, as a browser does that trusts the authority.
func get(t *testing.T, l *Listener, roots *x509.CertPool, name string) (body string, cert *x509.Certificate, err error) {
	t.Helper()
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: name},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
		},
	}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get("https://" + name + "/")
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), resp.TLS.PeerCertificates[0], err
}

// The server proves to pebble that the name leads to it, in a handshake, and gets a certificate
// that clients trust. It is used again after a restart, also while the authority is away; other
// names get none.
func TestACME(t *testing.T) {
	if testing.Short() {
		t.Skip("slow: it runs an authority")
	}
	a := newAuthority(t)
	directory, dir := "https://"+a.Listener.Addr().String()+wfe.DirectoryPath, t.TempDir()
	l, logged := openWith(t, directory, dir)
	a.begin(l.Addr().(*net.TCPAddr).Port)

	body, first, err := get(t, l, a.roots, host)
	if err != nil || body != "hello over HTTP/1.1" {
		t.Fatalf("%q, %v; the log: %s", body, err, logged())
	}
	if len(first.DNSNames) != 1 || first.DNSNames[0] != host || time.Until(first.NotAfter) <= 0 {
		t.Errorf("the certificate is for %v, until %v", first.DNSNames, first.NotAfter)
	}
	if _, _, err := get(t, l, a.roots, "other.example.com"); err == nil {
		t.Error("a name that is not ours has a certificate")
	}

	a.once.Do(a.Close)
	again, _ := openWith(t, directory, dir)
	if _, kept, err := get(t, again, a.roots, host); err != nil || !kept.Equal(first) {
		t.Errorf("after a restart, while the authority is away: %v", err)
	}
}

// An authority that refuses is in the log, and the handshake fails: nothing is served without
// a certificate.
func TestACMERefused(t *testing.T) {
	if testing.Short() {
		t.Skip("slow: it runs an authority")
	}
	a := newAuthority(t)
	l, logged := openWith(t, "https://"+a.Listener.Addr().String()+wfe.DirectoryPath, t.TempDir())
	nobody := freePort(t)
	_, port, _ := net.SplitHostPort(nobody)
	n, err := net.LookupPort("tcp", port)
	if err != nil {
		t.Fatal(err)
	}
	a.begin(n) // where the proof is not
	if body, _, err := get(t, l, a.roots, host); err == nil {
		t.Fatalf("served %q without a certificate", body)
	}
	if said := logged(); !strings.Contains(said, "no certificate could be got") || !strings.Contains(said, host) {
		t.Errorf("the log says %q", said)
	}
}
