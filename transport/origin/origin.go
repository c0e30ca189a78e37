// Package origin says where a request comes from: which client has sent it, under
// which name the client knows this server, and whether a page of the same origin has
// made it.
//
//	request → [Proxies.Handler] → RemoteAddr, Host and [Secure] are the client's → [Same]
//
// # Behind a proxy
//
// A proxy makes requests of its own, with its own address and often another Host. The
// headers X-Forwarded-For, -Host and -Proto say what it was asked. Anybody can send
// them, so they count only in requests of proxies that the operator has named. The
// header Forwarded (RFC 7239) does not count: most proxies pass it on as the client
// sent it.
package origin

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Proxies are the addresses of the proxies whose X-Forwarded headers count.
type Proxies []netip.Prefix

// ParseProxies reads addresses, such as 10.0.0.1, and ranges, such as 10.0.0.0/8.
func ParseProxies(texts []string) (Proxies, error) {
	var proxies Proxies
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if addr, addrErr := netip.ParseAddr(text); addrErr == nil {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil || strings.Contains(text, "%") || prefix.Addr().Is4In6() {
			return nil, fmt.Errorf("%q, which is not an address such as 10.0.0.1 or a range such as 10.0.0.0/8", text)
		}
		proxies = append(proxies, prefix.Masked())
	}
	return proxies, nil
}

func (p Proxies) contain(addr netip.Addr) bool {
	return slices.ContainsFunc(p, func(prefix netip.Prefix) bool { return prefix.Contains(addr) })
}

// Handler gives next the requests of the proxies as their clients have made them:
// RemoteAddr is the address of the client, with port 0, and Host is what the client has
// asked for. Other requests pass unchanged.
func (p Proxies) Handler(next http.Handler) http.Handler {
	if len(p) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if peer := address(r.RemoteAddr); p.contain(peer) {
			r = p.restore(r, peer)
		}
		next.ServeHTTP(w, r)
	})
}

// Keys of context values: whether a proxy's client uses TLS, and that the proxy is trusted.
type (
	secureKey  struct{}
	trustedKey struct{}
)

// restore returns the request as the client has made it.
func (p Proxies) restore(r *http.Request, peer netip.Addr) *http.Request {
	r = r.WithContext(context.WithValue(r.Context(), trustedKey{}, true)) // a copy, which may be changed
	if proto := first(r.Header, "X-Forwarded-Proto"); proto != "" {
		secure := strings.EqualFold(proto, "https") || strings.EqualFold(proto, "wss")
		r = r.WithContext(context.WithValue(r.Context(), secureKey{}, secure))
	}
	if client := p.client(peer, r.Header); client != peer {
		r.RemoteAddr = netip.AddrPortFrom(client, 0).String()
	}
	r.Host = cmp.Or(first(r.Header, "X-Forwarded-Host"), r.Host)
	return r
}

// client returns the address of the client. Each proxy appends the address that it was
// asked from to X-Forwarded-For. So the client is the last that is not a proxy itself:
// the client can have made up those before.
func (p Proxies) client(peer netip.Addr, h http.Header) netip.Addr {
	hops := strings.Split(strings.Join(h.Values("X-Forwarded-For"), ","), ",")
	client := peer
	for _, hop := range slices.Backward(hops) {
		hop := address(strings.TrimSpace(hop))
		if !p.contain(client) || !hop.IsValid() {
			break
		}
		client = hop
	}
	return client
}

// first returns the first element of the list in a header. The proxy that the client
// has asked wrote it.
func first(h http.Header, name string) string {
	element, _, _ := strings.Cut(h.Get(name), ",")
	return strings.TrimSpace(element)
}

// address returns the address in "address" or "address:port". It is invalid if the text
// is neither.
func address(text string) netip.Addr {
	if with, err := netip.ParseAddrPort(text); err == nil {
		return with.Addr().Unmap().WithZone("")
	}
	addr, _ := netip.ParseAddr(strings.Trim(text, "[]"))
	return addr.Unmap().WithZone("")
}

// Neighbourhood returns the addresses that one client can choose from, for limits that
// hold for each client: the address itself, or the 64 bits of an IPv6 network that one
// customer gets. remote is an [http.Request.RemoteAddr].
func Neighbourhood(remote string) netip.Prefix {
	addr := address(remote)
	prefix, _ := addr.Prefix(min(addr.BitLen(), 64)) // the zero Prefix if the address is invalid
	return prefix
}

// Trusted reports whether the request came from one of the proxies.
func Trusted(r *http.Request) bool { return r.Context().Value(trustedKey{}) != nil }

// Secure reports whether the client uses TLS, with this server or with a proxy.
func Secure(r *http.Request) bool {
	secure, _ := r.Context().Value(secureKey{}).(bool)
	return secure || r.TLS != nil
}

// Same reports whether the page that has made the request is of the origin that the
// request is for. It reports false if no page has made it. Whether that origin uses TLS
// may be known to a proxy only, which need not say so.
func Same(r *http.Request) bool {
	page, err := url.Parse(r.Header.Get("Origin"))
	if err != nil || page.Host == "" || Secure(r) && page.Scheme != "https" {
		return false
	}
	return withPort(page.Host, page.Scheme) == withPort(r.Host, page.Scheme)
}

// Admits reports whether a WebSocket may be opened by the request: no page has made it, or
// one of the same origin or of those that are allowed. Browsers ask no server before they
// open one, and send the user's cookies along (CVE-2019-13611).
func Admits(r *http.Request, allowed []string) bool {
	page := r.Header.Get("Origin")
	return page == "" || Same(r) || Listed(allowed, page)
}

// Listed reports whether origin is among those that are allowed, "*" being all.
func Listed(allowed []string, origin string) bool {
	return slices.ContainsFunc(allowed, func(a string) bool { return a == "*" || normal(a) == normal(origin) })
}

// normal returns an origin in lower case and with its port.
func normal(origin string) string {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return strings.ToLower(origin)
	}
	return u.Scheme + "://" + withPort(u.Host, u.Scheme)
}

// defaultPorts are the ports that URLs of the schemes need not name.
var defaultPorts = map[string]string{"http": "80", "https": "443"}

// withPort returns a host in lower case and with its port.
func withPort(host, scheme string) string {
	u := url.URL{Host: host}
	return strings.ToLower(u.Hostname()) + ":" + cmp.Or(u.Port(), defaultPorts[scheme])
}

// forwarding matches the names of headers that proxies add to what they pass on: of the
// original request, or the address of its client. No browser sends one by itself.
var forwarding = regexp.MustCompile(`Forwarded|-(Client)?[Ii]p$|^(Via|X-Original-Host|X-Envoy-External-Address|X-Scheme|Cdn-Loop|Tailscale-User-.*)$`)

// Forwarded returns the name of a header which shows that the request has come through
// a proxy, or "" if there is none.
func Forwarded(h http.Header) string {
	for name := range h {
		if forwarding.MatchString(name) {
			return name
		}
	}
	return ""
}
