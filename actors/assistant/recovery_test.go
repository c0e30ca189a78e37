package assistant_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/access"
	"parlor/actors/actortest"
	"parlor/actors/assistant"
	"parlor/actors/recovery"
	"parlor/actors/room"
	"parlor/actors/session"
	"parlor/actors/system"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
)

const otherChat chat.ID = "other-chat"

// recoverable is a server whose clients can come back.
type recoverable struct {
	*actortest.Server
	t         *testing.T
	options   recovery.Options
	namespace *assistant.Namespace
	sessions  *session.Sessions
	table     *recovery.Table
}

func runRecoverable(t *testing.T, f func(t *testing.T, s *recoverable)) {
	t.Helper()
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, server *actortest.Server) {
		t.Cleanup(synctest.Wait)
		s := &recoverable{Server: server, t: t}
		s.open()
		t.Cleanup(func() { s.table.Close() })
		f(t, s)
	})
}

func (s *recoverable) open() {
	s.t.Helper()
	s.options.Store = s.Log
	var err error
	if s.table, err = recovery.Open(s.options); err != nil {
		s.t.Fatal(err)
	}
	s.namespace = &assistant.Namespace{Auth: guestbook{}, Rooms: s.Rooms, Recovery: s.table, MaxRooms: 4, MaxReplayBytes: 64 << 10}
	s.sessions = session.New(system.New(nil), session.Options{Namespaces: map[string]session.Namespace{wire.Namespace: s.namespace}})
}

// crash restarts everything; what clients have open leads nowhere.
func (s *recoverable) crash() {
	s.t.Helper()
	s.table.Close()
	s.Restart()
	s.open()
}

// guestbook makes up a name for whoever has none.
type guestbook struct{ believer }

func (g guestbook) Socket(_ string, h http.Header, auth json.RawMessage) (chat.SignIn, error) {
	if in, err := g.believer.Socket("", h, auth); err == nil {
		return in, nil
	}
	return chat.SignIn{User: chat.User{ID: chat.UserID("guest-" + recovery.NewID()), Guest: true}}, nil
}

// visitor is the official client as far as recovery goes: it remembers its
// private id and the last string at the end of an event.
type visitor struct {
	*actortest.Conn
	t           *testing.T
	s           *recoverable
	user        string
	sid         string
	pid, offset string
	recovered   bool
	heard       []string // events without their offsets
	shows       *bubbles // nil unless the test looks at them
	resumed     string   // how many events of each room came back, as it was told last
}

func (s *recoverable) visit(user string) *visitor {
	s.t.Helper()
	v := &visitor{t: s.t, s: s, user: user}
	v.connect()
	return v
}

// connect connects, again if it was connected before.
func (v *visitor) connect() {
	v.t.Helper()
	v.dial()
	v.listen()
}

// dial is connect without waiting for anything.
func (v *visitor) dial() {
	v.t.Helper()
	v.Conn = actortest.Dial(v.t, v.s.sessions)
	auth := map[string]string{}
	if v.user != "" {
		auth["user_id"] = v.user
	}
	if v.pid != "" {
		auth["pid"] = v.pid
	}
	if v.offset != "" {
		auth["offset"] = v.offset
	}
	b, _ := json.Marshal(auth)
	v.Say("0" + prefix + string(b))
}

// listen takes in what has arrived.
func (v *visitor) listen() {
	v.t.Helper()
	synctest.Wait()
	for _, frame := range v.Got() {
		v.take(frame)
	}
}

func (v *visitor) take(frame string) {
	v.t.Helper()
	switch {
	case strings.HasPrefix(frame, "40"+prefix):
		var c struct{ SID, PID string }
		if err := json.Unmarshal([]byte(strings.TrimPrefix(frame, "40"+prefix)), &c); err != nil || c.PID == "" {
			v.t.Fatalf("confirmation %s: %v", frame, err)
		}
		v.recovered = v.pid == c.PID
		v.sid, v.pid = c.SID, c.PID
		v.heard = append(v.heard, "connect")
	case strings.HasPrefix(frame, "42"+prefix):
		v.hear(strings.TrimPrefix(frame, "42"+prefix))
	}
}

