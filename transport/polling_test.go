package transport

import (
	"compress/gzip"
	"compress/zlib"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parlor/protocol/engineio"
)

func TestPollingHeaders(t *testing.T) {
	s := listen(t, Options{})
	p := s.poll(t)
	p.send("4é")
	got := p.get()
	p.wants(got, "4é")
	for name, want := range map[string]string{
		"Content-Type": "text/plain; charset=UTF-8", "Cache-Control": "no-store", "Content-Length": "3",
		"X-Xss-Protection": "", "Content-Encoding": "", "Set-Cookie": "", "Access-Control-Allow-Origin": "",
	} {
		if got := got.header.Get(name); got != want {
			t.Errorf("GET: got %s %q, want %q", name, got, want)
		}
	}
	got = p.post("4x", "User-Agent", "Mozilla/5.0 (compatible;MSIE 9.0; Windows NT 6.1; Trident/5.0)")
	for name, want := range map[string]string{
		"Content-Type": "text/html", "Cache-Control": "no-store", "Content-Length": "2", "X-Xss-Protection": "0",
	} {
		if got := got.header.Get(name); got != want {
			t.Errorf("POST: got %s %q, want %q", name, got, want)
		}
	}
	conn := within(t, s.opened)
	if host, _, _ := net.SplitHostPort(conn.RemoteAddr()); host != "127.0.0.1" {
		t.Errorf("got remote address %q", conn.RemoteAddr())
	}
}

// TestFirstRequestIsKept checks that the Conn shows the request that opened it,
// not later ones.
func TestFirstRequestIsKept(t *testing.T) {
	s := listen(t, Options{})
	p := s.newPoller(t)
	open := p.do("GET", "?EIO=4&transport=polling", nil, "X-Which", "first")
	p.sid = sidOf(t, open.body)
	p.post("4x", "X-Which", "second")
	ws := p.probe()
	ws.send("5", "4x")
	ws.read()
	if got := within(t, s.opened).Header().Get("X-Which"); got != "first" {
		t.Errorf("got the header of the %s request", got)
	}
}

// TestPathsWithAndWithoutSlash mounts the server as its users do.
func TestPathsWithAndWithoutSlash(t *testing.T) {
	s := listen(t, Options{})
	p := s.newPoller(t)
	for _, path := range []string{"/engine.io", "/engine.io/", "/base/engine.io/"} {
		resp, err := p.http.Get(s.url + path + "?EIO=4&transport=polling")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 || len(sidOf(t, string(body))) < 20 {
			t.Errorf("%s: got %d %s", path, resp.StatusCode, body)
		}
	}
}

func TestPollsAreCompressed(t *testing.T) {
	long := "4" + strings.Repeat("hello", 300)
	s := listen(t, Options{})
	never := listen(t, Options{CompressAbove: -1})
	for _, test := range []struct {
		site         *site
		body, accept string
		want         string
	}{
		{s, long, "gzip, deflate, br", "gzip"},
		{s, long, "deflate, GZIP;q=0.5", "gzip"},
		{s, long, "deflate", "deflate"},
		{s, long, "gzip;q=0, deflate;q=1.0", "deflate"},
		{s, long, "gzip;q=0.000", ""},
		{s, long, "br, identity", ""},
		{s, long, "", ""},
		{s, long[:1024], "gzip", ""},
		{s, long[:1025], "gzip", "gzip"},
		{never, long, "gzip", ""},
	} {
		p := test.site.poll(t)
		p.send(test.body)
		got := p.get("Accept-Encoding", test.accept)
		if coding := got.header.Get("Content-Encoding"); coding != test.want {
			t.Errorf("%q: got coding %q, want %q", test.accept, coding, test.want)
		}
		if length := got.header.Get("Content-Length"); length != strconv.Itoa(len(got.body)) {
			t.Errorf("%q: got length %s of %d bytes", test.accept, length, len(got.body))
		}
		if inflated := inflate(t, test.want, got.body); inflated != test.body {
			t.Errorf("%q: got %.40q", test.accept, inflated)
		}
	}
}

