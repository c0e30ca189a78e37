package observe_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"parlor/actors/actortest"
	"parlor/actors/observe"
	"parlor/actors/room"
	"parlor/actors/session"
	"parlor/protocol/admin"
	"parlor/protocol/chat"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// root is an administrator, who is in no chat.
var root = chat.User{ID: "root", Admin: true}

const theChat chat.ID = "the-chat"

func run(t *testing.T, f func(t *testing.T, s *actortest.Server, o *observe.Observer)) {
	t.Helper()
	encoders := actortest.Encoders()
	encoders[admin.Encoder] = observe.NewEncoder
	actortest.Run(t, room.Options{Encoders: encoders}, func(t *testing.T, s *actortest.Server) { f(t, s, observe.New(s.Actors, s.Rooms)) })
}

// line is what the test compares of an actor.
func line(a admin.Actor) string {
	text := fmt.Sprintf("%s %s restarts=%d", a.Kind, a.State, a.Restarts)
	if a.Room != nil {
		text += fmt.Sprintf(" %s of %s listeners=%d turns=%d", a.Room.Chat, a.Room.Owner, a.Room.Listeners, a.Room.Turns)
	}
	return text
}

func wantRoom(t *testing.T, o *observe.Observer, id chat.ID, want ...string) {
	t.Helper()
	synctest.Wait()
	actors, _ := o.Room(id.Room())
	var got []string
	for _, a := range actors {
		got = append(got, line(a))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func code(err error) chat.Code {
	if err == nil {
		return ""
	}
	return chat.AsError(err).Code
}

// The tree shows a room and its turn as they are, whoever looks. An administrator may kill the
// room, whose turn begins again, and stop the turn, without a role in the chat.
func TestRoomIsRestartedAndItsTurnStopped(t *testing.T) {
	run(t, func(t *testing.T, s *actortest.Server, o *observe.Observer) {
		alice := s.User("alice")
		s.Assistant.On("hi", actortest.Hang("I am"))
		wantRoom(t, o, theChat)
		if err := s.Rooms.Restart(t.Context(), root, theChat.Room()); code(err) != chat.CodeConflict {
			t.Errorf("restart of a room that is not in memory: %v", err)
		}
		alice.Create(theChat)
		alice.Join(theChat)
		wantRoom(t, o, theChat, "room open restarts=0 the-chat of alice listeners=1 turns=0")
		alice.Send(theChat, "hi")
		wantRoom(t, o, theChat, "room answering restarts=0 the-chat of alice listeners=1 turns=1", "turn idle restarts=0")

		if err := s.Rooms.Restart(t.Context(), root, theChat.Room()); err != nil {
			t.Fatal(err)
		}
		wantRoom(t, o, theChat, "room answering restarts=1 the-chat of alice listeners=1 turns=1", "turn idle restarts=0")
		actors, _ := o.Room(theChat.Room())
		if f := actors[0].Failure; f == nil || f.Reason != "killed by an operator: root" {
			t.Errorf("last failure %+v", f)
		}
		running := actors[0].Room.Running
		if running == nil || running.By != "alice" || running.Attempt != 2 {
			t.Fatalf("running %+v", running)
		}
		if stopped, err := s.Rooms.Halt(t.Context(), root, theChat.Room(), "another", ""); stopped != "" || code(err) == chat.CodeForbidden {
			t.Errorf("stop of a turn that there is not: %q, %v", stopped, err)
		}
		if stopped, err := s.Rooms.Halt(t.Context(), root, theChat.Room(), running.ID, "it runs away"); stopped != running.ID || err != nil {
			t.Errorf("stopped %q, %v", stopped, err)
		}
		wantRoom(t, o, theChat, "room open restarts=1 the-chat of alice listeners=1 turns=0")
		records := s.Records(theChat)
		if end := records[len(records)-1].Event.(chat.TurnEnded); end.By != "root" || end.State != chat.StateStopped || end.Reason != "it runs away" {
			t.Errorf("the turn has ended as %+v", end)
		}
	})
}

// An operator who restarts a room again and again does not bring it into quarantine.
func TestRestartsDoNotQuarantine(t *testing.T) {
	run(t, func(t *testing.T, s *actortest.Server, o *observe.Observer) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		for range 15 {
			if err := s.Rooms.Restart(t.Context(), root, theChat.Room()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second) // fake: until the delayed restart
		}
		time.Sleep(10 * time.Second)
		wantRoom(t, o, theChat, "room open restarts=15 the-chat of alice listeners=1 turns=0")
		alice.Do(theChat, &room.Send{Content: "still here", Quiet: true})
	})
}

// events collects what an administrator is told.
type events struct {
	mu   sync.Mutex
	told []string
}

func (e *events) tell(event admin.Event) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.told = append(e.told, strings.TrimSpace(fmt.Sprintf("%s %s %d", event.Event, event.By, event.Bytes)))
	return nil
}

func (e *events) take() (told []string) {
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	told, e.told = e.told, nil
	return told
}

