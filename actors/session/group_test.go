package session_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/session"
	"parlor/protocol/engineio"
	"parlor/protocol/socketio"
)

// joiner is an app whose clients join the groups that they name as they
// connect, and are called what they say.
func joiner(g *session.Groups) *app {
	return &app{connect: func(s *session.Socket, auth json.RawMessage) *session.Refusal {
		var as struct {
			Name   string
			Groups []string
		}
		_ = json.Unmarshal(auth, &as)
		s.Identify(as.Name, "")
		g.Join(s, as.Groups...)
		return nil
	}}
}

// members serves f with clients a, b and c, which are in the groups that their
// names say, and their sockets.
func members(t *testing.T, a *app, f func(clients []*client)) {
	t.Helper()
	serve(t, options(a), func(t *testing.T, s *session.Sessions) {
		var clients []*client
		for _, auth := range []string{`{"name":"a","groups":["1","12"]}`, `{"name":"b","groups":["2","12"]}`, `{"name":"c"}`} {
			c := dial(t, s)
			c.Say(`0` + auth)
			synctest.Wait()
			c.Got()
			clients = append(clients, c)
		}
		f(clients)
	})
}

func size(t *testing.T, g *session.Groups, groups, sockets int) {
	t.Helper()
	if gotGroups, gotSockets := g.Size(); gotGroups != groups || gotSockets != sockets {
		t.Errorf("got %d groups of %d sockets, want %d of %d", gotGroups, gotSockets, groups, sockets)
	}
}

func news(n int) engineio.Frame {
	return socketio.EventFrame("/", "news", json.RawMessage(fmt.Sprint(n)))
}

// A broadcast reaches whom it is for, once.
func TestBroadcast(t *testing.T) {
	var g session.Groups
	members(t, joiner(&g), func(clients []*client) {
		for i, test := range []struct {
			to, except []string
			want       string
		}{
			{nil, nil, "abc"},
			{[]string{"1"}, nil, "a"},
			{[]string{"12"}, nil, "ab"},
			{[]string{"1", "12", "2", "1"}, nil, "ab"},
			{[]string{"12", "c"}, nil, "abc"},
			{[]string{"nobody"}, nil, ""},
			{nil, []string{"12"}, "c"},
			{nil, []string{"1", "nobody"}, "bc"},
			{[]string{"12"}, []string{"a"}, "b"},
			{[]string{"1", "c"}, []string{"12"}, "c"},
		} {
			for _, broadcast := range []func(to, except []string, frames ...engineio.Frame){g.Broadcast, g.BroadcastVolatile} {
				broadcast(test.to, test.except, news(i), news(i))
				got := ""
				for k, c := range clients {
					switch n := len(c.Got()); n {
					case 0:
					case 2:
						got += string("abc"[k])
					default:
						t.Errorf("to %v except %v: client %d got %d frames", test.to, test.except, k, n)
					}
				}
				if got != test.want {
					t.Errorf("to %v except %v: reached %q, want %q", test.to, test.except, got, test.want)
				}
			}
		}
	})
}

// A group is there while a socket is in it.
func TestGroupsComeAndGo(t *testing.T) {
	var g session.Groups
	a := joiner(&g)
	members(t, a, func(clients []*client) {
		size(t, &g, 6, 3)
		s := a.sockets[0]
		g.Leave(s, "1", "2", "a", "nobody")
		size(t, &g, 5, 3)
		if diff := cmp.Diff([]string{"a", "12"}, g.Of(s)); diff != "" {
			t.Error(diff)
		}
		g.LeaveAll(s)
		size(t, &g, 4, 2)
		g.Leave(s, "2")
		g.Broadcast(nil, nil, news(1))
		clients[0].want()
		clients[1].want(`42["news",1]`)
		g.Join(s, "1", "1")
		g.Broadcast([]string{"1"}, nil, news(2))
		clients[0].want(`42["news",2]`)
		size(t, &g, 6, 3)
	})
	size(t, &g, 0, 0)
}

// A socket that is closed gets nothing, and is in no group once its handler
// has been told, which may still ask for them but join none.
func TestClosedSocketsLeaveTheirGroups(t *testing.T) {
	var g session.Groups
	a := joiner(&g)
	a.leave = func() {
		s := a.sockets[0]
		a.note("was in %v", g.Of(s))
		g.Join(s, "late")
		g.Broadcast(nil, nil, news(1))
		a.note("was in %v", g.Of(s))
		panic("boom")
	}
	members(t, a, func(clients []*client) {
		a.forget()
		clients[0].Say(`1`)
		a.want(t, "disconnected: client namespace disconnect", "was in [a 1 12]", "was in [a 1 12]")
		clients[0].want("closed: forced close")
		clients[1].want(`42["news",1]`)
		size(t, &g, 4, 2)
		g.Join(a.sockets[0], "late")
		size(t, &g, 4, 2)
		a.leave = nil
	})
}

