package session

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"parlor/actors/system"
	"parlor/protocol/engineio"
	"parlor/protocol/socketio"
)

// fuzzWindow is small, so that it is full soon.
const fuzzWindow = 4

const fuzzRefusals = 3

// FuzzSession feeds a session what is in the body of a POST, packet by packet,
// and waits after each until all of it is handled, so that what has to follow
// is known. The bytes fed, not the time, decide what happens.
func FuzzSession(f *testing.F) {
	for _, seed := range fuzzSeeds {
		f.Add([]byte(seed))
	}
	failures := new(failures)
	o := Options{Window: fuzzWindow, MaxRefusals: fuzzRefusals, Logger: slog.New(failures), Namespaces: map[string]Namespace{
		"/": NamespaceFunc(fuzzConnect), "/chat": NamespaceFunc(fuzzConnect),
	}}
	sessions := New(system.New(slog.New(failures)), o)
	bystander := openFuzzRun(sessions)
	bystander.feed(f, engineio.Message{Data: []byte("0")})
	f.Cleanup(func() { bystander.end() })

	f.Fuzz(func(t *testing.T, payload []byte) {
		r := openFuzzRun(sessions)
		for p, err := range engineio.Packets(payload, 64) {
			if err != nil {
				break // the transport closes the connection
			}
			if p.Type == engineio.TypeMessage && !r.feed(t, engineio.Message{Data: p.Data, Binary: p.Binary}) {
				break
			}
		}
		r.finish(t)
		bystander.answers(t)
		if n := failures.Load(); n > 0 {
			t.Fatalf("%d failures were logged", n)
		}
	})
}

// A fuzzRun is one connection, both its ends, and the application behind it.
// The fields that the actor writes are read when it is known to be idle.
type fuzzRun struct {
	port    *Port
	decoder socketio.Decoder // the client's own idea of what it says
	client  socketio.Decoder // reads what the client gets

	sent     []engineio.Frame
	got      int // packets, of those that were sent
	refusals int
	owed     int // acknowledgements that were asked for and did not come
	closed   bool
	handlers []*fuzzHandler
	events   []string // handled since the last packet
	broken   []string // what must not happen, and did
}

func openFuzzRun(s *Sessions) *fuzzRun {
	r := new(fuzzRun)
	r.port = s.Open(r)
	r.idle()
	return r
}

// idle returns when the session has handled all that it was told, and what it
// told itself meanwhile, which stands behind the first question.
func (r *fuzzRun) idle() {
	for range 2 {
		handled := make(chan struct{})
		r.port.ref.Tell(&delivery{&Socket{state: openState, handler: idleHandler{handled}}, nil})
		select {
		case <-handled:
		case <-r.port.ended:
		}
	}
}

// idleHandler is of a socket that is only there to be told something.
type idleHandler struct{ handled chan struct{} }

func (h idleHandler) Event(*Event)        {}
func (h idleHandler) Deliver(any)         { close(h.handled) }
func (h idleHandler) Disconnected(string) {}

// feed hands a message to the session, checks what came of it, and reports
// whether the connection is still open.
func (r *fuzzRun) feed(t testing.TB, m engineio.Message) bool {
	stranger := !r.port.letIn.Load()
	p, complete, err := r.decoder.Decode(m)
	handler := r.handler(p.Namespace)
	var events []string
	violation := err != nil || !complete && stranger
	if complete {
		isEvent := p.Type == socketio.Event || p.Type == socketio.BinaryEvent
		violation = (handler != nil) == (p.Type == socketio.Connect) || p.Type == socketio.ConnectError
		if isEvent && handler != nil {
			name, args := p.Event()
			events = append(events, describeEvent(name, args, p.Attachments))
			if p.HasID {
				r.owed++
			}
		}
	}
	r.port.Receive(m)
	r.idle()

	if got, want := fmt.Sprint(r.events), fmt.Sprint(events); got != want {
		t.Fatalf("%q: handled %s, want %s", m.Data, got, want)
	}
	asked := len(events) > 0 && events[0] == "close"
	if want := violation || asked || stranger && !r.port.letIn.Load() && r.refusals >= fuzzRefusals; r.closed != want {
		t.Fatalf("%q: closed %t, want %t", m.Data, r.closed, want)
	}
	if got, want := len(r.port.window), r.held(); got != want {
		t.Fatalf("%q: %d places of the window are taken, want %d", m.Data, got, want)
	}
	r.events = nil
	r.read(t)
	return !r.closed
}

// describeEvent returns an event's name, followed by its arguments and
// attachments if it has any.
func describeEvent(name string, args []json.RawMessage, attachments [][]byte) string {
	for _, arg := range args {
		name += " " + string(arg)
	}
	for _, a := range attachments {
		name += fmt.Sprintf(" %x", a)
	}
	return name
}

// handler returns the namespace's open handler, if there is one.
func (r *fuzzRun) handler(namespace string) *fuzzHandler {
	for _, h := range r.handlers {
		if !h.gone && h.socket.namespace == namespace {
			return h
		}
	}
	return nil
}

