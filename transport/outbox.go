package transport

import "parlor/protocol/engineio"

const (
	// frameOverhead is what a queued frame costs besides its data, so that
	// empty frames cannot pile up for free.
	frameOverhead = 32

	// outboxSpare is how many places an empty queue keeps.
	outboxSpare = 8

	// fullAfterCoalescing is the part of QueueBytes that a queue which was
	// just coalesced may take. The rest has to fill up before that is done
	// again, so its cost stays linear in what is sent.
	fullAfterCoalescing = 3. / 4
)

// cost returns how much of its budget a frame takes.
func cost(f engineio.Frame) int { return len(f.Data) + frameOverhead }

// An outbox is what waits to be written to one client, in order. It is guarded
// by the Conn's mutex.
type outbox struct {
	frames []engineio.Frame
	next   int // the first of frames that was not popped
	bytes  int // cost of the frames that wait or are being written

	popped int // part of bytes: cost of the frame that was popped last
}

func (o *outbox) push(frames ...engineio.Frame) {
	for _, f := range frames {
		o.bytes += cost(f)
	}
	o.frames = append(o.frames, frames...)
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
	o.frames, o.next = o.frames[:0], 0
	if cap(o.frames) > outboxSpare {
		o.frames = nil
	}
}

// take returns all frames that wait, and what they cost. That remains part of
// bytes until written is called.
func (o *outbox) take() (frames []engineio.Frame, cost int) {
	frames, cost = o.frames[o.next:], o.waiting()
	o.frames, o.next = nil, 0
	return frames, cost
}

// written tells that frames of this cost, which were taken, do not wait any
// more.
func (o *outbox) written(cost int) { o.bytes -= cost }

// coalesce replaces the frames that wait by what f makes of them.
func (o *outbox) coalesce(f func([]engineio.Frame) []engineio.Frame) {
	before := o.waiting()
	o.frames, o.next = f(o.frames[o.next:]), 0
	o.bytes += o.waiting() - before
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
