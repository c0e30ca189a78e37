package transport

import (
	"cmp"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"parlor/protocol/engineio"
)

// The transports of [Options].Transports, named as in clients' requests.
const (
	TransportPolling   = "polling"
	TransportWebSocket = "websocket"
)

// The defaults of [Options]. Those that clients can notice are as in the reference
// implementation.
const (
	DefaultPingInterval      = 25 * time.Second
	DefaultPingTimeout       = 20 * time.Second
	DefaultMaxConns          = 100_000
	DefaultMaxPayload        = 1_000_000
	DefaultMaxPayloadPackets = 10_000
	DefaultQueueBytes        = 1 << 20
	DefaultWriteTimeout      = 10 * time.Second
	DefaultUpgradeTimeout    = 10 * time.Second
	DefaultCloseTimeout      = 5 * time.Second
	DefaultCompressAbove     = 1024
)

// Options configure a [Server]. The zero value is ready to use: it accepts
// same-origin browsers and all other programs, by polling and by WebSocket,
// and drops their messages.
type Options struct {
	// Accept is called once for each connection that has been opened, before
	// anything is read from it, and returns the Receiver of its messages. It
	// may call the Conn's methods. Nil drops all messages.
	Accept func(*Conn) Receiver

	// AllowRequest decides whether a request that would open a connection may
	// do so. The text of the error that it returns, if any, is shown to the
	// client, with code 4. It is called by many goroutines at once. Nil
	// allows all.
	AllowRequest func(*http.Request) error

	// Refused is called for each request that fails the handshake or names no
	// connection, by many goroutines at once. The reference implementation has
	// an event connection_error for it. It may be nil.
	Refused func(*http.Request, *engineio.Error)

	// Transports are the transports that clients may use. Nil means
	// TransportPolling and TransportWebSocket.
	Transports []string

	// DisableUpgrades makes connections that were opened by polling stay
	// with it.
	DisableUpgrades bool

	// PingInterval is the time between a pong and the next ping. Zero means
	// DefaultPingInterval.
	PingInterval time.Duration

	// PingTimeout is how long a client may take to answer a ping. Zero means
	// DefaultPingTimeout.
	PingTimeout time.Duration

	// MaxConns is the number of connections that may be open at once. Further
	// clients get status 503, and retry later. Zero means DefaultMaxConns.
	MaxConns int

	// MaxConnsPerAddress is the number of connections that may be open at once
	// from one address, or from one IPv6 network of 64 bits. Further clients get
	// status 429, and retry later. Zero means MaxConns. Behind a proxy see
	// [origin.Proxies].
	MaxConnsPerAddress int

	// MaxPayload is the number of bytes in one message of a client, and in
	// the body of one POST. Zero means DefaultMaxPayload.
	MaxPayload int

	// StrangerPayload is MaxPayload for clients that nobody has let in yet, see
	// [Conn.LetIn]. Clients are not told. Zero means MaxPayload.
	StrangerPayload int

	// StrangerBytes is the number of bytes of unfinished messages that the server
	// keeps for all those clients together. When there are more, it cuts off the
	// one whose message has been arriving for longest. Zero means no limit.
	StrangerBytes int

	// MaxPayloadPackets is the number of packets in the body of one POST.
	// Zero means DefaultMaxPayloadPackets. That is a large number because the
	// official client puts all its queued packets into one body.
	MaxPayloadPackets int

	// QueueBytes is the number of bytes that may wait to be sent to one client,
	// see [Conn.Send]. Zero means DefaultQueueBytes.
	QueueBytes int

	// Coalesce replaces frames that wait for a slow client by frames that say the
	// same in fewer bytes, if it can. It is called a few times for each frame at
	// most. The Conn is locked meanwhile: Coalesce must not call its methods, and
	// must not change the frames or keep the slice. Nil coalesces nothing.
	Coalesce func([]engineio.Frame) []engineio.Frame

	// Shed removes the frames that a client which is behind does not need, and
	// returns the others. It is called if more than QueueBytes would wait even
	// after Coalesce, under the same conditions. Nil removes none.
	Shed func([]engineio.Frame) []engineio.Frame

	// WriteTimeout is how long a client may read nothing while bytes are being
	// written to it. Zero means DefaultWriteTimeout.
	WriteTimeout time.Duration

	// UpgradeTimeout is how long a client may take to move from polling to a
	// WebSocket that it has opened. Zero means DefaultUpgradeTimeout.
	UpgradeTimeout time.Duration

	// CloseTimeout is how long a connection that is being closed may take to
	// send its queue and say goodbye. That includes waiting for a poll if there
	// is none. Zero means DefaultCloseTimeout.
	CloseTimeout time.Duration

	// AllowedOrigins are the origins, such as "https://example.com", whose
	// pages may connect besides those of the server's own host; "*" allows
	// all. Requests without an Origin do not come from pages and are allowed.
	AllowedOrigins []string

	// OriginRefused is called for each request that is refused because it comes
	// from a page of another origin, by many goroutines at once, see
	// [origin.Warnings]. It may be nil.
	OriginRefused func(*http.Request)

	// Ended is called with the reason when a connection has ended, by many goroutines at
	// once. It must not block. Nil is not called.
	Ended func(reason string)

	// Delivered is called for one in 16 writes to WebSockets: it gets the time from when there
	// was something to send until the system had taken it. It must not block. Nil is not called.
	Delivered func(time.Duration)

	// CORS says what the pages of AllowedOrigins may do in polling requests.
	CORS CORS

	// Cookie is set by the answer that opens a connection. Its value becomes the
	// connection's sid. It is for load balancers; the server does not read it.
	// [NewCookie] returns the usual one. Nil sets none.
	Cookie *http.Cookie

	// KeepHeaders are the names of the headers that [Conn.Header] returns. Nil
	// keeps all, which takes about a kilobyte for each connection of a browser.
	KeepHeaders []string

	// CompressAbove is the number of bytes above which the answer to a poll
	// is compressed for clients that accept gzip or deflate. Zero means
	// DefaultCompressAbove. A negative number means never.
	CompressAbove int

	// PerMessageDeflate lets clients negotiate the compression of WebSocket
	// messages (RFC 7692), without context takeover. Messages up to
	// DefaultCompressAbove are not compressed. Compressing a message costs several
	// times the processor time of sending it as it is.
	PerMessageDeflate bool

	// Logger receives the server's records. Nil discards them.
	Logger *slog.Logger
}

