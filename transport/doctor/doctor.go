// Package doctor tries a deployment of parlor from outside in, through the proxies in
// front of it, and says what they get wrong and how to mend it.
//
//	URL → certificate → reach → Arrived (package probe) ─┬→ proxy headers, clock
//	                                                     ├→ WebSocket, polling: until the first heartbeat
//	                                                     ├→ stream, bodies, cookies, Authorization, compression
//	                                                     └→ Report
//
// # Servers that mean harm
//
// Each question has a limit of time, and each answer one of length. Redirects are told
// and not followed, but for one hop to the address that the server names for itself.
// Texts of servers are printed quoted.
package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"parlor/transport/probe"
)

// Limits of what a server may make a doctor do.
const (
	maxHeaders = 64 << 10
	maxAnswer  = 256 << 10
	maxWait    = 2 * time.Minute // for a heartbeat
	maxUpload  = 64 << 20
	maxHops    = 3
)

// uploadTimeout is how long one body may take to be sent.
const uploadTimeout = 2 * time.Minute

// Options say what to try and how.
type Options struct {
	// URL is where people open the page. It has a scheme, and may have a path, a user and a
	// password.
	URL string

	// Timeout is how long an answer may take to begin. Zero means 10 seconds.
	Timeout time.Duration

	// TLS configures connections to the server. Nil means the defaults.
	TLS *tls.Config

	// Now is the clock that the server's is compared with. Nil means [time.Now].
	Now func() time.Time
}

// ErrURL is returned for a URL that cannot be tried.
var ErrURL = errors.New("the URL must be as people open it, for example https://chat.example.com")

// Examine tries everything, which takes as long as the server's ping-interval.
func Examine(ctx context.Context, o Options) (*Report, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, ErrURL
	}
	u.Path, u.RawPath, u.RawQuery, u.Fragment = strings.TrimRight(u.Path, "/"), "", "", ""
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	e := &examination{Options: o, base: u, tls: o.TLS.Clone(), report: &Report{URL: u.Redacted()}}
	if e.tls == nil {
		e.tls = new(tls.Config)
	}
	if !e.checkCertificate(ctx) {
		return e.report, nil
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: e.tls, ForceAttemptHTTP2: true, DisableCompression: true,
		MaxResponseHeaderBytes: maxHeaders, ResponseHeaderTimeout: o.Timeout,
	}
	defer transport.CloseIdleConnections()
	e.http = &http.Client{
		Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if e.reach(ctx) {
		e.checkAll(ctx)
	}
	return e.report, ctx.Err()
}

// An examination is one run of [Examine].
type examination struct {
	Options
	base   *url.URL
	tls    *tls.Config
	http   *http.Client
	report *Report

	arrived *probe.Arrived // nil: the server does not tell
}

// A check is one of those that can be made at once. It returns what it has found.
type check func(context.Context) []Finding

// checkAll makes all checks at once. What they find is reported in their order.
func (e *examination) checkAll(ctx context.Context) {
	checks := []check{e.checkWebSocket, e.checkPolling, e.checkPage}
	if e.arrived != nil {
		checks = []check{
			e.checkHost, e.checkForwarded, e.checkWebSocket, e.checkPolling, e.checkStream, e.checkBodies, e.checkCookies,
			e.checkAuthorization, e.checkPage, e.checkClock,
		}
	}
	found := make([][]Finding, len(checks))
	var wg sync.WaitGroup
	for i, c := range checks {
		wg.Go(func() { found[i] = c(ctx) })
	}
	wg.Wait()
	for _, findings := range found {
		e.report.add(findings...)
	}
}

// url returns the URL of a path below the one that is tried.
func (e *examination) url(path string) string {
	u := *e.base
	path, u.RawQuery, _ = strings.Cut(path, "?")
	u.Path += path
	return u.String()
}

// origin is what a browser says of a page of the server.
func (e *examination) origin() string { return e.base.Scheme + "://" + e.base.Host }

// An answer is the head of a response, with the beginning of its body.
type answer struct {
	*http.Response
	body []byte
}

// ask sends a request and reads its answer.
func (e *examination) ask(ctx context.Context, method, path string, change func(*http.Request)) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, uploadTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, e.url(path), nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", "parlor-doctor")
	if change != nil {
		change(r)
	}
	response, err := e.http.Do(r)
	if err != nil {
		return nil, plain(err)
	}
	defer response.Body.Close()
	late := time.AfterFunc(e.Timeout, cancel) // for the rest of the answer
	defer late.Stop()
	body, err := readSome(response.Body)
	e.report.noticeProxy(response.Header)
	return &answer{response, body}, plain(err)
}

// askProbe asks what arrives of a request.
func (e *examination) askProbe(ctx context.Context, method, query string, change func(*http.Request)) (*probe.Arrived, *answer, error) {
	a, err := e.ask(ctx, method, apiPath+probe.Path+"?"+query, change)
	if err != nil {
		return nil, nil, err
	}
	return arrivedIn(a), a, nil
}

// plain takes the method and the URL out of an error, which people know.
func plain(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return errors.New("it did not answer in time")
	}
	return err
}

// said is the beginning of what a server has answered, for people to read.
func (a *answer) said() string {
	text := strings.Join(strings.Fields(string(a.body[:min(len(a.body), 120)])), " ")
	if text == "" {
		return fmt.Sprintf("status %d", a.StatusCode)
	}
	return fmt.Sprintf("status %d and %q", a.StatusCode, text)
}