// held returns how many events are not done.
func (r *fuzzRun) held() (n int) {
	for _, h := range r.handlers {
		n += len(h.held)
	}
	return n
}

// read checks that the client understands what it was sent.
func (r *fuzzRun) read(t testing.TB) {
	for _, f := range r.sent {
		p, err := engineio.Decode(f.Data, f.Binary)
		if err != nil || p.Type != engineio.TypeMessage {
			t.Fatalf("sent %q: %v", f.Data, err)
		}
		packet, complete, err := r.client.Decode(engineio.Message{Data: p.Data, Binary: p.Binary})
		if err != nil {
			t.Fatalf("sent %q: %v", f.Data, err)
		}
		if complete {
			r.got++
		}
		if packet.Type == socketio.Ack || packet.Type == socketio.BinaryAck {
			r.owed--
		}
		if r.owed < 0 {
			t.Fatalf("sent %q, which nobody asked for", f.Data)
		}
	}
	r.sent = nil
}

// end closes the connection as the transport does, and waits for the session.
func (r *fuzzRun) end() {
	r.closed = true
	r.port.Closed("transport close")
	<-r.port.ended
}

// finish ends the run and checks that nothing is left of it.
func (r *fuzzRun) finish(t *testing.T) {
	r.end()
	if len(r.sent) > 0 {
		t.Errorf("%q was sent after the end", r.sent[0].Data)
	}
	if n := len(r.port.window); n > 0 {
		t.Errorf("%d places of the window are taken in the end", n)
	}
	for _, h := range r.handlers {
		if !h.gone || h.calls > 0 || len(h.socket.calls) > 0 {
			t.Errorf("%s: gone %t, %d calls are not returned", h.socket.namespace, h.gone, h.calls)
		}
	}
	if len(r.broken) > 0 {
		t.Error(r.broken)
	}
}

// answers checks that another session has not noticed anything.
func (r *fuzzRun) answers(t *testing.T) {
	before := r.got
	if !r.feed(t, engineio.Message{Data: []byte(`27["echo"]`)}) || r.got != before+2 {
		t.Fatalf("the bystander got %d packets, want an event and an acknowledgement", r.got-before)
	}
}

// Header implements Conn.
func (r *fuzzRun) Header() http.Header { return nil }
func (r *fuzzRun) RemoteAddr() string  { return "" }

// Send implements Conn. What is sent after a close is noted until the session
// has been told of it: it may be on its way.
func (r *fuzzRun) Send(frames ...engineio.Frame) error {
	r.sent = append(r.sent, frames...)
	for _, f := range frames {
		if bytes.HasPrefix(f.Data, []byte("44")) {
			r.refusals++
		}
	}
	return nil
}

// LetIn implements Conn.
func (*fuzzRun) LetIn() {}

// TrySend implements Conn.
func (r *fuzzRun) TrySend(frames ...engineio.Frame) { _ = r.Send(frames...) }

// Drain implements session.Conn: the client takes everything at once.
func (*fuzzRun) Drain(context.Context) error { return nil }

// Close implements Conn. The session may call it on the goroutine that feeds
// it, but then it is idle.
func (r *fuzzRun) Close(string) { r.closed = true }

// fuzzConnect refuses, defers or admits the client as its auth says.
func fuzzConnect(s *Socket, auth json.RawMessage) (Handler, *Refusal) {
	r := s.session.conn.(*fuzzRun)
	switch string(auth) {
	case `{"refuse":1}`:
		s.Emit("never")
		return nil, &Refusal{Message: "no", Data: auth}
	case `{"defer":1}`:
		s.Defer()
		s.Identify("id", "pid")
		s.Emit("behind")
		s.Tell("confirm")
	}
	h := &fuzzHandler{run: r, socket: s}
	r.handlers = append(r.handlers, h)
	return h, nil
}

// A fuzzHandler does what events say by their names.
type fuzzHandler struct {
	run    *fuzzRun
	socket *Socket
	held   []*Event
	calls  int // not returned
	gone   bool
}

func (h *fuzzHandler) Event(e *Event) {
	h.alive()
	h.run.events = append(h.run.events, describeEvent(e.Name, e.Args, e.Attachments))
	if e.Name == "hold" && h.run.held() < fuzzWindow-1 {
		h.held = append(h.held, e)
		return
	}
	h.act(e)
	e.Done()
	e.Done()
}

func (h *fuzzHandler) act(e *Event) {
	switch e.Name {
	case "echo":
		h.socket.EmitBinary("echo", e.Attachments, e.Args...)
		e.AckBinary(e.Attachments, e.Args...)
	case "ack":
		e.Ack(e.Args...)
		e.Ack(e.Args...)
	case "volatile":
		h.socket.SendVolatile(socketio.EventFrame(h.socket.namespace, "volatile", e.Args...))
	case "call":
		h.call(e.Args...)
	case "tell":
		h.socket.Tell("emit")
	case "release":
		h.release()
	case "disconnect me":
		h.socket.Disconnect()
		h.socket.Disconnect()
	case "close":
		h.socket.CloseConnection()
	}
}