// CORS tells browsers what pages of other origins may do, see
// [Options].AllowedOrigins. Without allowed origins browsers are told nothing, and
// hide all answers from such pages.
type CORS struct {
	// Credentials lets pages make requests with cookies. It has no effect on
	// origins that only "*" allows, since browsers refuse that.
	Credentials bool

	// AllowedHeaders are the request headers that pages may set. Nil means
	// any.
	AllowedHeaders []string

	// ExposedHeaders are the headers of answers that pages may see besides
	// those that browsers always show.
	ExposedHeaders []string

	// MaxAge is how long a browser may remember all this, in whole seconds.
	// Zero means its own default.
	MaxAge time.Duration
}

// NewCookie returns the cookie that the reference implementation sets if its
// option cookie is on. It is called "io", is hidden from scripts, and is not sent with
// requests of foreign pages. It may be changed but must stay valid, see
// [http.Cookie.Valid]: an invalid cookie is not set.
func NewCookie() *http.Cookie {
	return &http.Cookie{Name: "io", Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

func (o Options) withDefaults() Options {
	if o.Accept == nil {
		o.Accept = func(*Conn) Receiver { return discard{} }
	}
	if o.Refused == nil {
		o.Refused = func(*http.Request, *engineio.Error) {}
	}
	if o.Ended == nil {
		o.Ended = func(string) {}
	}
	if o.Delivered == nil {
		o.Delivered = func(time.Duration) {}
	}
	if o.OriginRefused == nil {
		o.OriginRefused = func(*http.Request) {}
	}
	if o.AllowRequest == nil {
		o.AllowRequest = func(*http.Request) error { return nil }
	}
	if o.Transports == nil {
		o.Transports = []string{TransportPolling, TransportWebSocket}
	}
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.PingInterval = cmp.Or(o.PingInterval, DefaultPingInterval)
	o.PingTimeout = cmp.Or(o.PingTimeout, DefaultPingTimeout)
	o.MaxConns = cmp.Or(o.MaxConns, DefaultMaxConns)
	o.MaxPayload = cmp.Or(o.MaxPayload, DefaultMaxPayload)
	o.MaxPayloadPackets = cmp.Or(o.MaxPayloadPackets, DefaultMaxPayloadPackets)
	o.QueueBytes = cmp.Or(o.QueueBytes, DefaultQueueBytes)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, DefaultWriteTimeout)
	o.UpgradeTimeout = cmp.Or(o.UpgradeTimeout, DefaultUpgradeTimeout)
	o.CloseTimeout = cmp.Or(o.CloseTimeout, DefaultCloseTimeout)
	o.CompressAbove = cmp.Or(o.CompressAbove, DefaultCompressAbove)
	return o
}

// kept returns what a connection keeps of the headers of its first request.
func (o Options) kept(all http.Header) http.Header {
	if o.KeepHeaders == nil {
		return all
	}
	var kept http.Header
	for _, name := range o.KeepHeaders {
		values := all.Values(name)
		if len(values) == 0 {
			continue
		}
		if kept == nil {
			kept = make(http.Header)
		}
		kept[http.CanonicalHeaderKey(name)] = slices.Clone(values) // all values share an array
	}
	return kept
}

// allows reports whether clients may use the transport.
func (o Options) allows(transport string) bool {
	known := transport == TransportPolling || transport == TransportWebSocket
	return known && slices.Contains(o.Transports, transport)
}

// upgrades returns the transports to which a polling client may move.
func (o Options) upgrades() []string {
	if o.DisableUpgrades || !o.allows(TransportWebSocket) {
		return nil
	}
	return []string{TransportWebSocket}
}
