package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"parlor/protocol/assistant"
	"parlor/protocol/chat"
	"parlor/transport/client"
)

const (
	// callTimeout is how long a command may wait for its answer. No fault here
	// takes so long.
	callTimeout = 30 * time.Second
	dialTimeout = 5 * time.Second

	// brokenOffset begins what the server sends while it cannot have a client back,
	// since its disk has not taken what the client has joined.
	brokenOffset = "-"

	// mostRooms is how many a visitor joins.
	mostRooms = 3
)

// A visitor is a client of a user, with one socket at a time. Its goroutine
// decides; what it is told comes on the reader of its connection.
type visitor struct {
	*harness
	name string
	user chat.UserID
	rng  *rand.Rand

	conn     *client.Client // nil until there was one
	gone     chan struct{}  // closed when conn has
	messages int            // that it has said

	mu         sync.Mutex // of what follows
	connection int        // how many there were
	sid        string
	views      map[chat.RoomID]*view
	open       []*send              // not answered
	after      map[chat.RoomID]bool // asked to resume, not answered
	offset     string
	leaving    bool // asked to leave a room, not answered
	pid        string
}

func newVisitor(h *harness, i int) *visitor {
	name := fmt.Sprintf("visitor-%d", i)
	return &visitor{
		harness: h, name: name, user: chat.UserID(fmt.Sprintf("user-%d", i%h.Users)), rng: h.random(name),
		views: make(map[chat.RoomID]*view), after: make(map[chat.RoomID]bool), gone: closedChannel(),
	}
}

func closedChannel() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// run goes in and out until ctx ends.
func (v *visitor) run(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-v.gone:
			v.comeBack(ctx)
		default:
			v.act(ctx)
		}
	}
	if v.conn != nil {
		v.conn.Abort()
	}
}

// act does one thing.
func (v *visitor) act(ctx context.Context) {
	switch {
	case v.repeat(ctx), v.rejoin(ctx), v.decide(ctx):
		return
	case v.quiet.Load():
		sleep(ctx, 20*time.Millisecond)
		return
	}
	switch n := v.rng.IntN(100); {
	case n < 8:
		v.joinAnother(ctx)
	case n < 12:
		v.leaveOne(ctx)
	case n < 20:
		v.stop(ctx)
	case n < 22:
		v.readSlowly(ctx)
	case n < 24:
		v.conn.Close()
		v.forget()
	case n < 25:
		v.conn.Abort()
	case n < 75:
		v.say(ctx)
	}
	sleep(ctx, between(v.rng, 10*time.Millisecond, 150*time.Millisecond))
}

// forget is for a socket that has left for good.
func (v *visitor) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.pid, v.offset = "", ""
}

// readSlowly stops reading for a while.
func (v *visitor) readSlowly(ctx context.Context) {
	v.conn.Pause()
	sleep(ctx, between(v.rng, 50*time.Millisecond, time.Second))
	v.conn.Resume()
}

// comeBack connects again: as the socket that it was, or as a new one.
func (v *visitor) comeBack(ctx context.Context) {
	if v.conn != nil {
		v.conn.Abort() // its reader has returned
	}
	if v.rng.IntN(100) < 4 && !v.quiet.Load() { // it may miss more than the server repeats
		sleep(ctx, between(v.rng, time.Second, 6*time.Second))
	}
	auth := map[string]string{"user_id": string(v.user)}
	returning := v.pid != "" && v.offset != "" && v.rng.IntN(100) < 70
	if returning {
		auth["pid"], auth["offset"] = v.pid, v.offset
	}
	ready, gone := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := client.Dial(ctx, client.Options{
		URL: v.network.url, Namespace: assistant.Namespace, Auth: auth, ReadBuffer: 4 << 10,
		Event: func(name string, args []json.RawMessage) {
			<-ready
			v.event(name, args)
		},
		Closed: func(error) { close(gone) },
	})
	if err != nil {
		var refused *client.RefusedError
		if errors.As(err, &refused) {
			v.violate(v.name, "", 0, fmt.Errorf("the namespace refused: %w", err))
		}
		sleep(ctx, between(v.rng, 5*time.Millisecond, 60*time.Millisecond))
		return
	}
	v.entered(conn, returning)
	v.conn, v.gone = conn, gone
	close(ready)
}

// isBroken reports whether a client with this offset begins anew. The rest of the offset
// says only where the client was.
func isBroken(offset string) bool {
	first, _, _ := strings.Cut(offset, ".")
	return first == brokenOffset
}