func (v *visitor) hear(data string) {
	v.t.Helper()
	var args []json.RawMessage
	if err := json.Unmarshal([]byte(data), &args); err != nil {
		v.t.Fatalf("%s: %v", data, err)
	}
	last := args[len(args)-1]
	if len(args) > 2 {
		if err := json.Unmarshal(last, &v.offset); err != nil {
			v.t.Fatalf("offset %s: %v", last, err)
		}
	}
	heard := summary(v.t, args)
	switch {
	case heard == "resumed":
		v.resumed = resumed(v.t, args[1])
	case !strings.HasPrefix(heard, "presence "):
		v.heard = append(v.heard, heard)
	}
	if v.shows != nil && strings.HasPrefix(heard, "receive_message A") {
		v.shows.take(v.t, args[1])
	}
}

// resumed tells how many events of each room came back: "A 1 B 2".
func resumed(t *testing.T, arg json.RawMessage) string {
	t.Helper()
	var body wire.Resumed
	unmarshal(t, string(arg), &body)
	var rooms []string
	for _, r := range body.Rooms {
		name := strings.ReplaceAll(strings.ReplaceAll(string(r.Room), theRoom, "A"), string(otherChat.Room()), "B")
		rooms = append(rooms, fmt.Sprint(name, " ", r.Events))
	}
	slices.Sort(rooms)
	return strings.Join(rooms, " ")
}

// summary tells an event in a few words.
func summary(t *testing.T, args []json.RawMessage) string {
	t.Helper()
	var name string
	_ = json.Unmarshal(args[0], &name)
	name = strings.ReplaceAll(strings.ReplaceAll(name, theRoom, "A"), string(otherChat.Room()), "B")
	var body struct {
		State, Content string
		Offset         *int
		Attempt        int
		Message        struct{ Content string }
		Data           struct{ Content string }
		Delta          string
		Transcript     string
	}
	_ = json.Unmarshal(args[1], &body)
	for _, part := range []string{body.State, body.Message.Content, body.Content, body.Data.Content, body.Delta, body.Transcript} {
		if part != "" {
			name += " " + part
		}
	}
	if body.Offset != nil {
		name += fmt.Sprintf(" @%d", *body.Offset)
	}
	if body.Attempt > 1 {
		name += fmt.Sprintf(" attempt %d", body.Attempt)
	}
	return name
}

func (v *visitor) join(id chat.ID) {
	v.t.Helper()
	v.Say(fmt.Sprintf(`2%s["join_room",{"room_id":%q,"dialect":"documented"}]`, prefix, id.Room()))
	v.listen()
}

// want checks what was heard since the last call.
func (v *visitor) want(want ...string) {
	v.t.Helper()
	v.listen()
	if diff := cmp.Diff(want, v.heard); diff != "" {
		v.t.Errorf("heard (-want +got):\n%s", diff)
	}
	v.heard = nil
}

// cut ends the connection as a network does.
func (v *visitor) cut() {
	v.Close("transport close")
	synctest.Wait()
}

// say says something quietly: no assistant answers.
func say(u *actortest.User, id chat.ID, content string) {
	u.Do(id, &room.Send{Content: content, Quiet: true})
}

