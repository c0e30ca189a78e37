package transport

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"parlor/protocol/engineio"
	"parlor/transport/origin"
)

// The reasons why connections end, in the words of Engine.IO. Only
// ReasonSlowConsumer is our own.
const (
	ReasonTransportError = "transport error"      // the client broke the protocol, or a write failed
	ReasonTransportClose = "transport close"      // the client closed the connection, or the network broke it
	ReasonForcedClose    = "forced close"         // the application closed the connection without a reason
	ReasonPingTimeout    = "ping timeout"         // the client did not answer a ping
	ReasonParseError     = "parse error"          // the client sent bytes that are no packet
	ReasonServerShutdown = "server shutting down" // see [Server.Shutdown]
	ReasonSlowConsumer   = "slow consumer"        // more than QueueBytes waited for the client
)

// The errors of [Conn.Send].
var (
	ErrClosed       = errors.New("transport: connection closed")
	ErrSlowConsumer = errors.New("transport: slow consumer")
)

var pingFrame = engineio.Packet{Type: engineio.TypePing}.Frame()

// A Conn is one Engine.IO connection, whichever transport carries it. Its
// methods may be called by several goroutines at once and do not block.
//
// The Server closes a Conn whose client has gone. The application may close it
// earlier.
type Conn struct {
	server *Server
	id     string
	header http.Header
	remote string

	home netip.Prefix // that it counts for, see [Server.admit]

	receiver Receiver    // set before anything is received
	letIn    atomic.Bool // see LetIn

	mu           sync.Mutex
	carrier      carrier
	out          outbox
	beat         heartbeat
	timer        *time.Timer   // calls tick when beat is due, and at the cutoff
	end          ending        // zero while the connection is open
	cutoff       time.Time     // when a connection that ends is cut off
	farewellDone chan struct{} // made together with end, closed once the farewell is sent
}

// A carrier moves the packets of a Conn: a [socket], or [polling] until that
// is upgraded to one. The methods whose names end in Locked are called with
// the Conn's mutex held.
type carrier interface {
	// wakeLocked is called when a frame has been queued.
	wakeLocked()

	// readyLocked reports whether a frame could be sent now.
	readyLocked() bool

	// endLocked is called once, when the Conn has begun to end. The frames that
	// are still in its queue are to be sent. The carrier stops receiving, says
	// farewell, and makes sure that finish is called.
	endLocked()

	// cut ends all reads and writes at once. It may block.
	cut()

	// linger waits until the client has received the farewell, or cut is called.
	linger(ending)
}

// An ending says why and how a connection ends.
type ending struct {
	reason     string
	code       int  // of a WebSocket's close frame
	flushes    bool // the queued frames are sent first
	abrupt     bool // without a farewell, and without waiting for the client
	clientLeft bool // the client has said goodbye and is not waited for
}

func newConn(s *Server, r *http.Request) *Conn {
	return &Conn{
		server: s, id: rand.Text(), out: outbox{threshold: coalesceStep}, header: s.opts.kept(r.Header),
		remote: r.RemoteAddr, home: origin.Neighbourhood(r.RemoteAddr),
	}
}

// open makes by the carrier of the connection, and starts the heartbeat.
func (c *Conn) open(by carrier) {
	opts := c.server.opts
	c.mu.Lock()
	defer c.mu.Unlock()
	c.carrier = by
	c.beat = heartbeat{interval: opts.PingInterval, timeout: opts.PingTimeout}
	c.beat.start(time.Now())
	c.timer = time.AfterFunc(opts.PingInterval, c.tick)
	opts.Logger.Debug("connection opened", "remote", c.remote)
}

// handshake returns the open packet.
func (c *Conn) handshake(upgrades []string) engineio.Frame {
	opts := c.server.opts
	return engineio.Handshake{
		SID:          c.id,
		Upgrades:     upgrades,
		PingInterval: opts.PingInterval,
		PingTimeout:  opts.PingTimeout,
		MaxPayload:   opts.MaxPayload,
	}.Frame()
}

// finish ends a connection from which nothing more is received: it tells the
// Receiver, waits for the farewell, and makes the server forget the connection.
func (c *Conn) finish() {
	c.mu.Lock()
	end, by := c.end, c.carrier
	c.mu.Unlock()
	c.receiver.Closed(end.reason)
	by.linger(end)
	c.timer.Stop()
	c.server.opts.Ended(end.reason)
	c.server.opts.Logger.Debug("connection closed", "remote", c.remote, "reason", end.reason)
	c.server.remove(c)
}

// ID returns the Engine.IO sid. It is a secret: with it, requests can be made in
// the client's name. It must not be shown to other clients or logged.
func (c *Conn) ID() string { return c.id }

// Header returns the headers of the request that opened the connection, or
// those of them that are in Options.KeepHeaders. They must not be changed.
func (c *Conn) Header() http.Header { return c.header }

// RemoteAddr returns the network address that the connection was opened from.
func (c *Conn) RemoteAddr() string { return c.remote }

// LetIn ends the limits of strangers for this client, [Options].StrangerPayload and
// StrangerBytes. The application calls it once it knows who the client is. A message
// that is arriving meanwhile is still limited.
func (c *Conn) LetIn() { c.letIn.Store(true) }

// maxPayload returns the number of bytes that the client may send in one message or
// body.
func (c *Conn) maxPayload() int {
	opts := &c.server.opts
	if opts.StrangerPayload > 0 && !c.letIn.Load() {
		return min(opts.StrangerPayload, opts.MaxPayload)
	}
	return opts.MaxPayload
}

