package assistant_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"parlor/actors/access"
	"parlor/actors/actortest"
	"parlor/actors/assistant"
	"parlor/actors/room"
	"parlor/actors/session"
	"parlor/actors/system"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// slowQueries are rooms whose queries wait for letGo, or for the end of their context.
type slowQueries struct {
	assistant.Rooms

	mu     sync.Mutex
	gate   chan struct{} // closed: nothing waits
	asked  int
	ended  int // because nobody waited any more
	panics bool
}

func newSlowQueries(r assistant.Rooms) *slowQueries {
	return &slowQueries{Rooms: r, gate: make(chan struct{})}
}

// wait is the beginning of a query.
func (s *slowQueries) wait(ctx context.Context) error {
	s.mu.Lock()
	s.asked++
	gate, panics := s.gate, s.panics
	s.mu.Unlock()
	if panics {
		panic("a query panics")
	}
	select {
	case <-gate:
		return nil
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ended++
		return ctx.Err()
	}
}

// letGo lets all queries go on.
func (s *slowQueries) letGo() { close(s.gate) }

func (s *slowQueries) Get(ctx context.Context, u chat.User, id chat.ID) (chat.Info, error) {
	if err := s.wait(ctx); err != nil {
		return chat.Info{}, err
	}
	return s.Rooms.Get(ctx, u, id)
}

func (s *slowQueries) HistoryOf(ctx context.Context, u chat.User, id chat.RoomID, branch chat.MessageID, before uint64, limit int) ([]chat.Message, bool, error) {
	if err := s.wait(ctx); err != nil {
		return nil, false, err
	}
	return s.Rooms.HistoryOf(ctx, u, id, branch, before, limit)
}

func (s *slowQueries) Usage(ctx context.Context, u chat.User, q chat.UsageQuery) (chat.UsageReport, error) {
	if err := s.wait(ctx); err != nil {
		return chat.UsageReport{}, err
	}
	return s.Rooms.Usage(ctx, u, q)
}

func (s *slowQueries) Records(ctx context.Context, u chat.User, id chat.RoomID, after uint64) iter.Seq2[chat.Record, error] {
	return func(yield func(chat.Record, error) bool) {
		if err := s.wait(ctx); err != nil {
			yield(chat.Record{}, err)
			return
		}
		s.Rooms.Records(ctx, u, id, after)(yield)
	}
}

// runSlow calls f with a namespace on slow queries.
func runSlow(t *testing.T, f func(t *testing.T, s *actortest.Server, slow *slowQueries, n *assistant.Namespace, sessions *session.Sessions)) {
	t.Helper()
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server) {
		t.Cleanup(synctest.Wait)
		slow := newSlowQueries(s.Rooms)
		n := &assistant.Namespace{Auth: believer{}, Rooms: slow}
		f(t, s, slow, n, session.New(system.New(nil), session.Options{Namespaces: map[string]session.Namespace{wire.Namespace: n}}))
	})
}

// emitAll sends events that ask for no acknowledgement.
func (c *client) emitAll(events ...string) {
	for _, e := range events {
		c.Say("2" + prefix + e)
	}
}

func inRoom(event, more string) string {
	return fmt.Sprintf(`["%s",{"room_id":%q%s}]`, event, theRoom, more)
}

// A query that waits for the disk holds up nothing else that the client wants.
func TestQueriesHoldNothingUp(t *testing.T) {
	runSlow(t, func(t *testing.T, s *actortest.Server, slow *slowQueries, _ *assistant.Namespace, sessions *session.Sessions) {
		s.User("bob").Create(theChat)
		c := connect(t, sessions, "alice")
		c.emitAll(inRoom("history", ""), `["usage",{}]`, inRoom("join_room", `,"dialect":"documented"`),
			inRoom("send_message", `,"message":{"content":"hi","client_message_id":"1"}`))
		wantOrder(t, c.all(), "room_joined "+theRoom, "message_sent "+theRoom, "stream_end "+theRoom)
		c.acks++
		c.Say(fmt.Sprintf(`2%s%d["history",{"room_id":%q}]`, prefix, c.acks, theRoom))
		if _, ack := c.hearAll(); ack != nil {
			t.Errorf("the history does not wait: %s", ack)
		}
		slow.letGo()
		if _, ack := c.hearAll(); !strings.Contains(string(ack), "You said: hi") {
			t.Errorf("history %s", ack)
		}
	})
}

// Commands behind a find_chat wait for it: a join without a room is of the chat that is
// found, and the room gets all commands in their order.
func TestFindKeepsItsPlace(t *testing.T) {
	runSlow(t, func(t *testing.T, s *actortest.Server, slow *slowQueries, _ *assistant.Namespace, sessions *session.Sessions) {
		bob := s.User("bob")
		bob.Create(theChat)
		bob.Create(otherChat)
		c := connect(t, sessions, "alice")
		c.emitAll(`["find_chat",{"chat_id":"nowhere"}]`, fmt.Sprintf(`["find_chat",{"chat_id":%q}]`, theChat), `["join_room",{"dialect":"documented"}]`,
			inRoom("send_message", `,"message":{"content":"hi","client_message_id":"1"}`),
			fmt.Sprintf(`["find_chat",{"chat_id":%q}]`, otherChat), `["join_room",{"dialect":"documented"}]`)
		if got := c.all(); len(got) > 0 {
			t.Errorf("heard %v", got)
		}
		slow.letGo()
		heard := c.all()
		wantOrder(t, heard, "room_not_found nowhere", "room_found the-chat", "room_joined "+theRoom, "message_sent "+theRoom, "turn "+theRoom)
		wantOrder(t, heard, "room_found the-chat", "room_found "+string(otherChat), "room_joined "+string(otherChat.Room()))
	})
}

