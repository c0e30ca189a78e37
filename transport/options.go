package transport

import (
	"cmp"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"parlor/protocol/engineio"
)

// The transports of [Options].Transports, by the names with which clients ask
// for them.
const (
	TransportPolling   = "polling"
	TransportWebSocket = "websocket"
)

// The defaults of [Options]. Those that clients can notice are the reference
// implementation's.
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
// and drops what they send.
type Options struct {
	// Accept is called once for each connection that has been opened, before
	// anything is read from it, and returns who receives what it sends. It
	// may call the Conn's methods. Nil drops everything.
	Accept func(*Conn) Receiver

	// AllowRequest decides whether a request that would open a connection may
	// do so. The text of the error that it returns, if any, is shown to the
	// client, with code 4. It is called by many goroutines at once. Nil
	// allows all.
	AllowRequest func(*http.Request) error

	// Refused is called for each request that does not get through the
	// handshake or names no connection, by many goroutines at once: what the
	// reference implementation calls connection_error. Nil is not called.
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

	// MaxConns is the number of connections that may be open at once; past it
	// clients are answered with status 503 and come back later. Zero means
	// DefaultMaxConns.
	MaxConns int

	// MaxPayload is the number of bytes in one message of a client, and in
	// the body of one POST. Zero means DefaultMaxPayload.
	MaxPayload int

	// MaxPayloadPackets is the number of packets in the body of one POST.
	// Zero means DefaultMaxPayloadPackets: the official client puts all that
	// waits in one body, however much that is.
	MaxPayloadPackets int

	// QueueBytes is how much may wait to be sent to one client, see
	// [Conn.Send]. Zero means DefaultQueueBytes.
	QueueBytes int

	// Coalesce returns frames that say the same as those that wait for a slow
	// client in fewer bytes, if it can. It is called a few times for each frame
	// at most, with the Conn locked: it must not call the Conn's methods, nor
	// change the frames or keep the slice. Nil leaves everything as it is.
	Coalesce func([]engineio.Frame) []engineio.Frame

	// Shed returns the frames without those that a client which is behind can do
	// without. It is called where what Coalesce returns would still take more
	// than QueueBytes, under the same conditions. Nil keeps all.
	Shed func([]engineio.Frame) []engineio.Frame

	// WriteTimeout is how long a client may take to read anything of what is
	// being written to it. Zero means DefaultWriteTimeout.
	WriteTimeout time.Duration

	// UpgradeTimeout is how long a client may take to move from polling to a
	// WebSocket that it has opened. Zero means DefaultUpgradeTimeout.
	UpgradeTimeout time.Duration

	// CloseTimeout is how long a connection that is being closed may take to
	// send what is queued and to say goodbye; where no poll waits, also how
	// long the next one is waited for. Zero means DefaultCloseTimeout.
	CloseTimeout time.Duration

	// AllowedOrigins are the origins, such as "https://example.com", whose
	// pages may connect besides those of the server's own host; "*" allows
	// all. Requests without an Origin do not come from pages and are allowed.
	AllowedOrigins []string

	// CORS says what the pages of AllowedOrigins may do in polling requests.
	CORS CORS

	// Cookie is set, with the connection's sid as its value, by the answer
	// that opens a connection: load balancers may look for it, the server
	// does not. [NewCookie] returns the usual one. Nil sets none.
	Cookie *http.Cookie

	// KeepHeaders are the names of the headers that [Conn.Header] returns; the
	// others of a browser cost each connection about a kilobyte for life. Nil
	// keeps all.
	KeepHeaders []string

	// CompressAbove is the number of bytes above which the answer to a poll
	// is compressed for clients that accept gzip or deflate. Zero means
	// DefaultCompressAbove, less than zero never.
	CompressAbove int

	// PerMessageDeflate lets clients negotiate the compression of WebSocket
	// messages (RFC 7692), without context takeover. Messages up to
	// DefaultCompressAbove are not compressed. Each one that is costs several
	// times the processor time of one that is not.
	PerMessageDeflate bool

	// Logger receives the server's records. Nil discards them.
	Logger *slog.Logger
}

// CORS is what browsers are told about requests of other origins' pages, see
// [Options].AllowedOrigins. Without allowed origins they are told nothing, and
// let such pages see nothing.
type CORS struct {
	// Credentials lets pages make requests with cookies. It has no effect on
	// those that only "*" allows: browsers refuse that.
	Credentials bool

	// AllowedHeaders are the request headers that pages may set. Nil means
	// any.
	AllowedHeaders []string

	// ExposedHeaders are the headers of answers that pages may see besides
	// those that all may.
	ExposedHeaders []string

	// MaxAge is how long a browser may remember all this, in whole seconds.
	// Zero means its own default.
	MaxAge time.Duration
}

// NewCookie returns the cookie that the reference implementation sets if it
// is told to: it is called "io", and scripts and foreign pages' requests
// cannot use it. What is changed in it must keep it valid, see
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
