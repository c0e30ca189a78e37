package resume

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"parlor/protocol/chat"
)

// roomLog is a log whose records are as long as lengths say; those of length 0
// have no frames. It counts what is asked of it.
type roomLog struct {
	mu       sync.Mutex
	lengths  []int
	reads    int // of the log
	records  int // that were read
	encoded  int
	fail     error // after the next record
	proceed  chan struct{}
	entering chan struct{}
}

func (l *roomLog) source() Source[string] {
	return Source[string]{
		Room: "room", Epoch: "epoch", Encoder: "e",
		Records: l.read, Encode: l.encode, Size: func(f string) int { return len(f) },
	}
}

func (l *roomLog) read(ctx context.Context, after uint64) iter.Seq2[chat.Record, error] {
	return func(yield func(chat.Record, error) bool) {
		l.mu.Lock()
		l.reads++
		l.mu.Unlock()
		if l.entering != nil {
			l.entering <- struct{}{}
			select {
			case <-l.proceed:
			case <-ctx.Done():
			}
		}
		for seq := after + 1; seq <= uint64(len(l.lengths)); seq++ {
			l.mu.Lock()
			l.records++
			l.mu.Unlock()
			if !yield(chat.Record{Seq: seq}, nil) {
				return
			}
			if l.fail != nil {
				yield(chat.Record{}, l.fail)
				return
			}
		}
	}
}

func (l *roomLog) encode(n chat.Notice) []string {
	seq := n.(chat.Missed).Record.Seq
	l.mu.Lock()
	defer l.mu.Unlock()
	l.encoded++
	if length := l.lengths[seq-1]; length > 0 {
		return []string{text(seq, length)}
	}
	return nil
}

func text(seq uint64, length int) string { return fmt.Sprintf("%0*d", length, seq) }

// want is what a client has missed, as it is without a cache.
func (l *roomLog) want(after, last uint64, limit int) (frames []string, tooMuch bool) {
	size := 0
	for seq := after + 1; seq <= last; seq++ {
		if length := l.lengths[seq-1]; length > 0 {
			frames = append(frames, text(seq, length))
			size += len(frames[len(frames)-1])
		}
	}
	return frames, size > limit && len(frames) > 1
}

func framesOf(missed []Missed[string]) (frames []string) {
	for _, m := range missed {
		frames = append(frames, m.Frames...)
	}
	return frames
}

// A Read returns the same as it would without a cache, whatever was read before and
// however that ended.
func TestReplays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := rapid.SampledFrom([]int{40, 40, 40, 0, 20, 60})
		var r Replays[string]
		l := new(roomLog)
		t.Repeat(map[string]func(*rapid.T){
			"record": func(t *rapid.T) {
				l.lengths = append(l.lengths, rapid.SliceOfN(rapid.SampledFrom([]int{0, 4, 4, 4, 10, 50}), 1, 5).Draw(t, "lengths")...)
			},
			"read": func(t *rapid.T) {
				last := rapid.IntRange(0, len(l.lengths)).Draw(t, "last")
				after := rapid.IntRange(max(0, last-rapid.SampledFrom([]int{3, 100}).Draw(t, "how far")), last).Draw(t, "after")
				limit := limits.Draw(t, "limit")
				want, tooMuch := l.want(uint64(after), uint64(last), limit)
				got, err := r.Read(context.Background(), l.source(), uint64(after), uint64(last), limit)
				if errors.Is(err, ErrTooMuch) != tooMuch || err != nil && !tooMuch {
					t.Fatalf("(%d, %d]: %v, want too much: %v", after, last, err, tooMuch)
				}
				if diff := cmp.Diff(want, framesOf(got)); err == nil && diff != "" {
					t.Errorf("(%d, %d] (-want +got):\n%s", after, last, diff)
				}
			},
			"fail": func(t *rapid.T) {
				l.fail = errors.New("unreadable")
				last := rapid.IntRange(0, len(l.lengths)).Draw(t, "last")
				_, _ = r.Read(context.Background(), l.source(), uint64(rapid.IntRange(0, last).Draw(t, "after")), uint64(last), limits.Draw(t, "limit"))
				l.fail = nil
			},
			"": func(t *rapid.T) {
				if r.byUse.Len() > 1 || r.byUse.Len() == 1 && r.byUse.Front().Value.(*cached[string]).bytes != r.bytes {
					t.Errorf("%d bytes are counted", r.bytes)
				}
			},
		})
		r.stop()
	})
}

// stop drops everything, so that a test leaves no timer.
func (r *Replays[F]) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.KeepFor = -1
	r.dropLocked()
}

