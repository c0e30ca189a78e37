package session_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"parlor/actors/session"
)

// Work runs beside the session. What follows it runs on the session's goroutine.
func TestGo(t *testing.T) {
	a := new(app)
	proceed := make(chan struct{})
	a.event = func(s *session.Socket, e *session.Event) {
		defer e.Done()
		if e.Name == "slow" {
			s.Go(func(context.Context) func() {
				<-proceed
				return func() { s.Emit("slowly") }
			})
		}
		s.Emit("at once")
	}
	o := options(a)
	serve(t, o, func(t *testing.T, s *session.Sessions) {
		proceed = make(chan struct{})
		c := dial(t, s)
		c.Say(`0`, `2["slow"]`, `2["fast"]`)
		c.want(`40{"sid":"SID"}`, `42["at once"]`, `42["at once"]`)
		close(proceed)
		c.want(`42["slowly"]`)
	})
}

// The end of a socket, of any kind, ends its work, and nothing follows it.
func TestGoEndsWithTheSocket(t *testing.T) {
	for _, end := range []struct {
		name string
		do   func(c *client)
	}{
		{"the client leaves", func(c *client) { c.Say("1") }},
		{"the server disconnects", func(c *client) { c.Say(`2["out"]`) }},
		{"the connection is cut", func(c *client) { c.Close("transport close") }},
		{"the handler panics", func(c *client) { c.Say(`2["fail"]`) }},
	} {
		t.Run(end.name, func(t *testing.T) {
			a := new(app)
			running, late := 0, false
			a.event = func(s *session.Socket, e *session.Event) {
				switch e.Name {
				case "out":
					s.Disconnect()
				case "fail":
					panic("fail")
				default:
					running++
					s.Go(func(ctx context.Context) func() {
						<-ctx.Done()
						return func() { late = true }
					})
				}
			}
			serve(t, options(a), func(t *testing.T, s *session.Sessions) {
				c := dial(t, s)
				c.Say(`0`, `2["work"]`, `2["work"]`)
				time.Sleep(time.Hour)
				end.do(c)
				synctest.Wait() // in a bubble, work that goes on fails the test
				if running != 2 || late {
					t.Errorf("started %d times, went on %v", running, late)
				}
			})
		})
	}
}

// The refusal of a client ends its work too.
func TestGoEndsWithARefusal(t *testing.T) {
	ended := false
	a := &app{connect: func(s *session.Socket, _ json.RawMessage) *session.Refusal {
		s.Go(func(ctx context.Context) func() {
			<-ctx.Done()
			ended = true
			return func() {}
		})
		return &session.Refusal{Message: "no"}
	}}
	serve(t, options(a), func(t *testing.T, s *session.Sessions) {
		dial(t, s).Say(`0`)
		synctest.Wait()
		if !ended {
			t.Error("the work goes on")
		}
	})
}

// A panic in work ends the session that started it, and no other.
func TestGoPanics(t *testing.T) {
	a := new(app)
	a.event = func(s *session.Socket, e *session.Event) {
		if e.Name == "fail" {
			s.Go(func(context.Context) func() { panic("boom") })
			return
		}
		s.Emit("here")
		e.Done()
	}
	serve(t, options(a), func(t *testing.T, s *session.Sessions) {
		c, other := dial(t, s), dial(t, s)
		other.Say(`0`)
		c.Say(`0`, `2["fail"]`)
		c.want(`40{"sid":"SID"}`, "closed: forced close")
		other.Say(`2["hi"]`)
		other.want(`40{"sid":"SID"}`, `42["here"]`)
		c.Close("forced close")
	})
}

// The end of a socket frees the places of its events for the other namespaces
// of the connection, once.
func TestWindowIsFreedWithTheSocket(t *testing.T) {
	a := new(app)
	a.event = func(_ *session.Socket, e *session.Event) { a.pending = append(a.pending, e) }
	a.leave = func() { a.pending[0].Done() }
	o := options(a)
	o.Window = 3
	serve(t, o, func(t *testing.T, s *session.Sessions) {
		c, read := dial(t, s), 0
		go func() {
			for _, p := range []string{
				`0/chat,`, `0`, `2/chat,["hi"]`, `2["here"]`, `1/chat,`, `2["2"]`, `2["3"]`, `2["4"]`,
			} {
				c.Say(p)
				read++
			}
		}()
		synctest.Wait()
		if read != 7 {
			t.Errorf("%d packets were read, want 7: three events are not done", read)
		}
		a.pending[0].Done() // of the socket that has gone
		synctest.Wait()
		if read != 7 {
			t.Error("an event was done twice")
		}
		c.Close("transport close")
	})
}

// A value for several groups is told to each of their sockets once, but not to sockets
// in the groups that are excepted.
func TestGroupsTell(t *testing.T) {
	var g session.Groups
	a := joiner(&g)
	members(t, a, func([]*client) {
		a.forget()
		g.Tell([]string{"12", "1"}, []string{"b"}, "news")
		a.want(t, "deliver news")
	})
}
