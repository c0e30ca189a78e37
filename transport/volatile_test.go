package transport

import (
	"testing"
	"testing/synctest"

	"parlor/protocol/engineio"
)

// withAttachment is a message of two frames.
func withAttachment(s string) []engineio.Frame {
	return []engineio.Frame{text(s), {Data: []byte(s), Binary: true}}
}

// TestVolatileWebSocket sends twice in a row, which a client that reads at its
// leisure gets the first of, with all its frames; and what is not volatile.
func TestVolatileWebSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{})
		c := s.connect(t)
		conn := <-s.opened
		synctest.Wait()
		conn.TrySend(withAttachment("first")...)
		conn.TrySend(withAttachment("second")...)
		synctest.Wait() // the writer waits for the client, with nothing queued
		conn.TrySend(withAttachment("third")...)
		_ = conn.Send(text("regular"))
		conn.TrySend(text("fourth"))
		for _, want := range []string{"4first", "first", "4regular"} {
			if got := c.read(); got != want {
				t.Fatalf("got %q, want %q", got, want)
			}
		}
		synctest.Wait()
		conn.TrySend(text("fifth"))
		if got := c.read(); got != "4fifth" {
			t.Errorf("got %q: the client has read everything, and gets volatile messages again", got)
		}
	})
}

// TestVolatilePolling checks that only a GET that waits can be answered with
// what is volatile.
func TestVolatilePolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{})
		p := s.poll(t)
		conn := <-s.opened
		conn.TrySend(text("nobody polls"))
		poll := p.getLater()
		synctest.Wait()
		conn.TrySend(withAttachment("first")...)
		conn.TrySend(withAttachment("second")...)
		synctest.Wait() // the answer has been put together
		_ = conn.Send(text("regular"))
		p.wants(<-poll, "4first\x1ebZmlyc3Q=")
		p.wants(p.get(), "4regular")
	})
}

// TestVolatileUpgrade checks that a client which is moving gets volatile
// messages as long as a poll waits, and as soon as it has moved.
func TestVolatileUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{})
		p := s.poll(t)
		conn := <-s.opened
		poll := p.getLater()
		ws, err := p.websocket()
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		conn.TrySend(text("not probed yet"))
		p.wants(<-poll, "4not probed yet")
		ws.send("2probe")
		if got := ws.read(); got != "3probe" {
			t.Fatalf("got %q, want 3probe", got)
		}
		conn.TrySend(text("moving"))
		_ = conn.Send(text("regular"))
		ws.send("5")
		if got := ws.read(); got != "4regular" {
			t.Errorf("got %q, want what is not volatile", got)
		}
		synctest.Wait()
		conn.TrySend(text("moved"))
		if got := ws.read(); got != "4moved" {
			t.Errorf("got %q, want what was sent after the move", got)
		}
	})
}

// TestVolatileAfterTheEnd is ignored.
func TestVolatileAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{})
		c := s.connect(t)
		conn := <-s.opened
		conn.Close("")
		conn.TrySend(text("late"))
		if got := c.end(); got != 1000 {
			t.Errorf("got close code %d, want 1000", got)
		}
	})
}
