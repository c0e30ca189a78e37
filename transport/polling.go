package transport

import (
	"net/http"
	"time"

	"parlor/protocol/engineio"
)

// polling carries a Conn over HTTP requests: one GET at a time waits for queued
// frames, and one POST at a time brings the client's packets. Between requests it
// has no goroutine.
//
// Its fields are guarded by the Conn's mutex.
type polling struct {
	conn *Conn

	started bool // the Conn has a Receiver
	gone    bool // no request is accepted any more

	waiting   *poll                    // the GET that waits, nil if there is none
	expected  chan struct{}            // closed when the next GET comes, nil if nothing waits for that
	answering bool                     // a GET's turn has come and is not over
	writer    *http.ResponseController // of that GET while it writes
	unpolled  bool                     // no GET waited when the connection began to end

	currentPost chan struct{}            // closed when that POST ends, nil if there is none
	body        *http.ResponseController // of that POST while its body is read

	claimed bool    // a WebSocket takes over, or has taken over
	probe   *socket // that WebSocket
	probed  bool    // the probe was answered: GETs end soon, so that the client can go on
}

// overtaking is how much later than it was sent a request may be noticed. Requests of
// one client come over several network connections, whose goroutines can run in
// another order than the bytes arrived in. The reference implementation has one
// thread and reads them in order.
//
// A poll may have been sent before the close packet that was read first: the packet
// waits so long for a poll. A poll that is read during an upgrade may have been sent
// after the packet that completes it: the poll waits so long for that packet.
const overtaking = 30 * time.Millisecond

// A poll is a GET that waits.
type poll struct {
	turn    chan struct{} // closed when its turn comes, or it is refused
	held    bool          // it came while a WebSocket was taking over, less than overtaking ago
	refused bool          // the WebSocket has taken over
}

// openPolling opens a connection, and answers with the open packet alone.
func (s *Server) openPolling(w http.ResponseWriter, r *http.Request) {
	c := newConn(s, r)
	p := &polling{conn: c}
	c.open(p)
	c.receiver = s.opts.Accept(c)
	s.register(c)
	p.start()

	open := p.turn(w)
	open.frames = []engineio.Frame{c.handshake(s.opts.upgrades())}
	for name, values := range s.cookie(c) {
		w.Header()[name] = values
	}
	_ = open.write(w, r) // a client that does not get it does not know the sid: the connection times out
}

// start lets run tell the Receiver when the connection ends. If the end has begun
// before, start does so now.
func (p *polling) start() {
	p.conn.mu.Lock()
	defer p.conn.mu.Unlock()
	p.started = true
	if p.conn.end.reason != "" {
		go p.run()
	}
}

// run finishes a connection that has begun to end, after the current POST.
func (p *polling) run() {
	p.posted()
	p.conn.finish()
}

// serve answers a request of the client.
func (p *polling) serve(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet:
		p.get(w, r)
	case http.MethodPost:
		p.post(w, r)
	default:
		refuse(w, r, engineio.ErrBadHandshakeMethod)
	}
}

// get answers a GET as soon as a frame is queued.
func (p *polling) get(w http.ResponseWriter, r *http.Request) {
	waiting, refusal := p.enter()
	if refusal != nil {
		refuse(w, r, refusal)
		return
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Time{}) // the HTTP server's own would end a long poll
	select {
	case <-waiting.turn:
	case <-r.Context().Done():
		if p.leave(waiting) {
			return
		}
	}
	if waiting.refused {
		refuse(w, r, engineio.ErrBadRequest)
		return
	}
	a := p.answer(w)
	p.answered(a, a.write(w, r))
}

// enter makes a GET the one that waits. A second GET at the same time ends the
// connection.
func (p *polling) enter() (*poll, *engineio.Error) {
	c := p.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if refusal := p.refusalLocked(); refusal != nil {
		return nil, refusal
	}
	if p.waiting != nil {
		p.violatedLocked()
		return nil, engineio.ErrBadRequest
	}
	waiting := &poll{turn: make(chan struct{}), held: p.claimed}
	if waiting.held {
		time.AfterFunc(overtaking, func() { p.unhold(waiting) })
	}
	if p.expected != nil {
		close(p.expected)
		p.expected = nil
	}
	p.waiting = waiting
	p.wakeLocked()
	return waiting, nil
}

// unhold gives a GET that came during an upgrade its turn, since the upgrade was not
// completed.
func (p *polling) unhold(waiting *poll) {
	p.conn.mu.Lock()
	defer p.conn.mu.Unlock()
	waiting.held = false
	p.wakeLocked()
}

