package transport

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"parlor/protocol/assistant"
	"parlor/protocol/engineio"
)

const deltaBudget = 4 * coalesceStep

// coalescing returns options with which the deltas that wait are joined, and
// the number of times that was done.
func coalescing() (opts Options, passes *int) {
	passes = new(int)
	return Options{QueueBytes: deltaBudget, Coalesce: func(frames []engineio.Frame) []engineio.Frame {
		*passes++
		return assistant.Coalesce(frames)
	}}, passes
}

// stream sends an answer in many deltas, which take bytes of queue. It returns
// its text.
func stream(t *testing.T, c *Conn, bytes int) string {
	t.Helper()
	var b strings.Builder
	for sent := 0; sent < bytes; {
		token := fmt.Sprintf(" %d", b.Len())
		frames := assistant.Delta(assistant.Documented, "ROOM", "answer", b.Len(), token)
		if err := c.Send(frames...); err != nil {
			t.Fatalf("after %d bytes of text: %v", b.Len(), err)
		}
		b.WriteString(token)
		sent += cost(frames[0])
	}
	return b.String()
}

// said puts the text of deltas together.
func said(t *testing.T, packets []string) (text string) {
	t.Helper()
	for _, packet := range packets {
		var body struct {
			Content string
			Offset  int
		}
		_, data, _ := strings.Cut(packet, "ROOM\",")
		if err := json.Unmarshal([]byte(strings.TrimSuffix(data, "]")), &body); err != nil {
			t.Fatalf("packet %.80q: %v", packet, err)
		}
		if body.Offset != len(text) {
			t.Fatalf("got offset %d after %d", body.Offset, len(text))
		}
		text += body.Content
	}
	return text
}

// TestDeltasCoalesce has a client that comes back for the deltas of several
// budgets: it gets all of the text.
func TestDeltasCoalesce(t *testing.T) {
	const budgets = 8
	for _, transport := range []string{TransportPolling, TransportWebSocket} {
		t.Run(transport, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts, passes := coalescing()
				s := listenPipe(t, opts)
				packets := s.late(t, transport)
				conn := <-s.opened
				synctest.Wait()
				want := stream(t, conn, budgets*deltaBudget)
				_ = conn.Send(text("end"))
				got := packets()
				if text := said(t, got); text != want {
					t.Errorf("got %d bytes of text, want %d", len(text), len(want))
				}
				if most := budgets * deltaBudget / coalesceStep; *passes == 0 || *passes > most {
					t.Errorf("coalesced %d times, want at most %d", *passes, most)
				}
			})
		})
	}
}

// late opens a connection which reads nothing until packets is called: that
// returns those before "4end".
func (s *site) late(t *testing.T, transport string) (packets func() []string) {
	if transport == TransportPolling {
		p := s.poll(t)
		return func() []string {
			all := strings.Split(p.get().body, "\x1e")
			return all[:len(all)-1]
		}
	}
	c := s.connect(t)
	return func() (all []string) {
		for {
			packet := c.read()
			if packet == "4end" {
				return all
			}
			all = append(all, packet)
		}
	}
}

// TestCoalescingIsNotEnough has clients that wait for what cannot be joined,
// or has been joined and takes too much nevertheless.
func TestCoalescingIsNotEnough(t *testing.T) {
	for name, next := range map[string]func(i int) engineio.Frame{
		"others": func(int) engineio.Frame { return text(strings.Repeat("x", 100)) },
		"deltas": func(i int) engineio.Frame {
			return assistant.Delta(assistant.Documented, "ROOM", "answer", i*100, strings.Repeat("x", 100))[0]
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts, _ := coalescing()
				s := listenPipe(t, opts)
				s.late(t, TransportPolling)
				conn := <-s.opened
				var err error
				for i := 0; err == nil; i++ {
					if i > deltaBudget {
						t.Fatal("there is no end")
					}
					err = conn.Send(next(i))
				}
				if !errors.Is(err, ErrSlowConsumer) {
					t.Errorf("got error %v, want ErrSlowConsumer", err)
				}
				if got := <-s.closed; got != ReasonSlowConsumer {
					t.Errorf("got reason %q, want %q", got, ReasonSlowConsumer)
				}
			})
		})
	}
}

// TestCoalescingIsLinear has a queue that stays nearly full, in which there is
// little to join: how much Coalesce looks at must not grow with its square.
func TestCoalescingIsLinear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const frames, size = 1000, deltaBudget / 100
		looked := 0
		s := listenPipe(t, Options{QueueBytes: deltaBudget, Coalesce: func(all []engineio.Frame) []engineio.Frame {
			looked += len(all)
			return all[len(all)/2:] // whatever it drops
		}})
		s.late(t, TransportPolling)
		conn := <-s.opened
		for i := range frames {
			if err := conn.Send(numbered(1, size)...); err != nil {
				t.Fatalf("after %d frames: %v", i, err)
			}
		}
		if looked > 5*frames {
			t.Errorf("coalesced %d frames, %d times", frames, looked/frames)
		}
	})
}

// TestQueueThatIsNeverEmpty checks that the places of frames that have been
// sent are used again.
func TestQueueThatIsNeverEmpty(t *testing.T) {
	const waiting, frames = 10, 10_000
	var o outbox
	for i := range frames {
		o.push(text("x"))
		if i < waiting {
			continue
		}
		if f, ok := o.pop(); !ok || string(f.Data) != "4x" {
			t.Fatalf("got frame %q, %v", f.Data, ok)
		}
	}
	if got := cap(o.frames); got > 4*waiting {
		t.Errorf("%d frames take the places of %d", waiting, got)
	}
}
