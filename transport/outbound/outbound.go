// Package outbound sends requests to addresses that others have named: webhooks and push
// services. It keeps them out of the server's own network.
//
//	URL → name resolution → Targets.refusal(address) → connection, or [ErrPrivate]
//
// The address is looked at when the connection is made, so a name cannot lead elsewhere
// than it did when somebody looked. Redirects are not followed, and proxies of the
// environment are not used.
package outbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"parlor/transport/origin"
)

// ErrPrivate is returned for an address that is not public and that nobody has allowed.
var ErrPrivate = errors.New("outbound: the address is private")

// errPlain is returned for plain HTTP to an address that nobody has allowed.
var errPlain = errors.New("outbound: only https goes to public addresses")

// Targets are the private addresses that requests may go to, and to which they may go in
// plain HTTP.
type Targets []netip.Prefix

// ParseTargets reads addresses and ranges.
func ParseTargets(texts []string) (Targets, error) {
	ranges, err := origin.ParseProxies(texts)
	return Targets(ranges), err
}

func (t Targets) allow(addr netip.Addr) bool {
	return slices.ContainsFunc(t, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// special are the ranges that are not private by their definition, and no public addresses
// either: of carriers, for documentation and tests, of other protocols, and those that
// hold an IPv4 address.
var special = prefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
)

func prefixes(texts ...string) (all Targets) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// Public reports whether the address is one of the internet.
func Public(addr netip.Addr) bool {
	addr = addr.Unmap()
	return addr.IsGlobalUnicast() && !addr.IsPrivate() && !special.allow(addr)
}

// refusal says why no connection may be made to the address.
func (t Targets) refusal(addr netip.Addr, plain bool) error {
	switch addr = addr.Unmap().WithZone(""); {
	case t.allow(addr):
		return nil
	case !Public(addr):
		return ErrPrivate
	case plain:
		return errPlain
	}
	return nil
}

// A Client sends requests. It may be used from any goroutine.
type Client struct {
	secure, plain *http.Client
}

// NewClient returns a client whose requests take at most timeout.
func NewClient(allowed Targets, timeout time.Duration) *Client {
	return &Client{guarded(allowed, timeout, false), guarded(allowed, timeout, true)}
}

func guarded(allowed Targets, timeout time.Duration, plain bool) *http.Client {
	return &http.Client{
		Timeout:       timeout,
		CheckRedirect: stay,
		Transport:     transport(timeout, allowed.dialer(timeout, plain).DialContext),
	}
}

// stay follows no redirect.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func (t Targets) dialer(timeout time.Duration, plain bool) *net.Dialer {
	return &net.Dialer{Timeout: timeout, Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		return t.refusal(at.Addr(), plain)
	}}
}

func transport(timeout time.Duration, dial func(ctx context.Context, network, address string) (net.Conn, error)) *http.Transport {
	return &http.Transport{
		DialContext: dial, TLSHandshakeTimeout: timeout, ForceAttemptHTTP2: true,
		MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 32 << 10,
	}
}

// maxAnswer is how much of an answer is read, in bytes, so that the connection can be
// used again.
const maxAnswer = 16 << 10

// Do sends a request, and returns the status and the header of the answer. It drops the body.
func (c *Client) Do(r *http.Request) (*http.Response, error) {
	client := c.secure
	if strings.EqualFold(r.URL.Scheme, "http") {
		client = c.plain
	}
	response, err := client.Do(r)
	if err != nil {
		return nil, shortened(err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxAnswer))
	response.Body = http.NoBody
	return response, nil
}

// shortened leaves out of an error what who asked knows: the URL, which may hold secrets,
// and that it was about to dial.
func shortened(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if dial, ok := errors.AsType[*net.OpError](err); ok && (errors.Is(err, ErrPrivate) || errors.Is(err, errPlain)) {
		err = dial.Err
	}
	return err
}

// Close closes the connections that wait for a next request.
func (c *Client) Close() {
	c.secure.CloseIdleConnections()
	c.plain.CloseIdleConnections()
}

// A StatusError is an answer that is no success.
type StatusError struct {
	Status     int
	RetryAfter time.Duration
}

// Error implements error.
func (e *StatusError) Error() string { return fmt.Sprintf("the answer was %d", e.Status) }

// After returns when the endpoint wants the next request at the earliest.
func (e *StatusError) After() time.Duration { return e.RetryAfter }

// Send is Do, with a [*StatusError] for an answer that is no success.
func (c *Client) Send(ctx context.Context, r *http.Request) error {
	response, err := c.Do(r.WithContext(ctx))
	if err != nil {
		return err
	}
	if response.StatusCode >= 200 && response.StatusCode < 300 {
		return nil
	}
	return &StatusError{response.StatusCode, retryAfter(response.Header.Get("Retry-After"))}
}

func retryAfter(text string) time.Duration {
	if seconds, err := time.ParseDuration(text + "s"); err == nil && seconds > 0 {
		return seconds
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
