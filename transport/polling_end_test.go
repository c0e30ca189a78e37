package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"parlor/protocol/engineio"
)

// TestAbandonedPollersAreSwept has clients that open connections and do no
// more, and clients that poll and do not answer the ping.
func TestAbandonedPollersAreSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{})
		start := time.Now()
		var polls []<-chan reply
		for i := range 100 {
			p := s.poll(t)
			if i%10 == 0 {
				polls = append(polls, p.getLater())
			}
		}
		for _, poll := range polls {
			if got := <-poll; got.body != "2" {
				t.Errorf("got %q, want a ping", got.body)
			}
		}
		for range 100 {
			s.endsAt(t, start, ReasonPingTimeout, interval+timeout)
		}
		synctest.Wait()
		if got := s.size(); got != 0 {
			t.Errorf("%d connections are left", got)
		}
	})
}

// TestPingTimeoutAnswersThePoll tells a client that is only deaf.
func TestPingTimeoutAnswersThePoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{})
		p := s.poll(t)
		p.wants(p.get(), "2")
		p.wants(p.get(), "1")
		p.refused(p.get(), 1)
	})
}

// size returns the number of connections.
func (s *site) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns) + s.openCount + s.moveCount
}

// TestCloseOfPoller closes connections whose client polls, or is between two
// polls, with and without something to say.
func TestCloseOfPoller(t *testing.T) {
	for _, test := range []struct {
		name    string
		polling bool
		queued  int
		want    string
	}{
		{"polling", true, 0, "1"},
		{"between polls", false, 0, "6\x1e1"},
		{"between polls, queued", false, 2, "40\x1e41\x1e1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := listenPipe(t, Options{})
				p := s.poll(t)
				conn := <-s.opened
				var poll <-chan reply
				if test.polling {
					poll = p.getLater()
					synctest.Wait()
				}
				_ = conn.Send(numbered(test.queued, 1)...)
				conn.Close("bye")
				if got := <-s.closed; got != "bye" {
					t.Errorf("got reason %q", got)
				}
				if err := conn.Send(text("late")); !errors.Is(err, ErrClosed) {
					t.Errorf("got error %v, want ErrClosed", err)
				}
				if !test.polling {
					p.send("4dropped")
					poll = p.getLater()
				}
				p.wants(<-poll, test.want)
				p.refused(p.get(), 1)
			})
		})
	}
}

// TestClosedPollerIsForgotten has a client that never polls again.
func TestClosedPollerIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{})
		p := s.poll(t)
		start := time.Now()
		(<-s.opened).Close("")
		if got := <-s.closed; got != ReasonForcedClose {
			t.Errorf("got reason %q, want %q", got, ReasonForcedClose)
		}
		_ = s.Shutdown(t.Context()) // waits until the connection is gone
		if got := time.Since(start); got != DefaultCloseTimeout {
			t.Errorf("gone after %v, want %v", got, DefaultCloseTimeout)
		}
		p.refused(p.get(), 1)
	})
}

func TestCloseOfPollerInAccept(t *testing.T) {
	s := listen(t, Options{Accept: func(c *Conn) Receiver {
		_ = c.Send(text("no"))
		c.Close("not wanted")
		return discard{}
	}})
	p := s.poll(t) // the open packet is alone
	p.wants(p.get(), "4no\x1e1")
	if got := within(t, s.closed); got != "not wanted" {
		t.Errorf("got reason %q", got)
	}
}

func TestShutdownOfPollers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{})
		waits, comes := s.poll(t), s.poll(t)
		poll := waits.getLater()
		synctest.Wait()
		done := make(chan error)
		go func() { done <- s.Shutdown(context.Background()) }()
		synctest.Wait()
		waits.wants(<-poll, "1")
		comes.wants(comes.get(), "6\x1e1")
		if err := <-done; err != nil {
			t.Error(err)
		}
		for range 2 {
			if got := <-s.closed; got != ReasonServerShutdown {
				t.Errorf("got reason %q, want %q", got, ReasonServerShutdown)
			}
		}
		if got := comes.do("GET", "?EIO=4&transport=polling", nil); got.status != http.StatusServiceUnavailable {
			t.Errorf("got status %d, want 503", got.status)
		}
	})
}

// TestServerCloseOfPollers does not wait for anyone, and breaks the poll that
// waits.
func TestServerCloseOfPollers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{})
		waits := s.poll(t)
		s.poll(t)
		broken := make(chan error)
		go func() {
			_, err := waits.try(t.Context(), "GET", waits.query(), nil)
			broken <- err
		}()
		synctest.Wait()
		start := time.Now()
		_ = s.Server.Close()
		if got := time.Since(start); got != 0 {
			t.Errorf("closed after %v", got)
		}
		if err := <-broken; err == nil {
			t.Error("the poll was answered")
		}
		if got := s.size(); got != 0 {
			t.Errorf("%d connections are left", got)
		}
	})
}

