package resume

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parlor/actors/recovery"
	"parlor/protocol/chat"
)

// socket is a client's socket. What it is to do is done by run.
type socket struct {
	id, private string
	todo        []func()
	closed      bool
}

func (s *socket) ID() string              { return s.id }
func (s *socket) Identify(id, pid string) { s.id, s.private = id, pid }
func (s *socket) Do(f func())             { s.todo = append(s.todo, f) }
func (s *socket) CloseConnection()        { s.closed = true }

func (s *socket) run() {
	for len(s.todo) > 0 {
		do := s.todo[0]
		s.todo = s.todo[1:]
		do()
	}
}

// disk is a store that writes when it is told to.
type disk struct {
	*recovery.Memory
	slow    bool
	waiting []func(error)
	written int // seats
	bytes   int // of the last one
}

func (d *disk) PutSession(key string, value []byte, done func(error)) {
	write := func(err error) {
		if err == nil {
			d.written++
			d.bytes = len(value)
			d.Memory.PutSession(key, value, func(error) {})
		}
		done(err)
	}
	if d.slow {
		d.waiting = append(d.waiting, write)
		return
	}
	write(nil)
}

// write lets what waits be written, or fail.
func (d *disk) write(err error) {
	waiting := d.waiting
	d.waiting = nil
	for _, w := range waiting {
		w(err)
	}
}

// server is a table on a disk.
type server struct {
	*recovery.Table
	disk *disk
}

func newServer(t testing.TB) *server {
	d := &disk{Memory: recovery.NewMemory()}
	table, err := recovery.Open(recovery.Options{Store: d})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(table.Close)
	return &server{table, d}
}

// visitor is a client with its standing and the newest offset that it got.
type visitor struct {
	Standing
	*socket
	*server
	offset string
	joined map[chat.RoomID]*Place
	joins  map[chat.RoomID]int // that wait for the disk
}

var alice = chat.User{ID: "alice"}

func (s *server) visit() *visitor {
	v := &visitor{server: s, socket: new(socket), joined: make(map[chat.RoomID]*Place), joins: make(map[chat.RoomID]int)}
	v.Open(s.Table, v.socket, alice, nil)
	return v
}

// hear takes in an offset.
func (v *visitor) hear(offset json.RawMessage) {
	if offset != nil {
		if err := json.Unmarshal(offset, &v.offset); err != nil {
			panic(err)
		}
	}
}

func (v *visitor) join(room chat.RoomID, encoder string, seq uint64) {
	v.joins[room]++
	v.Join(room, encoder, "epoch of "+string(room), seq, func(p *Place) {
		v.joins[room]--
		v.joined[room] = p
		v.hear(v.Offset())
	})
	v.run()
}

func (v *visitor) leave(room chat.RoomID) {
	v.Leave(v.joined[room])
	delete(v.joined, room)
	v.hear(v.Offset())
	v.run()
}

// tell tells the client of a record.
func (v *visitor) tell(room chat.RoomID, seq uint64) {
	v.hear(v.Advance(v.joined[room], seq, 1).Last())
	v.run()
}

// where says where the client is.
func (v *visitor) where() string {
	return where(maps.Values(v.joined))
}

