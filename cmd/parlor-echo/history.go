package main

import (
	"encoding/json"
	"slices"
	"sync"
	"time"

	"parlor/actors/recovery"
	"parlor/actors/session"
	"parlor/protocol/chat"
	"parlor/protocol/engineio"
	"parlor/protocol/socketio"
)

// The limits of one namespace's history. Past any of them the oldest events go,
// and clients that would need them begin anew.
const (
	recoveryTime    = 2 * time.Minute
	recoveryPackets = 10_000
	recoveryBytes   = 16 << 20
	recoverySeats   = 10_000
)

// A history keeps the events of a namespace, for clients whose connection was lost. Each
// event has a number. In the terms of package resume the history is a room, in which
// the place of a client is the number of the last event that it was sent. The groups of
// a client are places too, so that the seat keeps them, but these do not move.
//
// The methods may be called from any goroutine. Nothing has to be closed.
type history struct {
	seats *recovery.Table

	mu      sync.Mutex
	packets []packet // oldest first; the last one's number is last
	last    uint64
	bytes   int
}

// A packet is an event that was sent to one group.
type packet struct {
	number     uint64
	at         time.Time
	to, except string
	frames     []engineio.Frame
}

// inHistory is the room of the place that moves. No group has this name.
const inHistory chat.RoomID = ""

// broadcast keeps an event, and tells it to the sockets in the group to that are not in
// the group except. It does both under the lock, so that every client gets events in
// the order of their numbers.
func (h *history) broadcast(g *session.Groups, to, except string, e event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	p := packet{h.last, time.Now(), to, except, e.frames()}
	h.packets = append(h.packets, p)
	h.bytes += p.size()
	h.sweepLocked(p.at)
	g.Tell([]string{to}, []string{except}, p)
}

// enter puts a socket into groups, and returns the events for these groups that follow
// event after. It reports false if some of them are not kept any more.
func (h *history) enter(g *session.Groups, s *session.Socket, groups []string, after uint64) (missed []packet, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sweepLocked(time.Now())
	if after > h.last || h.last-after > uint64(len(h.packets)) {
		return nil, false
	}
	g.Join(s, groups...)
	groups = g.Of(s) // with the socket's own
	for _, p := range h.packets[len(h.packets)-int(h.last-after):] {
		if slices.Contains(groups, p.to) && !slices.Contains(groups, p.except) {
			missed = append(missed, p)
		}
	}
	return missed, true
}

// number returns the number of the last event.
func (h *history) number() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// sweepLocked drops the oldest events, as the limits say.
func (h *history) sweepLocked(now time.Time) {
	oldest := now.Add(-recoveryTime)
	for len(h.packets) > recoveryPackets || h.bytes > recoveryBytes || len(h.packets) > 0 && h.packets[0].at.Before(oldest) {
		h.bytes -= h.packets[0].size()
		h.packets[0] = packet{}
		h.packets = h.packets[1:]
	}
}

func (p packet) size() int {
	size := 0
	for _, f := range p.frames {
		size += len(f.Data)
	}
	return size
}

// with returns the frames of the packet with the offset as one more argument.
func (p packet) with(offset json.RawMessage) []engineio.Frame {
	frames := slices.Clone(p.frames)
	frames[0] = socketio.WithArg(frames[0], offset)
	return frames
}
