package emit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"parlor/actors/actortest"
	"parlor/actors/emit"
	"parlor/actors/session"
	"parlor/actors/system"
	"parlor/protocol/chat"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rooms have two listeners each, and note what they are told.
type rooms struct{ told []string }

func (r *rooms) Announce(_ context.Context, id chat.RoomID, a chat.Announcement) (int, error) {
	r.told = append(r.told, fmt.Sprintf("%s %s %s", id, a.Event, a.Args))
	return 2, nil
}

// space is a namespace whose clients say who they are.
type space struct{ *emit.Namespace }

func (n space) Connect(s *session.Socket, auth json.RawMessage) (session.Handler, *session.Refusal) {
	var who struct{ User chat.UserID }
	_ = json.Unmarshal(auth, &who)
	user := who.User
	n.Enter(s, user)
	return &visitor{n, s, user}, nil
}

type visitor struct {
	space
	socket *session.Socket
	user   chat.UserID
}

func (*visitor) Event(e *session.Event) { e.Done() }
func (*visitor) Deliver(any)            {}
func (v *visitor) Disconnected(string)  { v.Leave(v.socket, v.user) }

// A world is a hub with clients of two namespaces.
type world struct {
	t        *testing.T
	hub      *emit.Hub
	rooms    rooms
	sessions *session.Sessions
}

func run(t *testing.T, o emit.Options, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(synctest.Wait)
		w := &world{t: t}
		o.Rooms = &w.rooms
		w.hub = emit.New(o)
		reserved := func(event string) bool { return event == "message" }
		w.sessions = session.New(system.New(nil), session.Options{Namespaces: map[string]session.Namespace{
			"/a": space{w.hub.Namespace("/a", reserved)}, "/b": space{w.hub.Namespace("/b", reserved)},
		}})
		f(t, w)
	})
}

// A client is one of a user in a namespace.
type client struct {
	*actortest.Conn
	t  *testing.T
	id string
}

func (w *world) client(namespace, user string) *client {
	w.t.Helper()
	c := &client{Conn: actortest.Dial(w.t, w.sessions), t: w.t}
	c.Say(fmt.Sprintf(`0%s,{"user":%q}`, namespace, user))
	synctest.Wait()
	first, _, _ := strings.Cut(strings.Join(c.Got(), "\n"), "\n")
	_, c.id, _ = strings.Cut(strings.TrimSuffix(first, `"}`), `{"sid":"`)
	if c.id == "" {
		w.t.Fatalf("no id in %q", first)
	}
	return c
}

func (c *client) want(want ...string) {
	c.t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, c.Got()); diff != "" {
		c.t.Errorf("client got (-want +got):\n%s", diff)
	}
}

func args(list ...string) (all []json.RawMessage) {
	for _, arg := range list {
		all = append(all, json.RawMessage(arg))
	}
	return all
}

// emit emits, and checks to how many connections.
func (w *world) emit(want int, to chat.Target, event string, list ...string) {
	w.t.Helper()
	got, err := w.hub.Emit(w.t.Context(), chat.Emission{To: to, Event: event, Args: args(list...)})
	if err != nil || got != want {
		w.t.Errorf("emit %s: %d connections, %v; want %d", event, got, err, want)
	}
}

func TestEmit(t *testing.T) {
	run(t, emit.Options{}, func(t *testing.T, w *world) {
		alice, other, bob := w.client("/a", "alice"), w.client("/b", "alice"), w.client("/a", "bob")
		w.emit(2, chat.Target{Users: chat.Names{"alice", "alice", "nobody"}}, "ping", `{"n":1}`)
		w.emit(1, chat.Target{Sessions: chat.Names{bob.id, "none"}}, "ping", `2`, `[3]`)
		w.emit(3, chat.Target{All: true}, "ping", `true`)
		// A last argument that is a string would be taken for an offset.
		w.emit(1, chat.Target{Users: chat.Names{"bob"}}, "text", `"words"`)
		w.emit(1, chat.Target{Users: chat.Names{"bob"}}, "bare")
		alice.want(`42/a,["ping",{"n":1}]`, `42/a,["ping",true]`)
		other.want(`42/b,["ping",{"n":1}]`, `42/b,["ping",true]`)
		bob.want(`42/a,["ping",2,[3]]`, `42/a,["ping",true]`, `42/a,["text","words",null]`, `42/a,["bare",null]`)

		other.Close("gone")
		synctest.Wait()
		w.emit(1, chat.Target{Users: chat.Names{"alice"}}, "ping")
		alice.want(`42/a,["ping",null]`)

		chatID := chat.ID("a-chat")
		w.emit(2, chat.Target{Rooms: chat.Names{"a-chat"}}, "ping", `1`)
		w.emit(2, chat.Target{Rooms: chat.Names{string(chatID.Room())}}, "ping", `2`)
		room := string(chatID.Room())
		if diff := cmp.Diff([]string{room + " ping [1]", room + " ping [2]"}, w.rooms.told); diff != "" {
			t.Errorf("rooms were told (-want +got):\n%s", diff)
		}
	})
}

