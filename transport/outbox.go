package transport

import "parlor/protocol/engineio"

const (
	// frameOverhead is the cost of a queued frame besides its data, so that
	// empty frames are not free.
	frameOverhead = 32

	// outboxSpare is how many places an empty queue keeps.
	outboxSpare = 8

	// coalesceStep is the number of bytes after which a queue is coalesced again.
	// Coalescing only full queues would save little. It would also delay
	// everyone when a thousand members of one room fill their queues at once.
	coalesceStep = 8 << 10

	// fullAfterCoalescing is the part of the budget that a queue may take after
	// all of it was coalesced. The rest has to fill up before all is coalesced
	// again, so the cost of coalescing stays linear in the bytes that are sent.
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

// An outbox is the queue of frames to one client. It is guarded by the Conn's
// mutex.
type outbox struct {
	frames []engineio.Frame
	next   int // index of the first frame that was not popped
	bytes  int // cost of the frames that wait or are being written

	poppedCost int // of the frame that was popped last, part of bytes

	coalescedEnd int // index behind the frames that were coalesced
	threshold    int // of bytes, above which the queue is coalesced before it grows
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

// shift frees the places of popped frames, if they are more than half. Without
// it a queue that is never empty would grow for ever.
func (o *outbox) shift() {
	if o.next <= len(o.frames)/2 {
		return
	}
	n := copy(o.frames, o.frames[o.next:])
	clear(o.frames[n:])
	o.frames = o.frames[:n]
	o.coalescedEnd = max(o.coalescedEnd-o.next, 0)
	o.next = 0
}

// pop returns the frame that is to be written next. The frame that the call
// before returned counts as written.
func (o *outbox) pop() (f engineio.Frame, ok bool) {
	o.bytes -= o.poppedCost
	o.poppedCost = 0
	if o.empty() {
		o.rewind()
		return f, false
	}
	f = o.frames[o.next]
	o.frames[o.next] = engineio.Frame{} // this queue does not keep its data alive
	o.next++
	o.poppedCost = cost(f)
	return f, true
}

// rewind resets an empty queue, and frees its array if that has become large.
func (o *outbox) rewind() {
	o.frames, o.next, o.coalescedEnd, o.threshold = o.frames[:0], 0, 0, coalesceStep
	if cap(o.frames) > outboxSpare {
		o.frames = nil
	}
}

// take removes and returns all frames of the queue, and their cost. The cost
// remains part of bytes until written is called.
func (o *outbox) take() (frames []engineio.Frame, cost int) {
	frames, cost = o.frames[o.next:], o.waiting()
	o.frames = nil
	o.rewind()
	return frames, cost
}

// written notes that frames of this cost, which were taken, are written.
func (o *outbox) written(cost int) { o.bytes -= cost }

// room reports whether frames of this cost fit into the queue, which may cost
// limit. To make room it coalesces with f, unless that is nil, the frames that
// were pushed since the last time and, if that is not enough, all.
func (o *outbox) room(cost, limit int, f func([]engineio.Frame) []engineio.Frame) bool {
	if f == nil {
		return o.bytes+cost <= limit
	}
	o.coalesce(f, max(o.coalescedEnd, o.next))
	full := o.bytes+cost > limit
	if full {
		o.coalesce(f, o.next)
		limit = int(fullAfterCoalescing * float64(limit))
	}
	o.threshold = o.bytes + coalesceStep
	return o.bytes+cost <= limit
}

// coalesce replaces the frames from index from on by what f returns for them.
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
	o.coalescedEnd = len(o.frames)
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
