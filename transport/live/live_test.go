package live_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"parlor/protocol/chat"
	"parlor/transport"
	"parlor/transport/live"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A site serves HTTP inside the process, for bubbles of synctest.
type site struct {
	server *http.Server
	conns  chan net.Conn
	once   sync.Once
	done   chan struct{}
}

func serve(t *testing.T, h http.Handler) *site {
	s := &site{server: &http.Server{Handler: h, ReadTimeout: time.Minute, WriteTimeout: time.Minute}, conns: make(chan net.Conn), done: make(chan struct{})}
	go func() { _ = s.server.Serve(s) }()
	t.Cleanup(func() {
		_ = s.server.Close()
		synctest.Wait()
	})
	return s
}

// Accept, Close and Addr implement net.Listener.
func (s *site) Accept() (net.Conn, error) {
	select {
	case c := <-s.conns:
		return c, nil
	case <-s.done:
		return nil, net.ErrClosed
	}
}
func (s *site) Close() error   { s.once.Do(func() { close(s.done) }); return nil }
func (s *site) Addr() net.Addr { return &net.TCPAddr{} }

// get asks for / and returns the connection and what is read from it.
func (s *site) get(t *testing.T) (net.Conn, *bufio.Reader) {
	t.Helper()
	client, server := net.Pipe()
	s.conns <- server
	t.Cleanup(func() { client.Close() })
	if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return client, bufio.NewReader(client)
}

// stream returns a handler that begins a stream and hands it to use, and tells the cause of
// its end.
func stream(s *live.Streams, use func(*live.Stream)) (http.Handler, <-chan error) {
	ended := make(chan error, 10)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		st, err := s.Begin(w, r, chat.SignIn{User: chat.User{ID: "alice"}})
		if err != nil {
			ended <- err
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		defer st.Close()
		use(st)
		ended <- context.Cause(st.Context())
	}), ended
}

// A stream goes on for as long as its client reads, whatever the timeouts of the server.
func TestOutlivesTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lines = 5
		h, ended := stream(live.New(live.Options{}), func(st *live.Stream) {
			for i := range lines {
				time.Sleep(10 * time.Minute)
				fmt.Fprintln(st, "line", i)
				_ = st.FlushError()
			}
		})
		_, r := serve(t, h).get(t)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if got, want := string(body), "line 0\nline 1\nline 2\nline 3\nline 4\n"; got != want || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		if err := <-ended; err != nil {
			t.Errorf("the stream had ended: %v", err)
		}
	})
}

// A stream ends when its client reads nothing, or is gone.
func TestEndsWithClient(t *testing.T) {
	for name, leave := range map[string]func(net.Conn){
		"stalled": func(net.Conn) {},
		"gone":    func(c net.Conn) { c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				h, ended := stream(live.New(live.Options{WriteTimeout: time.Second}), func(st *live.Stream) {
					for st.Context().Err() == nil {
						_, _ = st.Write(make([]byte, 1<<16))
					}
				})
				c, _ := serve(t, h).get(t)
				leave(c)
				if err := <-ended; err == nil || time.Since(begun) > time.Second {
					t.Errorf("ended with %v after %v", err, time.Since(begun))
				}
			})
		})
	}
}

// A stream ends with the sign-in of its user, and with the server, which waits for it.
func TestEnds(t *testing.T) {
	signedOut := make(chan func(), 1)
	sockets := transport.NewServer(transport.Options{MaxConns: 1})
	streams := func() *live.Streams {
		return live.New(live.Options{
			Hold:  sockets.Hold,
			Watch: func(_ chat.SignIn, ended func()) func() { signedOut <- ended; return func() { <-signedOut } },
		})
	}
	wait := func(st *live.Stream) {
		_ = st.FlushError()
		<-st.Context().Done()
	}
	synctest.Test(t, func(t *testing.T) {
		h, ended := stream(streams(), wait)
		signedOut = make(chan func(), 1)
		_, _ = serve(t, h).get(t)
		end := <-signedOut
		signedOut <- end
		end()
		if err := <-ended; !errors.Is(err, live.ErrSignedOut) {
			t.Errorf("ended with %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		signedOut = make(chan func(), 1)
		sockets = transport.NewServer(transport.Options{MaxConns: 1})
		h, ended := stream(streams(), wait)
		s := serve(t, h)
		_, _ = s.get(t)
		synctest.Wait()
		_, _ = s.get(t)
		if got := chat.AsError(<-ended); got.Code != chat.CodeBusy {
			t.Errorf("one too many: got %v", got)
		}
		if err := sockets.Shutdown(t.Context()); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-ended; !errors.Is(err, live.ErrStopping) {
			t.Errorf("ended with %v", err)
		}
	})
}

// The streams of one user are limited, and are counted until they end.
func TestCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := 0
		h, ended := stream(live.New(live.Options{
			Enter: func(chat.UserID) bool { open++; return open <= 1 },
			Leave: func(chat.UserID) { open-- },
		}), func(st *live.Stream) {
			_ = st.FlushError()
			<-st.Context().Done()
		})
		s := serve(t, h)
		c, _ := s.get(t)
		synctest.Wait()
		_, _ = s.get(t)
		if got := chat.AsError(<-ended); got.Code != chat.CodeBusy {
			t.Errorf("one too many: got %v", got)
		}
		c.Close()
		<-ended
		synctest.Wait()
		if open != 1 { // the one that was refused is counted by nobody
			t.Errorf("%d are counted", open)
		}
	})
}