// A client that comes back has its id and its rooms again. The records that it missed
// follow the confirmation, once and in order.
func TestRecovery(t *testing.T) {
	for _, test := range []struct {
		name string
		away func(s *recoverable, v *visitor)
	}{
		{"cut", func(_ *recoverable, v *visitor) { v.cut() }},
		{"not noticed", func(_ *recoverable, v *visitor) {}},
		{"crash", func(s *recoverable, v *visitor) { v.cut(); s.crash() }},
		{"at the last moment", func(_ *recoverable, v *visitor) { v.cut(); time.Sleep(2 * time.Minute) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			runRecoverable(t, func(t *testing.T, s *recoverable) {
				bob := s.User("bob")
				bob.Create(theChat)
				bob.Create(otherChat)
				v := s.visit("alice")
				v.join(theChat)
				v.join(otherChat)
				say(bob, theChat, "1")
				v.want("connect", "room_joined A", "room_joined B", "message A 1")
				sid := v.sid
				test.away(s, v)
				say(bob, otherChat, "2")
				say(bob, theChat, "3")
				say(bob, otherChat, "4")
				v.connect()
				slices.Sort(v.heard) // between rooms there is no order
				v.want("connect", "message A 3", "message B 2", "message B 4")
				if !v.recovered || v.sid != sid {
					t.Errorf("recovered %v, id %s before and %s now", v.recovered, sid, v.sid)
				}
				if v.resumed != "A 1 B 2" {
					t.Errorf("resumed %q, want one event of A and two of B", v.resumed)
				}
				say(bob, theChat, "5")
				v.want("message A 5")
				v.cut()
				v.connect()
				v.want("connect")
				if !v.recovered || v.resumed != "A 0 B 0" {
					t.Errorf("recovered %v, resumed %q; want again, with nothing", v.recovered, v.resumed)
				}
			})
		})
	}
}

// The connection may end between any two frames of a record.
func TestRecoveryWithinARecord(t *testing.T) {
	runRecoverable(t, func(t *testing.T, s *recoverable) {
		bob := s.User("bob")
		bob.Create(theChat)
		all := s.visit("alice")
		all.join(theChat)
		offsets := []string{all.offset}
		all.heard = nil
		bob.Do(theChat, &room.Send{Content: "hello"})
		synctest.Wait()
		for _, frame := range all.Got() {
			all.hear(strings.TrimPrefix(frame, "42"+prefix))
			offsets = append(offsets, all.offset)
		}
		all.cut()
		var recorded []string
		for i, event := range all.heard {
			if offsets[i] != offsets[i+1] {
				recorded = append(recorded, event)
			}
		}
		if len(recorded) < 6 {
			t.Fatalf("recorded events: %q", recorded)
		}
		for i, offset := range slices.Compact(offsets) {
			v := &visitor{t: t, s: s, user: "alice", pid: all.pid, offset: offset}
			v.connect()
			v.want(append([]string{"connect"}, recorded[i:]...)...)
			v.cut()
		}
	})
}

// A client that comes back during an answer gets the text so far, and then the rest.
// After a crash it gets the next attempt.
func TestRecoveryDuringAStream(t *testing.T) {
	runRecoverable(t, func(t *testing.T, s *recoverable) {
		bob := s.User("bob")
		bob.Create(theChat)
		v := s.visit("alice")
		v.join(theChat)
		s.Assistant.On("?", actortest.Slowly(time.Second, "one ", "two ", "three ", "four"))
		bob.Do(theChat, &room.Send{Content: "?"})
		time.Sleep(1500 * time.Millisecond)
		v.want("connect", "room_joined A", "message A ?", "turn A queued", "turn A running", "stream_start A", "stream_chunk A one  @0")
		v.cut()
		time.Sleep(time.Second)
		v.connect()
		v.want("connect", "stream_chunk A one two  @0")
		time.Sleep(time.Second)
		v.want("stream_chunk A three  @8")
		v.cut()
		s.crash()
		v.connect()
		v.want("connect", "turn A running", "stream_start A attempt 2")
		time.Sleep(10 * time.Second)
		v.want("stream_chunk A one  @0", "stream_chunk A two  @4", "stream_chunk A three  @8", "stream_chunk A four @14",
			"stream_chunk A @18", "message A one two three four", "stream_end A completed", "turn A completed")
	})
}

