package session_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/session"
	"parlor/protocol/engineio"
	"parlor/protocol/socketio"
)

func options(a *app) session.Options {
	return session.Options{Namespaces: map[string]session.Namespace{"/": a, "/chat": a}}
}

// Events that are sent while a client connects reach it after the confirmation.
func TestConnect(t *testing.T) {
	a := &app{connect: func(s *session.Socket, _ json.RawMessage) *session.Refusal {
		s.Emit("hello", json.RawMessage(`"`+s.Header().Get("X-Test")+`"`))
		return nil
	}}
	serve(t, options(a), func(t *testing.T, s *session.Sessions) {
		c := dial(t, s)
		c.Say(`0/chat,{"token":"x"}`)
		c.want(`40/chat,{"sid":"SID"}`, `42/chat,["hello","yes"]`)
		c.Say(`0`)
		c.want(`40{"sid":"SID"}`, `42["hello","yes"]`)
		a.want(t, `connect {"token":"x"}`, `connect `)
		if a.sockets[0].ID() == a.sockets[1].ID() {
			t.Error("two sockets have one id")
		}
	})
}

// A namespace that is not there is refused; the connection goes on.
func TestInvalidNamespace(t *testing.T) {
	a := new(app)
	serve(t, options(a), func(t *testing.T, s *session.Sessions) {
		c := dial(t, s)
		c.Say(`0/nope,`, `0/nope,`, `0/chat,`)
		c.want(`44/nope,{"message":"Invalid namespace"}`, `44/nope,{"message":"Invalid namespace"}`, `40/chat,{"sid":"SID"}`)
	})
}

// A client that is refused is told why, and nothing that was meant for it. It
// may try again until the time to connect is up, and keeps its other namespaces.
func TestRefusal(t *testing.T) {
	refusals := map[string]*session.Refusal{
		"bare": {Message: "no"}, "coded": {Message: "no", Data: json.RawMessage(`{"code":"x"}`)},
	}
	a := &app{connect: func(s *session.Socket, auth json.RawMessage) *session.Refusal {
		s.Emit("hello")
		var as struct{ As string }
		_ = json.Unmarshal(auth, &as)
		return refusals[as.As]
	}}
	serve(t, options(a), func(t *testing.T, s *session.Sessions) {
		c, lost := dial(t, s), dial(t, s)
		c.Say(`0/chat,{"as":"bare"}`, `0/chat,{"as":"coded"}`, `0{}`, `0/chat,{"as":"coded"}`, `2["hi"]`)
		c.want(`44/chat,{"message":"no"}`, `44/chat,{"message":"no","data":{"code":"x"}}`, `40{"sid":"SID"}`, `42["hello"]`,
			`44/chat,{"message":"no","data":{"code":"x"}}`)
		lost.Say(`0/chat,{"as":"bare"}`)
		time.Sleep(45 * time.Second)
		lost.want(`44/chat,{"message":"no"}`, "closed: forced close")
		c.Say(`0/chat,`)
		c.want(`40/chat,{"sid":"SID"}`, `42/chat,["hello"]`)
	})
}

// A confirmation that was deferred comes when the application says so, ahead of
// all else and with the ids that it was given. Until then the client has nothing
// to say.
func TestDeferredConfirmation(t *testing.T) {
	a := &app{connect: func(s *session.Socket, _ json.RawMessage) *session.Refusal {
		s.Defer()
		s.Identify("the id", "secret")
		return nil
	}}
	a.deliver = func(s *session.Socket, v any) {
		s.Emit("live")
		s.SendVolatile(socketio.EventFrame("/chat", "volatile"))
		if v == "last" {
			s.Confirm()
		}
	}
	serve(t, options(a), func(t *testing.T, s *session.Sessions) {
		c, early := dial(t, s), dial(t, s)
		c.Say(`0/chat,`)
		c.want()
		early.Say(`0/chat,`, `2/chat,["too early"]`)
		early.want("closed: parse error")
		a.sockets[0].Tell(1)
		c.want()
		a.sockets[0].Tell("last")
		c.want(`40/chat,{"sid":"the id","pid":"secret"}`, `42/chat,["live"]`, `42/chat,["live"]`)
		a.sockets[0].Tell("late")
		c.want(`42/chat,["live"]`, `42/chat,["volatile"]`)
		slow := dial(t, s)
		slow.Say(`0/chat,`)
		time.Sleep(45 * time.Second)
		slow.want("closed: forced close")
	})
}

