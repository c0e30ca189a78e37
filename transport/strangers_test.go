package transport

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"parlor/protocol/engineio"
)

// doorkeeper lets a client in that says "let me in", and echoes all messages.
func doorkeeper(c *Conn) Receiver {
	e := &echo{c}
	return receive(func(m engineio.Message) {
		if string(m.Data) == "let me in" {
			c.LetIn()
		}
		e.Receive(m)
	})
}

// TestStrangerPayload has clients send long messages before and after they are let in.
func TestStrangerPayload(t *testing.T) {
	const small, large = 100, 1000
	for _, deflate := range []bool{false, true} {
		s := listen(t, Options{Accept: doorkeeper, MaxPayload: large, StrangerPayload: small, PerMessageDeflate: deflate})
		message := func(size int) string { return "4" + strings.Repeat("x", size-1) }

		c := s.connect(t)
		c.send(message(small))
		if got := c.read(); len(got) != small {
			t.Errorf("got %d bytes, want the echo", len(got))
		}
		c.send(message(small + 1))
		if got := c.end(); got != websocket.CloseMessageTooBig {
			t.Errorf("got close code %d, want %d", got, websocket.CloseMessageTooBig)
		}

		c = s.connect(t)
		c.send("4let me in")
		c.read()
		c.send(message(large))
		if got := c.read(); len(got) != large {
			t.Errorf("got %d bytes, want the echo", len(got))
		}

		p := s.poll(t)
		if !strings.Contains(p.open, `"maxPayload":1000}`) {
			t.Errorf("got open packet %s, want the limit of clients that were let in", p.open)
		}
		for _, body := range []io.Reader{strings.NewReader(message(small + 1)), io.MultiReader(strings.NewReader(message(small + 1)))} {
			if got := p.do("POST", p.query(), body); got.status != http.StatusRequestEntityTooLarge {
				t.Errorf("got status %d, want 413", got.status)
			}
		}
		p.send("4let me in")
		p.wants(p.get(), "4let me in")
		p.send(message(large))
		p.wants(p.get(), message(large))

		p = s.poll(t) // the limit is that of the connection, whatever carries it
		ws := p.probe()
		ws.send("5", "4let me in")
		ws.read()
		ws.send(message(large))
		if got := ws.read(); len(got) != large {
			t.Errorf("got %d bytes, want the echo", len(got))
		}
	}
}

// TestStrangerBytes has strangers send messages that do not become complete, over both
// transports. Those whose messages have been arriving for longest are cut off for the
// sake of others.
func TestStrangerBytes(t *testing.T) {
	const each, fit = 1000, 5
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{Accept: doorkeeper, StrangerBytes: fit*each + each/2, PingInterval: time.Hour})
		known := s.connect(t)
		known.send("4let me in")
		known.read()
		first := known.UnderlyingConn()
		_, _ = io.WriteString(first, announced(10*each)+"4"+strings.Repeat("x", 9*each-1))
		<-s.opened

		var conns []*Conn
		for i := range 2 * fit {
			if i%2 == 0 {
				p := s.poll(t)
				s.rawRequest(t, fmt.Sprintf("POST /engine.io/%s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n4%s", p.query(), 2*each, strings.Repeat("x", each-1)))
			} else {
				c := s.connect(t)
				_, _ = io.WriteString(c.UnderlyingConn(), announced(2*each)+strings.Repeat("x", each))
			}
			conns = append(conns, <-s.opened)
			synctest.Wait()
			if got, want := s.strangers.held, min(i+1, fit)*each; got != want {
				t.Errorf("after %d clients: %d bytes are held, want %d", i+1, got, want)
			}
		}
		for i, c := range conns {
			if got, want := s.find(c.id) == nil, i < fit; got != want {
				t.Errorf("client %d: cut off %t, want %t", i, got, want)
			}
		}
		other := s.connect(t) // means well
		other.send("4" + strings.Repeat("x", each/4))
		if got := len(other.read()); got != each/4+1 {
			t.Errorf("got %d bytes, want the echo", got)
		}
		_, _ = io.WriteString(first, strings.Repeat("x", each)) // so is one that was let in
		if got := len(known.read()); got != 10*each {
			t.Errorf("got %d bytes, want the echo", got)
		}
		_ = s.Server.Close()
		if s.strangers.held != 0 || s.strangers.parts.Len() != 0 {
			t.Errorf("%d bytes of %d messages are held in the end", s.strangers.held, s.strangers.parts.Len())
		}
	})
}

// TestMaxConnsPerAddress has one address open all that it may. Others, and the address
// itself once it has closed one, can still connect.
func TestMaxConnsPerAddress(t *testing.T) {
	var log bytes.Buffer
	s := NewServer(Options{MaxConnsPerAddress: 3, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	defer s.Close()
	open := func(remote string) int {
		r := httptest.NewRequest("GET", "/engine.io/?EIO=4&transport=polling", nil)
		r.RemoteAddr = remote
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w.Code
	}
	for _, test := range []struct {
		remote string
		want   int
	}{
		{"192.0.2.7:1", 200}, {"192.0.2.7:2", 200}, {"[::ffff:192.0.2.7]:3", 200}, {"192.0.2.7:4", 429}, {"192.0.2.7:4", 429}, {"192.0.2.8:1", 200},
		{"[2001:db8::1]:1", 200}, {"[2001:db8::2]:1", 200}, {"[2001:db8::3]:1", 200}, {"[2001:db8::4]:1", 429}, {"[2001:db8:0:1::4]:1", 200},
	} {
		if got := open(test.remote); got != test.want {
			t.Errorf("%s: got status %d, want %d", test.remote, got, test.want)
		}
	}
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "max-connections-per-address") || !strings.Contains(got, "192.0.2.7/32") {
		t.Errorf("got log %q, want one warning", got)
	}
	s.mu.Lock()
	var first *Conn
	for _, c := range s.conns {
		if c.remote == "192.0.2.7:1" {
			first = c
		}
	}
	s.mu.Unlock()
	first.abort("bye")
	for open("192.0.2.7:4") != 200 {
		time.Sleep(time.Millisecond) // it is forgotten just after it has ended
	}
	_ = s.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.homes) != 0 {
		t.Errorf("%v are counted in the end", s.homes)
	}
}

// TestFailedHandshakesAreNotCounted has an address fail to open WebSockets.
func TestFailedHandshakesAreNotCounted(t *testing.T) {
	s := listen(t, Options{MaxConnsPerAddress: 1})
	for range 3 {
		resp, err := http.ReadResponse(s.connectRaw(t, "Sec-WebSocket-Protocol: (\r\n", "").in, nil)
		if err != nil || resp.StatusCode != http.StatusBadRequest {
			t.Fatalf("got %v, error %v, want status 400", resp, err)
		}
	}
	s.connect(t)
	resp, err := http.ReadResponse(s.connectRaw(t, "", "").in, nil)
	if err != nil || resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("got %v, error %v, want status 429", resp, err)
	}
}