// A client that comes back while the model thinks gets the thought so far, and one that
// joins then finds it in the running turn. It is kept with the answer.
func TestRecoveryDuringThought(t *testing.T) {
	runRecoverable(t, func(t *testing.T, s *recoverable) {
		bob := s.User("bob")
		bob.Create(theChat)
		v := s.visit("alice")
		v.join(theChat)
		s.Assistant.Tell("?", chat.Delta{Thought: "hm, "}, chat.Delta{Thought: "so"}, chat.Delta{Finish: chat.FinishLength})
		s.Assistant.On("?", actortest.Slowly(time.Second, "one"))
		bob.Do(theChat, &room.Send{Content: "?"})
		synctest.Wait()
		v.want("connect", "room_joined A", "message A ?", "turn A queued", "turn A running", "stream_start A", "stream_thought A hm,  @0", "stream_thought A so @4")
		v.cut()
		v.connect()
		v.want("connect", "stream_thought A hm, so @0")
		if turn := bob.Join(theChat).Turn; turn == nil || turn.Thought != "hm, so" {
			t.Errorf("the running turn is %+v", turn)
		}
		time.Sleep(time.Second)
		v.want("stream_chunk A one @0", "stream_chunk A @3", "message A one", "stream_end A completed", "turn A completed")
		answer := s.Messages(theChat)[1]
		if answer.Thought != "hm, so" || answer.Finish != chat.FinishLength {
			t.Errorf("the answer is %+v", answer)
		}
	})
}

// A client learns of its own message once: by the acknowledgement, or, if it was gone by
// then, when it comes back.
func TestRecoveryOfOwnMessages(t *testing.T) {
	for _, answered := range []bool{true, false} {
		runRecoverable(t, func(t *testing.T, s *recoverable) {
			s.User("bob").Create(theChat)
			v := s.visit("alice")
			v.join(theChat)
			v.Say(fmt.Sprintf(`2%s["send_message",{"room_id":%q,"message":{"content":"mine","client_message_id":"m"}}]`, prefix, theRoom))
			if answered {
				v.hearUpTo("message_sent A")
			}
			v.cut()
			v.heard = nil
			v.connect()
			if !v.recovered || slices.Contains(v.heard, "message A mine") == answered {
				t.Errorf("recovered %v, heard %q", v.recovered, v.heard)
			}
		})
	}
}

// A message that was on its way to the disk while its sender was away and came
// back is told to it when it is there.
func TestRecoveryOfAMessageOnItsWay(t *testing.T) {
	runRecoverable(t, func(t *testing.T, s *recoverable) {
		s.User("bob").Create(theChat)
		v := s.visit("alice")
		v.join(theChat)
		v.heard = nil
		release := s.Log.Hold()
		v.Say(fmt.Sprintf(`2%s["send_message",{"room_id":%q,"message":{"content":"mine","client_message_id":"m"}}]`, prefix, theRoom))
		v.cut()
		v.connect()
		v.want("connect")
		release()
		v.listen()
		if got := strings.Count(strings.Join(v.heard, "\n"), "message A mine"); got != 1 {
			t.Errorf("heard %d times in %q", got, v.heard)
		}
		before := v.heard
		v.cut()
		v.connect()
		if !v.recovered || slices.Contains(v.heard[len(before):], "message A mine") {
			t.Errorf("recovered %v, heard again in %q", v.recovered, v.heard[len(before):])
		}
	})
}

// hearUpTo takes in what has arrived up to an event, and loses the rest.
func (v *visitor) hearUpTo(event string) {
	v.t.Helper()
	synctest.Wait()
	for _, frame := range v.Got() {
		v.hear(strings.TrimPrefix(frame, "42"+prefix))
		if slices.Contains(v.heard, event) {
			return
		}
	}
	v.t.Fatalf("%s was not heard", event)
}

