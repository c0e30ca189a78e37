package outbound

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxRead is how much of an answer is read that somebody looks at, in bytes.
const maxRead = 1 << 20

// Beside returns a client for addresses that a server has named whose URL an operator has
// given. They may be private if they are on the server's own host.
func (t Targets) Beside(server string, timeout time.Duration) *http.Client {
	own := ""
	if u, err := url.Parse(server); err == nil {
		own = u.Hostname()
	}
	dial := func(plain bool) func(context.Context, string, string) (net.Conn, error) {
		return func(ctx context.Context, network, address string) (net.Conn, error) {
			dialer := t.dialer(timeout, plain)
			if host, _, err := net.SplitHostPort(address); err == nil && own != "" && strings.EqualFold(host, own) {
				dialer = &net.Dialer{Timeout: timeout}
			}
			return dialer.DialContext(ctx, network, address)
		}
	}
	b := beside{transport(timeout, dial(false)), transport(timeout, dial(true))}
	return &http.Client{Timeout: timeout, CheckRedirect: stay, Transport: b}
}

// beside sends what is plain HTTP to where that may go.
type beside struct{ secure, plain *http.Transport }

// RoundTrip implements [http.RoundTripper].
func (b beside) RoundTrip(r *http.Request) (*http.Response, error) {
	t := b.secure
	if strings.EqualFold(r.URL.Scheme, "http") {
		t = b.plain
	}
	response, err := t.RoundTrip(r)
	if err != nil {
		return nil, shortened(err)
	}
	response.Body = limited{io.LimitReader(response.Body, maxRead), response.Body}
	return response, nil
}

// CloseIdleConnections is called by [http.Client].
func (b beside) CloseIdleConnections() {
	b.secure.CloseIdleConnections()
	b.plain.CloseIdleConnections()
}

type limited struct {
	io.Reader
	io.Closer
}
