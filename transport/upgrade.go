package transport

import (
	"errors"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"parlor/protocol/engineio"
)

// probeData is the data of the packets of a probe (protocol 4, "Upgrade").
const probeData = "probe"

var (
	probePong = engineio.Packet{Type: engineio.TypePong, Data: []byte(probeData)}.Frame()

	errNotProbing = errors.New("transport: not the packet that an upgrade needs next")
)

// serveProbe opens the WebSocket to which a polling client wants to move. It does
// not wait until the client has moved.
func (p *polling) serveProbe(w http.ResponseWriter, r *http.Request) {
	s := p.conn.server
	if !p.claim() {
		p.conn.turnAway(w, r)
		return
	}
	if err := s.admitMove(); err != nil {
		p.unclaim()
		unavailable(w, err)
		return
	}
	sock, err := s.upgrade(w, r, p.conn, nil)
	if err != nil {
		p.unclaim()
		s.release(&s.moveCount)
		return
	}
	go func() {
		defer s.release(&s.moveCount)
		p.move(sock)
	}()
}

// turnAway opens a WebSocket and closes it at once. It answers a client that names
// the sid of a connection which has moved to a WebSocket, is moving, or ends. The
// reference implementation does so, and its clients expect a close rather than a
// failed handshake. The connection itself goes on.
func (c *Conn) turnAway(w http.ResponseWriter, r *http.Request) {
	if sock, err := c.server.upgrade(w, r, c, nil); err == nil {
		sock.dismiss(websocket.CloseNoStatusReceived)
	}
}

// dismiss closes a WebSocket that carries nothing.
func (s *socket) dismiss(code int) {
	_ = s.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Time{})
	_ = s.wire.Close()
}

// claim reserves the right to take over for one WebSocket. It reports false if
// another one has it, or the connection ends.
func (p *polling) claim() bool {
	c := p.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.refusalLocked() != nil || p.claimed || c.end.reason != "" {
		return false
	}
	p.claimed = true
	return true
}

// unclaim lets another WebSocket take over.
func (p *polling) unclaim() {
	p.conn.mu.Lock()
	defer p.conn.mu.Unlock()
	p.claimed, p.probe, p.probed = false, nil, false
}

// move lets sock take over the connection and begins to read from it. If the
// client does not follow the upgrade's protocol, move closes sock, and polling
// goes on.
func (p *polling) move(sock *socket) {
	if err := p.upgrade(sock); err != nil {
		p.unclaim()
		p.conn.server.opts.Logger.Debug("upgrade abandoned", "remote", p.conn.remote, "err", err)
		sock.dismiss(websocket.CloseProtocolError)
		return
	}
	go sock.wait()
}

// upgrade probes sock and makes it the carrier of the connection.
func (p *polling) upgrade(sock *socket) error {
	if err := p.try(sock); err != nil {
		return err
	}
	if err := sock.expect(engineio.TypePing, probeData); err != nil {
		return err
	}
	if err := sock.ws.WriteMessage(websocket.TextMessage, probePong.Data); err != nil {
		return err
	}
	p.endPolls()
	if err := sock.expect(engineio.TypeUpgrade, ""); err != nil {
		return err
	}
	for {
		p.posted() // its packets come before those of the WebSocket
		if done, err := p.handOver(sock); done || err != nil {
			return err
		}
	}
}

// try starts the upgrade's timeout.
func (p *polling) try(sock *socket) error {
	c := p.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end.reason != "" {
		return ErrClosed
	}
	p.probe = sock
	return sock.wire.SetReadDeadline(time.Now().Add(c.server.opts.UpgradeTimeout))
}

// endPolls answers the waiting GET, and any later one unless it is held: the client
// does not move before its GET has ended.
func (p *polling) endPolls() {
	p.conn.mu.Lock()
	defer p.conn.mu.Unlock()
	p.probed = true
	p.wakeLocked()
}

// handOver makes sock the carrier, unless a POST has come. From now on queued
// frames leave through sock.
func (p *polling) handOver(sock *socket) (done bool, err error) {
	c := p.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.end.reason != "":
		return false, ErrClosed
	case p.currentPost != nil:
		return false, nil
	}
	if err := sock.wire.SetReadDeadline(time.Time{}); err != nil {
		return false, err
	}
	c.carrier = sock
	p.wakeLocked()
	sock.wakeLocked()
	return true, nil
}

// expect reads the next packet, and returns an error if it is not the given one.
func (s *socket) expect(kind engineio.PacketType, data string) error {
	got, err := s.readPacket()
	switch {
	case err != nil:
		return err
	case got.Binary || got.Type != kind || string(got.Data) != data:
		return errNotProbing
	}
	return nil
}
