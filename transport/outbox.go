package transport

import "parlor/protocol/engineio"

const (
	// frameOverhead is what a queued frame costs besides its data, so that
	// empty frames cannot pile up for free.
	frameOverhead = 32

	// outboxSpare is how many places an empty queue keeps.
	outboxSpare = 8

	// coalesceStep is how many bytes are coalesced at a time. To wait until the
	// budget is spent would be cheaper by little, and would hold everyone up
	// when a thousand clients, all sent the same, come to that point at once.
	coalesceStep = 8 << 10

	// fullAfterCoalescing is the part of the budget that a queue may take once
	// all of it was coalesced. The rest has to fill up before that is done
	// again, so its cost stays linear in what is sent.
	fullAfterCoalescing = 3. / 4
)

// cost returns how much of its budget a frame takes.
func cost(f engineio.Frame) int { return len(f.Data) + frameOverhead }

func costs(frames []engineio.Frame) (sum int) {
	for _, f := range frames {
		sum += cost(f)
	}
	return sum
}

// An outbox is what waits to be written to one client, in order. It is guarded
// by the Conn's mutex.
type outbox struct {
	frames []engineio.Frame
	next   int // the first of frames that was not popped
	bytes  int // cost of the frames that wait or are being written

	popped int // part of bytes: cost of the frame that was popped last

	coalesced int // the frames before this one were
	relief    int // more bytes than these have to be coalesced first
}

func (o *outbox) push(frames ...engineio.Frame) {
	for _, f := range frames {
		o.bytes += cost(f)
	}
	if len(o.frames)+len(frames) > cap(o.frames) {
		o.shift()
	}
	o.frames = append(o.frames, frames...)
}

// shift makes the places of popped frames free again, if that is worth it: a
// queue that is never empty would grow for ever.
func (o *outbox) shift() {
	if o.next <= len(o.frames)/2 {
		return
	}
	n := copy(o.frames, o.frames[o.next:])
	clear(o.frames[n:])
	o.frames = o.frames[:n]
	o.coalesced = max(o.coalesced-o.next, 0)
	o.next = 0
}

// pop returns the frame that is to be written next. It takes the one that it
// returned before as written.
func (o *outbox) pop() (f engineio.Frame, ok bool) {
	o.bytes -= o.popped
	o.popped = 0
	if o.empty() {
		o.rewind()
		return f, false
	}
	f = o.frames[o.next]
	o.frames[o.next] = engineio.Frame{} // others may keep its data alive, this queue does not
	o.next++
	o.popped = cost(f)
	return f, true
}

// rewind makes an empty queue ready for more, and small.
func (o *outbox) rewind() {
	o.frames, o.next, o.coalesced, o.relief = o.frames[:0], 0, 0, coalesceStep
	if cap(o.frames) > outboxSpare {
		o.frames = nil
	}
}

// take returns all frames that wait, and what they cost. That remains part of
// bytes until written is called.
func (o *outbox) take() (frames []engineio.Frame, cost int) {
	frames, cost = o.frames[o.next:], o.waiting()
	o.frames = nil
	o.rewind()
	return frames, cost
}

// written tells that frames of this cost, which were taken, do not wait any
// more.
func (o *outbox) written(cost int) { o.bytes -= cost }

// room reports whether frames of this cost may wait behind the others without
// taking more than limit. To make room it coalesces with f, if there is one,
// what was pushed since the last time and, where that is not enough, all.
func (o *outbox) room(cost, limit int, f func([]engineio.Frame) []engineio.Frame) bool {
	if f == nil {
		return o.bytes+cost <= limit
	}
	o.coalesce(f, max(o.coalesced, o.next))
	full := o.bytes+cost > limit
	if full {
		o.coalesce(f, o.next)
		limit = int(fullAfterCoalescing * float64(limit))
	}
	o.relief = o.bytes + coalesceStep
	return o.bytes+cost <= limit
}

// coalesce replaces the frames that wait, beginning with the one at from, by
// what f makes of them.
func (o *outbox) coalesce(f func([]engineio.Frame) []engineio.Frame, from int) {
	tail := o.frames[from:]
	for _, frame := range tail {
		o.bytes -= cost(frame)
	}
	fewer := f(tail)
	for _, frame := range fewer {
		o.bytes += cost(frame)
	}
	o.frames = append(o.frames[:from], fewer...)
	o.coalesced = len(o.frames)
	clear(tail[min(len(fewer), len(tail)):])
}

// drop empties the queue.
func (o *outbox) drop() {
	o.bytes -= o.waiting()
	o.frames, o.next = nil, 0
}

// waiting returns the cost of the frames in the queue.
func (o *outbox) waiting() (bytes int) {
	for _, f := range o.frames[o.next:] {
		bytes += cost(f)
	}
	return bytes
}

func (o *outbox) empty() bool { return o.next == len(o.frames) }
