package main

import (
	"crypto/rand"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"time"

	"parlor/actors/session"
	"parlor/protocol/engineio"
	"parlor/protocol/socketio"
)

// The limits of one namespace's recovery. Past any of them the oldest goes,
// and clients that would need it begin anew.
const (
	recoveryTime     = 2 * time.Minute
	recoveryPackets  = 10_000
	recoveryBytes    = 16 << 20
	recoverySessions = 10_000
)

// recovery is Socket.IO's connection state recovery in memory: a client that
// comes back with its private id, and with the offset of the last event that it
// got, has its id and its groups again, and all events that it missed.
//
// The offset is the last argument of every event. Its methods may be called
// from any goroutine; there is nothing to close.
type recovery struct {
	groups *session.Groups

	mu      sync.Mutex
	packets []packet // oldest first; the last one's offset is last
	last    uint64
	bytes   int
	lost    []*lost          // oldest first
	byPID   map[string]*lost // those of lost that can be recovered
}

// A packet is an event that was broadcast.
type packet struct {
	at         time.Time
	to, except []string
	frames     []engineio.Frame
}

// lost is what a client had when its connection ended.
type lost struct {
	at      time.Time
	id, pid string
	groups  []string // its own among them
}

// An event is what a client is sent.
type event struct {
	namespace   string
	name        string
	args        []json.RawMessage
	attachments [][]byte
}

func (e event) frames() []engineio.Frame {
	return socketio.Packet{
		Type: socketio.Event, Namespace: e.namespace, Data: socketio.EventData(e.name, e.args...), Attachments: e.attachments,
	}.Frames()
}

// broadcast sends an event with its offset, and keeps it. It does so in one
// step, so that all clients get events in the order of their offsets.
func (r *recovery) broadcast(to, except []string, e event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	e.args = append(slices.Clip(e.args), strconv.AppendQuote(nil, strconv.FormatUint(r.last, 36)))
	p := packet{time.Now(), to, except, e.frames()}
	r.packets = append(r.packets, p)
	r.bytes += p.size()
	r.sweep(p.at)
	r.groups.Broadcast(to, except, p.frames...)
}

// connect gives a socket its ids and groups, and returns the private id: what
// it had when its connection ended, with what it has missed since, if auth
// names that; else new ones.
func (r *recovery) connect(s *session.Socket, auth json.RawMessage) (pid string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweep(time.Now())
	had, offset := r.find(auth)
	if had == nil {
		pid = rand.Text()
		s.Identify(s.ID(), pid)
		r.groups.Join(s)
		return pid
	}
	s.Identify(had.id, had.pid)
	r.groups.Join(s, had.groups...)
	for _, p := range r.packets[len(r.packets)-int(r.last-offset):] {
		if p.reaches(had.groups) {
			s.Send(p.frames...)
		}
	}
	return had.pid
}

// find returns what the client had, and the offset of the last event that it
// got, or nil if that cannot be recovered: also if an event that came after it
// is not kept any more.
func (r *recovery) find(auth json.RawMessage) (had *lost, offset uint64) {
	var request struct{ PID, Offset string }
	if auth == nil || json.Unmarshal(auth, &request) != nil {
		return nil, 0
	}
	offset, err := strconv.ParseUint(request.Offset, 36, 64)
	if err != nil || offset > r.last || r.last-offset > uint64(len(r.packets)) {
		return nil, 0
	}
	return r.byPID[request.PID], offset
}

// disconnected keeps what the socket had, unless its client has left for good.
// It is called while the socket is still in its groups.
func (r *recovery) disconnected(s *session.Socket, pid, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if reason == session.ReasonClientDisconnect || reason == session.ReasonServerDisconnect {
		delete(r.byPID, pid)
		return
	}
	r.remember(&lost{time.Now(), s.ID(), pid, r.groups.Of(s)})
}

func (r *recovery) remember(l *lost) {
	if r.byPID == nil {
		r.byPID = make(map[string]*lost)
	}
	r.lost = append(r.lost, l)
	r.byPID[l.pid] = l
	r.sweep(l.at)
}

// sweep forgets what is too old or too much.
func (r *recovery) sweep(now time.Time) {
	oldest := now.Add(-recoveryTime)
	for len(r.packets) > recoveryPackets || r.bytes > recoveryBytes || len(r.packets) > 0 && r.packets[0].at.Before(oldest) {
		r.bytes -= r.packets[0].size()
		r.packets[0] = packet{}
		r.packets = r.packets[1:]
	}
	for len(r.lost) > recoverySessions || len(r.lost) > 0 && r.lost[0].at.Before(oldest) {
		if l := r.lost[0]; r.byPID[l.pid] == l {
			delete(r.byPID, l.pid)
		}
		r.lost[0] = nil
		r.lost = r.lost[1:]
	}
}

func (p packet) size() int {
	size := 0
	for _, f := range p.frames {
		size += len(f.Data)
	}
	return size
}

// reaches reports whether a socket that is in the groups is to get the packet.
func (p packet) reaches(groups []string) bool {
	among := func(name string) bool { return slices.Contains(groups, name) }
	return (len(p.to) == 0 || slices.ContainsFunc(p.to, among)) && !slices.ContainsFunc(p.except, among)
}
