package transport

import (
	"errors"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"parlor/protocol/engineio"
)

// probeData is what the packets of a probe carry (protocol 4, "Upgrade").
const probeData = "probe"

var (
	probePong = engineio.Packet{Type: engineio.TypePong, Data: []byte(probeData)}.Frame()

	errNotProbing = errors.New("transport: not the packet that an upgrade needs next")
)

// serveProbe opens the WebSocket to which a polling client wants to move. It
// does not wait until the client has.
func (p *polling) serveProbe(w http.ResponseWriter, r *http.Request) {
	s := p.conn.server
	if refusal := p.claim(); refusal != nil {
		refuse(w, r, refusal)
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
		s.release(&s.moving)
		return
	}
	go func() {
		defer s.release(&s.moving)
		p.move(sock)
	}()
}

// claim makes a WebSocket the only one that may take over.
func (p *polling) claim() *engineio.Error {
	c := p.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	refusal := p.refusalLocked()
	switch {
	case refusal != nil:
		return refusal
	case p.claimed || c.server.opts.DisableUpgrades || c.end.reason != "":
		return engineio.ErrBadRequest
	}
	p.claimed = true
	return nil
}

// unclaim makes the next WebSocket welcome.
func (p *polling) unclaim() {
	p.conn.mu.Lock()
	defer p.conn.mu.Unlock()
	p.claimed, p.probe, p.probed = false, nil, false
}

// move lets sock take over the connection, and carries it from then on. A
// client that does not do what an upgrade needs loses sock and nothing else.
func (p *polling) move(sock *socket) {
	if err := p.upgrade(sock); err != nil {
		p.unclaim()
		p.conn.server.opts.Logger.Debug("upgrade abandoned", "remote", p.conn.remote, "err", err)
		goodbye := websocket.FormatCloseMessage(websocket.CloseProtocolError, "")
		_ = sock.ws.WriteControl(websocket.CloseMessage, goodbye, time.Time{})
		_ = sock.wire.Close()
		return
	}
	go sock.wait()
}

// upgrade is the exchange after which sock carries the connection.
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
		p.posted() // what the client sent before goes first
		if done, err := p.handOver(sock); done || err != nil {
			return err
		}
	}
}

// try begins the time that the exchange may take.
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

// endPolls answers the GET that waits, and any other that comes, at once: the
// client does not move before it has its answer.
func (p *polling) endPolls() {
	p.conn.mu.Lock()
	defer p.conn.mu.Unlock()
	p.probed = true
	p.wakeLocked()
}

// handOver makes sock the carrier, unless a POST has come. What is queued
// leaves through sock from now on; what polls were answered with, the client
// has.
func (p *polling) handOver(sock *socket) (done bool, err error) {
	c := p.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.end.reason != "":
		return false, ErrClosed
	case p.posting != nil:
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

// expect reads the next packet, which has to be this one.
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