// A confirmation that comes when the client has gone confirms nothing.
func TestConfirmationTooLate(t *testing.T) {
	a := &app{connect: func(s *session.Socket, _ json.RawMessage) *session.Refusal { s.Defer(); return nil }}
	a.leave = func() {
		a.sockets[0].Confirm()
		a.sockets[0].Emit("hello")
	}
	serve(t, options(a), func(t *testing.T, s *session.Sessions) {
		c := dial(t, s)
		c.Say(`0/chat,`)
		c.want()
		c.Close("transport close")
		a.want(t, "connect ", "disconnected: transport close")
		c.want("closed: transport close")
	})
}

// The application can put a client out of a namespace, and out altogether.
func TestServerDisconnects(t *testing.T) {
	a := new(app)
	a.event = func(s *session.Socket, e *session.Event) {
		defer e.Done()
		if e.Name == "close" {
			s.CloseConnection()
			return
		}
		s.Disconnect()
		s.Disconnect()
		s.Emit("too late")
	}
	serve(t, options(a), func(t *testing.T, s *session.Sessions) {
		c := dial(t, s)
		c.Say(`0/chat,`, `0`, `2/chat,["out"]`)
		c.want(`40/chat,{"sid":"SID"}`, `40{"sid":"SID"}`, `41/chat,`)
		a.want(t, `connect `, `connect `, `event out []`, "disconnected: server namespace disconnect")
		c.Say(`2["close"]`)
		c.want("closed: forced close")
		a.want(t, `event close []`, "disconnected: forced close")
	})
}

// A namespace that wraps another sees clients first, and may keep them out.
func TestWrappedNamespace(t *testing.T) {
	a := new(app)
	gate := session.NamespaceFunc(func(s *session.Socket, auth json.RawMessage) (session.Handler, *session.Refusal) {
		if auth == nil {
			return nil, &session.Refusal{Message: "who are you?"}
		}
		return a.Connect(s, auth)
	})
	o := session.Options{Namespaces: map[string]session.Namespace{"/": gate}}
	serve(t, o, func(t *testing.T, s *session.Sessions) {
		c := dial(t, s)
		c.Say(`0`, `0{}`)
		c.want(`44{"message":"who are you?"}`, `40{"sid":"SID"}`)
		a.want(t, `connect {}`)
	})
}

// The payload of a CONNECT that is too long is refused before anybody looks at it. It
// need not be JSON, and the client may try again.
func TestLongAuth(t *testing.T) {
	a := new(app)
	o := options(a)
	o.MaxAuthBytes = 100
	serve(t, o, func(t *testing.T, s *session.Sessions) {
		c := dial(t, s)
		fits := `{"token":"` + strings.Repeat("x", 100-len(`{"token":""}`)) + `"}`
		c.Say(`0` + strings.Repeat("[", 101))
		c.want(`44{"message":"auth must not be longer than 100 bytes"}`)
		c.Say(`0/chat,` + fits[:99] + `x"}`)
		c.want(`44/chat,{"message":"auth must not be longer than 100 bytes"}`)
		a.want(t)
		c.Say(`0/chat,` + fits)
		c.want(`40/chat,{"sid":"SID"}`)
		a.want(t, `connect `+fits)
		c.Say(`0/chat,` + fits + `x`)
		c.want("closed: parse error") // as any second CONNECT
	})
}

// A connection has a few tries to enter a namespace, whatever is wrong with them, but any
// number once it has entered one.
func TestRefusalsAreLimited(t *testing.T) {
	a := &app{connect: func(*session.Socket, json.RawMessage) *session.Refusal { return &session.Refusal{Message: "no"} }}
	o := options(a)
	o.MaxAuthBytes = 10
	serve(t, o, func(t *testing.T, s *session.Sessions) {
		c := dial(t, s)
		c.Say(`0`, `0/nope,`, `0{"a":"long enough"}`, `0/chat,`)
		c.want(`44{"message":"no"}`, `44/nope,{"message":"Invalid namespace"}`, `44{"message":"auth must not be longer than 10 bytes"}`, `44/chat,{"message":"no"}`)
		c.Say(`0`)
		c.want(`44{"message":"no"}`, "closed: forced close")
		a.want(t, "connect ", "connect ", "connect ")
	})
	serve(t, o, func(t *testing.T, s *session.Sessions) {
		c := dial(t, s)
		name := `/` + strings.Repeat("x", 255)
		c.Say(`0` + name)
		c.want(`44` + name + `,{"message":"Invalid namespace"}`)
	})
	a = new(app)
	serve(t, options(a), func(t *testing.T, s *session.Sessions) {
		c := dial(t, s)
		c.Say(`0/chat,`)
		c.want(`40/chat,{"sid":"SID"}`)
		for range 10 {
			c.Say(`0/nope,`)
			c.want(`44/nope,{"message":"Invalid namespace"}`)
		}
	})
}