func where(places func(func(*Place) bool)) string {
	var all []string
	for p := range places {
		all = append(all, fmt.Sprintf("%s/%s@%d", p.Room, p.Encoder, p.Seq()))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// again is the client on another connection.
func (v *visitor) again(offset string) (again *visitor, back bool) {
	again = &visitor{server: v.server, socket: new(socket), offset: offset, joined: make(map[chat.RoomID]*Place), joins: make(map[chat.RoomID]int)}
	auth, _ := json.Marshal(map[string]string{"pid": v.private, "offset": offset})
	_, back = again.Open(v.Table, again.socket, alice, auth)
	for _, p := range again.Places() {
		again.joined[p.Room] = p
	}
	return again, back
}

// A client is told that it has joined when its place is on disk, and comes back to where
// it was.
func TestJoin(t *testing.T) {
	s := newServer(t)
	s.disk.slow = true
	v := s.visit()
	if v.Offset() != nil {
		t.Errorf("offset %s before anything was joined", v.Offset())
	}
	v.join("a", "e", 5)
	v.join("b", "e", 7)
	if v.where() != "" {
		t.Errorf("at %s before the disk knows", v.where())
	}
	s.disk.write(nil)
	v.run()
	if got := v.where(); got != "a/e@5" { // the second save follows the first
		t.Errorf("at %s", got)
	}
	early := v.offset
	s.disk.write(nil)
	v.run()
	v.tell("a", 9)
	for offset, want := range map[string]string{early: "a/e@5", v.offset: "a/e@9 b/e@7"} {
		again, back := v.again(offset)
		if got := again.where(); !back || got != want {
			t.Errorf("from %s: back %v, at %s, want %s", offset, back, got, want)
		}
		if again.id != v.id || again.private != v.private {
			t.Error("the client has other ids")
		}
		v = again
	}
}

// A client that displaces its own old connection ends that.
func TestDisplace(t *testing.T) {
	s := newServer(t)
	v := s.visit()
	v.join("a", "e", 5)
	if _, back := v.again(v.offset); !back {
		t.Error("not back")
	}
	v.run()
	if !v.closed {
		t.Error("the old connection is open")
	}
}

// A seat that was given up, and one of another user, nobody gets.
func TestNotBack(t *testing.T) {
	s := newServer(t)
	v := s.visit()
	v.join("a", "e", 5)
	auth, _ := json.Marshal(map[string]string{"pid": v.private, "offset": v.offset})
	var other Standing
	if _, back := other.Open(s.Table, new(socket), chat.User{ID: "mallory"}, auth); back {
		t.Error("somebody else is back")
	}
	if _, back := v.again(theOffset(1, 0, "", step{})); back {
		t.Error("back from an offset of another file")
	}
	v.End(true)
	if _, back := v.again(v.offset); back {
		t.Error("back after having left for good")
	}
}

// A client that begins anew keeps the offset that it had until it gets another.
// In its new seat that means nothing.
func TestOffsetOfAnotherSeat(t *testing.T) {
	s := newServer(t)
	v := s.visit()
	v.join("a", "e", 5)
	old := v.offset
	v.Begin()
	s.disk.slow = true
	v.join("b", "e", 7)
	s.disk.write(nil) // and the client is not told
	if _, back := v.again(old); back {
		t.Error("back in a room of which the client was not told")
	}
}

// Without a table there are places, and no offsets.
func TestNoTable(t *testing.T) {
	var v visitor
	v.socket, v.joined, v.joins = new(socket), make(map[chat.RoomID]*Place), make(map[chat.RoomID]int)
	if _, back := v.Open(nil, v.socket, alice, json.RawMessage(`{"pid":"p","offset":"o"}`)); back || v.CanReturn() {
		t.Error("back")
	}
	v.join("a", "e", 5)
	v.tell("a", 6)
	if v.offset != "" || v.where() != "a/e@6" {
		t.Errorf("offset %q, at %s", v.offset, v.where())
	}
	v.Begin()
	v.End(false)
}

// While the disk refuses the seat, offsets say that the client cannot come back,
// and now and then it is tried again.
func TestDiskFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.disk.slow = true
		v := s.visit()
		v.join("a", "e", 5)
		s.disk.write(errors.New("full"))
		v.run()
		if v.where() != "a/e@5" || !isBroken(v.offset) {
			t.Errorf("at %s with offset %s", v.where(), v.offset)
		}
		for range 10 {
			v.tell("a", 6)
		}
		if len(s.disk.waiting) > 0 {
			t.Error("tried again at once")
		}
		time.Sleep(saveAgain)
		v.tell("a", 7)
		v.tell("a", 8)
		if len(s.disk.waiting) != 1 {
			t.Errorf("%d saves wait", len(s.disk.waiting))
		}
		s.disk.write(nil)
		v.run()
		v.tell("a", 9)
		if again, back := v.again(v.offset); !back || again.where() != "a/e@9" {
			t.Errorf("back %v from %s, at %s", back, v.offset, again.where())
		}
	})
}

// Every frame of a record has an offset of its own. All but the last say how much of the
// record the client has.
func TestParts(t *testing.T) {
	s := newServer(t)
	v := s.visit()
	v.join("a", "e", 5)
	v.join("b", "e", 5)
	v.tell("b", 8)
	frames := []string{"one", "two", "three"}
	frame := func(i int) []byte { return []byte(frames[i]) }
	o := v.Advance(v.joined["b"], 9, len(frames))
	for i := range frames {
		offset := o.Of(frame(i))
		if i == len(frames)-1 {
			offset = o.Last()
		}
		v.hear(offset)
		again, back := v.again(v.offset)
		p := again.joined["b"]
		if !back || len(again.joined) != 2 {
			t.Fatalf("back %v, at %s", back, again.where())
		}
		if i == len(frames)-1 {
			if p.Partly() || p.Seq() != 9 || !p.Within(9) {
				t.Errorf("at %+v after the last frame", p)
			}
			continue
		}
		got, ok := p.Got(len(frames), frame)
		if !p.Partly() || p.Seq() != 8 || p.Within(8) || !p.Within(9) || !ok || got != i+1 {
			t.Errorf("at %+v after frame %d: got %d", p, i, got)
		}
		if _, ok := p.Got(i, frame); ok { // encoded otherwise
			t.Error("frames that the client never had")
		}
	}
}
