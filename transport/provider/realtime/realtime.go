// Package realtime talks with models that listen and speak, behind OpenAI's
// Realtime protocol as it became generally available.
//
//	Input → session → client events → WebSocket → provider
//	Delta ← outbox ← session ← server events ← reader ←┘
//
// A session is one goroutine that owns everything, beside one that reads its
// connection. The session puts deltas into a buffer of limited size and never
// waits for its consumer, so that the connection is always read and pings are
// always answered. What does not fit: audio is dropped, and the answer whose
// text does not fit fails.
//
// # The conversation
//
// The provider keeps the conversation for as long as the connection lives, and
// every Ask says what it now has to be: the session creates the messages that
// the provider lacks, in their places, and deletes those that are no part of it
// any more. So a new connection needs no other state than the next Ask, and
// what was spoken survives one as its transcript.
//
// # Answers
//
// The provider gives one answer at a time, and does not take back one that was
// asked for: one that was cancelled is ignored until its end has come, and the
// connection is replaced if it does not come in time. An answer is asked for
// again only if nothing of it has been told.
//
// # Connections
//
// One is opened when something is wanted of it, replaced in a quiet moment
// before the provider's limit of an hour, and opened again, later and later,
// when it was lost in such a moment.
package realtime

import (
	"cmp"
	"context"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/gorilla/websocket"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// DefaultBaseURL is where OpenAI itself answers.
const DefaultBaseURL = "https://api.openai.com/v1"

// Options configure a [Client]. The zero value is ready to use.
type Options struct {
	// Connect limits opening a connection, with its TLS and WebSocket
	// handshakes. Zero means 10 s.
	Connect time.Duration

	// FirstToken limits the time until the first piece of an answer, and Silence
	// the time between two. Zero means 60 s and 30 s.
	FirstToken, Silence time.Duration

	// Cancel limits the wait for the end of an answer that was cancelled,
	// before which no other is given. Zero means 3 s.
	Cancel time.Duration

	// Heartbeat is the time between pings. After twice that without a sign of
	// life a connection is lost. Zero means 20 s.
	Heartbeat time.Duration

	// MaxAge is when a connection is replaced; OpenAI ends it after 60 minutes.
	// Zero means 55 minutes.
	MaxAge time.Duration

	// Retries is how often an answer is asked for again, and a connection that
	// nobody waits for opened again. Zero means 3; a negative number none.
	Retries int

	// Backoff is the longest delay before the first retry, and half of it the
	// shortest; both double, up to MaxBackoff.
	// Zero means 500 ms and 30 s.
	Backoff, MaxBackoff time.Duration

	// MaxEvent limits the bytes of one server event; a longer one costs the
	// connection. Zero means 1 MiB.
	MaxEvent int64

	// MaxBuffer limits the bytes of deltas that wait for the consumer. Zero
	// means 1 MiB.
	MaxBuffer int

	// Transcription names the model that writes down what people say. Empty
	// means gpt-4o-mini-transcribe.
	Transcription string

	// Voice is the model's voice. Empty leaves it to the provider.
	Voice string

	// KeyHeader is the header that carries the key. Empty means Authorization.
	KeyHeader string

	// DialContext opens connections. Nil means the system's TCP.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

func (o Options) withDefaults() Options {
	o.Connect = cmp.Or(o.Connect, 10*time.Second)
	o.FirstToken = cmp.Or(o.FirstToken, 60*time.Second)
	o.Silence = cmp.Or(o.Silence, 30*time.Second)
	o.Cancel = cmp.Or(o.Cancel, 3*time.Second)
	o.Heartbeat = cmp.Or(o.Heartbeat, 20*time.Second)
	o.MaxAge = cmp.Or(o.MaxAge, 55*time.Minute)
	o.Retries = max(cmp.Or(o.Retries, 3), 0)
	o.Backoff = cmp.Or(o.Backoff, 500*time.Millisecond)
	o.MaxBackoff = cmp.Or(o.MaxBackoff, 30*time.Second)
	o.MaxEvent = cmp.Or(o.MaxEvent, 1<<20)
	o.MaxBuffer = cmp.Or(o.MaxBuffer, 1<<20)
	o.Transcription = cmp.Or(o.Transcription, "gpt-4o-mini-transcribe")
	return o
}

// A Client opens sessions at one base URL with one key. All methods may be
// called from any goroutine; sessions share nothing.
type Client struct {
	opts    Options
	base    *url.URL
	header  http.Header
	explain *upstream.Explainer
	dialer  websocket.Dialer
}

// New returns a client of the API at baseURL ([DefaultBaseURL] if empty). An
// empty key sends none. It connects to nothing yet. Errors are those of
// [upstream.New].
func New(baseURL, key string, o Options) (*Client, error) {
	base, err := upstream.ParseBaseURL(cmp.Or(baseURL, DefaultBaseURL))
	if err != nil {
		return nil, err
	}
	base.Scheme = map[string]string{"http": "ws", "https": "wss"}[base.Scheme]
	if strings.ContainsFunc(key, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return nil, upstream.ErrKey
	}
	header := http.Header{"User-Agent": {"parlor"}}
	switch {
	case key == "":
	case o.KeyHeader != "":
		header.Set(o.KeyHeader, key)
	default:
		header.Set("Authorization", "Bearer "+key)
	}
	return &Client{
		opts: o.withDefaults(), base: base.JoinPath("realtime"), header: header, explain: upstream.NewExplainer(base, key),
		dialer: websocket.Dialer{Proxy: http.ProxyFromEnvironment, NetDialContext: o.DialContext},
	}, nil
}

// Close does nothing: sessions end with their contexts.
func (c *Client) Close() error { return nil }

// The modalities of answers. Spoken ones come with the text of what is spoken.
const (
	spoken  = "audio"
	written = "text"
)

// Stream holds a session with the model p.Model, see [chat.Input], or without
// p.Input asks for one answer, in text alone.
//
// A failure between the session and its provider fails answers and
// what was said, with [chat.CodeProviderError] or [chat.CodeProviderTimeout],
// and not the session. When Stream returns, its connection is closed and its
// goroutines are gone.
func (c *Client) Stream(ctx context.Context, p chat.Prompt) iter.Seq2[chat.Delta, error] {
	if p.Input == nil {
		return c.once(ctx, p)
	}
	return c.session(ctx, p, spoken, nil)
}

// A Gate stands before the provider of sessions. Its methods may be called from
// any goroutine.
type Gate interface {
	// Admit lets an answer begin. ended is called once, with how it ended and,
	// if it failed, why.
	Admit() (ended func(chat.State, *upstream.Failure), err error)

	// Health returns how the provider fares.
	Health() chat.Health
}

// Session is Stream for a prompt with Input, each answer through a gate.
func (c *Client) Session(ctx context.Context, p chat.Prompt, g Gate) iter.Seq2[chat.Delta, error] {
	return c.session(ctx, p, spoken, g)
}

func (c *Client) session(ctx context.Context, p chat.Prompt, modality string, g Gate) iter.Seq2[chat.Delta, error] {
	return func(yield func(chat.Delta, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		s := newSession(c, p, modality)
		s.gate = g
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.out.end(s.run(ctx))
		}()
		defer func() {
			cancel()
			<-ended
		}()
		s.out.drain(yield)
	}
}

// once asks for one answer, as a stream of its own.
func (c *Client) once(ctx context.Context, p chat.Prompt) iter.Seq2[chat.Delta, error] {
	return func(yield func(chat.Delta, error) bool) {
		const answer = "answer"
		input := make(chan chat.Input, 1)
		input <- chat.Ask{Answer: answer, Messages: p.Messages, Tools: p.Tools, NoCalls: p.NoCalls, Choice: p.Choice}
		p.Input = input
		for d, err := range c.session(ctx, p, written, nil) {
			switch {
			case err != nil:
				yield(chat.Delta{}, err)
				return
			case d.Ended == nil:
				d.Answer = ""
				if !yield(d, nil) {
					return
				}
				continue
			case d.Ended.State != chat.StateCompleted:
				yield(chat.Delta{}, cmp.Or(d.Ended.Error, errCancelled))
			}
			return
		}
	}
}
