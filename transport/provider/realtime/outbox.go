package realtime

import (
	"slices"
	"sync"

	"parlor/protocol/chat"
)

// An outbox keeps deltas until the consumer takes them. put never waits.
type outbox struct {
	limit int           // in bytes
	ready chan struct{} // holds one element when there is something to take

	mu    sync.Mutex
	queue []chat.Delta
	size  int
	ended bool
	err   error
}

func newOutbox(limit int) *outbox { return &outbox{limit: limit, ready: make(chan struct{}, 1)} }

func size(d chat.Delta) int { return len(d.Text) + len(d.Thought) + len(d.Audio) }

// put adds a delta. Audio that does not fit is dropped; of text that does not
// fit it reports false. What is neither always fits: there is little of it.
func (o *outbox) put(d chat.Delta) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := size(d); n > 0 && o.size+n > o.limit {
		return d.Text == "" && d.Thought == ""
	}
	o.size += size(d)
	o.queue = append(o.queue, d)
	o.wake()
	return true
}

// end says that nothing follows. What waits is dropped if err is not nil:
// nobody is left to whom it matters.
func (o *outbox) end(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil {
		o.queue = nil
	}
	o.ended, o.err = true, err
	o.wake()
}

func (o *outbox) wake() {
	select {
	case o.ready <- struct{}{}:
	default:
	}
}

// take returns what waits, and reports whether anything will follow.
func (o *outbox) take() (deltas []chat.Delta, more bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	deltas, o.queue = slices.Clip(o.queue), nil
	return deltas, !o.ended, o.err
}

// taken gives a delta's place back, once the consumer is done with it.
func (o *outbox) taken(d chat.Delta) {
	o.mu.Lock()
	o.size -= size(d)
	o.mu.Unlock()
}

// drain yields the deltas until the end, or until the consumer has enough.
func (o *outbox) drain(yield func(chat.Delta, error) bool) {
	for more := true; more; {
		<-o.ready
		var deltas []chat.Delta
		var err error
		deltas, more, err = o.take()
		for _, d := range deltas {
			if !yield(d, nil) {
				return
			}
			o.taken(d)
		}
		if err != nil {
			yield(chat.Delta{}, err)
		}
	}
}