// A client that cannot be recovered begins anew, without an error and without any of its
// former rooms.
func TestNotRecovered(t *testing.T) {
	for _, test := range []struct {
		name string
		away func(s *recoverable, v *visitor)
	}{
		{"too late", func(_ *recoverable, v *visitor) { v.cut(); time.Sleep(2*time.Minute + 1) }},
		{"too late after a crash", func(s *recoverable, v *visitor) { v.cut(); s.crash(); time.Sleep(2*time.Minute + 1) }},
		{"swept", func(_ *recoverable, v *visitor) { v.cut(); time.Sleep(time.Hour) }},
		{"another user", func(_ *recoverable, v *visitor) { v.cut(); v.user = "mallory" }},
		{"a guest", func(_ *recoverable, v *visitor) { v.cut(); v.user = "" }},
		{"another id", func(_ *recoverable, v *visitor) { v.cut(); v.pid = "guessed" }},
		{"no offset", func(_ *recoverable, v *visitor) { v.cut(); v.offset = "" }},
		{"another offset", func(_ *recoverable, v *visitor) { v.cut(); v.offset = "abcdefgh.1" }},
		{"an offset too many", func(_ *recoverable, v *visitor) { v.cut(); v.offset += ",abcdefgh.1" }},
		{"an offset of the future", func(_ *recoverable, v *visitor) { v.cut(); v.offset += "00" }},
		{"the client left", func(_ *recoverable, v *visitor) { v.Say("1" + prefix); synctest.Wait() }},
		{"the chat was deleted and made again", func(s *recoverable, v *visitor) {
			v.cut()
			bob := s.User("bob")
			bob.Do(theChat, &room.Delete{})
			bob.Create(theChat)
			for i := range 9 {
				say(bob, theChat, fmt.Sprint(i))
			}
		}},
		{"too much was missed", func(s *recoverable, v *visitor) {
			v.cut()
			for range 3 {
				say(s.User("bob"), theChat, strings.Repeat("long ", 6<<10))
			}
		}},
		{"the log cannot be read", func(s *recoverable, v *visitor) {
			v.cut()
			say(s.User("bob"), theChat, "2")
			s.Log.FailReads(errors.New("for a moment"))
			s.t.Cleanup(func() { s.Log.FailReads(nil) })
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			runRecoverable(t, func(t *testing.T, s *recoverable) {
				bob := s.User("bob")
				bob.Create(theChat)
				v := s.visit("alice")
				v.join(theChat)
				say(bob, theChat, "1")
				v.want("connect", "room_joined A", "message A 1")
				sid, pid := v.sid, v.pid
				test.away(s, v)
				if test.name != "the log cannot be read" && !strings.Contains(test.name, "deleted") {
					say(bob, theChat, "2")
				}
				v.connect()
				v.want("connect")
				if v.recovered || v.sid == sid || v.pid == pid {
					t.Errorf("recovered %v, sid %s, %s, pid %s, %s", v.recovered, sid, v.sid, pid, v.pid)
				}
				s.Log.FailReads(nil)
				time.Sleep(time.Minute) // for a room that could not read its log
				bob.Create(theChat)
				say(bob, theChat, "3")
				v.want()
				v.join(theChat)
				say(bob, theChat, "4")
				v.want("room_joined A", "message A 4")
			})
		})
	}
}

// A chat that was deleted meanwhile is told as such, and costs nothing of the others.
func TestRecoveryOfADeletedChat(t *testing.T) {
	for _, away := range []bool{true, false} {
		runRecoverable(t, func(t *testing.T, s *recoverable) {
			bob := s.User("bob")
			bob.Create(theChat)
			bob.Create(otherChat)
			v := s.visit("alice")
			v.join(theChat)
			v.join(otherChat)
			if away {
				v.cut()
			}
			bob.Do(theChat, &room.Delete{})
			if !away { // the last that it hears is that the chat was deleted
				v.listen()
				v.cut()
			}
			v.heard = nil
			say(bob, otherChat, "1")
			v.connect()
			want := []string{"connect", "message B 1", "error A"}
			if !away {
				want = want[:2]
			}
			v.want(want...)
			if !v.recovered {
				t.Error("not recovered")
			}
			v.cut()
			v.connect()
			v.want("connect")
		})
	}
}