// Send queues the frames behind those of earlier calls and does not wait. It
// queues all of them or, if it returns an error, none. The frames' data is sent
// as it is and must not be changed any more.
//
// Now and then, and before more than QueueBytes would wait, Send makes the queue
// smaller with Options.Coalesce, and then with Options.Shed. If that is not
// enough it cuts the connection off and returns [ErrSlowConsumer]. An empty queue
// takes frames of any size: if it did not, a frame larger than QueueBytes could
// never be sent, and its client would reconnect for it for ever. Once the
// connection ends, Send returns [ErrClosed].
func (c *Conn) Send(frames ...engineio.Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end.reason != "" {
		return ErrClosed
	}
	fits := c.roomLocked(costs(frames))
	if shed := c.server.opts.Shed; !fits && shed != nil {
		frames = shed(frames)
		fits = len(frames) == 0 || c.roomLocked(costs(frames))
	}
	if !fits {
		c.shutLocked(ending{reason: ReasonSlowConsumer, abrupt: true})
		return ErrSlowConsumer
	}
	c.out.push(frames...)
	c.carrier.wakeLocked()
	return nil
}

// Drain waits until no more than half of QueueBytes waits for the client, the
// connection has ended, or ctx has, whose error it then returns. It looks now and
// then: only work that can wait long asks for it.
func (c *Conn) Drain(ctx context.Context) error {
	for pause := time.Millisecond; !c.drained(); pause = min(2*pause, 50*time.Millisecond) {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (c *Conn) drained() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end.reason != "" || c.out.bytes <= c.server.opts.QueueBytes/2
}

// roomLocked reports whether frames that cost size may be queued, and makes room
// for them if it can.
func (c *Conn) roomLocked(size int) bool {
	opts := &c.server.opts
	if c.out.bytes == 0 || c.out.bytes+size <= min(c.out.threshold, opts.QueueBytes) {
		return true
	}
	if c.out.room(size, opts.QueueBytes, opts.Coalesce) {
		return true
	}
	if opts.Shed == nil {
		return false
	}
	c.out.coalesce(opts.Shed, c.out.next)
	return c.out.bytes+size <= opts.QueueBytes
}

// TrySend queues the frames if they could be written at once, and drops all of
// them if not. Socket.IO calls such messages volatile.
func (c *Conn) TrySend(frames ...engineio.Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end.reason == "" && c.out.bytes == 0 && c.carrier.readyLocked() {
		c.out.push(frames...)
		c.carrier.wakeLocked()
	}
}

// enqueue queues a frame of the server's own, to which no limit applies.
func (c *Conn) enqueue(f engineio.Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end.reason == "" {
		c.out.push(f)
		c.carrier.wakeLocked()
	}
}

// Close ends the connection for reason, or [ReasonForcedClose] if that is
// empty. The queued frames are sent first if that takes no longer than
// CloseTimeout. Only the first call has an effect, and none has one if the
// connection has ended by itself.
func (c *Conn) Close(reason string) {
	reason = cmp.Or(reason, ReasonForcedClose)
	c.shut(ending{reason: reason, code: websocket.CloseNormalClosure, flushes: true})
}

// shut begins to end the connection, unless that has begun.
func (c *Conn) shut(e ending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end.reason == "" {
		c.shutLocked(e)
	}
}

// abort cuts the connection off, even if it has begun to end and would say
// farewell.
func (c *Conn) abort(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end.reason == "" {
		c.shutLocked(ending{reason: reason, abrupt: true})
		return
	}
	c.out.drop()
	c.end.abrupt = true
	c.cutLocked(0)
}

// shutLocked begins to end the connection: the carrier stops receiving and says
// farewell, and the timer cuts it off, at once or after CloseTimeout.
func (c *Conn) shutLocked(e ending) {
	c.end = e
	c.farewellDone = make(chan struct{})
	if !e.flushes {
		c.out.drop()
	}
	if e.abrupt {
		c.cutLocked(0)
	} else {
		c.cutLocked(c.server.opts.CloseTimeout)
	}
	c.carrier.endLocked()
}

// cutLocked makes tick cut the carrier off after a while. The caller does not do
// it itself: it holds the mutex, and closing TLS may block.
func (c *Conn) cutLocked(after time.Duration) {
	c.cutoff = time.Now().Add(after)
	c.timer.Reset(after)
}

// tick sends the ping that is due, ends a connection whose client did not answer
// one, or cuts off a connection that takes too long to end.
func (c *Conn) tick() {
	if by := c.due(time.Now()); by != nil {
		by.cut()
	}
}

// due does the work of tick, except that it returns the carrier that is to be
// cut off.
func (c *Conn) due(now time.Time) (cut carrier) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end.reason != "" {
		if wait := c.cutoff.Sub(now); wait > 0 { // a ping was due as the end began
			c.timer.Reset(wait)
			return nil
		}
		return c.carrier
	}
	action, wait := c.beat.tick(now)
	if action == beatPing {
		c.out.push(pingFrame)
		c.carrier.wakeLocked()
		if !now.Before(c.beat.due) { // the timer is late by a whole timeout
			action, wait = c.beat.tick(now)
		}
	}
	if action == beatDead {
		c.shutLocked(ending{reason: ReasonPingTimeout, code: websocket.CloseNormalClosure})
		return nil
	}
	if wait > 0 {
		c.timer.Reset(wait)
	}
	return nil
}