// A connection learns, once, that its client has entered a namespace, and not before it
// has. Until then the client cannot have attachments kept for it.
func TestLetIn(t *testing.T) {
	a := &app{connect: func(s *session.Socket, auth json.RawMessage) *session.Refusal {
		if auth == nil {
			return &session.Refusal{Message: "no"}
		}
		s.Defer()
		return nil
	}}
	a.deliver = func(s *session.Socket, _ any) { s.Confirm() }
	serve(t, options(a), func(t *testing.T, s *session.Sessions) {
		c := dial(t, s)
		c.Say(`0`, `0{}`, `0/chat,{}`)
		c.want(`44{"message":"no"}`)
		if got := c.LetInCalls(); got != 0 {
			t.Errorf("let in %d times before the confirmation", got)
		}
		for range 2 {
			for _, socket := range a.sockets {
				socket.Tell(nil)
			}
			synctest.Wait()
			if got := c.LetInCalls(); got != 1 {
				t.Errorf("let in %d times, want once", got)
			}
		}
		stranger := dial(t, s)
		stranger.Say(`51-["hi",{"_placeholder":true,"num":0}]`)
		stranger.want("closed: parse error")
	})
}

// Binary goes out as attachments, in events and in acknowledgements.
func TestBinaryOut(t *testing.T) {
	a := &app{event: func(s *session.Socket, e *session.Event) {
		s.EmitBinary("file", e.Attachments, socketio.Placeholder(0), socketio.Placeholder(1))
		e.AckBinary(e.Attachments, socketio.Placeholder(1))
		e.AckBinary(nil)
		e.Done()
	}}
	serve(t, options(a), func(t *testing.T, s *session.Sessions) {
		c := dial(t, s)
		c.Say(`0`)
		c.want(`40{"sid":"SID"}`)
		c.Say(`52-7["put",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`)
		c.SayBinary([]byte{1})
		c.SayBinary([]byte{2})
		c.want(`452-["file",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`, `binary "\x01"`, `binary "\x02"`,
			`462-7[{"_placeholder":true,"num":1}]`, `binary "\x01"`, `binary "\x02"`)
	})
}

// A packet that breaks the protocol closes the connection, and reaches no handler.
func TestViolationsCloseTheConnection(t *testing.T) {
	for _, test := range []struct {
		name    string
		packets []string
	}{
		{"event before connect", []string{`2/chat,["hi"]`}},
		{"ack before connect", []string{`3/chat,1[]`}},
		{"disconnect before connect", []string{`1/chat,`}},
		{"event in another namespace", []string{`0/chat,`, `2["hi"]`}},
		{"event after a refused namespace", []string{`0/nope,`, `2/nope,["hi"]`}},
		{"second connect", []string{`0/chat,`, `0/chat,`}},
		{"error from the client", []string{`0/chat,`, `4/chat,{"message":"no"}`}},
		{"no packet", []string{`0/chat,`, ``}},
		{"unknown type", []string{`0/chat,`, `9`}},
		{"no event name", []string{`0/chat,`, `2/chat,[]`}},
		{"reserved name", []string{`0/chat,`, `2/chat,["disconnect"]`}},
		{"not JSON", []string{`0/chat,`, `2/chat,["hi"`}},
		{"long namespace", []string{`0/` + strings.Repeat("x", 256) + `,`}},
		{"text instead of an attachment", []string{`0/chat,`, `51-/chat,["hi",{"_placeholder":true,"num":0}]`, `2/chat,["hi"]`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := new(app)
			serve(t, options(a), func(t *testing.T, s *session.Sessions) {
				c := dial(t, s)
				for _, p := range test.packets[:len(test.packets)-1] {
					c.Say(p)
					synctest.Wait()
				}
				a.forget()
				c.Got()
				c.Say(test.packets[len(test.packets)-1])
				c.want("closed: parse error")
				if len(a.sockets) > 0 {
					a.want(t, "disconnected: parse error")
				} else {
					a.want(t)
				}
			})
		})
	}
}

