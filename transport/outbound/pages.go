package outbound

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// maxRedirects is how many redirects a reader of pages follows.
const maxRedirects = 5

var errRedirects = errors.New("outbound: there are too many redirects")

// Reader returns a client that reads pages, also by plain HTTP. It follows redirects for
// which may returns nil. Every address that it connects to is looked at.
func (t Targets) Reader(timeout time.Duration, may func(*http.Request) error) *http.Client {
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		return t.dialer(timeout, false).DialContext(ctx, network, address)
	}
	follow := func(r *http.Request, before []*http.Request) error {
		if len(before) > maxRedirects {
			return errRedirects
		}
		return may(r)
	}
	return &http.Client{Timeout: timeout, CheckRedirect: follow, Transport: transport(timeout, dial)}
}
