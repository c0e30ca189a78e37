package doctor

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"parlor/transport/probe"
)

const (
	// wrongClock is how far two clocks may differ: as much as jwt-leeway allows tokens.
	wrongClock = 10 * time.Second

	// longToken is how long an Authorization header is tried: tokens of identity providers
	// with many groups are as long.
	longToken = 4 << 10
)

// checkHost looks whether parlor knows by which name people come.
func (e *examination) checkHost(context.Context) []Finding {
	if e.arrived.SameOrigin {
		return []Finding{{"host", OK, "parlor knows that people come to " + e.base.Host, ""}}
	}
	return []Finding{{"host", Fault, fmt.Sprintf(
		"parlor sees the Host %q, and browsers ask for %q: pages are refused as those of another origin. The header Host is changed on the way, and X-Forwarded-Host does not count or is missing",
		e.arrived.Host, e.base.Host), Host}}
}

// checkForwarded looks whether parlor knows the addresses of clients, and that they use TLS.
func (e *examination) checkForwarded(context.Context) []Finding {
	a := e.arrived
	_, addressed := a.Headers["X-Forwarded-For"]
	proto, said := a.Headers["X-Forwarded-Proto"]
	secure := e.base.Scheme == "https"
	switch {
	case !a.Trusted && !e.behindProxy():
		return []Finding{{"forwarded", OK, "there seems to be no proxy", ""}}
	case !addressed:
		return []Finding{{"forwarded", Fault, "the header X-Forwarded-For is missing: to parlor all clients have one address, " + strconv.Quote(a.Client) + ", and share the limits of one", Forward}}
	case !a.Trusted:
		return []Finding{{"forwarded", Fault, fmt.Sprintf(
			"trusted-proxies does not name the proxy, which has the address %q: so X-Forwarded-For, -Host and -Proto do not count, all clients share the limits of one address, and cookies are not Secure", a.Client), Trust}}
	case secure && !said:
		return []Finding{{"forwarded", Fault, "the header X-Forwarded-Proto is missing: parlor does not know that clients use TLS, and its cookies are not Secure", Forward}}
	case secure && !a.Secure:
		return []Finding{{"forwarded", Fault, fmt.Sprintf("the header X-Forwarded-Proto is %q and has to be https: else cookies are not Secure", proto), Forward}}
	}
	return []Finding{{"forwarded", OK, fmt.Sprintf("parlor knows the address of a client (%q)", a.Client), ""}}
}

// behindProxy reports whether something shows that a proxy is in between.
func (e *examination) behindProxy() bool {
	a := e.arrived
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Forwarded", "Via"} {
		if _, ok := a.Headers[name]; ok {
			return true
		}
	}
	ours, theirs := net.ParseIP(e.base.Hostname()), net.ParseIP(a.Client)
	return e.base.Scheme == "https" && !a.Secure || // who ends TLS?
		e.report.proxy != "" || a.Protocol == "HTTP/1.0" ||
		ours != nil && !ours.IsLoopback() && theirs != nil && theirs.IsLoopback()
}

// checkStream looks whether server-sent events come when they are sent.
func (e *examination) checkStream(ctx context.Context) []Finding {
	found := func(l Level, cure Cure, format string, args ...any) []Finding {
		return []Finding{{"stream", l, fmt.Sprintf(format, args...), cure}}
	}
	ctx, cancel := context.WithTimeout(ctx, 2*e.Timeout+probe.Pieces*probe.Pause)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, e.url(apiPath+probe.StreamPath), nil)
	if err != nil {
		return found(Fault, "", "%s", err)
	}
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Accept-Encoding", "gzip")
	response, err := e.http.Do(r)
	if err != nil {
		return found(Fault, NoBuffering, "no answer: %s", plain(err))
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, _ := readSome(response.Body)
		return found(Fault, "", "refused: %s", (&answer{response, body}).said())
	}
	compressed := response.Header.Get("Content-Encoding") != ""
	sent, got, err := pieces(response)
	last := len(sent) - 1
	switch {
	case last < probe.Pieces-1:
		return found(Fault, Wait, "it ends after %d of %d events: %s", len(sent), probe.Pieces, cmp.Or(plain(err), io.EOF))
	case got[last].Sub(got[0]) < sent[last].Sub(sent[0])/2 && compressed:
		return found(Fault, NoBuffering, "it is compressed on the way (%.40q), and held back: events of %s came all at once", response.Header.Get("Content-Encoding"), round(sent[last].Sub(sent[0])))
	case got[last].Sub(got[0]) < sent[last].Sub(sent[0])/2:
		return found(Fault, NoBuffering, "it is held back (buffering): events of %s came all at once, so answers would", round(sent[last].Sub(sent[0])))
	case compressed:
		return found(Note, "", "compressed on the way, and nevertheless on time")
	}
	return found(OK, "", "server-sent events come when they are sent")
}