// The queries of a client end when it goes away, and no other one of it begins.
func TestQueriesEndWithTheSocket(t *testing.T) {
	runSlow(t, func(t *testing.T, s *actortest.Server, slow *slowQueries, _ *assistant.Namespace, sessions *session.Sessions) {
		bob := s.User("bob")
		bob.Create(theChat)
		say(bob, theChat, "1")
		const n = 20
		c := connect(t, sessions, "alice")
		for range n {
			c.emitAll(inRoom("history", ""), `["usage",{}]`)
		}
		c.emitAll(inRoom("join_room", `,"after":1`), `["find_chat",{"chat_id":"the-chat"}]`, `["find_chat",{"chat_id":"the-chat"}]`)
		synctest.Wait()
		const asked = 1 + n + 1 + 1 // a history waits for the one before, and so does a find
		if slow.asked != asked {
			t.Errorf("%d queries were made, want %d", slow.asked, asked)
		}
		c.Close("transport close")
		synctest.Wait()
		if slow.ended != slow.asked || slow.asked != asked {
			t.Errorf("%d of %d queries have ended", slow.ended, slow.asked)
		}
	})
}

// A query that panics costs the session of its client and nobody else's.
func TestQueryPanics(t *testing.T) {
	for _, event := range []string{inRoom("history", ""), `["usage",{}]`, `["find_chat",{"chat_id":"the-chat"}]`, inRoom("join_room", `,"after":1`)} {
		runSlow(t, func(t *testing.T, s *actortest.Server, slow *slowQueries, _ *assistant.Namespace, sessions *session.Sessions) {
			bob := s.User("bob")
			bob.Create(theChat)
			say(bob, theChat, "1")
			c, other := connect(t, sessions, "alice"), connect(t, sessions, "carol")
			slow.panics = true
			c.emitAll(event)
			synctest.Wait()
			if got := c.Got(); len(got) != 1 || got[0] != "closed: forced close" {
				t.Errorf("%s: got %q", event, got)
			}
			slow.panics = false
			slow.letGo()
			if _, ack := other.emit("history", fmt.Sprintf(`{"room_id":%q}`, theRoom)); !strings.HasPrefix(string(ack), `{"ok":true`) {
				t.Errorf("another client: %s", ack)
			}
		})
	}
}

// While a client that resumes waits for the records that it has missed, its room goes on
// telling. That comes after these records, in order, and so do answers of the room.
func TestRoomTellsDuringAResume(t *testing.T) {
	runSlow(t, func(t *testing.T, s *actortest.Server, slow *slowQueries, _ *assistant.Namespace, sessions *session.Sessions) {
		bob := s.User("bob")
		bob.Create(theChat)
		say(bob, theChat, "1")
		c := connect(t, sessions, "alice")
		c.emitAll(inRoom("join_room", `,"dialect":"documented","after":1`))
		synctest.Wait()
		say(bob, theChat, "2")
		c.emitAll(inRoom("send_message", `,"message":{"type":"conversation.item.create","id":"9","data":{"item":{"type":"message","role":"user","content":[{"type":"input_text","text":"mine"}]}}}`))
		synctest.Wait()
		say(bob, theChat, "3")
		if got := c.all(); len(got) > 0 {
			t.Errorf("heard %v", got)
		}
		slow.letGo()
		var got []string
		for _, e := range c.all() {
			got = append(got, strings.TrimSuffix(e.name, " "+theRoom))
			if _, content, ok := strings.Cut(string(e.arg), `"content":"`); ok {
				got[len(got)-1] += " " + content[:1]
			}
		}
		want := "room_joined, message 1, resumed, message 2, message_sent 9, message_sent, message 3"
		if got := strings.Join(got, ", "); got != want {
			t.Errorf("heard %s, want %s", got, want)
		}
	})
}

// A client is cut off if too much would have to wait for it.
func TestRoomTellsTooMuchDuringAResume(t *testing.T) {
	runSlow(t, func(t *testing.T, s *actortest.Server, slow *slowQueries, n *assistant.Namespace, sessions *session.Sessions) {
		n.MaxReplayBytes = 10_000
		bob := s.User("bob")
		bob.Create(theChat)
		say(bob, theChat, "1")
		c := connect(t, sessions, "alice")
		c.emitAll(inRoom("join_room", `,"dialect":"documented","after":1`))
		for range 20 {
			say(bob, theChat, strings.Repeat("x", 1000))
		}
		synctest.Wait()
		if got := strings.Join(c.Got(), "\n"); got != "closed: forced close" {
			t.Errorf("got %q", got)
		}
	})
}