// A follower of a room is told what happens in it, without a word of it, is seen by nobody,
// outlives a restart of the room, and is told that the chat is gone.
func TestFollow(t *testing.T) {
	run(t, func(t *testing.T, s *actortest.Server, o *observe.Observer) {
		alice := s.User("alice")
		s.Assistant.On("secret", actortest.Say("well", "!"))
		alice.Create(theChat)
		joined := alice.Join(theChat)
		var e events
		ended := make(chan error, 1)
		go func() { ended <- o.Follow(t.Context(), root, theChat.Room(), e.tell) }()
		want := func(want ...string) {
			t.Helper()
			if got := e.take(); !slices.Equal(got, want) {
				t.Errorf("told %q, want %q", got, want)
			}
		}
		want("followed  0")
		if again := alice.Join(theChat); len(again.Users) != len(joined.Users) {
			t.Errorf("users %v", again.Users)
		}
		alice.Send(theChat, "secret")
		want("message_added alice 6", "turn_queued alice 0", "turn_started  0", "text  4", "text  1", "turn_ended  5")
		if err := s.Rooms.Restart(t.Context(), root, theChat.Room()); err != nil {
			t.Fatal(err)
		}
		alice.Do(theChat, &room.Send{Content: "again", Quiet: true})
		want("message_added alice 5")
		alice.Do(theChat, &room.Delete{})
		want("deleted  0")
		if err := <-ended; err != nil {
			t.Errorf("ended with %v", err)
		}
		if err := o.Follow(t.Context(), root, theChat.Room(), e.tell); code(err) != chat.CodeNotFound {
			t.Errorf("follow what is gone: %v", err)
		}
	})
}

// A follower who takes nothing holds up nobody, and is told how much was missed.
func TestSlowFollower(t *testing.T) {
	run(t, func(t *testing.T, s *actortest.Server, o *observe.Observer) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		ctx, cancel := context.WithCancelCause(t.Context())
		enough, gate := errors.New("enough"), make(chan struct{})
		missed, told := 0, 0
		ended := make(chan error, 1)
		go func() {
			ended <- o.Follow(ctx, root, theChat.Room(), func(e admin.Event) error {
				<-gate
				missed += e.Missed
				if e.Seq > 0 {
					told++
				}
				return nil
			})
		}()
		synctest.Wait()
		const said = 400
		for range said {
			alice.Do(theChat, &room.Send{Content: "x", Quiet: true})
		}
		close(gate)
		synctest.Wait()
		alice.Do(theChat, &room.Send{Content: "the last", Quiet: true})
		synctest.Wait()
		cancel(enough)
		if err := <-ended; !errors.Is(err, enough) {
			t.Errorf("ended with %v", err)
		}
		if told+missed != said+2 || missed == 0 { // and the first event
			t.Errorf("told %d, missed %d of %d", told, missed, said)
		}
	})
}

// Pages are sorted and bounded, and looking again at once is not looking again.
func TestPages(t *testing.T) {
	run(t, func(t *testing.T, s *actortest.Server, o *observe.Observer) {
		alice, bob := s.User("alice"), s.User("bob")
		for i := range 30 {
			of := alice
			if i%10 == 0 {
				of = bob
			}
			id := chat.ID(fmt.Sprintf("chat-%02d", i))
			of.Create(id)
			of.Join(id)
			time.Sleep(time.Second)
		}
		page := func(q admin.Query, total int, want ...chat.ID) {
			t.Helper()
			q.Kind = admin.KindRoom
			p := o.Actors(q)
			var got []chat.ID
			for _, a := range p.Actors {
				got = append(got, a.Room.Chat)
			}
			if p.Total != total || !slices.Equal(got, want) {
				t.Errorf("%+v: %d, %v; want %d, %v", q, p.Total, got, total, want)
			}
		}
		page(admin.Query{Sort: admin.BySince, Limit: 2}, 30, "chat-29", "chat-28")
		page(admin.Query{Sort: admin.BySince, Limit: 2, Offset: 29}, 30, "chat-00")
		page(admin.Query{Sort: admin.BySince, Limit: 2, Offset: 99}, 30)
		page(admin.Query{Sort: admin.BySince, Limit: 9, Text: " BOB "}, 3, "chat-20", "chat-10", "chat-00")
		page(admin.Query{Limit: 9, Text: "chat-07"}, 1, "chat-07")
		looks := o.Cost().Looks
		for range 50 {
			page(admin.Query{Sort: admin.BySince, Limit: 2}, 30, "chat-29", "chat-28")
		}
		if again := o.Cost().Looks - looks; again > 1 {
			t.Errorf("looked %d times", again)
		}
		time.Sleep(2 * time.Second)
		page(admin.Query{Sort: admin.BySince, Limit: 2}, 30, "chat-29", "chat-28")
		if again := o.Cost().Looks - looks; again == 0 {
			t.Error("a page is kept for ever")
		}
		if n := o.Count(admin.KindRoom); n != 30 {
			t.Errorf("%d rooms", n)
		}
	})
}

// A session can be found by its address, and closed.
func TestDisconnect(t *testing.T) {
	run(t, func(t *testing.T, s *actortest.Server, o *observe.Observer) {
		c := actortest.Dial(t, session.New(s.Actors, session.Options{}))
		synctest.Wait()
		p := o.Actors(admin.Query{Kind: admin.KindSession, Text: "192.0.2.1", Limit: 5})
		if p.Total != 1 || p.Actors[0].State != admin.StateStranger {
			t.Fatalf("found %+v", p)
		}
		if o.Disconnect("none") || !o.Disconnect(p.Actors[0].ID) {
			t.Error("disconnect")
		}
		synctest.Wait()
		if got := c.Got(); !slices.ContainsFunc(got, func(line string) bool { return strings.Contains(line, "close") }) {
			t.Errorf("got %q", got)
		}
		if o.Disconnect(p.Actors[0].ID) {
			t.Error("it is still there")
		}
	})
}
