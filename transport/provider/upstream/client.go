// Package upstream is what the clients of all providers behind HTTP share:
// they differ in what they ask, and in the events of which an answer consists.
//
//	Prompt → Dialect → POST → first bytes ─┬─ events → lines → sse.Read ─┬→ Decoder → stream → Delta, Delta, … Usage
//	                   watchdog ──┘        ├─ JSON ──────────────────────┘
//	                                       └─ anything else → Explainer → Failure
//
// # What counts as an answer
//
// An answer is whole when its stream ends as its protocol wants it, or its body
// ends well, after the provider gave a reason for the end, whatever that is. The
// reason alone is a mere claim, which more of the answer takes back. Everything
// else that ends a stream is a failure: a connection that was closed in
// mid-sentence looks exactly like a short answer. Text that was yielded before
// stays valid.
//
// # Time
//
// There is no limit on the whole answer; that is the caller's context. There
// is one on silence, see [Options]. It stands still while the consumer holds
// a piece, so that a slow consumer is never taken for a silent provider.
package upstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// Defaults of [Options].
const (
	DefaultConnect    = 10 * time.Second
	DefaultFirstToken = 120 * time.Second
	DefaultKeptAlive  = 5 * time.Minute
	DefaultSilence    = 60 * time.Second
	DefaultMaxEvent   = 1 << 20
)

// Connections that are kept for the next request, and how long.
const (
	maxIdleConns = 16
	idleConnTime = 90 * time.Second
)

// An HTTP/2 connection carries many streams; a dead one is found out by a
// ping after this much silence on all of them, and given up after the second.
const (
	pingAfter   = 15 * time.Second
	pingTimeout = 10 * time.Second
)

// Options configure a [Client]. The zero value is ready to use.
type Options struct {
	// Connect limits opening a connection, and then its TLS handshake. Zero
	// means [DefaultConnect].
	Connect time.Duration

	// FirstToken limits the time without any event, counted from the start of
	// the request, until the first text has come. Providers think, queue and
	// load models in it. Zero means [DefaultFirstToken].
	FirstToken time.Duration

	// KeptAlive is how far FirstToken is extended by comments and events with
	// which a provider shows that it is there though it has nothing to say. It is
	// counted from the last event that says more. Zero means [DefaultKeptAlive].
	KeptAlive time.Duration

	// Silence limits the time without any event after the first text. Comments
	// do not extend it: they prove that a proxy lives, not the model. Zero means
	// [DefaultSilence].
	Silence time.Duration

	// MaxEvent limits the bytes of one event. A longer one fails the answer.
	// Zero means [DefaultMaxEvent].
	MaxEvent int

	// KeyHeader is the header that carries the key, with nothing before it.
	// Empty means as the API wants it.
	KeyHeader string

	// Dialect is how the server differs from its protocol, as far as that is
	// known before it is asked.
	Dialect Dialect

	// Logger is told what a model was found not to take. Nil discards.
	Logger *slog.Logger

	// DialContext opens connections. Nil means the system's TCP with Connect
	// as its limit.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

func (o Options) withDefaults() Options {
	o.Connect = cmp.Or(o.Connect, DefaultConnect)
	o.FirstToken = cmp.Or(o.FirstToken, DefaultFirstToken)
	o.KeptAlive = max(cmp.Or(o.KeptAlive, DefaultKeptAlive), o.FirstToken)
	o.Silence = cmp.Or(o.Silence, DefaultSilence)
	o.MaxEvent = cmp.Or(o.MaxEvent, DefaultMaxEvent)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.DialContext == nil {
		o.DialContext = (&net.Dialer{Timeout: o.Connect}).DialContext
	}
	return o
}

// SetKey adds the key to the header of a request, if there is one: as o says,
// or else as name and with prefix before it.
func (o Options) SetKey(header http.Header, name, prefix, key string) {
	switch {
	case key == "":
	case o.KeyHeader != "":
		header.Set(o.KeyHeader, key)
	default:
		header.Set(name, prefix+key)
	}
}

// Errors of [New].
var (
	ErrBaseURL = errors.New("base URL must be absolute, http or https, without user and fragment")
	ErrKey     = errors.New("key holds characters that no HTTP header can carry")
)

// An API is where prompts are sent, and with what.
type API struct {
	BaseURL string
	Path    string      // after the base
	Header  http.Header // of every request
	Key     string      // that Header holds, and no error may
}

// A Client streams answers from one API.
//
// All methods may be called from any goroutine; streams run side by side and
// share the connections. Who called [New] calls Close.
type Client struct {
	*Explainer
	opts     Options
	host     string // for the log
	endpoint string
	header   http.Header
	http     *http.Client
	dialects dialects
}

// New returns a client of api. It connects to nothing yet.
func New(api API, o Options) (*Client, error) {
	base, err := ParseBaseURL(api.BaseURL)
	if err != nil {
		return nil, err
	}
	if strings.ContainsFunc(api.Key, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return nil, ErrKey
	}
	o = o.withDefaults()
	return &Client{
		Explainer: NewExplainer(base, api.Key),
		opts:      o,
		host:      base.Host,
		endpoint:  base.JoinPath(api.Path).String(),
		header:    api.Header,
		http:      &http.Client{Transport: newTransport(o), CheckRedirect: refuseRedirect},
	}, nil
}

// ParseBaseURL returns s as a URL if it can be the base of an API. Errors
// wrap [ErrBaseURL] and do not repeat s, which may hold a password.
func ParseBaseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return nil, ErrBaseURL
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%w: the scheme is %q", ErrBaseURL, u.Scheme)
	}
	return u, nil
}

func newTransport(o Options) *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         o.DialContext,
		TLSHandshakeTimeout: o.Connect,
		MaxIdleConnsPerHost: maxIdleConns,
		IdleConnTimeout:     idleConnTime,
		ForceAttemptHTTP2:   true,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		DisableCompression:  true, // a compressor holds pieces back
	}
}

// refuseRedirect keeps the key and the conversation on the configured host;
// the 3xx is reported like any other status.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Close closes the connections that no stream uses. Streams that run go on.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}
