package transport

import (
	"bytes"
	"context"
	"errors"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parlor/protocol/assistant"
	"parlor/protocol/engineio"
)

// The room of TestThousandSlowReaders.
const (
	slowReaders = 1000
	goodReaders = 20
	slowBudget  = 32 << 10

	// slowOverhead is what a connection takes besides its queue: those of both
	// ends, the batch that its writer waits with, stacks.
	slowOverhead = 48 << 10
)

// A crowd is a room in which everyone is sent the same, and some read it.
type crowd struct {
	t       *testing.T
	site    *site
	slow    []*Conn
	readers []*Conn
	arrived chan arrival
	text    int // bytes of the answer that were sent
}

type arrival struct {
	reader int
	frame  []byte
	at     time.Time
}

// join adds a member that reads all it gets.
func (c *crowd) join() {
	ws := c.site.connect(c.t)
	i := len(c.readers)
	c.readers = append(c.readers, within(c.t, c.site.opened))
	go func() {
		for {
			_, data, err := ws.ReadMessage()
			if err != nil {
				return
			}
			c.arrived <- arrival{i, data, time.Now()}
		}
	}()
}

// stall adds a member that reads nothing. The kernel's buffers are made small,
// since they would hold megabytes for each.
func (c *crowd) stall() {
	r := c.site.connectRaw(c.t, "", "")
	r.upgraded(c.t)
	conn := within(c.t, c.site.opened)
	_ = r.Conn.(*net.TCPConn).SetReadBuffer(4096)
	_ = conn.carrier.(*socket).wire.Conn.(*net.TCPConn).SetWriteBuffer(4096)
	c.slow = append(c.slow, conn)
}

// say sends a frame to everyone, and waits until those who read have it. It
// returns how long that took each of them.
func (c *crowd) say(f engineio.Frame) []time.Duration {
	c.t.Helper()
	sent := make([]time.Time, len(c.readers))
	for i, conn := range c.readers {
		for _, slow := range c.slow[i*len(c.slow)/len(c.readers) : (i+1)*len(c.slow)/len(c.readers)] {
			_ = slow.Send(f)
		}
		sent[i] = time.Now()
		if err := conn.Send(f); err != nil {
			c.t.Fatalf("reader %d: %v", i, err)
		}
	}
	took := make([]time.Duration, len(c.readers))
	for range c.readers {
		a := within(c.t, c.arrived)
		if !bytes.Equal(a.frame, f.Data) {
			c.t.Fatalf("reader %d: got %.80q, want %.80q", a.reader, a.frame, f.Data)
		}
		took[a.reader] = a.at.Sub(sent[a.reader])
	}
	return took
}

// stream says deltas.
func (c *crowd) stream(deltas int) (took []time.Duration) {
	c.t.Helper()
	token := strings.Repeat("x", 40)
	for range deltas {
		took = append(took, c.say(assistant.Delta(assistant.Documented, "ROOM", "answer", c.text, token)[0])...)
		c.text += len(token)
	}
	slices.Sort(took)
	return took
}

// TestThousandSlowReaders streams to a room of which most members have stopped
// reading: their deltas are coalesced, then they are cut off; they take no more
// memory than they may, and leave nothing behind. How long the others wait is
// reported, next to what they waited alone.
func TestThousandSlowReaders(t *testing.T) {
	if testing.Short() {
		t.Skip("many clients: make test-long")
	}
	const (
		deltas = 400 // several budgets, though their text is half of one
		fill   = 100 // that the kernel may take for each before it stalls
	)
	c := &crowd{t: t, arrived: make(chan arrival, goodReaders), site: listen(t, Options{
		QueueBytes: slowBudget, Coalesce: assistant.Coalesce, PingInterval: time.Hour, WriteTimeout: time.Hour,
	})}
	for range goodReaders {
		c.join()
	}
	alone := c.stream(deltas)

	start := memory()
	for range slowReaders {
		c.stall()
	}
	c.stream(fill)
	among := c.stream(deltas)
	for i, conn := range c.slow {
		conn.mu.Lock()
		if conn.end.reason != "" || conn.out.bytes == 0 || conn.out.bytes > slowBudget {
			t.Errorf("slow reader %d: %d bytes wait, ended for %q", i, conn.out.bytes, conn.end.reason)
		}
		conn.mu.Unlock()
	}
	heap, stack := memory().since(start)
	if got, want := heap+stack, float64(slowReaders*(slowBudget+slowOverhead)); got > want {
		t.Errorf("slow readers take %.0f bytes, want at most %.0f", got, want)
	}
	t.Logf("%d slow readers: %.1f KB each", slowReaders, (heap+stack)/slowReaders/1024)
	for _, percent := range []int{50, 90, 99, 100} {
		a, b := alone[(len(alone)-1)*percent/100], among[(len(among)-1)*percent/100]
		t.Logf("latency of readers, %d%%: %v alone, %v among slow ones (× %.2f)", percent, a, b, float64(b)/float64(a))
	}

	c.cutOff(start)
}

// cutOff says what cannot be coalesced until every slow reader is cut off.
func (c *crowd) cutOff(start used) {
	const frames, size = 100, 1 << 10
	for _, f := range numbered(frames, size) {
		c.say(f)
	}
	for range c.slow {
		if got := within(c.t, c.site.closed); got != ReasonSlowConsumer {
			c.t.Errorf("got reason %q, want %q", got, ReasonSlowConsumer)
		}
	}
	for c.site.size() > 2*len(c.readers) { // each is counted twice
		runtime.Gosched()
	}
	c.slow = nil
	heap, stack := memory().since(start)
	if got, want := heap+stack, float64(slowReaders*slowOverhead); got > want {
		c.t.Errorf("slow readers leave %.0f bytes behind, want at most %.0f", got, want)
	}
	c.t.Logf("after the end of the slow ones: %.0f KB more than before", (heap+stack)/1024)
	c.say(text("still here"))
}

// Drain waits as long as much is queued for a client that does not read.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewServer(Options{QueueBytes: 100})
		c := &Conn{server: s}
		if err := c.Drain(t.Context()); err != nil {
			t.Errorf("nothing is queued: %v", err)
		}
		c.out.push(engineio.Frame{Data: make([]byte, 1000)})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := c.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("much is queued: %v", err)
		}
		time.AfterFunc(time.Second, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.out = outbox{}
		})
		if err := c.Drain(t.Context()); err != nil {
			t.Errorf("the client has read: %v", err)
		}
	})
}