// entered takes note of who the visitor is now.
func (v *visitor) entered(conn *client.Client, returning bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.connection++
	recovered := returning && conn.PID() == v.pid
	v.report.returned(returning, recovered)
	if returning && !recovered && !isBroken(v.offset) && !v.leaving && v.missed() < farBehind {
		v.violate(v.name, "", 0, fmt.Errorf("the connection was not recovered from offset %q", v.offset))
	}
	v.leaving = false
	for _, w := range v.views {
		switch {
		case recovered && w.joined:
			w.recover()
		default:
			w.joined = false
		}
	}
	if !recovered {
		v.offset = ""
	}
	v.pid, v.sid = conn.PID(), conn.SID()
	clear(v.after)
}

// missed is how many records the visitor does not know that others were told.
func (v *visitor) missed() (n uint64) {
	for room, w := range v.views {
		if last := v.chronicle.last(room); w.joined && last > w.seq {
			n += last - w.seq
		}
	}
	return n
}

// call sends a command and returns its answer, or nil if none came because the
// connection is gone.
func (v *visitor) call(ctx context.Context, name string, body any) *answer {
	timed, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	args, err := v.conn.Call(timed, name, body)
	switch {
	case err == nil && len(args) == 1:
		a := new(answer)
		if err := json.Unmarshal(args[0], a); err != nil {
			v.violate(v.name, "", 0, fmt.Errorf("%s was answered %s", name, args[0]))
			return nil
		}
		if a.Error != nil {
			v.report.refused(a.Error.Code)
		}
		return a
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		v.violate(v.name, "", 0, fmt.Errorf("%s was not answered within %s", name, callTimeout))
		v.conn.Abort()
	}
	return nil
}

// rejoin joins a room again that the visitor had joined: mostly it resumes from
// where it is, else it comes as somebody new, and reads the history.
func (v *visitor) rejoin(ctx context.Context) bool {
	room, w := v.stale()
	if w == nil {
		return false
	}
	v.join(ctx, room, w.seq > 0 && v.rng.IntN(100) < 75)
	return true
}

func (v *visitor) stale() (chat.RoomID, *view) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range v.rooms {
		if w := v.views[p.room]; w != nil && !w.joined {
			return p.room, w
		}
	}
	return "", nil
}

func (v *visitor) joinAnother(ctx context.Context) {
	p := v.rooms[v.rng.IntN(len(v.rooms))]
	v.mu.Lock()
	w, many := v.views[p.room], len(v.views) >= mostRooms
	v.mu.Unlock()
	if w == nil && !many {
		v.join(ctx, p.room, false)
	}
}

// join joins a room. That it has joined is told by an event, in its place.
func (v *visitor) join(ctx context.Context, room chat.RoomID, resume bool) {
	request := map[string]any{"room_id": room, "dialect": "documented"}
	v.mu.Lock()
	w := v.views[room]
	if w == nil {
		w = newView(room)
		v.views[room] = w
	}
	if resume {
		request["after"], request["epoch"] = w.seq, w.epoch
	}
	v.after[room] = resume
	v.mu.Unlock()
	a := v.call(ctx, "join_room", request)
	switch {
	case a == nil:
	case !a.OK:
		sleep(ctx, between(v.rng, 20*time.Millisecond, 100*time.Millisecond))
	case !resume:
		v.readHistory(ctx, room)
	}
}

// readHistory compares what the room says of its past with what was told.
func (v *visitor) readHistory(ctx context.Context, room chat.RoomID) {
	a := v.call(ctx, "history", map[string]any{"room_id": room, "limit": 30})
	if a == nil || !a.OK {
		return
	}
	v.told(room, a.Messages)
}

func (v *visitor) told(room chat.RoomID, messages []assistant.Message) {
	for _, m := range messages {
		if err := v.chronicle.tell(room, m.Seq, factOfMessage(m.Message)); err != nil {
			v.violate(v.name, room, m.Seq, err)
		}
	}
}

func (v *visitor) leaveOne(ctx context.Context) {
	room, ok := v.any()
	if !ok {
		return
	}
	v.leaving = true // should the server have half done so, it may begin a new session
	if v.call(ctx, "leave_room", map[string]any{"room_id": room}) != nil {
		v.leaving = false
	}
}

// any returns a room that the visitor is in.
func (v *visitor) any() (chat.RoomID, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	first := v.rng.IntN(len(v.rooms))
	for i := range v.rooms {
		p := v.rooms[(first+i)%len(v.rooms)]
		if w := v.views[p.room]; w != nil && w.joined {
			return p.room, true
		}
	}
	return "", false
}
