package session

import (
	"encoding/json"
	"slices"
	"sync"
	"time"

	"parlor/protocol/engineio"
	"parlor/protocol/socketio"
)

// Groups are the sets of sockets that an application sends to at once, by
// name. A group is there while a socket is in it. Every socket that has joined
// any is also in a group of its own, which is called by its id.
//
// The sockets should be of one namespace, since a frame names that. All get what
// is broadcast in one order, and in the order of the calls what one goroutine
// broadcasts and what it sends to them by itself.
//
// The zero value is ready to use, and nothing has to be closed: a socket is taken
// out once its handler has been told that it is disconnected, and if its
// namespace refuses it. The methods may be called on any goroutine, but for
// Join, and do not block.
type Groups struct {
	mu      sync.Mutex
	groups  map[string]sockets
	sockets map[*Socket][]string // which groups each is in, its own first
}

type sockets map[*Socket]struct{}

// Join puts the socket into the groups and into its own, which is called by the
// id that it has now. A socket that is closed joins nothing. Join may only be
// called on the goroutine of the socket's session.
func (g *Groups) Join(s *Socket, groups ...string) {
	if s.state == closedState {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !slices.Contains(s.groups, g) {
		s.groups = append(s.groups, g)
	}
	g.joinLocked(s, s.id)
	for _, name := range groups {
		g.joinLocked(s, name)
	}
}

func (g *Groups) joinLocked(s *Socket, name string) {
	if g.groups == nil {
		g.groups, g.sockets = make(map[string]sockets), make(map[*Socket][]string)
	}
	group := g.groups[name]
	if group == nil {
		group = make(sockets)
		g.groups[name] = group
	}
	if _, in := group[s]; !in {
		group[s] = struct{}{}
		g.sockets[s] = append(g.sockets[s], name)
	}
}

// Leave takes the socket out of the groups, but not out of its own.
func (g *Groups) Leave(s *Socket, groups ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, name := range groups {
		if i := slices.Index(g.sockets[s], name); i > 0 {
			g.sockets[s] = slices.Delete(g.sockets[s], i, i+1)
			g.leaveLocked(s, name)
		}
	}
}

// LeaveAll takes the socket out of all groups, its own too: what is sent to all
// does not reach it any more.
func (g *Groups) LeaveAll(s *Socket) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, name := range g.sockets[s] {
		g.leaveLocked(s, name)
	}
	delete(g.sockets, s)
}

func (g *Groups) leaveLocked(s *Socket, name string) {
	delete(g.groups[name], s)
	if len(g.groups[name]) == 0 {
		delete(g.groups, name)
	}
}

// Of returns the groups that the socket is in, its own first.
func (g *Groups) Of(s *Socket) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.sockets[s])
}

// Broadcast sends encoded packets, once and as they are, to each socket that is
// in any of the groups to, or to all if to is empty; but to none that is in any
// of the groups except.
func (g *Groups) Broadcast(to, except []string, frames ...engineio.Frame) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.eachLocked(to, except, func(s *Socket) { s.Send(frames...) })
}

// BroadcastVolatile is Broadcast of packets that each socket loses, all of
// them, if they would have to wait for its client.
func (g *Groups) BroadcastVolatile(to, except []string, frames ...engineio.Frame) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.eachLocked(to, except, func(s *Socket) { s.SendVolatile(frames...) })
}

// Tell is [Socket.Tell] to each socket that a [Groups.Broadcast] would reach.
func (g *Groups) Tell(to, except []string, v any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.eachLocked(to, except, func(s *Socket) { s.Tell(v) })
}

// eachLocked calls f with each socket that a broadcast is for.
func (g *Groups) eachLocked(to, except []string, f func(*Socket)) {
	if len(to) == 0 {
		for s, joined := range g.sockets {
			if !overlap(joined, except) {
				f(s)
			}
		}
		return
	}
	for i, name := range to {
		for s := range g.groups[name] {
			if i > 0 && overlap(g.sockets[s], to[:i]) || overlap(g.sockets[s], except) {
				continue
			}
			f(s)
		}
	}
}

// overlap reports whether the lists, of which one at least is short, have an
// element in common.
func overlap(a, b []string) bool {
	return slices.ContainsFunc(b, func(name string) bool { return slices.Contains(a, name) })
}

// Call broadcasts an event that each client is to acknowledge, and calls done
// once: when all have answered, or, with the first reason why one will not,
// when each has answered or cannot any more. Done gets the answers in the order
// in which they came. It is called before Call returns if there is nobody to
// wait for, and else on some session's goroutine. It must not block.
func (g *Groups) Call(to, except []string, timeout time.Duration, done func(answers []Answer, err error), event string, args ...json.RawMessage) {
	p := &poll{done: done, waiting: 1} // for the end of this function
	data := socketio.EventData(event, args...)
	g.mu.Lock()
	g.eachLocked(to, except, func(s *Socket) {
		p.wait()
		if !s.call(timeout, p.answer, data) {
			p.end() // it is closed: it was not asked
		}
	})
	g.mu.Unlock()
	p.end()
}

// A poll collects what the sockets of a group answer.
type poll struct {
	done func([]Answer, error)

	mu      sync.Mutex
	waiting int
	answers []Answer
	err     error
}

// wait makes the poll wait for one end more.
func (p *poll) wait() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting++
}

func (p *poll) end() {
	p.mu.Lock()
	p.waiting--
	last := p.waiting == 0
	p.mu.Unlock()
	if last {
		p.done(p.answers, p.err)
	}
}

// answer takes what one socket returned.
func (p *poll) answer(a Answer, err error) {
	p.mu.Lock()
	switch {
	case err == nil:
		p.answers = append(p.answers, a)
	case p.err == nil:
		p.err = err
	}
	p.mu.Unlock()
	p.end()
}