// pieces returns when each event of a stream was sent and got.
func pieces(response *http.Response) (sent, got []time.Time, err error) {
	body := io.LimitReader(response.Body, maxAnswer)
	if response.Header.Get("Content-Encoding") == "gzip" {
		if body, err = gzip.NewReader(body); err != nil {
			return nil, nil, err
		}
		body = io.LimitReader(body, maxAnswer)
	}
	lines := bufio.NewScanner(body)
	for lines.Scan() && len(sent) < probe.Pieces {
		if stamp, is := strings.CutPrefix(lines.Text(), "data: "); is {
			ms, err := strconv.ParseInt(stamp, 10, 64)
			if err != nil {
				return sent, got, err
			}
			sent, got = append(sent, time.UnixMilli(ms)), append(got, time.Now())
		}
	}
	return sent, got, lines.Err()
}

// checkBodies sends as much as clients may send.
func (e *examination) checkBodies(ctx context.Context) []Finding {
	type size struct {
		what  string
		bytes int64
	}
	sizes := []size{{"max-payload", e.arrived.Limits.Payload}, {"max-file-bytes", e.arrived.Limits.File}}
	slices.SortFunc(sizes, func(a, b size) int { return cmp.Compare(a.bytes, b.bytes) })
	for _, s := range sizes {
		n := min(s.bytes, maxUpload)
		arrived, a, err := e.askProbe(ctx, http.MethodPost, "", func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(io.LimitReader(zeros{}, n)), n
			r.Header.Set("Content-Type", "application/octet-stream")
		})
		switch {
		case err != nil:
			return []Finding{{"body", Fault, fmt.Sprintf("%d bytes (%s) were cut: %s", n, s.what, err), LargeBody}}
		case arrived == nil && a.StatusCode == http.StatusRequestEntityTooLarge:
			return []Finding{{"body", Fault, fmt.Sprintf("clients may send %d bytes (%s), and the proxy lets fewer through", n, s.what), LargeBody}}
		case arrived == nil:
			return []Finding{{"body", Fault, fmt.Sprintf("%d bytes (%s) do not arrive: %s", n, s.what, a.said()), ""}}
		case arrived.Body != n:
			return []Finding{{"body", Fault, fmt.Sprintf("of %d bytes (%s) %d arrived", n, s.what, arrived.Body), LargeBody}}
		}
	}
	return []Finding{{"body", OK, fmt.Sprintf("%d bytes arrive", min(sizes[1].bytes, maxUpload)), ""}}
}

// zeros are bytes without end.
type zeros struct{}

// Read implements [io.Reader].
func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// checkCookies signs in as little as can be: a cookie is set, and sent back.
func (e *examination) checkCookies(ctx context.Context) []Finding {
	fault := func(format string, args ...any) []Finding {
		return []Finding{{"cookies", Fault, fmt.Sprintf(format, args...) + ", so nobody stays signed in", CookiePath}}
	}
	value := rand.Text()
	_, a, err := e.askProbe(ctx, http.MethodGet, "cookie="+value, nil)
	if err != nil {
		return fault("no answer: %s", err)
	}
	set := a.Cookies()
	i := slices.IndexFunc(set, func(c *http.Cookie) bool { return c.Name == probe.Cookie })
	if i < 0 {
		return fault("the header Set-Cookie is removed, or the cookie is renamed")
	}
	cookie := set[i]
	jar, err := cookiejar.New(nil)
	if err != nil {
		return fault("%s", err)
	}
	whole := *cookie
	whole.Secure = false // whether it must be is looked at elsewhere
	jar.SetCookies(a.Request.URL, []*http.Cookie{&whole})
	for _, path := range []string{"/socket.io/", apiPath + "/auth/me"} {
		if u, err := url.Parse(e.url(path)); err != nil || len(jar.Cookies(u)) == 0 {
			return fault("a cookie with Path=%.100q and Domain=%.100q is not sent to %.200s", cookie.Path, cookie.Domain, e.base.Path+path)
		}
	}
	if !cookie.HttpOnly || cookie.SameSite == 0 {
		return []Finding{{"cookies", Fault, "HttpOnly or SameSite is removed from Set-Cookie: scripts and other sites could use the cookies", CookiePath}}
	}
	arrived, _, err := e.askProbe(ctx, http.MethodGet, "", func(r *http.Request) { r.AddCookie(&http.Cookie{Name: probe.Cookie, Value: value}) })
	if err != nil || arrived == nil || arrived.Cookie != value {
		return fault("the header Cookie does not reach parlor")
	}
	return []Finding{{"cookies", OK, "set, and sent back", ""}}
}