func TestConnectTimeout(t *testing.T) {
	serve(t, options(new(app)), func(t *testing.T, s *session.Sessions) {
		silent, lost, connected := dial(t, s), dial(t, s), dial(t, s)
		lost.Say(`0/nope,`)
		connected.Say(`0/chat,`, `1/chat,`) // once was enough
		time.Sleep(45*time.Second - 1)
		silent.want()
		lost.want(`44/nope,{"message":"Invalid namespace"}`)
		time.Sleep(time.Nanosecond)
		silent.want("closed: forced close")
		lost.want("closed: forced close")
		time.Sleep(time.Hour)
		connected.want(`40/chat,{"sid":"SID"}`)
	})
}

func TestEvents(t *testing.T) {
	a := &app{event: func(s *session.Socket, e *session.Event) {
		defer e.Done()
		s.Emit("got", json.RawMessage(fmt.Sprint(e.Wanted())), json.RawMessage(fmt.Sprint(len(e.Attachments))))
		e.Ack(json.RawMessage(`"a"`), nil)
		e.Ack(json.RawMessage(`"twice"`))
		e.Done()
	}}
	serve(t, options(a), func(t *testing.T, s *session.Sessions) {
		c := dial(t, s)
		c.Say(`0/chat,`)
		c.want(`40/chat,{"sid":"SID"}`)
		c.Say(`2/chat,["hi",{"a": 1},null]`, `2/chat,7["hi"]`, `2/chat,0[42]`)
		c.want(`42/chat,["got",false,0]`, `42/chat,["got",true,0]`, `43/chat,7["a",null]`, `42/chat,["got",true,0]`, `43/chat,0["a",null]`)
		a.want(t, `connect `, `event hi [{"a": 1} null]`, `event hi []`, `event 42 []`)

		c.Say(`51-/chat,3["file",{"_placeholder":true,"num":0}]`)
		c.want()
		c.SayBinary([]byte{1, 2})
		c.want(`42/chat,["got",true,1]`, `43/chat,3["a",null]`)
		a.want(t, `event file [{"_placeholder":true,"num":0}]`)
	})
}

// Events that come fast are handled in their order, and the answers leave in
// the order in which they were given.
func TestOrder(t *testing.T) {
	a := &app{event: func(s *session.Socket, e *session.Event) {
		s.Emit("echo", e.Args...)
		e.Done()
	}}
	serve(t, options(a), func(t *testing.T, s *session.Sessions) {
		c := dial(t, s)
		c.Say(`0/chat,`)
		want := []string{`40/chat,{"sid":"SID"}`}
		for i := range 1000 {
			c.Say(fmt.Sprintf(`2/chat,["n",%d]`, i))
			want = append(want, fmt.Sprintf(`42/chat,["echo",%d]`, i))
		}
		c.want(want...)
	})
}

// A call is returned once: with what the client acknowledged, or with why it
// did not.
func TestCall(t *testing.T) {
	a := new(app)
	a.event = func(s *session.Socket, e *session.Event) {
		defer e.Done()
		s.Call(time.Minute, func(answer session.Answer, err error) { a.note("%s: %s, %v", e.Name, answer.Args, err) }, "ask", e.Args...)
	}
	serve(t, options(a), func(t *testing.T, s *session.Sessions) {
		c := dial(t, s)
		c.Say(`0/chat,`)
		c.want(`40/chat,{"sid":"SID"}`)
		for _, name := range []string{"a", "b", "c", "d"} {
			c.Say(fmt.Sprintf(`2/chat,["%s",1]`, name))
			time.Sleep(time.Second)
		}
		c.want(`42/chat,1["ask",1]`, `42/chat,2["ask",1]`, `42/chat,3["ask",1]`, `42/chat,4["ask",1]`)
		a.want(t, `connect `, `event a [1]`, `event b [1]`, `event c [1]`, `event d [1]`)

		c.Say(`3/chat,2["yes",2]`, `3/chat,2["again"]`, `3/chat,99["never asked"]`, `3/chat,["no id"]`)
		c.Say(`61-/chat,3[{"_placeholder":true,"num":0}]`)
		c.SayBinary([]byte{1})
		a.want(t, `b: ["yes" 2], <nil>`, `c: [{"_placeholder":true,"num":0}], <nil>`)
		timeout := fmt.Sprint(": [], ", session.ErrCallTimeout)
		time.Sleep(time.Minute - 4*time.Second - 1)
		a.want(t)
		time.Sleep(time.Nanosecond)
		a.want(t, "a"+timeout)
		time.Sleep(3 * time.Second)
		a.want(t, "d"+timeout)
		c.Say(`3/chat,1["too late"]`, `2/chat,["e",1]`)
		a.want(t, `event e [1]`)
		c.want(`42/chat,5["ask",1]`)
		c.Close("transport close")
		a.want(t, fmt.Sprint("e: [], ", session.ErrDisconnected), "disconnected: transport close")
		time.Sleep(time.Hour)
		a.want(t)
	})
}