func (h *fuzzHandler) call(args ...json.RawMessage) {
	h.calls++
	returned := false
	h.socket.Call(time.Hour, func(_ Answer, err error) {
		if returned || err != nil && !errors.Is(err, ErrDisconnected) {
			h.run.broken = append(h.run.broken, fmt.Sprintf("a call returned again or with %v", err))
		}
		returned = true
		h.calls--
	}, "call", args...)
}

func (h *fuzzHandler) release() {
	for _, e := range h.held {
		e.Ack()
		e.Done()
	}
	h.held = nil
}

func (h *fuzzHandler) Deliver(v any) {
	h.alive()
	if v == "confirm" {
		h.socket.Confirm()
	}
	h.socket.Emit("told")
}

// Disconnected tries all that can no longer be done.
func (h *fuzzHandler) Disconnected(string) {
	h.alive()
	h.gone = true
	sent := len(h.run.sent)
	h.socket.Confirm()
	h.socket.Disconnect()
	h.socket.Emit("late")
	h.socket.SendVolatile(socketio.EventFrame(h.socket.namespace, "late"))
	h.socket.Tell("late")
	h.call()
	h.release()
	if len(h.run.sent) != sent {
		h.run.broken = append(h.run.broken, "something was sent to a client that is gone")
	}
}

func (h *fuzzHandler) alive() {
	if h.gone {
		h.run.broken = append(h.run.broken, "a handler was called after its last call")
	}
}

// failures counts what is logged: panics of actors.
type failures struct{ atomic.Int64 }

func (*failures) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }
func (f *failures) WithAttrs([]slog.Attr) slog.Handler         { return f }
func (f *failures) WithGroup(string) slog.Handler              { return f }
func (f *failures) Handle(context.Context, slog.Record) error {
	f.Add(1)
	return nil
}

// fuzzSeeds are bodies of POSTs: what the conformance suite says, what the
// advisories are about, and all that the handler can be asked for.
var fuzzSeeds = []string{
	"", "4", "40", `40{"token":"123"}`, "40/chat,", "40/chat", `40/chat,{"token":"123"}`, "40/random", "40/random\x1e40", "4abc", "40\x1e4abc", "41", "40\x1e41",
	"40\x1e40/chat,\x1e41/chat,\x1e" + `42["echo",1]`, `40` + "\x1e" + `42["message",1,"2",{"3":[true]}]`, "40\x1e" + `42456["ack",1,"2",{"3":[false]}]`,
	"40\x1e" + `452-["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]` + "\x1ebAQID\x1eb",
	"40\x1e" + `451-789["ack",{"_placeholder":true,"num":0}]` + "\x1ebAQID\x1e" + `42["echo"]`, "40\x1e42{}", "40\x1e" + `42abc["ack",1]`,
	"40\x1e" + `450-["echo"]` + "\x1eb\x1eb", "40\x1e" + `459999999-["e"]` + "\x1ebAQ==", "40\x1e" + `42[{"toString":"foo"}]`,
	"40\x1e" + `451-["e",{"_placeholder":true,"num":"splice"}]` + "\x1eb", "40\x1e" + `451-["e",{"_placeholder":true,"num":10}]` + "\x1eb",
	"40\x1e42111111111111111111111111", `40` + "\x1e" + `42["error"]`, "40\x1e" + `451-["e"]` + "\x1e" + `42["e"]`, "40\x1ebAQ==", `42["e"]`, "43[]", "44\"no\"", "40\x1e44{}",
	"40\x1e40", "40\x1e40/chat\x1e" + `42/chat,["echo"]` + "\x1e" + `42/none,["echo"]`, "40\x1e41\x1e40\x1e" + `42["echo"]`, "40\x1e43\x1e4399[1]\x1e42", "40\x1e41\x1e" + `42["e"]`,
	`40{"refuse":1}` + "\x1e40\x1e" + `42["echo"]`, `40/chat,{"defer":1}` + "\x1e" + `42/chat,1["echo"]` + "\x1e" + `41/chat,`,
	"40\x1e" + `42["call",1]` + "\x1e" + `42["call"]` + "\x1e" + `431["yes"]` + "\x1e" + `431["again"]` + "\x1e" + `461-2[{"_placeholder":true,"num":0}]` + "\x1eb",
	"40\x1e" + `421["hold"]` + "\x1e" + `422["hold"]` + "\x1e" + `423["hold"]` + "\x1e" + `424["hold"]` + "\x1e" + `42["release"]` + "\x1e" + `421["hold"]`,
	"40\x1e40/chat,\x1e" + `42["tell"]` + "\x1e" + `42["volatile",1]` + "\x1e" + `42["disconnect me"]` + "\x1e" + `42/chat,["echo",2]` + "\x1e40\x1e" + `42["close"]` + "\x1e" + `42["echo"]`,
	"40\x1e" + `42["ack",1]`, "40\x1e" + `421["hold"]` + "\x1e" + `42["call"]` + "\x1e" + `42["disconnect me"]`, "40\x1e" + `42["hold"]` + "\x1e" + `42["close"]`, "2\x1e40\x1e1\x1e3\x1e" + `42[7,8]`,
}