// A room gets a client's commands in their order, although a client that joins waits for
// the disk.
func TestJoinKeepsItsPlace(t *testing.T) {
	runRecoverable(t, func(t *testing.T, s *recoverable) {
		bob := s.User("bob")
		bob.Create(theChat)
		v := s.visit("alice")
		v.heard = nil
		packet := func(event, more string) string {
			return fmt.Sprintf(`2%s["%s",{"room_id":%q%s}]`, prefix, event, theRoom, more)
		}
		join, leave := packet("join_room", `,"dialect":"documented"`), packet("leave_room", "")
		v.Say(join, packet("send_message", `,"message":"hello"`))
		v.want("room_joined A", "message_sent A", "turn A queued", "turn A running", "stream_start A",
			"stream_chunk A You said:  @0", "stream_chunk A hello @10", "stream_chunk A @15",
			"message A You said: hello", "stream_end A completed", "turn A completed")
		v.Say(leave, join, leave, packet("join_room", `,"dialect":"spa"`), join, leave)
		v.want("room_left", "room_joined A", "room_left", "room_joined A", "room_joined A", "room_left")
		say(bob, theChat, "unheard")
		v.want()
	})
}

// A seat that cannot be saved is saved later. From then on the client can come back.
func TestUnsavedIsSavedLater(t *testing.T) {
	runRecoverable(t, func(t *testing.T, s *recoverable) {
		s.options.MaxSeats = 1
		s.table.Close()
		s.open()
		bob := s.User("bob")
		bob.Create(theChat)
		first, second := s.visit("alice"), s.visit("alice")
		first.join(theChat)
		second.join(theChat)
		first.Say("1" + prefix) // leaves for good, and makes room
		time.Sleep(2 * time.Second)
		say(bob, theChat, "saved at this")
		say(bob, theChat, "and told by this")
		second.listen()
		second.cut()
		second.connect()
		if !second.recovered {
			t.Errorf("not recovered from %q", second.offset)
		}
	})
}

// A client can come back after an answer of any length.
func TestRecoveryOfALongAnswer(t *testing.T) {
	runRecoverable(t, func(t *testing.T, s *recoverable) {
		s.namespace.MaxReplayBytes = 1000
		bob := s.User("bob")
		bob.Create(theChat)
		v := s.visit("alice")
		v.join(theChat)
		v.cut()
		v.heard = nil
		long := strings.Repeat("long ", 1000)
		say(bob, theChat, long)
		v.connect()
		v.want("connect", "message A "+long)
		v.cut()
		say(bob, theChat, long)
		say(bob, theChat, "short")
		v.connect()
		v.want("connect")
		if v.recovered {
			t.Error("more than the limit was replayed")
		}
	})
}

// With the private id of somebody else a client does not get that seat, and does not
// end it.
func TestStolenPrivateID(t *testing.T) {
	runRecoverable(t, func(t *testing.T, s *recoverable) {
		bob := s.User("bob")
		bob.Create(theChat)
		v := s.visit("alice")
		v.join(theChat)
		thief := &visitor{t: t, s: s, user: "mallory", pid: v.pid, offset: v.offset}
		thief.connect()
		say(bob, theChat, "1")
		thief.want("connect")
		v.want("connect", "room_joined A", "message A 1")
		v.cut()
		v.connect()
		v.want("connect")
		if !v.recovered || thief.recovered {
			t.Errorf("recovered: the owner %v, the thief %v", v.recovered, thief.recovered)
		}
	})
}

// A guest of development mode is the same guest after coming back.
func TestGuestComesBack(t *testing.T) {
	runRecoverable(t, func(t *testing.T, s *recoverable) {
		s.User("bob").Create(theChat)
		v := s.visit("")
		v.join(theChat)
		before := s.User("bob").Join(theChat).Users
		v.cut()
		v.connect()
		if diff := cmp.Diff(before, s.User("bob").Join(theChat).Users); !v.recovered || diff != "" {
			t.Errorf("recovered %v, members (-before +now):\n%s", v.recovered, diff)
		}
	})
}