// Past the window nothing is read from the client, until an event is done.
func TestWindow(t *testing.T) {
	a := new(app)
	a.event = func(_ *session.Socket, e *session.Event) { a.pending = append(a.pending, e) }
	a.deliver = func(_ *session.Socket, v any) { a.pending[v.(int)].Done() }
	o := options(a)
	o.Window = 2
	serve(t, o, func(t *testing.T, s *session.Sessions) {
		c, other := dial(t, s), dial(t, s)
		c.Say(`0/chat,`)
		synctest.Wait()
		read := make(chan int, 10)
		go func() {
			for i := range 4 {
				c.Say(fmt.Sprintf(`2/chat,["%d"]`, i))
				read <- i
			}
			close(read)
		}()
		synctest.Wait()
		if len(read) != 2 {
			t.Errorf("%d events were read, want 2", len(read))
		}
		a.want(t, `connect `, `event 0 []`, `event 1 []`)
		other.Say(`0/chat,`, `2/chat,["other"]`)
		a.want(t, `connect `, `event other []`)

		a.sockets[0].Tell(1)
		a.want(t, "deliver 1", `event 2 []`)
		a.sockets[0].Tell(1) // done twice frees one place
		a.want(t, "deliver 1")
		a.sockets[0].Tell(0)
		a.want(t, "deliver 0", `event 3 []`)
		if len(read) != 4 {
			t.Errorf("%d events were read, want 4", len(read))
		}
	})
}

// Packets that are no events leave the window as soon as they are handled.
func TestWindowCountsEventsOnly(t *testing.T) {
	o := options(new(app))
	o.Window = 1
	serve(t, o, func(t *testing.T, s *session.Sessions) {
		c := dial(t, s)
		for range 10 {
			c.Say(`0/chat,`, `3/chat,1[]`, `2/chat,["hi"]`, `1/chat,`, `0/nope,`)
		}
		synctest.Wait()
		if got, want := len(c.Got()), 20; got != want {
			t.Errorf("got %d frames, want %d", got, want)
		}
	})
}

// A Receive that waits for the window returns when the session ends.
func TestWindowEndsWithTheSession(t *testing.T) {
	a := new(app)
	a.event = func(*session.Socket, *session.Event) {}
	a.deliver = func(*session.Socket, any) { panic("the end") }
	o := options(a)
	o.Window = 1
	serve(t, o, func(t *testing.T, s *session.Sessions) {
		c, returned := dial(t, s), false
		c.Say(`0/chat,`, `2/chat,["never done"]`)
		go func() {
			c.Say(`2/chat,["waits"]`, `2/chat,["waits"]`)
			returned = true
		}()
		synctest.Wait()
		if returned {
			t.Fatal("the window is open")
		}
		a.sockets[0].Tell("fail")
		synctest.Wait()
		if !returned {
			t.Error("Receive waits for a session that has ended")
		}
	})
}

