package transport

import (
	"cmp"
	"crypto/rand"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"parlor/protocol/engineio"
)

// The reasons for which connections end, in the words of Engine.IO. Only
// ReasonSlowConsumer is our own.
const (
	ReasonTransportError = "transport error"      // the client broke the protocol, or could not be written to
	ReasonTransportClose = "transport close"      // the client closed, or its network did
	ReasonForcedClose    = "forced close"         // the server's application closed, and named no reason
	ReasonPingTimeout    = "ping timeout"         // the client did not answer a ping
	ReasonParseError     = "parse error"          // the client sent something that is no packet
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
// The Server closes a Conn whose client has gone; the Conn's Receiver, or
// whoever else knows it, may close it earlier.
type Conn struct {
	server *Server
	id     string
	header http.Header
	remote string

	receiver Receiver // set before anything is received

	mu      sync.Mutex
	carrier carrier
	out     outbox
	beat    heartbeat
	timer   *time.Timer   // calls tick when beat is due and, in the end, to cut the connection off
	end     ending        // zero while the connection is open
	cutoff  time.Time     // when a connection that ends has to have ended
	flushed chan struct{} // made with end, closed once the farewell is said
}

// A carrier moves the packets of a Conn: a [socket], or [polling] until that
// is upgraded to one. The methods whose names end in Locked are called with
// the Conn's mutex held.
type carrier interface {
	// wakeLocked is called when something has been queued.
	wakeLocked()

	// readyLocked reports whether something could be sent now.
	readyLocked() bool

	// endLocked is called once, when the Conn has begun to end and its queue
	// holds what is to be sent before. The carrier stops receiving, says
	// farewell, and sees to it that finish is called.
	endLocked()

	// cut ends everything that goes on over the network. It may block.
	cut()

	// linger waits until the farewell is said and heard, or cut is called.
	linger(ending)
}

// An ending is how a connection ends.
type ending struct {
	reason string
	code   int  // what a WebSocket's close frame says
	flush  bool // send what is queued first
	cut    bool // say nothing and wait for nothing
	left   bool // the client has said goodbye: do not wait for it
}

func newConn(s *Server, r *http.Request) *Conn {
	return &Conn{server: s, id: rand.Text(), out: outbox{relief: coalesceStep}, header: s.opts.kept(r.Header), remote: r.RemoteAddr}
}

// open makes by carry the connection, and the heartbeat begin.
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

// finish sees to the end of a connection from which nothing more is received.
func (c *Conn) finish() {
	c.mu.Lock()
	end, by := c.end, c.carrier
	c.mu.Unlock()
	c.receiver.Closed(end.reason)
	by.linger(end)
	c.timer.Stop()
	c.server.opts.Logger.Debug("connection closed", "remote", c.remote, "reason", end.reason)
	c.server.remove(c)
}

// ID returns the Engine.IO sid. Whoever knows it can act for the client, so it
// must not be shown to other clients or logged.
func (c *Conn) ID() string { return c.id }

// Header returns the headers of the request that opened the connection, or
// those of them that are in Options.KeepHeaders. They must not be changed.
func (c *Conn) Header() http.Header { return c.header }

// RemoteAddr returns the network address that the connection was opened from.
func (c *Conn) RemoteAddr() string { return c.remote }

// Send queues the frames behind those of earlier calls and does not wait: all
// of them or, with an error, none. The frames' data is sent as it is and must
// not be changed any more.
//
// Options.Coalesce is asked to make what waits smaller, now and then and before
// more than QueueBytes would wait, and then Options.Shed to leave out what it may. If that is
// not enough, Send cuts the connection off and returns [ErrSlowConsumer], unless nothing waits: else what is larger than QueueBytes
// could never be sent, and its client would come back for it for ever. Once
// the connection ends it returns [ErrClosed].
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
		c.shutLocked(ending{reason: ReasonSlowConsumer, cut: true})
		return ErrSlowConsumer
	}
	c.out.push(frames...)
	c.carrier.wakeLocked()
	return nil
}

// roomLocked reports whether frames that cost size may wait, and makes room for
// them if it can.
func (c *Conn) roomLocked(size int) bool {
	opts := &c.server.opts
	if c.out.bytes == 0 || c.out.bytes+size <= min(c.out.relief, opts.QueueBytes) {
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

// TrySend queues the frames if they could be written at once, and else drops
// all of them: what Socket.IO calls volatile.
func (c *Conn) TrySend(frames ...engineio.Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end.reason == "" && c.out.bytes == 0 && c.carrier.readyLocked() {
		c.out.push(frames...)
		c.carrier.wakeLocked()
	}
}

// enqueue queues a frame of the server's own, which no limit holds back.
func (c *Conn) enqueue(f engineio.Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end.reason == "" {
		c.out.push(f)
		c.carrier.wakeLocked()
	}
}

// Close ends the connection for reason, or [ReasonForcedClose] if that is
// empty. What was queued is sent first if that does not take longer than
// CloseTimeout. Only the first call has an effect; the connection may also
// have ended by itself before.
func (c *Conn) Close(reason string) {
	reason = cmp.Or(reason, ReasonForcedClose)
	c.shut(ending{reason: reason, code: websocket.CloseNormalClosure, flush: true})
}

// shut begins to end the connection, unless that has begun.
func (c *Conn) shut(e ending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end.reason == "" {
		c.shutLocked(e)
	}
}

// abort cuts the connection off, also if it is just ending in a nicer way.
func (c *Conn) abort(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end.reason == "" {
		c.shutLocked(ending{reason: reason, cut: true})
		return
	}
	c.out.drop()
	c.end.cut = true
	c.cutLocked(0)
}

// shutLocked sets off everything that happens in the end: the carrier says
// farewell and stops receiving, and when time is up the timer cuts it off.
func (c *Conn) shutLocked(e ending) {
	c.end = e
	c.flushed = make(chan struct{})
	if !e.flush {
		c.out.drop()
	}
	if e.cut {
		c.cutLocked(0)
	} else {
		c.cutLocked(c.server.opts.CloseTimeout)
	}
	c.carrier.endLocked()
}

// cutLocked lets tick cut the carrier off after a while. The caller
// does not, since closing TLS may block.
func (c *Conn) cutLocked(after time.Duration) {
	c.cutoff = time.Now().Add(after)
	c.timer.Reset(after)
}

// tick does what is due: a ping, the end of a client that did not answer one,
// or the end of a connection that takes too long to end.
func (c *Conn) tick() {
	if by := c.due(time.Now()); by != nil {
		by.cut()
	}
}

// due is tick but for cutting off the carrier, which it returns if that is due.
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