// An id that was linked to a person means the person, and those who are still connected under it.
func TestPerson(t *testing.T) {
	person := func(id chat.UserID) chat.UserID {
		if id == "ally" {
			return "alice"
		}
		return id
	}
	run(t, emit.Options{Person: person}, func(t *testing.T, w *world) {
		alice, ally := w.client("/a", "alice"), w.client("/a", "ally")
		w.emit(2, chat.Target{Users: chat.Names{"ally"}}, "ping", `1`)
		w.emit(1, chat.Target{Users: chat.Names{"alice"}}, "ping", `2`)
		ally.want(`42/a,["ping",1]`)
		alice.want(`42/a,["ping",1]`, `42/a,["ping",2]`)
	})
}

// The events of one goroutine arrive in order, and all clients see emissions of several
// in the same order.
func TestOrder(t *testing.T) {
	run(t, emit.Options{}, func(t *testing.T, w *world) {
		var crowd []*client
		for i := range 30 {
			crowd = append(crowd, w.client("/a", fmt.Sprint("user-", i)))
		}
		for writer := range 4 {
			go func() {
				for i := range 100 {
					w.emit(len(crowd), chat.Target{All: true}, "n", fmt.Sprint(writer*100+i))
				}
			}()
		}
		synctest.Wait()
		got := crowd[0].Got()
		for _, other := range crowd[1:] {
			if !slices.Equal(got, other.Got()) {
				t.Fatal("two clients saw events in different orders")
			}
		}
		next := [4]int{}
		for _, frame := range got {
			var n int
			_, _ = fmt.Sscanf(frame, `42/a,["n",%d]`, &n)
			if n%100 != next[n/100] {
				t.Fatalf("%d came, want %d of that writer", n%100, next[n/100])
			}
			next[n/100]++
		}
		if len(got) != 400 {
			t.Errorf("%d events", len(got))
		}
	})
}

func TestRefused(t *testing.T) {
	run(t, emit.Options{MaxTargets: 2, MaxBytes: 10}, func(t *testing.T, w *world) {
		alice := w.client("/a", "alice")
		to := chat.Target{Users: chat.Names{"alice"}}
		for name, test := range map[string]struct {
			e    chat.Emission
			code chat.Code
		}{
			"nobody":      {chat.Emission{Event: "x"}, chat.CodeInvalid},
			"no names":    {chat.Emission{To: chat.Target{Users: chat.Names{}}, Event: "x"}, chat.CodeInvalid},
			"two kinds":   {chat.Emission{To: chat.Target{Users: chat.Names{"a"}, All: true}, Event: "x"}, chat.CodeInvalid},
			"many":        {chat.Emission{To: chat.Target{Users: chat.Names{"a", "b", "c"}}, Event: "x"}, chat.CodeTooLarge},
			"long":        {chat.Emission{To: to, Event: "x", Args: args(`"123456789"`)}, chat.CodeTooLarge},
			"no event":    {chat.Emission{To: to}, chat.CodeInvalid},
			"long event":  {chat.Emission{To: to, Event: strings.Repeat("x", 129)}, chat.CodeInvalid},
			"ours":        {chat.Emission{To: to, Event: "message"}, chat.CodeInvalid},
			"Socket.IO's": {chat.Emission{To: to, Event: "disconnect"}, chat.CodeInvalid},
			"not UTF-8":   {chat.Emission{To: to, Event: "x", Args: args("\"\xff\"")}, chat.CodeInvalid},
		} {
			_, err := w.hub.Emit(t.Context(), test.e)
			_, callErr := w.hub.Call(t.Context(), chat.Call{Emission: test.e, Timeout: time.Second})
			if got := chat.AsError(err); got == nil || got.Code != test.code || chat.AsError(callErr).Code != test.code {
				t.Errorf("%s: %v and %v, want %s", name, err, callErr, test.code)
			}
		}
		for name, c := range map[string]chat.Call{
			"to all":      {Emission: chat.Emission{To: chat.Target{All: true}, Event: "x"}, Timeout: time.Second},
			"to a room":   {Emission: chat.Emission{To: chat.Target{Rooms: chat.Names{"r"}}, Event: "x"}, Timeout: time.Second},
			"to two":      {Emission: chat.Emission{To: chat.Target{Users: chat.Names{"a", "b"}}, Event: "x"}, Timeout: time.Second},
			"no time":     {Emission: chat.Emission{To: to, Event: "x"}},
			"a long time": {Emission: chat.Emission{To: to, Event: "x"}, Timeout: 2 * time.Minute},
		} {
			if _, err := w.hub.Call(t.Context(), c); chat.AsError(err).Code != chat.CodeInvalid {
				t.Errorf("call %s: %v", name, err)
			}
		}
		alice.want()
	})
}

