package providertest

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// Limits of the providers under test.
const (
	firstToken = 20 * time.Second
	keptAlive  = 50 * time.Second
	silence    = 10 * time.Second
)

// refusalPatience is how long the rest of a refusal may take.
const refusalPatience = 5 * time.Second

// A timeCase is what a server does on one connection, in time, and what comes
// of it.
type timeCase struct {
	name   string
	handle Handler
	text   string
	code   chat.Code
	after  time.Duration
}

func (w *Wire) times() []timeCase {
	const comment = ": keep-alive\n\n"
	hel := EventStream + w.Begin + w.Text("Hel")
	return []timeCase{
		{"no header", say(), "", chat.CodeProviderTimeout, firstToken},
		{"no event", say(EventStream), "", chat.CodeProviderTimeout, firstToken},
		{"only comments", forever(EventStream, comment), "", chat.CodeProviderTimeout, keptAlive},
		{"only blank lines", forever(EventStream, "\r\n"), "", chat.CodeProviderTimeout, keptAlive},
		{"only comments after the beginning", forever(EventStream+w.Begin, comment), "", chat.CodeProviderTimeout, keptAlive},
		{"comments that end", say(EventStream, 15*time.Second, comment), "", chat.CodeProviderTimeout, 15*time.Second + firstToken},
		{"comments, then the first token", say(EventStream, 15*time.Second, comment, 15*time.Second, comment, 15*time.Second, w.Begin+w.Text("Hel")+w.end()), "Hel", "", 45 * time.Second},
		{"no text", say(EventStream + w.Begin), "", chat.CodeProviderTimeout, firstToken},
		{"late first token", say(EventStream+w.Begin, firstToken-time.Second, w.Text("Hel")+w.end()), "Hel", "", firstToken - time.Second},
		{"silence after text", say(hel), "Hel", chat.CodeProviderTimeout, silence},
		{"comments after text", forever(hel, comment), "Hel", chat.CodeProviderTimeout, silence},
		{"an event that never ends", forever(hel+"data: {", " "), "Hel", chat.CodeProviderTimeout, silence},
		{"slow text", say(hel, silence-time.Second, w.Text("lo"), silence-time.Second, w.end()), "Hello", "", 2 * (silence - time.Second)},
		{"refusal that never ends", say("HTTP/1.1 429 Slow Down\r\nContent-Type: application/json\r\n\r\n" + `{"error":"slow down"`), "", chat.CodeProviderError, refusalPatience},
	}
}

// say returns a handler that writes strings, waits durations, and then keeps
// the connection open.
func say(steps ...any) Handler {
	return func(conn net.Conn) {
		if _, err := ReadRequest(conn); err != nil {
			return
		}
		for _, step := range steps {
			switch step := step.(type) {
			case string:
				_, _ = io.WriteString(conn, step)
			case time.Duration:
				time.Sleep(step)
			}
		}
		UntilClosed(conn)
	}
}

// forever returns a handler that writes first and then s every second, until
// the client has gone.
func forever(first, s string) Handler {
	return func(conn net.Conn) {
		if _, err := ReadRequest(conn); err != nil {
			return
		}
		for _, err := io.WriteString(conn, first); err == nil; _, err = io.WriteString(conn, s) {
			time.Sleep(time.Second)
		}
	}
}

func runTime(t *testing.T, h Harness) {
	for _, test := range h.Wire.times() {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := h.piped(t, upstream.Options{FirstToken: firstToken, KeptAlive: keptAlive, Silence: silence}, test.handle)
				start := time.Now()
				Collect(t, p.Stream(t.Context(), hello)).Check(t, test.text, test.code, "")
				if got := time.Since(start); got != test.after {
					t.Errorf("ended after %v, want %v", got, test.after)
				}
			})
		})
	}
	for _, test := range h.Wire.cancels() {
		t.Run("cancel "+test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { timeCancel(t, h, test) })
		})
	}
	t.Run("deadline of the caller", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { timeDeadline(t, h) })
	})
	t.Run("consumer that leaves", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { timeLeft(t, h) })
	})
	t.Run("consumer that is slow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { timeSlow(t, h) })
	})
}

