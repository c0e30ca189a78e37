package session_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"parlor/actors/session"
	"parlor/actors/system"
	"parlor/protocol/engineio"
	"parlor/protocol/socketio"
)

// A guest is one client of the example's namespace: its session.Handler.
type guest struct {
	socket   *session.Socket
	everyone *session.Groups
}

// Event answers a greeting, and tells all guests of it.
func (g *guest) Event(e *session.Event) {
	defer e.Done() // or later: until then the event counts against Options.Window
	if e.Name == "hello" {
		e.Ack(json.RawMessage(`"welcome"`))
		g.everyone.Broadcast(nil, nil, socketio.EventFrame("/", "guest said hello"))
	}
}

// Deliver takes what other goroutines gave to Socket.Tell.
func (g *guest) Deliver(any) {}

// Disconnected is the last call.
func (g *guest) Disconnected(reason string) { fmt.Println("guest left:", reason) }

// A printer stands for the connection, a transport.Conn in a server.
type printer struct{ closed chan struct{} }

func (printer) Header() http.Header { return nil }
func (printer) RemoteAddr() string  { return "" }

func (printer) Send(frames ...engineio.Frame) error {
	for _, f := range frames {
		fmt.Printf("to the client: %s\n", f.Data)
	}
	return nil
}

func (printer) LetIn() {}

func (p printer) TrySend(frames ...engineio.Frame) { _ = p.Send(frames...) }

// Drain implements session.Conn: the client takes everything at once.
func (printer) Drain(context.Context) error { return nil }

func (p printer) Close(string) { close(p.closed) }

// A server has one Sessions, and opens a session for each connection. A whole
// one is cmd/parlor-echo.
func Example() {
	var everyone session.Groups
	namespace := session.NamespaceFunc(func(s *session.Socket, auth json.RawMessage) (session.Handler, *session.Refusal) {
		if auth == nil {
			return nil, &session.Refusal{Message: "who are you?"}
		}
		s.Identify("alice-1", "") // instead of a random id, which has no place in an example
		everyone.Join(s)
		return &guest{s, &everyone}, nil
	})
	sessions := session.New(system.New(nil), session.Options{Namespaces: map[string]session.Namespace{"/": namespace}})

	conn := printer{make(chan struct{})}
	port := sessions.Open(conn)
	for _, text := range []string{`0`, `0{"name":"Alice"}`, `21["hello"]`} {
		port.Receive(engineio.Message{Data: []byte(text)})
	}
	port.Closed("transport close")
	<-conn.closed
	// Output:
	// to the client: 44{"message":"who are you?"}
	// to the client: 40{"sid":"alice-1"}
	// to the client: 431["welcome"]
	// to the client: 42["guest said hello"]
	// guest left: transport close
}
