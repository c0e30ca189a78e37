package transport

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// recorder is a network connection that keeps what is written, one write each.
type recorder struct {
	net.Conn
	writes []string
	write  func(p []byte) (int, error) // nil: all of it
}

func (r *recorder) SetWriteDeadline(time.Time) error { return nil }

func (r *recorder) Write(p []byte) (n int, err error) {
	n = len(p)
	if r.write != nil {
		n, err = r.write(p)
	}
	r.writes = append(r.writes, string(p[:n]))
	return n, err
}

func TestWireCollectsWhileCorked(t *testing.T) {
	var net recorder
	w := &wire{Conn: &net}
	write := func(p string) {
		if n, err := w.Write([]byte(p)); n != len(p) || err != nil {
			t.Fatalf("write: got %d, %v", n, err)
		}
	}
	big := strings.Repeat("b", batchBytes+1)
	half := strings.Repeat("h", batchBytes/2+1)

	write("open ")
	w.cork()
	write("one ")
	write("two ")
	if err := w.flush(); err != nil {
		t.Fatal(err)
	}
	w.cork()
	write("small ")
	write(big) // after what came before it, and without being collected
	write(half)
	write(half) // does not fit any more
	if err := w.flush(); err != nil {
		t.Fatal(err)
	}
	write("open again")

	want := []string{"open ", "one two ", "small ", big, half, half, "open again"}
	if len(net.writes) != len(want) {
		t.Fatalf("got %d writes, want %d", len(net.writes), len(want))
	}
	for i := range want {
		if net.writes[i] != want[i] {
			t.Errorf("write %d: got %.20q, want %.20q", i, net.writes[i], want[i])
		}
	}
}

// TestWireWaitsForProgress checks that a slow peer is not a dead one.
func TestWireWaitsForProgress(t *testing.T) {
	const all = "a message that is read byte by byte"
	net := recorder{write: func(p []byte) (int, error) {
		if len(p) > 1 {
			return 1, os.ErrDeadlineExceeded
		}
		return 1, nil
	}}
	w := &wire{Conn: &net}
	if _, err := w.Write([]byte(all)); err != nil {
		t.Errorf("slow peer: got error %v", err)
	}
	if got := strings.Join(net.writes, ""); got != all {
		t.Errorf("slow peer: got %q", got)
	}

	net.write = func([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }
	if _, err := w.Write([]byte(all)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("dead peer: got error %v, want a timeout", err)
	}
}

// TestBurstLeavesInOneWrite counts the writes that reach the network.
func TestBurstLeavesInOneWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{})
		var writes atomic.Int64
		dial := s.dial
		s.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dial(ctx, network, addr)
			return countingReads{c, &writes}, err
		}
		c := s.connect(t)
		conn := <-s.opened
		synctest.Wait()
		writes.Store(0)

		want := numbered(50, 100)
		if err := conn.Send(want...); err != nil {
			t.Fatal(err)
		}
		for i := range want {
			if got := c.read(); got != string(want[i].Data) {
				t.Fatalf("message %d: got %.40q", i, got)
			}
		}
		// A read takes at most its 4 KiB buffer, and never of two writes.
		if got, most := writes.Load(), int64(50*105/4096+1); got > most {
			t.Errorf("50 messages took %d reads, want at most %d", got, most)
		}
		c.Close()
	})
}

// countingReads counts the reads that got something.
type countingReads struct {
	net.Conn
	n *atomic.Int64
}

func (c countingReads) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.n.Add(1)
	}
	return n, err
}

func TestOutboxForgetsWhatItSent(t *testing.T) {
	var o outbox
	frames := numbered(100, 10)
	o.push(frames...)
	if got, want := o.bytes, 100*cost(frames[0]); got != want {
		t.Errorf("got %d bytes, want %d", got, want)
	}
	for i := range frames {
		got, ok := o.pop()
		if !ok || !bytes.Equal(got.Data, frames[i].Data) {
			t.Fatalf("frame %d: got %q, %t", i, got.Data, ok)
		}
	}
	if got, want := o.bytes, cost(frames[0]); got != want {
		t.Errorf("while the last frame is written: got %d bytes, want %d", got, want)
	}
	if _, ok := o.pop(); ok || o.bytes != 0 || o.frames != nil {
		t.Errorf("empty: got frame %t, %d bytes, %d places", ok, o.bytes, cap(o.frames))
	}
}
