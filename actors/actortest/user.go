package actortest

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"testing/synctest"

	"parlor/actors/room"
	"parlor/protocol/assistant"
	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

// A User is somebody with one connection: an address that notes all that
// reaches it. Deliver may be called from any goroutine, the other methods from
// the test's.
type User struct {
	chat.User
	server  *Server
	address room.Address // of this run of the server

	mu    sync.Mutex
	asked []question // by Ref, from 1
	told  []string
	run   []string // the calls that the connection was told to run
	views map[chat.RoomID]*View
	seen  map[chat.RoomID]*Seen
	bytes int // of what the user was told of who is there
}

type question struct {
	room    chat.RoomID
	command room.Command
	replies []room.Reply
}

// User returns a new connection of the user id.
func (s *Server) User(id chat.UserID) *User {
	u := &User{server: s, User: chat.User{ID: id}, views: make(map[chat.RoomID]*View), seen: make(map[chat.RoomID]*Seen)}
	u.address = s.Rooms.Open(u)
	s.users = append(s.users, u)
	return u
}

// forget ends the user's memberships with the server that kept them.
func (u *User) forget() {
	u.mu.Lock()
	defer u.mu.Unlock()
	clear(u.views)
	clear(u.seen)
}

// reopen gives the user an address at a new run of the server.
func (u *User) reopen() { u.address = u.server.Rooms.Open(u) }

// Tell sends a command without waiting and returns its number.
func (u *User) Tell(id chat.ID, c room.Command) (ref uint64) {
	u.mu.Lock()
	u.asked = append(u.asked, question{room: id.Room(), command: c})
	ref = uint64(len(u.asked))
	u.mu.Unlock()
	sign(c, room.Caller{User: u.User, Address: u.address, Ref: ref})
	u.server.Rooms.Tell(id.Room(), c)
	return ref
}

// sign says who sends the command.
func sign(c room.Command, caller room.Caller) {
	if join, ok := c.(*room.Join); ok {
		join.Encoder = cmp.Or(join.Encoder, assistant.Both.String())
	}
	c.(interface{ Sign(room.Caller) }).Sign(caller)
}

// Reply returns the answer to a command, if it came, and fails the test if
// more than one did.
func (u *User) Reply(ref uint64) (room.Reply, bool) {
	u.server.t.Helper()
	u.mu.Lock()
	defer u.mu.Unlock()
	replies := u.asked[ref-1].replies
	if len(replies) > 1 {
		u.server.t.Errorf("%s: command %d was answered %d times: %+v", u.ID, ref, len(replies), replies)
	}
	if len(replies) == 0 {
		return room.Reply{}, false
	}
	return replies[0], true
}

// Do sends a command and returns the answer when everything has come to rest.
func (u *User) Do(id chat.ID, c room.Command) room.Reply {
	u.server.t.Helper()
	ref := u.Tell(id, c)
	synctest.Wait()
	reply, ok := u.Reply(ref)
	if !ok {
		u.server.t.Fatalf("%s: no answer to %T", u.ID, c)
	}
	return reply
}

// Refused is Do for a command that is to be refused.
func (u *User) Refused(id chat.ID, c room.Command) chat.Code {
	u.server.t.Helper()
	reply := u.Do(id, c)
	if reply.Err == nil {
		u.server.t.Fatalf("%s: %T was not refused: %+v", u.ID, c, reply.Body)
	}
	return reply.Err.Code
}

// do is Do for a command that is not to be refused.
func do[Body any](u *User, id chat.ID, c room.Command) Body {
	u.server.t.Helper()
	reply := u.Do(id, c)
	if reply.Err != nil {
		u.server.t.Fatalf("%s: %T was refused: %v", u.ID, c, reply.Err)
	}
	return reply.Body.(Body)
}

// Create makes a chat with [Model].
func (u *User) Create(id chat.ID) chat.Info {
	u.server.t.Helper()
	return do[room.Created](u, id, &room.Create{Chat: id, ModelID: Model}).Chat
}

// Join makes the user a member who speaks the documented dialect.
func (u *User) Join(id chat.ID) room.Joined {
	u.server.t.Helper()
	return u.JoinAs(id, assistant.Documented)
}

// JoinAs is Join in another dialect.
func (u *User) JoinAs(id chat.ID, d assistant.Dialect) room.Joined {
	u.server.t.Helper()
	return do[room.Joined](u, id, &room.Join{Encoder: d.String()})
}

