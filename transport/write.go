package transport

import (
	"time"

	"github.com/gorilla/websocket"
)

// wakeLocked starts the writer unless it runs.
func (s *socket) wakeLocked() {
	if !s.writing {
		s.writing = true
		if s.wakes++; s.wakes%measured == 1 {
			s.woken = time.Now()
		}
		go s.write()
	}
}

// measured says how often a delivery is measured: once in so many.
const measured = 16

// delivered measures how long it took until the system had what write was woken for.
func (s *socket) delivered() {
	if !s.woken.IsZero() {
		s.conn.server.opts.Delivered(time.Since(s.woken))
		s.woken = time.Time{}
	}
}

// write sends frames until the queue is empty and, if the connection ends, the
// farewell. Only wakeLocked starts it.
//
// It is a goroutine of its own because a write may block. A busy processor runs
// it a little later; frames that are queued by then leave in the same write.
func (s *socket) write() {
	growStack(0)
	for {
		s.wire.cork()
		err := s.writeQueued()
		if flushErr := s.wire.flush(); err == nil {
			err = flushErr
		}
		if err != nil {
			s.conn.abort(ReasonTransportError)
		}
		s.delivered()
		if done, end := s.rest(); done {
			s.farewell(end)
			return
		}
	}
}

// writeQueued writes frames until the queue is empty.
func (s *socket) writeQueued() error {
	for {
		kind, payload, plain, ok := s.pop()
		if !ok {
			return nil
		}
		if s.conn.server.opts.PerMessageDeflate {
			s.ws.EnableWriteCompression(!plain && len(payload) > DefaultCompressAbove)
		}
		if err := s.ws.WriteMessage(kind, payload); err != nil {
			return err
		}
	}
}

// pop returns the WebSocket message that is to be written next.
func (s *socket) pop() (kind int, payload []byte, plain, ok bool) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if s.pong != nil {
		payload, s.pong = s.pong, nil
		return websocket.PongMessage, payload, true, true
	}
	f, ok := s.conn.out.pop()
	if f.Binary {
		return websocket.BinaryMessage, f.Data, f.Plain, ok
	}
	return websocket.TextMessage, f.Data, f.Plain, ok
}

// rest reports whether the writer is done because the queue is empty. If the
// connection ends, rest also returns how, and no writer is started again.
func (s *socket) rest() (done bool, end ending) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if !s.conn.out.empty() || s.pong != nil {
		return false, ending{}
	}
	s.writing = s.conn.end.reason != ""
	return true, s.conn.end
}

// farewell sends the close frame of a connection that ends, and closes the
// sending half. The client answers by closing, see linger.
func (s *socket) farewell(end ending) {
	if end.reason == "" {
		return
	}
	if !end.abrupt {
		// This fails if the WebSocket has already closed for a violation.
		_ = s.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(end.code, ""), time.Time{})
		s.wire.closeWrite()
	}
	close(s.conn.farewellDone)
}

// answerPing answers a WebSocket ping, though no Engine.IO client sends any. If
// several wait, only the last is answered (RFC 6455, section 5.5.3), so that a
// flood of pings takes no memory.
func (s *socket) answerPing(payload string) error {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if s.conn.end.reason != "" {
		return nil
	}
	s.pong = []byte(payload)
	if s.conn.carrier == s { // while s is only probed, the queue is not for it
		s.wakeLocked()
	}
	return nil
}
