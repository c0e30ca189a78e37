// Package openai asks models behind OpenAI's chat completions protocol and
// streams their answers.
//
//	Prompt → POST {base}/chat/completions → body → lines → sse.Read → stream → Delta, Delta, … Usage
//	                                         watchdog ──────────────────┘
//
// Any server that speaks the protocol will do; which one is the base URL.
//
// # What counts as an answer
//
// An answer is complete when the provider gave a finish_reason, whatever it
// is. Everything else that ends a stream (a cut, a clean end of the body, even
// [DONE]) is a failure: a connection that was closed in mid-sentence looks
// exactly like a short answer. Text that was yielded before stays valid.
//
// # Time
//
// There is no limit on the whole answer; that is the caller's context. There
// is one on silence, see [Options]. It stands still while the consumer holds
// a piece, so that a slow consumer is never taken for a silent provider.
package openai

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode"

	"parlor/protocol/chat"
)

// DefaultBaseURL is where OpenAI itself answers.
const DefaultBaseURL = "https://api.openai.com/v1"

// What [Options] hold when they are zero.
const (
	DefaultConnect    = 10 * time.Second
	DefaultFirstToken = 120 * time.Second
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

	// Header limits the wait for the response header after the request was
	// written. Zero means FirstToken.
	Header time.Duration

	// FirstToken limits the time without any event, counted from the start of
	// the request, until the first text has come. Providers think, queue and
	// load models in it. Zero means [DefaultFirstToken].
	FirstToken time.Duration

	// Silence limits the time without any event after the first text. Comments
	// are not events: they prove that a proxy lives, not the model. Zero means
	// [DefaultSilence].
	Silence time.Duration

	// MaxEvent limits the bytes of one event. A longer one fails the answer.
	// Zero means [DefaultMaxEvent].
	MaxEvent int

	// DialContext opens connections. Nil means the system's TCP with Connect
	// as its limit.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

func (o Options) withDefaults() Options {
	o.Connect = cmp.Or(o.Connect, DefaultConnect)
	o.FirstToken = cmp.Or(o.FirstToken, DefaultFirstToken)
	o.Header = cmp.Or(o.Header, o.FirstToken)
	o.Silence = cmp.Or(o.Silence, DefaultSilence)
	o.MaxEvent = cmp.Or(o.MaxEvent, DefaultMaxEvent)
	if o.DialContext == nil {
		o.DialContext = (&net.Dialer{Timeout: o.Connect}).DialContext
	}
	return o
}

// Errors of [New].
var (
	ErrBaseURL = errors.New("openai: base URL must be absolute, http or https, without user and fragment")
	ErrKey     = errors.New("openai: key holds characters that no HTTP header can carry")
)

// A Client streams answers from one base URL with one key.
//
// All methods may be called from any goroutine; streams run side by side and
// share the connections. Who called [New] calls Close.
type Client struct {
	opts     Options
	endpoint string
	key      string
	secret   *regexp.Regexp // what must not appear in an error
	http     *http.Client
}

// New returns a client of the API at baseURL ([DefaultBaseURL] if empty). An
// empty key sends none, as local servers like it. It connects to nothing yet.
func New(baseURL, key string, o Options) (*Client, error) {
	base, err := ParseBaseURL(cmp.Or(baseURL, DefaultBaseURL))
	if err != nil {
		return nil, err
	}
	if strings.ContainsFunc(key, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return nil, ErrKey
	}
	o = o.withDefaults()
	return &Client{
		opts:     o,
		endpoint: base.JoinPath("chat", "completions").String(),
		key:      key,
		secret:   secretPattern(key),
		http:     &http.Client{Transport: newTransport(o), CheckRedirect: refuseRedirect},
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
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           o.DialContext,
		TLSHandshakeTimeout:   o.Connect,
		ResponseHeaderTimeout: o.Header,
		MaxIdleConnsPerHost:   maxIdleConns,
		IdleConnTimeout:       idleConnTime,
		ForceAttemptHTTP2:     true,
		HTTP2:                 &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		DisableCompression:    true, // a compressor holds pieces back
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

// Stream asks the model p.Model, by the provider's own name for it, and
// yields the answer piece by piece; usage, if it was reported, comes last and
// without text.
//
// It ends after the last piece or after one error: a [*chat.Error] in the
// chain for what the provider did ([chat.CodeProviderError],
// [chat.CodeProviderTimeout]), or the cause of ctx. While the consumer holds a
// piece nothing more is read from the connection. When it returns, the
// request is over and its connection closed or back in the pool.
func (c *Client) Stream(ctx context.Context, p chat.Prompt) iter.Seq2[chat.Delta, error] {
	return func(yield func(chat.Delta, error) bool) {
		w := newWatchdog(ctx, c.opts.FirstToken)
		defer w.stop()

		body, err := c.ask(w, p)
		if err != nil {
			yield(chat.Delta{}, err)
			return
		}
		defer body.Close()

		s := stream{client: c, watchdog: w, yield: yield}
		s.run(body)
	}
}