// Handlers that panic as their connection ends keep none of its sockets alive.
func TestPanicsOfAllHandlers(t *testing.T) {
	var g session.Groups
	a := &app{leave: func() { panic("boom") }}
	a.connect = func(s *session.Socket, _ json.RawMessage) *session.Refusal { g.Join(s); return nil }
	serve(t, options(a), func(t *testing.T, s *session.Sessions) {
		c := dial(t, s)
		c.Say(`0`, `0/chat,`)
		a.forget()
		c.Close("transport close")
		a.want(t, "disconnected: transport close", "disconnected: transport close")
		size(t, &g, 0, 0)
	})
}

// A socket that is not admitted is in no group, gets nothing, and its calls end.
func TestRefusedSocketsLeaveTheirGroups(t *testing.T) {
	var g session.Groups
	a := new(app)
	a.connect = func(s *session.Socket, auth json.RawMessage) *session.Refusal {
		g.Join(s, "1")
		g.Broadcast(nil, nil, news(1))
		s.Call(time.Minute, func(_ session.Answer, err error) { a.note("call: %v", err) }, "ask")
		if auth == nil {
			panic("boom")
		}
		return &session.Refusal{Message: "no"}
	}
	serve(t, options(a), func(t *testing.T, s *session.Sessions) {
		c := dial(t, s)
		c.Say(`0{}`)
		c.want(`44{"message":"no"}`)
		size(t, &g, 0, 0)
		c.Say(`0`)
		c.want("closed: forced close")
		size(t, &g, 0, 0)
		disconnected := fmt.Sprint("call: ", session.ErrDisconnected)
		a.want(t, "connect {}", disconnected, "connect ", disconnected)
	})
}

// A client gets what its handler broadcasts, sends and acknowledges in the order of the
// calls, also before the confirmation.
func TestOrderOfBroadcastsAndOthers(t *testing.T) {
	var g session.Groups
	a := joiner(&g)
	a.event = func(s *session.Socket, e *session.Event) {
		defer e.Done()
		s.Emit("first")
		g.Broadcast(nil, nil, news(2))
		g.Call(nil, nil, time.Minute, func([]session.Answer, error) {}, "third")
		e.Ack(json.RawMessage(`"fourth"`))
		g.Broadcast([]string{s.ID()}, nil, news(5))
	}
	join := a.connect
	a.connect = func(s *session.Socket, auth json.RawMessage) *session.Refusal {
		join(s, auth)
		s.Emit("hello")
		g.Broadcast([]string{s.ID()}, nil, news(1))
		g.BroadcastVolatile(nil, nil, news(0))
		s.Emit("good", json.RawMessage(`"bye"`))
		return nil
	}
	serve(t, options(a), func(t *testing.T, s *session.Sessions) {
		c := dial(t, s)
		c.Say(`0{"name":"x"}`)
		c.want(`40{"sid":"x"}`, `42["hello"]`, `42["news",1]`, `42["good","bye"]`)
		c.Say(`27["go"]`)
		c.want(`42["first"]`, `42["news",2]`, `421["third"]`, `437["fourth"]`, `42["news",5]`)
	})
}

// Sockets get broadcasts of several goroutines in the same order.
func TestOneOrderForAll(t *testing.T) {
	var g session.Groups
	members(t, joiner(&g), func(clients []*client) {
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for k := range 100 {
					g.Broadcast(nil, nil, news(i*100+k))
				}
			})
		}
		wg.Wait()
		first := clients[0].Got()
		if len(first) != 400 {
			t.Errorf("got %d frames, want 400", len(first))
		}
		for _, c := range clients[1:] {
			if diff := cmp.Diff(first, c.Got()); diff != "" {
				t.Error(diff)
			}
		}
	})
}

// A call returns what came: at once when nothing more can come.
func TestGroupCall(t *testing.T) {
	var g session.Groups
	a := joiner(&g)
	members(t, a, func(clients []*client) {
		call := func(to, except []string) {
			g.Call(to, except, time.Minute, func(answers []session.Answer, err error) { a.note("%s %v", answers, err) }, "ask", json.RawMessage("1"))
		}
		a.forget()
		call([]string{"nobody"}, nil)
		a.want(t, "[] <nil>")

		call([]string{"1", "12"}, []string{"b"})
		clients[0].want(`421["ask",1]`)
		clients[1].want()
		a.want(t)
		clients[0].Say(`31["yes"]`, `31["again"]`)
		a.want(t, `[{["yes"] []}] <nil>`)

		call(nil, nil)
		clients[1].Say(`31["b"]`)
		synctest.Wait()
		clients[2].Say(`31["c"]`)
		synctest.Wait()
		time.Sleep(time.Minute - 1)
		a.want(t)
		time.Sleep(time.Nanosecond)
		a.want(t, fmt.Sprintf(`[{["b"] []} {["c"] []}] %v`, session.ErrCallTimeout))
		clients[0].Say(`32["too late"]`)
		a.want(t)

		call(nil, nil)
		clients[0].Say(`33["a"]`)
		synctest.Wait()
		clients[1].Say(`32["b"]`)
		synctest.Wait()
		clients[2].Close("transport close")
		a.want(t, fmt.Sprintf(`[{["a"] []} {["b"] []}] %v`, session.ErrDisconnected), "disconnected: transport close")
	})
}