// A cancelCase is how far an answer has come when its consumer cancels it.
type cancelCase struct{ name, sent, text string }

func (w *Wire) cancels() []cancelCase {
	hel := EventStream + w.Begin + w.Text("Hel")
	return []cancelCase{
		{"before the header", "", ""},
		{"before the first event", EventStream, ""},
		{"before the first text", EventStream + w.Begin, ""},
		{"in a refusal", "HTTP/1.1 500 Oh\r\nContent-Length: 100\r\n\r\n{", ""},
		{"in the answer", hel, "Hel"},
		{"in an event", hel + w.Text("lo")[:10], "Hel"},
	}
}

// timeCancel checks that the end is at once, and that the server sees it.
func timeCancel(t *testing.T, h Harness, test cancelCase) {
	stopped := errors.New("stopped by a test")
	ctx, cancel := context.WithCancelCause(t.Context())
	closed := make(chan struct{})
	p := h.piped(t, upstream.Options{}, func(conn net.Conn) {
		say(test.sent)(conn)
		close(closed)
	})
	time.AfterFunc(time.Second, func() { cancel(stopped) })
	start := time.Now()
	got := Collect(t, p.Stream(ctx, hello))
	if got.Text != test.text || !errors.Is(got.Err, stopped) {
		t.Errorf("got %q, %v; want %q, %v", got.Text, got.Err, test.text, stopped)
	}
	<-closed
	if took := time.Since(start); took != time.Second {
		t.Errorf("ended after %v, want a second", took)
	}
}

// timeDeadline tells the caller's own limit from the provider's silence.
func timeDeadline(t *testing.T, h Harness) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	got := Collect(t, h.piped(t, upstream.Options{}, say()).Stream(ctx, hello))
	if !errors.Is(got.Err, context.DeadlineExceeded) {
		t.Errorf("got %v", got.Err)
	}
}

func timeLeft(t *testing.T, h Harness) {
	closed := make(chan struct{})
	p := h.piped(t, upstream.Options{}, func(conn net.Conn) {
		say(EventStream + h.Wire.Begin + h.Wire.Text("Hel") + h.Wire.Text("lo"))(conn)
		close(closed)
	})
	for range p.Stream(t.Context(), hello) {
		break
	}
	<-closed
}

// A provider may have read so much ahead of a consumer that holds a piece, out
// of an answer of many.
const (
	maxAhead   = 64 << 10
	manyPieces = 10_000
)

// timeSlow checks that a consumer who holds a piece for longer than any limit
// holds up the server, and is not held against it.
func timeSlow(t *testing.T, h Harness) {
	var written atomic.Int64
	p := h.piped(t, upstream.Options{FirstToken: firstToken, KeptAlive: keptAlive, Silence: silence}, func(conn net.Conn) {
		if _, err := ReadRequest(conn); err != nil {
			return
		}
		_, err := io.WriteString(conn, EventStream+h.Wire.Begin)
		for n := 0; n < manyPieces && err == nil; n++ {
			_, err = io.WriteString(conn, h.Wire.Text("word"))
			written.Add(int64(len(h.Wire.Text("word"))))
		}
		_, _ = io.WriteString(conn, h.Wire.end())
	})
	n := 0
	for d, err := range p.Stream(t.Context(), hello) {
		if err != nil {
			t.Fatal(err)
		}
		if d.Text != "" {
			n++
		}
		if n > 1 {
			continue
		}
		time.Sleep(10 * silence)
		synctest.Wait()
		if got := written.Load(); got > maxAhead {
			t.Errorf("%d bytes were read ahead", got)
		}
	}
	if n != manyPieces {
		t.Errorf("got %d pieces, want %d", n, manyPieces)
	}
}