// refusalLocked returns the reason if no request is accepted, else nil.
func (p *polling) refusalLocked() *engineio.Error {
	switch {
	case p.conn.carrier != p:
		return engineio.ErrBadRequest
	case p.gone:
		return engineio.ErrUnknownSID
	}
	return nil
}

// violatedLocked ends the connection of a client that breaks the protocol.
func (p *polling) violatedLocked() {
	if p.conn.end.reason == "" {
		p.conn.shutLocked(ending{reason: ReasonTransportError})
	}
}

// leave is called when the client has broken off its GET, and ends the
// connection. It reports false if the GET's turn has come meanwhile.
func (p *polling) leave(waiting *poll) bool {
	c := p.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.waiting != waiting {
		return false
	}
	p.waiting = nil
	switch {
	case c.end.reason != "":
		p.saidLocked()
	case c.carrier == p:
		c.shutLocked(ending{reason: ReasonTransportError, abrupt: true})
	}
	return true
}

// answer returns the answer of the GET whose turn it is.
func (p *polling) answer(w http.ResponseWriter) *answer {
	a := p.turn(w)
	c := p.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	p.writer = a.control
	switch {
	case c.carrier != p: // the queue leaves through a WebSocket now
	case c.end.reason != "":
		a.last = true
		p.farewellLocked(a)
	default:
		a.frames, a.cost = c.out.take()
	}
	if len(a.frames) == 0 {
		a.frames = []engineio.Frame{noopFrame}
	}
	return a
}

// farewellLocked makes a the last answer: the queued frames, and then a close
// packet unless the client has sent one. If no GET waited when the end began, the
// close packet never comes alone, as in the reference implementation.
func (p *polling) farewellLocked(a *answer) {
	c := p.conn
	p.gone = true
	if c.end.reason == ReasonTransportClose {
		return
	}
	a.frames, a.cost = c.out.take()
	if len(a.frames) == 0 && p.unpolled {
		a.frames = append(a.frames, noopFrame)
	}
	a.frames = append(a.frames, closeFrame)
}

// answered ends a GET's turn. err is the error of writing its answer.
func (p *polling) answered(a *answer, err error) {
	c := p.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out.written(a.cost)
	p.answering, p.writer = false, nil
	switch {
	case a.last:
		p.saidLocked()
	case err != nil && c.end.reason == "" && c.carrier == p:
		c.shutLocked(ending{reason: ReasonTransportError, abrupt: true})
	}
	p.wakeLocked()
}

// wakeLocked gives the waiting GET its turn if there are frames for it. Frames
// that another GET is still writing count as queued, so the next GET waits until
// they are written. This also limits the memory of a client that does not read.
func (p *polling) wakeLocked() {
	c := p.conn
	if p.waiting == nil || p.answering {
		return
	}
	moved := c.carrier != p
	if !moved && c.end.reason == "" && (p.waiting.held || c.out.empty() && !p.probed) {
		return
	}
	p.waiting.refused = moved
	close(p.waiting.turn)
	p.waiting, p.answering = nil, !moved
}

// readyLocked implements [carrier].
func (p *polling) readyLocked() bool { return p.waiting != nil && !p.answering }

// endLocked implements [carrier]. If no GET waits now, only an ending that
// flushes waits for the next one.
func (p *polling) endLocked() {
	c := p.conn
	p.unpolled = p.waiting == nil
	if p.body != nil {
		_ = p.body.SetReadDeadline(past)
	}
	if p.probe != nil {
		_ = p.probe.wire.SetReadDeadline(past)
	}
	if p.waiting != nil || !c.end.flushes {
		p.gone = true
	}
	if p.waiting == nil && !c.end.flushes {
		p.saidLocked()
	}
	p.wakeLocked()
	if p.started {
		go p.run()
	}
}

// cut implements [carrier].
func (p *polling) cut() {
	p.conn.mu.Lock()
	defer p.conn.mu.Unlock()
	if p.writer != nil {
		_ = p.writer.SetWriteDeadline(past)
	}
	p.gone = true
	p.saidLocked()
}

// linger implements [carrier].
func (p *polling) linger(ending) { <-p.conn.farewellDone }

// saidLocked notes that nothing more will be sent to the client.
func (p *polling) saidLocked() {
	select {
	case <-p.conn.farewellDone:
	default:
		close(p.conn.farewellDone)
	}
}
