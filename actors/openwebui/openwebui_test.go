package openwebui_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/protocol/chat"
)

// Users are told of those with whom they share a chat, and of nobody else, also when that
// changes.
func TestUserListIsScoped(t *testing.T) {
	run(t, func(w *world) {
		alice := w.User("alice")
		alice.Create(theChat)
		a, b, e := w.connect("alice 1h", ""), w.connect("bob 1h", ""), w.connect("eve 1h", "")
		a.want("user-list", `{"user_ids":["alice"],"users":1}`)

		alice.Do(theChat, &room.SetMember{Member: chat.Member{ID: "bob", Role: chat.RoleMember}})
		b.emit("user-join", `{}`)
		time.Sleep(time.Second)
		both := `{"user_ids":["alice","bob"],"users":2}`
		a.want("user-list", both)
		b.want("user-list", both)

		a.emit("usage", `{"model":"eliza"}`)
		time.Sleep(time.Second)
		b.want("usage", `{"models":["eliza"]}`)

		alice.Do(theChat, &room.RemoveMember{Member: "bob"})
		a.emit("user-join", `{}`)
		time.Sleep(time.Second)
		b.want("user-list", `{"user_ids":["bob"],"users":1}`)
		e.want("user-list", `{"user_ids":["eve"],"users":1}`)
		if got := e.all("usage"); !slices.Equal(got, []string{`{"models":[]}`}) {
			t.Errorf("a stranger was told %q", got)
		}
	})
}

// A model is in use for three seconds after a client has said so last, and not after it has
// gone.
func TestUsageEnds(t *testing.T) {
	run(t, func(w *world) {
		a, other := w.connect("alice 1h", ""), w.connect("alice 1h", "")
		for range 4 {
			a.emit("usage", `{"model":"eliza"}`)
			time.Sleep(2 * time.Second)
			other.want("usage", `{"models":["eliza"]}`)
		}
		time.Sleep(1500 * time.Millisecond)
		other.want("usage", `{"models":[]}`)

		a.emit("usage", `{"model":"eliza"}`)
		time.Sleep(time.Second)
		a.Close("transport close")
		time.Sleep(time.Second)
		other.want("usage", `{"models":[]}`)
		if got := len(other.all("usage")); got != 5 {
			t.Errorf("told %d times which models are in use", got)
		}
	})
}

// Many changes at once are told together, and who has asked is told again.
func TestUserListIsToldTogether(t *testing.T) {
	run(t, func(w *world) {
		a := w.connect("alice 1h", "")
		before := len(a.all("user-list"))
		for range 20 {
			a.emit("user-list", `null`)
		}
		time.Sleep(time.Second)
		if got := len(a.all("user-list")); got != before+1 {
			t.Errorf("told %d times, and before %d", got, before)
		}
	})
}

// All devices of the user who asks are told the answer, under the id that the client chose,
// and nobody else's. One that comes in the middle is told the text so far.
func TestAnswerReachesTheUsersDevices(t *testing.T) {
	run(t, func(w *world) {
		w.Assistant.On("a story", actortest.Slowly(time.Second, "Once ", "upon ", "a ", "time"))
		alice := w.User("alice")
		alice.Create(theChat)
		alice.Do(theChat, &room.SetMember{Member: chat.Member{ID: "bob", Role: chat.RoleMember}})
		first, second, other := w.connect("alice 1h", ""), w.connect("alice 1h", `,"events":["chat-events"],"content":"cumulative"`), w.connect("bob 1h", "")
		w.ask(alice, theChat, "chosen", "a story")
		time.Sleep(2 * time.Second)
		late := w.connect("alice 1h", "")
		time.Sleep(10 * time.Second)
		for i, p := range []*page{first, second, late} {
			if got := p.text("chosen"); got != "Once upon a time" {
				t.Errorf("device %d has %q of %q", i, got, p.heard)
			}
		}
		if got := other.all("chat-events"); len(got) != 0 {
			t.Errorf("another member was told %q", got)
		}
		if got := second.all("events"); len(got) != 0 {
			t.Errorf("a client that wants chat-events alone was told %q", got)
		}
		if got := first.all("stream"); len(got) != 0 {
			t.Errorf("a client that has not joined the room was told %q", got)
		}
	})
}

