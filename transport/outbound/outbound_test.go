package outbound_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"parlor/transport/outbound"
)

func TestPublic(t *testing.T) {
	for _, text := range []string{"1.1.1.1", "9.255.255.255", "172.32.0.1", "2606:4700::1111", "::ffff:1.1.1.1"} {
		if !outbound.Public(netip.MustParseAddr(text)) {
			t.Errorf("%s is private", text)
		}
	}
	for _, text := range []string{
		"127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1",
		"::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "2001:0:a00:1::", "::127.0.0.1", "fec0::1",
	} {
		if outbound.Public(netip.MustParseAddr(text)) {
			t.Errorf("%s is public", text)
		}
	}
}

func client(t *testing.T, private ...string) *outbound.Client {
	t.Helper()
	targets, err := outbound.ParseTargets(private)
	if err != nil {
		t.Fatal(err)
	}
	c := outbound.NewClient(targets, 5*time.Second)
	t.Cleanup(c.Close)
	return c
}

func post(t *testing.T, c *outbound.Client, url string) error {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	return c.Send(t.Context(), r)
}

// Private addresses are refused, whatever name leads there, unless they are allowed.
func TestPrivateTargets(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked++ }))
	t.Cleanup(server.Close)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0177.0.0.1", "2130706433", "0"} {
		if err := post(t, client(t), "http://"+host+":"+port); err == nil || asked > 0 {
			t.Errorf("%s: %v", host, err)
		}
	}
	if err := post(t, client(t, "10.0.0.0/8"), server.URL); !errors.Is(err, outbound.ErrPrivate) {
		t.Errorf("another range is allowed: %v", err)
	}
	if err := post(t, client(t, "127.0.0.0/8"), server.URL); err != nil || asked != 1 {
		t.Errorf("the range is allowed: %v", err)
	}
	if err := post(t, client(t), "http://1.1.1.1:9"); err == nil || !strings.Contains(err.Error(), "https") {
		t.Errorf("plain HTTP to a public address: %v", err)
	}
}

// Redirects are not followed, answers that are no success are errors, and a hanging endpoint
// ends with the time.
func TestAnswers(t *testing.T) {
	hang := make(chan struct{})
	mux := http.NewServeMux()
	followed := false
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/target", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/target", func(http.ResponseWriter, *http.Request) { followed = true })
	mux.HandleFunc("/busy", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	mux.HandleFunc("/hang", func(w http.ResponseWriter, r *http.Request) { <-hang })
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(hang) })
	c := client(t, "127.0.0.1")
	var status *outbound.StatusError
	if err := post(t, c, server.URL+"/away"); !errors.As(err, &status) || status.Status != 307 || followed {
		t.Errorf("a redirect: %v", err)
	}
	if err := post(t, c, server.URL+"/busy"); !errors.As(err, &status) || status.After() != 7*time.Second {
		t.Errorf("503: %v", err)
	}
	if err := post(t, c, server.URL+"/endless"); err != nil {
		t.Errorf("an endless answer: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r, _ := http.NewRequest(http.MethodPost, server.URL+"/hang", nil)
	if err := c.Send(ctx, r); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an endpoint that hangs: %v", err)
	}
}
