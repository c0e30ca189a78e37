package openai

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"parlor/protocol/chat"
)

// piped are options with which a client reaches handle over a pipe, so that
// both live in a bubble with its own time. The test waits for handle to return.
func piped(t *testing.T, handle func(conn net.Conn)) Options {
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	return Options{DialContext: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		wg.Go(func() {
			defer server.Close()
			if readRequest(server) == nil {
				handle(server)
			}
		})
		return client, nil
	}}
}

// forever sends s every d, until the client has gone.
func forever(conn net.Conn, s string, d time.Duration) {
	for {
		time.Sleep(d)
		if _, err := io.WriteString(conn, s); err != nil {
			return
		}
	}
}

func TestSilence(t *testing.T) {
	const comment = ": keep-alive\n\n"
	for _, test := range []struct {
		name   string
		opts   Options
		handle func(conn net.Conn)
		text   string
		code   chat.Code
		after  time.Duration
	}{
		{name: "no header", handle: untilClosed, code: chat.CodeProviderTimeout, after: DefaultFirstToken},
		{name: "no header, its own limit", opts: Options{Header: 5 * time.Second}, handle: untilClosed, code: chat.CodeProviderTimeout, after: 5 * time.Second},
		{name: "no event", handle: func(conn net.Conn) {
			io.WriteString(conn, eventStream)
			untilClosed(conn)
		}, code: chat.CodeProviderTimeout, after: DefaultFirstToken},
		{name: "only comments", handle: func(conn net.Conn) {
			io.WriteString(conn, eventStream)
			forever(conn, comment, time.Second)
		}, code: chat.CodeProviderTimeout, after: DefaultFirstToken},
		{name: "no text after the role", handle: func(conn net.Conn) {
			io.WriteString(conn, eventStream+`data: {"choices":[{"delta":{"role":"assistant"}}]}`+"\n\n")
			untilClosed(conn)
		}, code: chat.CodeProviderTimeout, after: DefaultFirstToken},
		{name: "late first token", handle: func(conn net.Conn) {
			io.WriteString(conn, eventStream)
			time.Sleep(DefaultFirstToken - time.Second)
			io.WriteString(conn, hel+stop+end)
		}, text: "Hel", after: DefaultFirstToken - time.Second},
		{name: "thinking aloud", handle: func(conn net.Conn) {
			io.WriteString(conn, eventStream)
			for range 5 {
				time.Sleep(DefaultFirstToken - time.Second)
				io.WriteString(conn, `data: {"choices":[{"delta":{"reasoning_content":"hm"}}]}`+"\n\n")
			}
			io.WriteString(conn, hel+stop+end)
		}, text: "Hel", after: 5 * (DefaultFirstToken - time.Second)},
		{name: "silence after text", handle: func(conn net.Conn) {
			io.WriteString(conn, eventStream+hel)
			untilClosed(conn)
		}, text: "Hel", code: chat.CodeProviderTimeout, after: DefaultSilence},
		{name: "comments after text", handle: func(conn net.Conn) {
			io.WriteString(conn, eventStream+hel)
			forever(conn, comment, time.Second)
		}, text: "Hel", code: chat.CodeProviderTimeout, after: DefaultSilence},
		{name: "an event that never ends", handle: func(conn net.Conn) {
			io.WriteString(conn, eventStream+hel+"data: {")
			forever(conn, " ", time.Second)
		}, text: "Hel", code: chat.CodeProviderTimeout, after: DefaultSilence},
		{name: "configured silence", opts: Options{Silence: time.Second}, handle: func(conn net.Conn) {
			io.WriteString(conn, eventStream+hel)
			untilClosed(conn)
		}, text: "Hel", code: chat.CodeProviderTimeout, after: time.Second},
		{name: "slow text", handle: func(conn net.Conn) {
			io.WriteString(conn, eventStream+hel)
			time.Sleep(DefaultSilence - time.Second)
			io.WriteString(conn, lo)
			time.Sleep(DefaultSilence - time.Second)
			io.WriteString(conn, stop+end)
		}, text: "Hello", after: 2 * (DefaultSilence - time.Second)},
		{name: "no DONE", handle: func(conn net.Conn) {
			io.WriteString(conn, eventStream+hel+stop)
			untilClosed(conn)
		}, text: "Hel", after: trailerTime},
		{name: "refusal that never ends", handle: func(conn net.Conn) {
			io.WriteString(conn, "HTTP/1.1 429 Slow Down\r\nContent-Type: application/json\r\n\r\n"+`{"error":"slow down"`)
			untilClosed(conn)
		}, code: chat.CodeProviderError, after: refusalTime},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := piped(t, test.handle)
				o.Header, o.Silence = test.opts.Header, test.opts.Silence
				c := newClient(t, "http://provider.example/v1", o)
				start := time.Now()
				collect(t, c.Stream(t.Context(), hello)).check(t, test.text, test.code, "")
				if got := time.Since(start); got != test.after {
					t.Errorf("ended after %v, want %v", got, test.after)
				}
			})
		})
	}
}

func TestCancelWhileSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopped := errors.New("stopped by a test")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(stopped) })
		c := newClient(t, "http://provider.example/v1", piped(t, func(conn net.Conn) {
			io.WriteString(conn, eventStream+hel)
			untilClosed(conn)
		}))
		start := time.Now()
		got := collect(t, c.Stream(ctx, hello))
		if got.text != "Hel" || !errors.Is(got.err, stopped) {
			t.Errorf("got %q, %v", got.text, got.err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("ended after %v", took)
		}
	})
}

// TestCancelWithMoreToRead cancels while the consumer holds the first of many
// pieces that have arrived already.
func TestCancelWithMoreToRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := newClient(t, "http://provider.example/v1", piped(t, func(conn net.Conn) {
			io.WriteString(conn, eventStream+strings.Repeat(hel, 10)+stop+end)
		}))
		var text string
		var last error
		for d, err := range c.Stream(ctx, hello) {
			text, last = text+d.Text, err
			cancel()
		}
		if text != "Hel" || !errors.Is(last, context.Canceled) {
			t.Errorf("got %q, %v", text, last)
		}
	})
}

// TestDeadlineOfTheCaller checks that the caller's own limit is told from the
// provider's silence.
func TestDeadlineOfTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		got := collect(t, newClient(t, "http://provider.example/v1", piped(t, untilClosed)).Stream(ctx, hello))
		if !errors.Is(got.err, context.DeadlineExceeded) {
			t.Errorf("got %v", got.err)
		}
	})
}

// TestSlowConsumer checks that a consumer who holds a piece for longer than
// any limit holds up the provider's socket, and is not held against it.
func TestSlowConsumer(t *testing.T) {
	const pieces = 20_000 // about 1.5 MB
	synctest.Test(t, func(t *testing.T) {
		var written atomic.Int64
		c := newClient(t, "http://provider.example/v1", piped(t, func(conn net.Conn) {
			io.WriteString(conn, eventStream)
			for range pieces {
				n, err := io.WriteString(conn, lo)
				if err != nil {
					return
				}
				written.Add(int64(n))
			}
			io.WriteString(conn, stop+end)
		}))
		var n int
		for _, err := range c.Stream(t.Context(), hello) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n > 1 {
				continue
			}
			time.Sleep(10 * DefaultSilence)
			synctest.Wait()
			if got := written.Load(); got > 64<<10 {
				t.Errorf("%d bytes were read ahead", got)
			}
		}
		if n != pieces {
			t.Errorf("got %d pieces, want %d", n, pieces)
		}
	})
}