// A chat's room is for those who may read it, and for as long as they may.
func TestRoomOfAChat(t *testing.T) {
	run(t, func(w *world) {
		alice := w.User("alice")
		alice.Create(theChat)
		alice.Do(theChat, &room.SetMember{Member: chat.Member{ID: "bob", Role: chat.RoleViewer}})
		a, b, e := w.connect("alice 1h", ""), w.connect("bob 1h", ""), w.connect("eve 1h", "")
		join := fmt.Sprintf(`{"chat_id":%q}`, theChat)
		for p, want := range map[*page]string{a: `"ok":true`, b: `"ok":true`, e: `"code":"not_found"`} {
			if ack := p.emit("join-channels", join); !strings.Contains(ack, want) {
				t.Errorf("join-channels: got %s, want %s", ack, want)
			}
		}
		typing := fmt.Sprintf(`{"channel_id":%q,"data":{"type":"typing"}}`, theChat)
		for p, want := range map[*page]string{a: `"ok":true`, b: `"code":"forbidden"`, e: `"code":"invalid"`} {
			if ack := p.emit("channel-events", typing); !strings.Contains(ack, want) {
				t.Errorf("typing: got %s, want %s", ack, want)
			}
		}
		b.want("channel-events", fmt.Sprintf(`{"channel_id":%q,"message_id":null,"data":{"type":"typing"},"user":{"id":"alice","name":"ALICE","role":"user","profile_image_url":""}}`, theChat))
		alice.Send(theChat, "hello")
		time.Sleep(time.Second)
		if got := b.all("final"); len(got) != 1 || !strings.Contains(got[0], `"content":"You said: hello"`) {
			t.Errorf("final: got %q", got)
		}
		alice.Do(theChat, &room.RemoveMember{Member: "bob"})
		synctest.Wait()
		told := len(b.all("stream"))
		a.emit("channel-events", typing)
		alice.Send(theChat, "hello")
		time.Sleep(time.Second)
		if got := len(b.all("stream")); got != told || len(b.all("channel-events")) != 3 {
			t.Errorf("a removed member was told %q", b.heard)
		}
		if got := e.all("stream"); len(got) != 0 {
			t.Errorf("a stranger was told %q", got)
		}
	})
}

// Rooms that a client has not wished for make way for others.
func TestRoomsMakeWay(t *testing.T) {
	run(t, func(w *world) { // three rooms at once
		alice := w.User("alice")
		p := w.connect("alice 1h", "")
		for i := range 5 {
			id := chat.ID(fmt.Sprint("chat-", i))
			alice.Create(id)
			w.ask(alice, id, fmt.Sprint("answer-", i), "hello")
			if got := p.text(fmt.Sprint("answer-", i)); got != "You said: hello" {
				t.Errorf("answer %d: %q", i, got)
			}
		}
		for i := range 5 {
			ack := p.emit("join-channels", fmt.Sprintf(`{"chat_id":"chat-%d"}`, i))
			if got, want := strings.Contains(ack, `"code":"busy"`), i >= 3; got != want {
				t.Errorf("room %d: %s", i, ack)
			}
		}
	})
}