// Many clients that come back to one room together cost one read, also if they
// are not all at the same place.
func TestReplaysReadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Replays[string]
		l := &roomLog{lengths: make([]int, 100)}
		for i := range l.lengths {
			l.lengths[i] = 10
		}
		var wait sync.WaitGroup
		for i := range 1000 {
			wait.Go(func() {
				after := uint64(10 + i%5)
				want, _ := l.want(after, 100, 10_000)
				got, err := r.Read(t.Context(), l.source(), after, 100, 10_000)
				if diff := cmp.Diff(want, framesOf(got)); err != nil || diff != "" {
					t.Errorf("%v (-want +got):\n%s", err, diff)
				}
			})
		}
		wait.Wait()
		if l.encoded > 90+4 { // the first may have missed less than others
			t.Errorf("%d records were encoded in %d reads", l.encoded, l.reads)
		}
		time.Sleep(DefaultKeepFor + time.Second)
		synctest.Wait()
		if r.bytes != 0 || len(r.windows) != 0 || r.timer != nil {
			t.Errorf("%d bytes are kept", r.bytes)
		}
	})
}

// A client that is too far behind costs a read once; others like it cost none.
func TestReplaysTooMuch(t *testing.T) {
	var r Replays[string]
	defer r.stop()
	l := &roomLog{lengths: make([]int, 100)}
	for i := range l.lengths {
		l.lengths[i] = 10
	}
	for after := range uint64(50) {
		if _, err := r.Read(t.Context(), l.source(), 49-after, 100, 200); !errors.Is(err, ErrTooMuch) {
			t.Errorf("after %d: %v", 49-after, err)
		}
	}
	if l.records > 25 {
		t.Errorf("%d records were read", l.records)
	}
}

// A client that goes away while it reads holds nobody up, and what it has read is
// not read again.
func TestReplaysReaderLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Replays[string]
		l := &roomLog{lengths: []int{5, 5, 5}, proceed: make(chan struct{}), entering: make(chan struct{})}
		first, leave := context.WithCancel(t.Context())
		second, leaveToo := context.WithCancel(t.Context())
		ended := make(chan error, 3)
		read := func(ctx context.Context) {
			_, err := r.Read(ctx, l.source(), 0, 3, 100)
			ended <- err
		}
		go read(first)
		<-l.entering
		go read(second)
		synctest.Wait()
		leaveToo() // one that waits goes away
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the one that waited: %v", err)
		}
		go read(t.Context())
		leave()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the reader: %v", err)
		}
		<-l.entering
		close(l.proceed)
		if err := <-ended; err != nil {
			t.Errorf("the next reader: %v", err)
		}
		r.stop()
	})
}

// A client whose reads are held up, since it makes too many, holds up no other
// client for long.
func TestReplaysReaderIsHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Replays[string]
		slow := &roomLog{lengths: []int{5, 5, 5}, proceed: make(chan struct{}), entering: make(chan struct{}, 1)}
		fast := &roomLog{lengths: slow.lengths}
		ended := make(chan error, 1)
		go func() {
			_, err := r.Read(t.Context(), slow.source(), 0, 3, 100)
			ended <- err
		}()
		<-slow.entering
		before := time.Now()
		got, err := r.Read(t.Context(), fast.source(), 1, 3, 100)
		if want, _ := fast.want(1, 3, 100); err != nil || cmp.Diff(want, framesOf(got)) != "" {
			t.Errorf("got %q, %v", framesOf(got), err)
		}
		if waited := time.Since(before); waited > patience {
			t.Errorf("waited %v", waited)
		}
		close(slow.proceed)
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if got, err := r.Read(t.Context(), fast.source(), 0, 3, 100); err != nil || len(got) != 3 || fast.reads != 1 {
			t.Errorf("got %v, %v after %d reads", got, err, fast.reads)
		}
		r.stop()
	})
}

// The cache is bounded. The windows that were used last stay.
func TestReplaysMaxBytes(t *testing.T) {
	r := Replays[string]{MaxBytes: 100}
	defer r.stop()
	l := &roomLog{lengths: []int{40}}
	for _, room := range strings.Split("a b c a b c", " ") {
		s := l.source()
		s.Room = chat.RoomID(room)
		if _, err := r.Read(t.Context(), s, 0, 1, 1000); err != nil {
			t.Fatal(err)
		}
		if r.bytes > 100 || r.bytes != 40*len(r.windows) {
			t.Errorf("%d bytes in %d windows are kept", r.bytes, len(r.windows))
		}
	}
	if len(r.windows) != 2 {
		t.Errorf("%d windows are kept", len(r.windows))
	}
}