func inflate(t *testing.T, coding, body string) string {
	t.Helper()
	var r io.Reader = strings.NewReader(body)
	var err error
	switch coding {
	case "gzip":
		r, err = gzip.NewReader(r)
	case "deflate":
		r, err = zlib.NewReader(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestPostTooLong checks that a body over the limit costs nothing but itself.
func TestPostTooLong(t *testing.T) {
	s := listen(t, Options{MaxPayload: 1000})
	p := s.poll(t)
	exact, long := "4"+strings.Repeat("x", 999), "4a\x1e4"+strings.Repeat("x", 1000)
	if got := p.post(long); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("got status %d, want 413", got.status)
	}
	chunked := p.do("POST", p.query(), io.MultiReader(strings.NewReader(long)))
	if chunked.status != http.StatusRequestEntityTooLarge {
		t.Errorf("chunked: got status %d, want 413", chunked.status)
	}
	slow := s.rawRequest(t, "POST /engine.io/"+p.query()+" HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n4x")
	if got := slow.response(t); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("1 GB announced: got status %d, want 413", got.status)
	}
	p.send(exact)
	p.wants(p.get(), exact)
}

// TestPostInParts cuts bodies, and characters in them, anywhere.
func TestPostInParts(t *testing.T) {
	s := listen(t, Options{})
	p := s.poll(t)
	const body = "4€uro\x1e4ß"
	r := s.rawRequest(t, "POST /engine.io/"+p.query()+" HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	for i := range len(body) {
		fmt.Fprintf(r, "1\r\n%s\r\n", body[i:i+1])
	}
	fmt.Fprint(r, "0\r\n\r\n")
	if got := r.response(t); got.body != "ok" {
		t.Fatalf("got %d %q", got.status, got.body)
	}
	p.wants(p.get(), body)
}

// TestBadPosts checks what is delivered of a bad payload, and that it ends the
// connection.
func TestBadPosts(t *testing.T) {
	for _, test := range []struct {
		name, body, contentType string
		received                string
		status                  int
		reason                  string
	}{
		{"garbage", "abc", "", "", 400, ReasonParseError},
		{"empty", "", "", "", 400, ReasonParseError},
		{"bad packet", "4a\x1e4b\x1eabc\x1e4c", "", "ab", 400, ReasonParseError},
		{"bad UTF-8", "4a\x1e4\xff\x1e4c", "", "a", 400, ReasonParseError},
		{"bad base64", "4a\x1eb?\x1e4c", "", "a", 400, ReasonParseError},
		{"many packets", "4a\x1e4b\x1e4c\x1e4d", "", "abc", 400, ReasonParseError},
		{"ping", "4a\x1e2\x1e4c", "", "a", 400, ReasonTransportError},
		{"close", "4a\x1e1\x1e4c", "", "a", 200, ReasonTransportClose},
		{"binary", "4a", "application/octet-stream", "", 400, ReasonTransportError},
		{"binary with parameter", "4a", "Application/Octet-Stream; x=y", "", 400, ReasonTransportError},
	} {
		t.Run(test.name, func(t *testing.T) {
			received := ""
			s := listen(t, Options{MaxPayloadPackets: 3, Accept: func(*Conn) Receiver {
				return receive(func(m engineio.Message) { received += string(m.Data) })
			}})
			p := s.poll(t)
			if got := p.post(test.body, "Content-Type", test.contentType); got.status != test.status {
				t.Errorf("got status %d, want %d", got.status, test.status)
			}
			p.refused(p.get(), 1)
			p.refused(p.post("4x"), 1)
			if got := within(t, s.closed); got != test.reason {
				t.Errorf("got reason %q, want %q", got, test.reason)
			}
			if received != test.received {
				t.Errorf("received %q, want %q", received, test.received)
			}
		})
	}
}

// TestOctetStreamIsAnswered is CVE-2026-59725: such POSTs were never answered.
func TestOctetStreamIsAnswered(t *testing.T) {
	s := listen(t, Options{})
	for range 20 {
		p := s.poll(t)
		if got := p.post("4x", "Content-Type", "application/octet-stream"); got.status != 400 {
			t.Fatalf("got status %d, want 400", got.status)
		}
	}
}

func TestOtherMethods(t *testing.T) {
	s := listen(t, Options{})
	p := s.poll(t)
	for _, method := range []string{"PUT", "DELETE", "OPTIONS"} {
		p.refused(p.do(method, p.query(), nil), 2)
	}
	p.refused(p.do("GET", "?EIO=4&transport=websocket&sid="+p.sid, nil), 3)
	p.send("4still here")
	p.wants(p.get(), "4still here")
}

// TestSecondPost ends the connection: one POST at a time.
func TestSecondPost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := listenPipe(t, Options{Accept: func(*Conn) Receiver {
			return receive(func(engineio.Message) { <-release })
		}})
		p := s.poll(t)
		first := make(chan reply)
		go func() { first <- p.post("4one\x1e4two") }()
		synctest.Wait()
		p.refused(p.post("4three"), 3)
		synctest.Wait()
		if len(s.closed) != 0 {
			t.Fatal("Closed was called while Receive ran")
		}
		release <- struct{}{} // and the second message is not received
		<-first
		if got := <-s.closed; got != ReasonTransportError {
			t.Errorf("got reason %q, want %q", got, ReasonTransportError)
		}
	})
}

// TestPostCut ends the connection.
func TestPostCut(t *testing.T) {
	s := listen(t, Options{})
	p := s.poll(t)
	r := s.rawRequest(t, "POST /engine.io/"+p.query()+" HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n4x")
	_ = r.Close()
	if got := within(t, s.closed); got != ReasonTransportError {
		t.Errorf("got reason %q, want %q", got, ReasonTransportError)
	}
	p.refused(p.get(), 1)
}

