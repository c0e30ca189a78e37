package session

import (
	"encoding/json"
	"slices"
	"sync"
	"time"

	"parlor/protocol/engineio"
	"parlor/protocol/socketio"
)

// Groups are named sets of sockets that an application sends to at once. A group
// exists while a socket is in it. Every socket that has joined a group is also in a
// group of its own, whose name is the socket's id.
//
// All sockets should be of one namespace, since a frame names its namespace. All of
// them get broadcasts in the same order. What one goroutine broadcasts or sends
// arrives in the order of its calls.
//
// The zero value is ready to use, and nothing has to be closed: a socket leaves its
// groups when it is disconnected or refused. The methods do not block, and all but
// Join may be called on any goroutine.
type Groups struct {
	mu      sync.Mutex
	groups  map[string]sockets
	sockets map[*Socket][]string // which groups each is in, its own first
}

type sockets map[*Socket]struct{}

// Join puts the socket into the groups, and into its own group, which has the name
// of the socket's present id. A closed socket joins nothing. Join may only be called
// on the goroutine of the socket's session.
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

// LeaveAll takes the socket out of all groups, and out of its own. A broadcast to
// all does not reach it any more.
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

// Broadcast sends encoded packets to each socket that is in one of the groups to, or
// to all sockets if to is empty, but not to those in one of the groups except. A
// socket in several of the groups gets the packets once.
func (g *Groups) Broadcast(to, except []string, frames ...engineio.Frame) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.eachLocked(to, except, func(s *Socket) { s.Send(frames...) })
}

// BroadcastVolatile is Broadcast by [Socket.SendVolatile].
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

// Call broadcasts an event that each client is to acknowledge. It calls done once,
// when each client has answered or cannot answer any more, with the answers in the
// order in which they came, and with the first error of a client that did not
// answer. If there is no client to wait for, done is called before Call returns, and
// otherwise on some session's goroutine. It must not block.
func (g *Groups) Call(to, except []string, timeout time.Duration, done func(answers []Answer, err error), event string, args ...json.RawMessage) {
	p := &poll{done: done, waiting: 1} // until all clients are asked
	data := socketio.EventData(event, args...)
	g.mu.Lock()
	g.eachLocked(to, except, func(s *Socket) {
		p.wait()
		if !s.call(timeout, p.answer, data) {
			p.end() // the socket is closed, so it was not asked
		}
	})
	g.mu.Unlock()
	p.end()
}

// A poll collects the answers to one [Groups.Call].
type poll struct {
	done func([]Answer, error)

	mu      sync.Mutex
	waiting int
	answers []Answer
	err     error
}

// wait adds a client to wait for, and end takes one away.
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