// TestSlowPollerIsCutOff has one client that does not poll, and one that does
// not read the answers: both get no more than the budget.
func TestSlowPollerIsCutOff(t *testing.T) {
	const budget, size = 64 << 10, 1000
	for _, polls := range []int{0, 1, 2} {
		t.Run(fmt.Sprintf("polls=%d", polls), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := listenPipe(t, Options{QueueBytes: budget})
				p := s.poll(t)
				conn := <-s.opened
				sent := 0
				for range polls { // a second one waits until the first is read
					s.rawRequest(t, "GET /engine.io/"+p.query()+" HTTP/1.1\r\nHost: a\r\n\r\n")
					synctest.Wait()
					_ = conn.Send(numbered(1, budget/4)...)
					sent += budget / 4
					synctest.Wait()
				}
				for conn.Send(numbered(1, size)...) == nil {
					if sent += size; sent > budget {
						t.Fatalf("%d bytes were taken", sent)
					}
				}
				if got := <-s.closed; got != ReasonSlowConsumer {
					t.Errorf("got reason %q, want %q", got, ReasonSlowConsumer)
				}
				synctest.Wait()
				if got := s.size(); got != 0 {
					t.Errorf("%d connections are left", got)
				}
				p.refused(p.get(), 1)
			})
		})
	}
}

// TestPollWaitsForTheOneBefore sends a GET while the answer to the last one is
// still on its way, which is no overlap: the client may have read it already.
func TestPollWaitsForTheOneBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{})
		p := s.poll(t)
		conn := <-s.opened
		first := s.rawRequest(t, "GET /engine.io/"+p.query()+" HTTP/1.1\r\nHost: a\r\n\r\n")
		synctest.Wait()
		_ = conn.Send(text("one"))
		synctest.Wait() // it is being written
		second := p.getLater()
		synctest.Wait()
		_ = conn.Send(text("two"))
		synctest.Wait()
		if len(second) != 0 {
			t.Fatal("the second poll was answered before the first")
		}
		if got := first.response(t); got.body != "4one" {
			t.Errorf("first: got %q", got.body)
		}
		p.wants(<-second, "4two")
	})
}

// TestStuckPollEnds has a client that does not read the answer to its poll.
func TestStuckPollEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{})
		p := s.poll(t)
		conn := <-s.opened
		s.rawRequest(t, "GET /engine.io/"+p.query()+" HTTP/1.1\r\nHost: a\r\n\r\n")
		synctest.Wait()
		start := time.Now()
		_ = conn.Send(text("hello"))
		s.endsAt(t, start, ReasonTransportError, DefaultWriteTimeout)
	})
}

// TestSlowAnswerIsRead checks that a poller may take long for a long answer.
func TestSlowAnswerIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{PingInterval: time.Hour})
		p := s.poll(t)
		conn := <-s.opened
		want := bytes.Repeat([]byte("x"), 10*answerPiece)
		_ = conn.Send(engineio.Frame{Data: want, Binary: true})
		r := s.rawRequest(t, "GET /engine.io/"+p.query()+" HTTP/1.1\r\nHost: a\r\n\r\n")
		slow := &raw{r.Conn, nil}
		got := 0
		buf := make([]byte, answerPiece/2)
		for got < 13*answerPiece { // in base64
			n, err := slow.Read(buf)
			if err != nil {
				t.Fatalf("after %d bytes: %v", got, err)
			}
			got += n
			if got%(answerPiece/2) < n {
				time.Sleep(DefaultWriteTimeout / 4)
			}
		}
	})
}

// TestFarewellIsBounded closes connections whose client does not read the last
// answer: it has a CloseTimeout, or until the server cuts it off.
func TestFarewellIsBounded(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(*site)
		want time.Duration
	}{
		"timeout": {func(s *site) { _ = s.Shutdown(context.Background()) }, DefaultCloseTimeout},
		"cut off": {func(s *site) { _ = s.Server.Close() }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := listenPipe(t, Options{})
				p := s.poll(t)
				conn := <-s.opened
				s.rawRequest(t, "GET /engine.io/"+p.query()+" HTTP/1.1\r\nHost: a\r\n\r\n")
				synctest.Wait()
				start := time.Now()
				conn.Close("bye")
				synctest.Wait() // the answer is being written
				test.end(s)
				if got := time.Since(start); got != test.want {
					t.Errorf("gone after %v, want %v", got, test.want)
				}
				if got := <-s.closed; got != "bye" {
					t.Errorf("got reason %q", got)
				}
			})
		})
	}
}