// TestConnectionClose checks that clients may use each connection once.
func TestConnectionClose(t *testing.T) {
	s := listen(t, Options{})
	p := s.poll(t)
	for range 3 {
		if got := p.post("4x", "Connection", "close"); got.body != "ok" {
			t.Fatalf("got %d %q", got.status, got.body)
		}
		p.wants(p.get("Connection", "close"), "4x")
	}
}

// TestEndlessPost trickles a body, which ends with the ping timeout: its sender
// cannot answer the ping.
func TestEndlessPost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{})
		start := time.Now()
		p := s.poll(t)
		r := s.rawRequest(t, "POST /engine.io/"+p.query()+" HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n4")
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				if _, err := io.WriteString(r, "x"); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
		s.endsAt(t, start, ReasonPingTimeout, interval+timeout)
		if got := r.response(t); got.status != 400 {
			t.Errorf("got status %d, want 400", got.status)
		}
		_ = r.Close()
		<-done
	})
}

// TestBusyReceiverHoldsPostsUp checks that a POST is answered when it has been
// received, and that the client is not taken for dead meanwhile.
func TestBusyReceiverHoldsPostsUp(t *testing.T) {
	const busy = 10 * time.Minute
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{Accept: func(*Conn) Receiver {
			return receive(func(engineio.Message) { time.Sleep(busy) })
		}})
		start := time.Now()
		p := s.poll(t)
		poll := p.getLater()
		p.send("4one\x1e4two\x1e3")
		if got := time.Since(start); got != 2*busy {
			t.Errorf("answered after %v, want %v", got, 2*busy)
		}
		p.wants(<-poll, "2")
		p.wants(p.get(), "2") // the pong was taken
		if got := time.Since(start); got != 2*busy+interval {
			t.Errorf("ping after %v, want %v", got, 2*busy+interval)
		}
		s.endsAt(t, start, ReasonPingTimeout, 2*busy+interval+timeout)
	})
}

// TestDeadlinesOfTheHTTPServer checks that those which are meant for short
// requests do not end polls.
func TestDeadlinesOfTheHTTPServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listenPipeWith(t, Options{}, &http.Server{ReadTimeout: time.Second, WriteTimeout: time.Second})
		p := s.poll(t)
		for range 3 {
			p.wants(p.get(), "2")
			p.send("3")
		}
	})
}

// TestIdlePollerHasNoGoroutine counts goroutines of connections between polls.
func TestIdlePollerHasNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{})
		synctest.Wait()
		before := bubbleGoroutines()
		for range 10 {
			p := s.poll(t)
			p.http.CloseIdleConnections()
		}
		synctest.Wait()
		if got := bubbleGoroutines() - before; got != 0 {
			t.Errorf("10 idle pollers have %d goroutines", got)
		}
	})
}

// TestPollerReceiverPanics costs one connection.
func TestPollerReceiverPanics(t *testing.T) {
	s := listen(t, Options{Accept: func(c *Conn) Receiver { return &fragile{echo{c}} }})
	victim, other := s.poll(t), s.poll(t)
	victim.post("4panic\x1e4more")
	if got := within(t, s.closed); got != ReasonForcedClose {
		t.Errorf("got reason %q, want %q", got, ReasonForcedClose)
	}
	victim.refused(victim.get(), 1)
	other.send("4still here")
	other.wants(other.get(), "4still here")
}

// TestRefusedPostIsNotRead has a client that does not send the body it has
// announced, for a connection that there is not.
func TestRefusedPostIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{})
		start := time.Now()
		r := s.rawRequest(t, "POST /engine.io/?EIO=4&transport=polling&sid=abc HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n4x")
		if got := r.response(t); got.status != 400 || time.Since(start) != 0 {
			t.Errorf("got status %d after %v, want 400 at once", got.status, time.Since(start))
		}
		_, _ = io.Copy(io.Discard, r.in) // ends
	})
}

// TestPollingOverHTTP2 shares one network connection among all requests.
func TestPollingOverHTTP2(t *testing.T) {
	s := listen(t, Options{})
	server := httptest.NewUnstartedServer(s.Server)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	p := &poller{t: t, http: server.Client(), url: server.URL}
	p.sid = sidOf(t, p.do("GET", "?EIO=4&transport=polling", nil).body)
	poll := p.getLater()
	p.send("4hello")
	p.wants(<-poll, "4hello")
	if got := p.post("4" + strings.Repeat("x", DefaultMaxPayload)); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("got status %d, want 413", got.status)
	}
	p.stillPolls()

	ctx, cancel := context.WithCancel(t.Context())
	go func() { _, _ = p.try(ctx, "GET", p.query(), nil) }()
	for !s.polled(p.sid) {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if got := within(t, s.closed); got != ReasonTransportError {
		t.Errorf("got reason %q, want %q", got, ReasonTransportError)
	}
}
