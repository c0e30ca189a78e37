package transport

import (
	"net/http"
	"time"

	"parlor/protocol/engineio"
)

// polling carries a Conn over HTTP requests: one GET at a time waits for what
// is queued, one POST at a time brings what the client sends. Between requests
// it has no goroutine.
//
// Its fields are guarded by the Conn's mutex.
type polling struct {
	conn *Conn

	started bool // the Conn has a Receiver
	gone    bool // no request is accepted any more

	waiting  chan struct{}            // of the GET that waits, closed when its turn to answer comes
	sending  bool                     // a GET's turn has come and is not over
	writer   *http.ResponseController // of that GET once it writes
	unpolled bool                     // no GET waited as the connection began to end

	posting chan struct{}            // of the POST that goes on, closed at its end
	body    *http.ResponseController // of that POST while its body is read

	claimed bool    // a WebSocket is being opened to take over, or has
	probe   *socket // that WebSocket
	probed  bool    // the probe was answered: polls must end, so that the client can go on
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
	_ = open.write(w, r) // who does not get it does not know the sid either
}

// start makes the end of the connection, if it has not begun before, tell the
// Receiver.
func (p *polling) start() {
	p.conn.mu.Lock()
	defer p.conn.mu.Unlock()
	p.started = true
	if p.conn.end.reason != "" {
		go p.run()
	}
}

// run sees to the end of a connection that has begun to end.
func (p *polling) run() {
	p.posted()
	p.conn.finish()
}

// serve answers a request of the client's.
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

// get answers a GET as soon as there is something to answer.
func (p *polling) get(w http.ResponseWriter, r *http.Request) {
	turn, refusal := p.enter()
	if refusal != nil {
		refuse(w, r, refusal)
		return
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Time{}) // the HTTP server's is not for how long an answer takes
	select {
	case <-turn:
	case <-r.Context().Done():
		if p.leave(turn) {
			return
		}
	}
	a := p.answer(w)
	p.answered(a, a.write(w, r))
}

// enter makes a GET the one that waits. Two at once are the end of the
// connection.
func (p *polling) enter() (turn <-chan struct{}, refusal *engineio.Error) {
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
	waiting := make(chan struct{})
	p.waiting = waiting
	p.wakeLocked()
	return waiting, nil
}

// refusalLocked returns why no request is accepted, if none is.
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

// leave is called when the client has cut its GET, which ends the connection.
// It reports false if the GET's turn has come meanwhile.
func (p *polling) leave(turn <-chan struct{}) bool {
	c := p.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.waiting == nil || p.waiting != turn {
		return false
	}
	p.waiting = nil
	switch {
	case c.end.reason != "":
		p.saidLocked()
	case c.carrier == p:
		c.shutLocked(ending{reason: ReasonTransportError, cut: true})
	}
	return true
}

// answer returns what the GET whose turn it is has to answer.
func (p *polling) answer(w http.ResponseWriter) *answer {
	a := p.turn(w)
	c := p.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	p.writer = a.control
	switch {
	case c.carrier != p: // what is queued is not for this client's polls any more
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

// farewellLocked makes a the last answer: what is queued, and a close packet
// unless it is the client that has sent one. Where no GET waited as the end
// began, the close packet is not alone, as in the reference implementation.
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

// answered ends a GET's turn, with the error of writing its answer.
func (p *polling) answered(a *answer, err error) {
	c := p.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out.written(a.cost)
	p.sending, p.writer = false, nil
	switch {
	case a.last:
		p.saidLocked()
	case err != nil && c.end.reason == "" && c.carrier == p:
		c.shutLocked(ending{reason: ReasonTransportError, cut: true})
	}
	p.wakeLocked()
}

// wakeLocked gives the GET that waits its turn if there is something to
// answer. What another one is still writing counts as queued, so the next one
// has to wait for it, which also keeps a client that does not read from
// getting more than its share of memory.
func (p *polling) wakeLocked() {
	c := p.conn
	if p.waiting == nil || p.sending {
		return
	}
	if c.out.empty() && !p.probed && c.end.reason == "" && c.carrier == p {
		return
	}
	close(p.waiting)
	p.waiting, p.sending = nil, true
}

// readyLocked implements [carrier].
func (p *polling) readyLocked() bool { return p.waiting != nil && !p.sending }

// endLocked implements [carrier]. Only an ending that flushes waits for
// another GET if none waits now.
func (p *polling) endLocked() {
	c := p.conn
	p.unpolled = p.waiting == nil
	if p.body != nil {
		_ = p.body.SetReadDeadline(past)
	}
	if p.probe != nil {
		_ = p.probe.wire.SetReadDeadline(past)
	}
	if p.waiting != nil || !c.end.flush {
		p.gone = true
	}
	if p.waiting == nil && !c.end.flush {
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
func (p *polling) linger(ending) { <-p.conn.flushed }

// saidLocked notes that nothing more will be said to the client.
func (p *polling) saidLocked() {
	select {
	case <-p.conn.flushed:
	default:
		close(p.conn.flushed)
	}
}