// The connection ends with its token, unless a new one comes in time. A bad one changes
// nothing.
func TestTokenEnds(t *testing.T) {
	run(t, func(w *world) {
		p, renewed := w.connect("alice 60s", ""), w.connect("alice 60s", "")
		if ack := renewed.emit("user-join", `{"auth":{"token":"alice 2h"}}`); ack != `{"id":"alice","name":"ALICE"}` {
			t.Errorf("user-join: got %s", ack)
		}
		for _, bad := range []string{"nonsense", "bob 2h"} {
			if ack := renewed.emit("user-join", fmt.Sprintf(`{"auth":{"token":%q}}`, bad)); !strings.Contains(ack, `"ok":false`) {
				t.Errorf("user-join with %q: got %s", bad, ack)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := p.Got(); !slices.Contains(got, "closed: forced close") {
			t.Errorf("at the end of the token: got %q", got)
		}
		if ack := renewed.emit("heartbeat", `{}`); ack != `{"ok":true}` {
			t.Errorf("heartbeat: got %s", ack)
		}
	})
}

// A key that may only read changes nothing that others see.
func TestReadOnly(t *testing.T) {
	run(t, func(w *world) {
		p := w.connect("alice-reads 1h", "")
		for event, arg := range map[string]string{"usage": `{"model":"m"}`, "channel-events": `{"channel_id":"c","data":{"type":"typing"}}`} {
			if ack := p.emit(event, arg); !strings.Contains(ack, `"code":"forbidden"`) {
				t.Errorf("%s: got %s", event, ack)
			}
		}
		if ack := p.emit("user-join", `{}`); !strings.Contains(ack, `"id":"alice"`) {
			t.Errorf("user-join: got %s", ack)
		}
	})
}

// A client whose connection was lost in the middle of an answer is told its end when it comes
// back, and what was said in the rooms that it had joined when it joins them again. One that
// has left for good is told nothing.
func TestComeBack(t *testing.T) {
	run(t, func(w *world) {
		w.Assistant.On("a story", actortest.Slowly(time.Second, "Once ", "upon ", "a ", "time"))
		alice, bob := w.User("alice"), w.User("bob")
		alice.Create(theChat)
		alice.Do(theChat, &room.SetMember{Member: chat.Member{ID: "bob", Role: chat.RoleMember}})
		p, joined := w.connect("alice 1h", ""), w.connect("bob 1h", "")
		join := fmt.Sprintf(`{"chat_id":%q}`, theChat)
		joined.emit("join-channels", join)
		w.ask(alice, theChat, "chosen", "a story")
		time.Sleep(2 * time.Second)
		before := p.text("chosen")
		p.Close("transport close")
		joined.Close("ping timeout")
		time.Sleep(time.Minute)
		bob.Do(theChat, &room.Send{Content: "nice", Quiet: true})
		alice.Create("another-chat")
		w.ask(alice, "another-chat", "while away", "hello")

		back := w.connect("alice 1h", "")
		time.Sleep(time.Second)
		if got := back.text("while away"); got != "You said: hello" {
			t.Errorf("of a question that was asked meanwhile the client is told %q", got)
		}
		if got := back.text("chosen"); got != "Once upon a time" || before == got || before == "" {
			t.Errorf("had %q, and then %q of %q", before, got, back.heard)
		}
		again := w.connect("bob 1h", "")
		again.emit("join-channels", join)
		time.Sleep(time.Second)
		if got := again.all("final"); len(got) != 1 || len(again.all("channel-events")) != 2 {
			t.Errorf("a member who has joined again was told %q", again.heard)
		}

		back.Say("1") // it leaves for good
		time.Sleep(leftFor)
		if got := w.connect("alice 1h", "").all("chat-events"); len(got) != 0 {
			t.Errorf("much later a client was told %q", got)
		}
	})
}

// leftFor is longer than it is remembered where somebody was.
const leftFor = 11 * time.Minute

// Frames of the last minute may not have arrived. So the ends of answers are told
// again, also to a connection with which the client has come back before the first one was
// known to be dead.
func TestDeadConnection(t *testing.T) {
	run(t, func(w *world) {
		alice := w.User("alice")
		alice.Create(theChat)
		dead := w.connect("alice 1h", "")
		w.ask(alice, theChat, "old", "hello")
		time.Sleep(2 * time.Minute)
		w.ask(alice, theChat, "new", "hello")
		back := w.connect("alice 1h", "")
		if got := back.text("new"); got != "" {
			t.Errorf("the client is told %q before anybody knows that it has missed it", got)
		}
		dead.Close("ping timeout")
		time.Sleep(time.Second)
		if old, new := back.text("old"), back.text("new"); old != "" || new != "You said: hello" {
			t.Errorf("the client is told %q and %q", old, new)
		}
	})
}

// News of a user is told to those who may see the user, however many others there
// are.
func TestCostOfPresence(t *testing.T) {
	run(t, func(w *world) {
		const teams, size = 8, 5
		pages := make(map[chat.UserID]*page)
		for team := range teams {
			id := chat.ID(fmt.Sprint("team-", team))
			owner := w.User(chat.UserID(fmt.Sprintf("user-%d-0", team)))
			owner.Create(id)
			for i := range size {
				user := chat.UserID(fmt.Sprintf("user-%d-%d", team, i))
				if i > 0 {
					owner.Do(id, &room.SetMember{Member: chat.Member{ID: user, Role: chat.RoleMember}})
				}
				pages[user] = w.connect(string(user)+" 1h", "")
			}
		}
		time.Sleep(time.Minute)
		told := func() (n int) {
			for _, p := range pages {
				n += len(p.all("user-list"))
			}
			return n
		}
		before := told()
		gone := pages["user-3-2"]
		delete(pages, "user-3-2")
		before -= len(gone.all("user-list"))
		gone.Close("transport close")
		time.Sleep(time.Minute)
		if got := told() - before; got != size-1 {
			t.Errorf("%d clients were told that one has gone, want %d", got, size-1)
		}
	})
}