// Send says something that wants an answer.
func (u *User) Send(id chat.ID, content string) room.Sent {
	u.server.t.Helper()
	return do[room.Sent](u, id, &room.Send{Content: content})
}

// Stop stops a turn, the first one if there is no id.
func (u *User) Stop(id chat.ID, turn chat.TurnID) room.Stopped {
	u.server.t.Helper()
	return do[room.Stopped](u, id, &room.StopTurn{TurnID: turn})
}

// Deliver implements room.Recipient.
func (u *User) Deliver(d room.Delivery) {
	u.mu.Lock()
	defer u.mu.Unlock()
	var err error
	switch d := d.(type) {
	case room.Reply:
		err = u.reply(d)
	case *room.Publication:
		err = u.publication(d)
	}
	if err != nil {
		u.server.t.Errorf("%s: %v", u.ID, err)
	}
}

func (u *User) reply(r room.Reply) error {
	q := &u.asked[r.Ref-1]
	q.replies = append(q.replies, r)
	if r.Err != nil {
		u.told = append(u.told, "refused "+string(r.Err.Code))
		return nil
	}
	switch b := r.Body.(type) {
	case room.Created:
		u.told = append(u.told, "created")
	case room.Joined:
		u.told = append(u.told, fmt.Sprintf("joined #%d", b.Seq))
		delete(u.seen, q.room)
		u.views[q.room] = newView(b, q.command.(*room.Join).Encoder)
	case room.Left:
		u.told = append(u.told, "left")
		delete(u.views, q.room)
		delete(u.seen, q.room)
	case room.Sent:
		u.told = append(u.told, fmt.Sprintf("sent #%d", b.Seq))
		if v := u.views[q.room]; v != nil {
			v.acknowledged(q.command, b)
		}
	case room.Taken:
		u.told = append(u.told, "taken")
	case room.Stopped:
		u.told = append(u.told, "stopped")
	case room.Deleted:
		u.told = append(u.told, "deleted")
	case room.Invited:
		u.told = append(u.told, "invited")
	case room.Listed:
		u.told = append(u.told, "listed")
	}
	return nil
}

func (u *User) publication(p *room.Publication) error {
	if v := u.views[p.Room]; v != nil && v.own[p.Seq] {
		return nil // the edge leaves it out
	}
	if presence, ok := p.Notice.(chat.Presence); ok {
		return u.sees(p, presence)
	}
	if news, ok := p.Notice.(chat.ToolNews); ok {
		u.told = append(u.told, fmt.Sprintf("progress of %s: %g of %g", news.Name, news.Progress, news.Total))
		return nil
	}
	if run, ok := p.Notice.(chat.RunTool); ok {
		u.run = append(u.run, run.Call.ID)
	}
	frames, _ := p.Encoded.([]engineio.Frame)
	if record, ok := p.Notice.(chat.Record); ok && p.Author == u.address && record.Spoken() {
		frames = assistant.NewEncoder(u.dialect(p.Room)).Frames(p.Room, chat.Transcribed{Record: record})
	}
	events, err := decode(frames)
	if err != nil {
		return err
	}
	for _, e := range events {
		u.told = append(u.told, e.String())
		if e.ID != "" && e.ID != string(p.Room) {
			return fmt.Errorf("%s came from room %s", e.name, p.Room)
		}
	}
	v, ok := u.views[p.Room]
	if !ok {
		return fmt.Errorf("told something before the answer to Join: %v", events)
	}
	if _, removed := p.Notice.(chat.Removal); removed {
		delete(u.views, p.Room)
		return nil
	}
	return v.publication(p, events)
}

// Told returns, one line each, what the user was told since the last call.
func (u *User) Told() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	told := u.told
	u.told = nil
	return told
}

// ToRun returns the ids of the calls of tools that the connection was told to run.
func (u *User) ToRun() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.run)
}

// View returns what the user knows of a room, nil if it is not in it. It must
// not be used while something goes on there.
func (u *User) View(id chat.ID) *View {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.views[id.Room()]
}

// Reread takes the history of a chat, which the user was told to read anew.
func (u *User) Reread(id chat.ID, history []chat.Message) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.views[id.Room()].read(history)
}

// dialect returns the one in which the user is told of the room.
func (u *User) dialect(id chat.RoomID) assistant.Dialect {
	for _, d := range assistant.Dialects {
		if v := u.views[id]; v != nil && v.encoder == d.String() {
			return d
		}
	}
	return assistant.Both
}