// A handler that panics ends its own connection, whose handlers are told, and
// nothing else.
func TestPanicEndsTheConnectionOnly(t *testing.T) {
	boom := func() { panic("boom") }
	for _, test := range []struct {
		name string
		app  *app
		do   func(a *app, c *client)
		want []string
	}{
		{
			"event", &app{event: func(*session.Socket, *session.Event) { boom() }},
			func(_ *app, c *client) { c.Say(`2/chat,["hi"]`) }, []string{`event hi []`, "disconnected: forced close"},
		},
		{
			"deliver", &app{deliver: func(*session.Socket, any) { boom() }},
			func(a *app, _ *client) { a.sockets[0].Tell(1) }, []string{"deliver 1", "disconnected: forced close"},
		},
		{
			"disconnected", &app{leave: boom},
			func(_ *app, c *client) { c.Say(`1/chat,`) }, []string{"disconnected: client namespace disconnect"},
		},
		{
			"connect", &app{connect: func(_ *session.Socket, auth json.RawMessage) *session.Refusal {
				if auth != nil {
					boom()
				}
				return nil
			}},
			func(_ *app, c *client) { c.Say(`0{}`) }, []string{"connect {}", "disconnected: forced close"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, b := test.app, new(app)
			o := session.Options{Namespaces: map[string]session.Namespace{"/chat": a, "/": a, "/other": b}}
			serve(t, o, func(t *testing.T, s *session.Sessions) {
				c, neighbour := dial(t, s), dial(t, s)
				c.Say(`0/chat,`, `0/other,`)
				neighbour.Say(`0/other,`)
				a.forget()
				b.forget()
				c.Got()
				neighbour.Got()
				test.do(a, c)
				c.want("closed: forced close")
				a.want(t, test.want...)
				b.want(t, "disconnected: forced close")
				a.sockets[0].Tell("nobody")
				neighbour.Say(`2/other,["hi"]`)
				a.want(t)
				b.want(t, `event hi []`)
				neighbour.want()
			})
		})
	}
}

// A client that leaves a namespace keeps the connection and the others, and
// may come back as another socket.
func TestClientDisconnects(t *testing.T) {
	a := new(app)
	serve(t, options(a), func(t *testing.T, s *session.Sessions) {
		c := dial(t, s)
		c.Say(`0/chat,`, `0{"n":2}`, `1/chat,`)
		c.want(`40/chat,{"sid":"SID"}`, `40{"sid":"SID"}`)
		a.want(t, `connect `, `connect {"n":2}`, "disconnected: client namespace disconnect")
		a.sockets[0].Tell("too late")
		c.Say(`2["hi"]`)
		a.want(t, `event hi []`)
		c.Say(`0/chat,`, `2/chat,["back"]`)
		c.want(`40/chat,{"sid":"SID"}`)
		a.want(t, `connect `, `event back []`)
		if a.sockets[0].ID() == a.sockets[2].ID() {
			t.Error("the socket's id was used again")
		}
		c.Close("transport close")
		a.want(t, "disconnected: transport close", "disconnected: transport close")
	})
}

// A handler can send nothing by a socket that is closed.
func TestClosedSocketIsSilent(t *testing.T) {
	a := new(app)
	a.event = func(_ *session.Socket, e *session.Event) { a.pending = append(a.pending, e) }
	a.leave = func() {
		for _, e := range a.pending {
			e.Ack()
			e.Done()
		}
		a.sockets[0].Emit("too late")
	}
	serve(t, options(a), func(t *testing.T, s *session.Sessions) {
		c := dial(t, s)
		c.Say(`0/chat,`, `2/chat,1["hi"]`, `1/chat,`)
		c.want(`40/chat,{"sid":"SID"}`)
	})
}

// A connection that takes nothing more costs its own session only.
func TestBrokenConnection(t *testing.T) {
	a := new(app)
	serve(t, options(a), func(t *testing.T, s *session.Sessions) {
		c := dial(t, s)
		c.Say(`0/chat,`)
		c.want(`40/chat,{"sid":"SID"}`)
		c.Break()
		c.Say(`2/chat,["hi"]`)
		a.want(t, `connect `, `event hi []`)
		c.Close("slow consumer")
		a.want(t, "disconnected: slow consumer")
	})
}

// Frames that many sockets share reach each as they are.
func TestSharedFrames(t *testing.T) {
	a := new(app)
	frame := socketio.EventFrame("/chat", "news", json.RawMessage(`1`))
	a.deliver = func(s *session.Socket, v any) { s.Send(v.(engineio.Frame), v.(engineio.Frame)) }
	serve(t, options(a), func(t *testing.T, s *session.Sessions) {
		clients := []*client{dial(t, s), dial(t, s)}
		for _, c := range clients {
			c.Say(`0/chat,`)
		}
		synctest.Wait()
		for _, socket := range a.sockets {
			socket.Tell(frame)
		}
		for _, c := range clients {
			c.want(`40/chat,{"sid":"SID"}`, `42/chat,["news",1]`, `42/chat,["news",1]`)
		}
		if diff := cmp.Diff(`42/chat,["news",1]`, string(frame.Data)); diff != "" {
			t.Error(diff)
		}
	})
}