// checkAuthorization sends a token, which nobody looks at.
func (e *examination) checkAuthorization(ctx context.Context) []Finding {
	if e.base.User != nil {
		return []Finding{{"authorization", Note, "not tried: the proxy uses it for its own password, so programs need the header as well", ""}}
	}
	token := "Bearer " + strings.Repeat("x", longToken)
	arrived, a, err := e.askProbe(ctx, http.MethodGet, "", func(r *http.Request) { r.Header.Set("Authorization", token) })
	switch {
	case err != nil:
		return []Finding{{"authorization", Fault, fmt.Sprintf("a token of %d bytes has no answer: %s", longToken, err), Headers}}
	case arrived == nil:
		return []Finding{{"authorization", Fault, fmt.Sprintf("a token of %d bytes is refused on the way: %s", longToken, a.said()), Headers}}
	case arrived.Authorization == 0:
		return []Finding{{"authorization", Fault, "the header Authorization does not reach parlor, so programs cannot sign in", Headers}}
	case arrived.Authorization != len(token):
		return []Finding{{"authorization", Fault, "the header Authorization is changed on the way, so programs cannot sign in", Headers}}
	}
	return []Finding{{"authorization", OK, "a long token arrives", ""}}
}

// checkPage opens the page, and looks whether what is compressed can be read.
func (e *examination) checkPage(ctx context.Context) []Finding {
	fault := func(cure Cure, format string, args ...any) []Finding {
		return []Finding{{"page", Fault, fmt.Sprintf(format, args...), cure}}
	}
	a, err := e.ask(ctx, http.MethodGet, "/", func(r *http.Request) { r.Header.Set("Accept-Encoding", "gzip") })
	if err != nil {
		return fault("", "no answer: %s", err)
	}
	if a.StatusCode != http.StatusOK {
		return fault(PathPrefix, "it does not open: %s", a.said())
	}
	body, err := a.decoded()
	if err != nil {
		return fault(NoBuffering, "it says that it is compressed (%.40q), and cannot be unpacked: %s", a.Header.Get("Content-Encoding"), err)
	}
	if !strings.Contains(strings.ToLower(string(body)), "<!doctype html") {
		return fault("", "it is no page: %s", a.said())
	}
	if e.arrived != nil && a.Header.Get("Content-Encoding") == "" {
		return []Finding{{"page", Note, "it opens, but is not compressed: the proxy takes Accept-Encoding away, so it loads slowly", ""}}
	}
	return []Finding{{"page", OK, "it opens", ""}}
}

// decoded is the body of an answer as it was before it was compressed.
func (a *answer) decoded() ([]byte, error) {
	switch coding := a.Header.Get("Content-Encoding"); coding {
	case "", "identity":
		return a.body, nil
	case "gzip":
		unpacked, err := gzip.NewReader(strings.NewReader(string(a.body)))
		if err != nil {
			return nil, err
		}
		return readSome(unpacked)
	default:
		return nil, fmt.Errorf("nobody has asked for %.40q", coding)
	}
}

// checkClock compares the clocks.
func (e *examination) checkClock(ctx context.Context) []Finding {
	begun := e.Now()
	arrived, _, err := e.askProbe(ctx, http.MethodGet, "", nil)
	if err != nil || arrived == nil {
		return []Finding{{"clock", Note, "not known", ""}}
	}
	ended := e.Now()
	ahead := arrived.Now.Sub(begun.Add(ended.Sub(begun) / 2))
	if ahead.Abs() > wrongClock+ended.Sub(begun) {
		which := "ahead of"
		if ahead < 0 {
			which = "behind"
		}
		return []Finding{{"clock", Fault, fmt.Sprintf("the server's is %s %s this computer's: tokens are refused that are not good yet, or any more. Have both use NTP", round(ahead.Abs()), which), ""}}
	}
	return []Finding{{"clock", OK, "the same as this computer's", ""}}
}
