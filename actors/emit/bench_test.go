package emit_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"parlor/actors/emit"
	"parlor/actors/session"
	"parlor/actors/system"
	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

// sink is a connection whose client acknowledges each event at once.
type sink struct {
	port *session.Port
	got  atomic.Int64
	acks bool
}

func (*sink) Header() http.Header         { return nil }
func (*sink) RemoteAddr() string          { return "192.0.2.1:1" }
func (c *sink) TrySend(...engineio.Frame) {}
func (*sink) Drain(context.Context) error { return nil }
func (*sink) LetIn()                      {}
func (*sink) Close(string)                {}
func (c *sink) Send(f ...engineio.Frame) error {
	if n := c.got.Add(int64(len(f))); c.acks && n > 1 {
		c.port.Receive(engineio.Message{Data: fmt.Appendf(nil, `3/a,%d[true]`, n-1)})
	}
	return nil
}

// crowd returns a hub with so many clients, each of another user.
func crowd(b *testing.B, clients int, acks bool) *emit.Hub {
	hub := emit.New(emit.Options{Rooms: new(rooms)})
	sessions := session.New(system.New(nil), session.Options{Namespaces: map[string]session.Namespace{
		"/a": space{hub.Namespace("/a", func(string) bool { return false })},
	}})
	for i := range clients {
		c := &sink{acks: acks}
		c.port = sessions.Open(c)
		b.Cleanup(func() { c.port.Closed("end") })
		c.port.Receive(engineio.Message{Data: fmt.Appendf(nil, `0/a,{"user":"u%d"}`, i)})
		for c.got.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	return hub
}

var payload = []json.RawMessage{json.RawMessage(`{"percent":40,"of":"a report that takes a while"}`)}

// BenchmarkEmit is the cost of one emission, to one user and to all of a thousand.
func BenchmarkEmit(b *testing.B) {
	for name, to := range map[string]chat.Target{"user": {Users: chat.Names{"u7"}}, "all-1000": {All: true}} {
		b.Run(name, func(b *testing.B) {
			hub := crowd(b, 1000, false)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := hub.Emit(b.Context(), chat.Emission{To: to, Event: "progress", Args: payload}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCall is the cost of a call that is acknowledged at once.
func BenchmarkCall(b *testing.B) {
	hub := crowd(b, 1, true)
	b.ReportAllocs()
	for b.Loop() {
		c := chat.Call{Emission: chat.Emission{To: chat.Target{Users: chat.Names{"u0"}}, Event: "confirm", Args: payload}, Timeout: time.Minute}
		if _, err := hub.Call(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
}
