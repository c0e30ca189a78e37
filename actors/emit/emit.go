// Package emit lets other backends send events to clients.
//
//	Namespace.Enter, Leave ← sockets, as they come and go
//	Hub.Emit → sockets of users, of ids, or all of them → one frame for each namespace
//	         → Rooms.Announce → the listeners of a room
//	Hub.Call → one socket of the user → its acknowledgement, or another socket in its place
//
// # Order
//
// Events that are emitted one after the other to a target arrive in that order. An emission waits
// for no client: it goes to the queues of their connections.
//
// # Calls
//
// A call waits on one socket. If that leaves before it has acknowledged, another one of
// the same user is asked, or the next that comes. So a client may be asked what another
// one was asked before, and has perhaps begun to do.
package emit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"parlor/actors/session"
	"parlor/protocol/chat"
	"parlor/protocol/engineio"
	"parlor/protocol/socketio"
)

// Rooms tell their listeners what is emitted to them.
type Rooms interface {
	// Announce returns how many listeners were told.
	Announce(ctx context.Context, id chat.RoomID, a chat.Announcement) (listeners int, err error)
}

// Options configure a [Hub]. Rooms has no default.
type Options struct {
	Rooms Rooms

	// Person returns the user that somebody is by whose id an emission names them. Nil
	// means the one of that id.
	Person func(chat.UserID) chat.UserID

	MaxTargets     int           // that one emission may name. Zero means 100
	MaxBytes       int           // of the arguments. Zero means 64 KiB
	MaxCalls       int           // that wait at once. Zero means 1000
	MaxCallTimeout time.Duration // zero means 1 minute
}

// A Hub knows which sockets there are. It may be used from any goroutine and needs no
// closing.
type Hub struct {
	Options

	order sync.Mutex // held while an emission is handed to sockets, so that all get emissions in one order

	mu         sync.Mutex // guards what follows
	namespaces []*Namespace
	users      map[chat.UserID][]seat // oldest first
	ids        map[string]seat
	calls      map[chat.UserID][]*call // that wait
	waiting    int                     // calls
}

// A seat is a socket in its namespace.
type seat struct {
	namespace *Namespace
	socket    *session.Socket
	user      chat.UserID
}

// New returns a Hub that knows no sockets.
func New(o Options) *Hub {
	o.MaxTargets, o.MaxBytes, o.MaxCalls = cmp.Or(o.MaxTargets, 100), cmp.Or(o.MaxBytes, 64<<10), cmp.Or(o.MaxCalls, 1000)
	if o.Person == nil {
		o.Person = func(id chat.UserID) chat.UserID { return id }
	}
	o.MaxCallTimeout = cmp.Or(o.MaxCallTimeout, time.Minute)
	return &Hub{Options: o, users: make(map[chat.UserID][]seat), ids: make(map[string]seat), calls: make(map[chat.UserID][]*call)}
}

// A Namespace is where the sockets of one Socket.IO namespace come and go. A nil
// Namespace does nothing.
type Namespace struct {
	hub      *Hub
	name     string
	reserved func(event string) bool
}

// Namespace returns a namespace, whose sockets are reached from then on. Events for which
// reserved is true are the server's own there: nobody may emit them.
func (h *Hub) Namespace(name string, reserved func(event string) bool) *Namespace {
	n := &Namespace{h, name, reserved}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.namespaces = append(h.namespaces, n)
	return n
}

// Enter makes a socket reachable that was admitted and has its id. It is asked what calls
// to its user wait for. Leave has to be called when it is disconnected.
func (n *Namespace) Enter(s *session.Socket, u chat.UserID) {
	if n == nil {
		return
	}
	h, at := n.hub, seat{n, s, u}
	h.mu.Lock()
	h.users[u] = append(h.users[u], at)
	h.ids[s.ID()] = at
	calls := slices.Clone(h.calls[u])
	h.mu.Unlock()
	for _, c := range calls {
		c.ask(seat{})
	}
}

// Leave ends what Enter has begun.
func (n *Namespace) Leave(s *session.Socket, u chat.UserID) {
	if n == nil {
		return
	}
	h, at := n.hub, seat{n, s, u}
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.users[u]
	if i := slices.Index(all, at); i >= 0 {
		all = slices.Delete(all, i, i+1)
	}
	if h.users[u] = all; len(all) == 0 {
		delete(h.users, u)
	}
	if h.ids[s.ID()] == at { // a client that has come back has the same id
		delete(h.ids, s.ID())
	}
}

// Emit sends an event to the clients that it is for. It returns to how many.
func (h *Hub) Emit(ctx context.Context, e chat.Emission) (connections int, err error) {
	if refusal := h.refusal(e); refusal != nil {
		return 0, refusal
	}
	if e.To.Rooms != nil {
		return h.announce(ctx, e)
	}
	h.order.Lock()
	defer h.order.Unlock()
	frames := make(map[*Namespace]engineio.Frame)
	seats := h.find(e.To)
	for _, at := range seats {
		frame, encoded := frames[at.namespace]
		if !encoded {
			frame = socketio.ForeignFrame(at.namespace.name, e.Event, e.Args)
			frames[at.namespace] = frame
		}
		at.socket.Send(frame)
	}
	return len(seats), nil
}

func (h *Hub) announce(ctx context.Context, e chat.Emission) (connections int, err error) {
	for _, name := range unique(e.To.Rooms) {
		id := chat.RoomID(name)
		if !id.Valid() {
			id = chat.ID(name).Room()
		}
		told, err := h.Rooms.Announce(ctx, id, chat.Announcement{Event: e.Event, Args: e.Args})
		if err != nil {
			return connections, err
		}
		connections += told
	}
	return connections, nil
}

// find returns the sockets that a target names.
func (h *Hub) find(t chat.Target) (all []seat) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case t.All:
		for _, seats := range h.users {
			all = append(all, seats...)
		}
	case t.Users != nil:
		for u := range h.people(t.Users) {
			all = append(all, h.users[u]...)
		}
	default:
		for _, id := range unique(t.Sessions) {
			if at, ok := h.ids[id]; ok {
				all = append(all, at)
			}
		}
	}
	return all
}

// people returns whose sockets the names mean. One who has become a part of somebody else a
// moment ago may still be connected under the old id.
func (h *Hub) people(names chat.Names) map[chat.UserID]bool {
	all := make(map[chat.UserID]bool)
	for _, name := range names {
		u := chat.UserID(name)
		all[u], all[h.Person(u)] = true, true
	}
	return all
}

func unique(names chat.Names) chat.Names {
	return slices.Compact(slices.Sorted(slices.Values(names)))
}

// refusal says why an emission is not sent to anybody.
func (h *Hub) refusal(e chat.Emission) *chat.Error {
	if refusal := e.Valid(); refusal != nil {
		return refusal
	}
	switch {
	case len(e.To.Names()) > h.MaxTargets:
		return chat.Refuse(chat.CodeTooLarge, fmt.Sprintf("to must not name more than %d", h.MaxTargets))
	case e.Size() > h.MaxBytes:
		return chat.Refuse(chat.CodeTooLarge, fmt.Sprintf("args must not be longer than %d bytes", h.MaxBytes))
	case socketio.Reserved(e.Event), h.reserved(e.Event):
		return chat.Refuse(chat.CodeInvalid, fmt.Sprintf("the event %q is the server's own", e.Event))
	}
	return nil
}

func (h *Hub) reserved(event string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.namespaces, func(n *Namespace) bool { return n.reserved(event) })
}
