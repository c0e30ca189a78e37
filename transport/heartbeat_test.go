package transport

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"parlor/protocol/engineio"
)

const (
	interval = DefaultPingInterval
	timeout  = DefaultPingTimeout
)

// pingAt reads the next message, which has to be a ping that comes at the time.
func (c *client) pingAt(start time.Time, want time.Duration) {
	c.t.Helper()
	if got := c.read(); got != "2" {
		c.t.Fatalf("got %q, want a ping", got)
	}
	if got := time.Since(start); got != want {
		c.t.Fatalf("ping after %v, want %v", got, want)
	}
}

func (s *site) endsAt(t *testing.T, start time.Time, reason string, want time.Duration) {
	t.Helper()
	if got := <-s.closed; got != reason {
		t.Errorf("got reason %q, want %q", got, reason)
	}
	if got := time.Since(start); got != want {
		t.Errorf("ended after %v, want %v", got, want)
	}
}

func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{})
		start := time.Now()
		c := s.connect(t)

		// Each ping follows the last pong, each pong comes a little late.
		at := interval
		for range 3 {
			c.pingAt(start, at)
			time.Sleep(timeout - 1)
			c.send("3")
			at += timeout - 1 + interval
		}
		c.pingAt(start, at)
		go c.end()
		s.endsAt(t, start, ReasonPingTimeout, at+timeout)
	})
}

// TestLateTimer checks that a client whose time is over is dead when it asks
// for something, though the timer that ends it has not fired.
func TestLateTimer(t *testing.T) {
	for _, test := range []struct {
		after time.Duration
		dead  bool
	}{
		{interval, false},
		{interval + timeout - 1, false},
		{interval + timeout, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := listenPipe(t, Options{})
			p := s.poll(t)
			(<-s.opened).timer.Stop()
			time.Sleep(test.after)
			if !test.dead {
				p.wants(p.get(), "2")
				return
			}
			p.refused(p.get(), 1)
			if got := <-s.closed; got != ReasonPingTimeout {
				t.Errorf("got reason %q, want %q", got, ReasonPingTimeout)
			}
		})
	}
}

// TestPongsOutOfTurn checks that pongs nobody asked for change nothing.
func TestPongsOutOfTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{})
		start := time.Now()
		c := s.connect(t)
		time.Sleep(interval / 2)
		for range 1000 {
			c.send("3")
		}
		c.pingAt(start, interval)
		c.send("3")
		for range 1000 {
			c.send("3")
		}
		c.pingAt(start, 2*interval)
		go c.end()
		s.endsAt(t, start, ReasonPingTimeout, 2*interval+timeout)
	})
}

// TestOtherPacketsProlong checks that the first packet after a ping gives the
// client another timeout, and later ones do not.
func TestOtherPacketsProlong(t *testing.T) {
	for _, packet := range []string{"4hello", "6"} {
		synctest.Test(t, func(t *testing.T) {
			s := listenPipe(t, Options{Accept: func(*Conn) Receiver { return discard{} }})
			start := time.Now()
			c := s.connect(t)
			c.pingAt(start, interval)
			time.Sleep(timeout / 2)
			c.send(packet)
			time.Sleep(timeout / 2)
			c.send(packet)
			go c.end()
			s.endsAt(t, start, ReasonPingTimeout, interval+timeout/2+timeout)
		})
	}
}

// TestBusyReceiverIsNotSilence checks that the time in which the server does
// not read is not held against the client.
func TestBusyReceiverIsNotSilence(t *testing.T) {
	const busy = 10 * time.Minute
	accept := func(*Conn) Receiver { return receive(func(engineio.Message) { time.Sleep(busy) }) }

	t.Run("pong waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := listenPipe(t, Options{Accept: accept})
			start := time.Now()
			c := s.connect(t)
			c.send("4hello")
			c.pingAt(start, interval)
			c.send("3") // is read when the message has been received
			c.pingAt(start, busy+interval)
			c.Close()
			s.endsAt(t, start, ReasonTransportClose, busy+interval)
		})
	})
	t.Run("no pong", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := listenPipe(t, Options{Accept: accept})
			start := time.Now()
			c := s.connect(t)
			c.send("4hello")
			c.pingAt(start, interval)
			go c.end()
			s.endsAt(t, start, ReasonPingTimeout, busy+timeout)
		})
	})
	t.Run("busy again and again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := listenPipe(t, Options{Accept: accept})
			start := time.Now()
			c := s.connect(t)
			c.pingAt(start, interval)
			time.Sleep(timeout / 2)
			go c.end()
			c.send("4one", "4two", "4three") // prolongs by a whole timeout
			s.endsAt(t, start, ReasonPingTimeout, interval+timeout/2+3*busy+timeout)
		})
	})
}

// TestWebSocketPings answers a storm of the WebSocket's own pings: not each of
// them, but the last.
func TestWebSocketPings(t *testing.T) {
	s := listen(t, Options{})
	c := s.connect(t)
	last := make(chan string, 10_000)
	c.SetPongHandler(func(payload string) error {
		last <- payload
		return nil
	})
	for range 1000 {
		if err := c.WriteControl(websocket.PingMessage, []byte("ping"), time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	_ = c.WriteControl(websocket.PingMessage, []byte("last"), time.Time{})
	c.send("4done")
	if got := c.read(); got != "4done" {
		t.Errorf("got %q, want the echo", got)
	}
	close(last)
	got := ""
	for payload := range last {
		got = payload
	}
	if got != "last" {
		t.Errorf("got %q in the last pong, want that of the last ping", got)
	}
}