// returned is what a call has come to.
type returned struct {
	ack chat.Acknowledgement
	err error
}

func (w *world) call(to chat.Target, timeout time.Duration) <-chan returned {
	done := make(chan returned, 1)
	go func() {
		ack, err := w.hub.Call(context.Background(), chat.Call{Emission: chat.Emission{To: to, Event: "ask", Args: args(`1`)}, Timeout: timeout})
		done <- returned{ack, err}
	}()
	synctest.Wait()
	return done
}

func (w *world) wantAck(done <-chan returned, want string) {
	w.t.Helper()
	synctest.Wait()
	select {
	case got := <-done:
		if text := fmt.Sprintf("%s %v", got.ack.Args, got.err); text != want {
			w.t.Errorf("call returned %s, want %s", text, want)
		}
	default:
		w.t.Errorf("call has not returned, want %s", want)
	}
}

func TestCall(t *testing.T) {
	run(t, emit.Options{MaxCalls: 2}, func(t *testing.T, w *world) {
		if _, err := w.hub.Call(t.Context(), chat.Call{Emission: chat.Emission{To: chat.Target{Users: chat.Names{"alice"}}, Event: "ask"}, Timeout: time.Second}); chat.AsError(err).Code != chat.CodeNotFound {
			t.Errorf("a call to nobody: %v", err)
		}
		old, recent := w.client("/a", "alice"), w.client("/a", "alice")
		alice := chat.Target{Users: chat.Names{"alice"}}
		done := w.call(alice, time.Minute)
		old.want()
		recent.want(`42/a,1["ask",1]`)
		recent.Say(`3/a,1["yes",2]`)
		w.wantAck(done, `["yes" 2] <nil>`)

		// The tab that is asked is closed: the other one is asked in its place.
		done = w.call(chat.Target{Sessions: chat.Names{recent.id}}, time.Minute)
		recent.want(`42/a,2["ask",1]`)
		recent.Close("closed")
		synctest.Wait()
		old.want(`42/a,1["ask",1]`)
		old.Close("reload")
		time.Sleep(10 * time.Second)
		// Nobody is there; the next that comes is asked.
		fresh := actortest.Dial(t, w.sessions)
		fresh.Say(`0/a,{"user":"alice"}`)
		synctest.Wait()
		if got := fresh.Got(); len(got) != 2 || got[1] != `42/a,1["ask",1]` {
			t.Errorf("the reloaded page got %q", got)
		}
		fresh.Say(`3/a,1["at last"]`)
		w.wantAck(done, `["at last"] <nil>`)

		begun := time.Now()
		first, second := w.call(alice, 20*time.Second), w.call(alice, 30*time.Second)
		if _, err := w.hub.Call(t.Context(), chat.Call{Emission: chat.Emission{To: alice, Event: "ask"}, Timeout: time.Second}); chat.AsError(err).Code != chat.CodeBusy {
			t.Errorf("a third call: %v", err)
		}
		for i, done := range []<-chan returned{first, second} {
			if got := <-done; chat.AsError(got.err).Code != chat.CodeTimeout || time.Since(begun) != time.Duration(20+10*i)*time.Second {
				t.Errorf("after %v: %v", time.Since(begun), got.err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := w.hub.Call(ctx, chat.Call{Emission: chat.Emission{To: alice, Event: "ask"}, Timeout: time.Minute}); !errors.Is(err, context.Canceled) {
			t.Errorf("a call whose caller has gone: %v", err)
		}
		time.Sleep(2 * time.Minute) // the sockets' own timers
	})
}