// Rooms that were refused or left are nothing to come back to.
func TestRecoveryOfRoomsLeft(t *testing.T) {
	runRecoverable(t, func(t *testing.T, s *recoverable) {
		bob := s.User("bob")
		bob.Create(theChat)
		bob.Create(otherChat)
		v := s.visit("alice")
		v.join("nowhere")
		v.join(otherChat)
		v.join(theChat)
		v.Say(fmt.Sprintf(`2%s["leave_room",{"room_id":%q}]`, prefix, otherChat.Room()))
		v.listen()
		v.heard = nil
		v.cut()
		say(bob, otherChat, "1")
		say(bob, theChat, "2")
		v.connect()
		v.want("connect", "message A 2")
		if !v.recovered {
			t.Error("not recovered")
		}
		say(bob, otherChat, "3")
		v.want()
	})
}

// While a client's seat cannot be saved, the client is served, and its offsets say that
// it cannot come back.
func TestRecoveryWithoutADisk(t *testing.T) {
	runRecoverable(t, func(t *testing.T, s *recoverable) {
		s.options.MaxSeats = 1
		s.table.Close()
		s.open()
		bob := s.User("bob")
		bob.Create(theChat)
		first, second := s.visit("alice"), s.visit("alice")
		first.join(theChat)
		second.join(theChat)
		say(bob, theChat, "1")
		second.want("connect", "room_joined A", "message A 1")
		if !strings.HasPrefix(second.offset, "-.") {
			t.Errorf("offset %q", second.offset)
		}
		second.cut()
		second.connect()
		if second.recovered {
			t.Error("recovered")
		}
		first.cut()
		first.connect()
		if !first.recovered {
			t.Error("the first was not recovered")
		}
	})
}

// One socket cannot join any number of rooms, and may join others when it leaves.
func TestMaxRooms(t *testing.T) {
	runRecoverable(t, func(t *testing.T, s *recoverable) {
		bob := s.User("bob")
		v := s.visit("alice")
		for i := range 5 {
			id := chat.ID(fmt.Sprint(i))
			bob.Create(id)
			v.join(id)
		}
		heard := strings.Join(v.heard, "\n")
		if got := strings.Count(heard, "room_joined "); got != 4 || !strings.Contains(heard, "room_join_error") {
			t.Errorf("joined %d rooms:\n%s", got, heard)
		}
		v.heard = nil
		v.join("0") // again
		v.Say(fmt.Sprintf(`2%s["leave_room",{"room_id":%q}]`, prefix, chat.ID("0").Room()))
		v.listen()
		v.join("4")
		if heard := strings.Join(v.heard, "\n"); strings.Contains(heard, "error") {
			t.Error(heard)
		}
	})
}

// A room that tells while others still have to answer is heard in its place.
func TestRecoveryWhileRoomsTell(t *testing.T) {
	runRecoverable(t, func(t *testing.T, s *recoverable) {
		bob := s.User("bob")
		bob.Create(theChat)
		bob.Create(otherChat)
		v := s.visit("alice")
		v.join(theChat)
		v.join(otherChat)
		v.cut()
		v.heard = nil
		slow := &slowRooms{Rooms: s.Rooms, id: otherChat.Room(), held: make(chan struct{})}
		s.namespace.Rooms = slow
		v.connect()
		say(bob, theChat, "1")
		say(bob, otherChat, "2")
		v.want()
		close(slow.held)
		v.want("connect", "message A 1", "message B 2")
		if !v.recovered {
			t.Error("not recovered")
		}
	})
}

// slowRooms holds what is for one room back.
type slowRooms struct {
	assistant.Rooms
	id   chat.RoomID
	held chan struct{}
}

func (s *slowRooms) Tell(id chat.RoomID, m room.Message) {
	if id != s.id {
		s.Rooms.Tell(id, m)
		return
	}
	go func() {
		<-s.held
		s.Rooms.Tell(id, m)
	}()
}
