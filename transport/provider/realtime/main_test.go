package realtime

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"parlor/protocol/chat"
	"parlor/transport/provider/providertest"
	"parlor/transport/provider/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testKey = providertest.Key

// A server is the provider's side: connections over pipes, that work in a
// bubble of synctest.
type server struct {
	t       *testing.T
	refusal atomic.Pointer[providertest.Refusal]
	mute    atomic.Bool // says nothing first
	peers   chan *peer
	dials   atomic.Int32
}

func newServer(t *testing.T) *server { return &server{t: t, peers: make(chan *peer, 16)} }

// client returns a client of the server.
func (s *server) client(o Options) *Client {
	s.t.Helper()
	o.DialContext = s.dial
	c, err := New("http://provider.test/v1", testKey, o)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (s *server) dial(context.Context, string, string) (net.Conn, error) {
	s.dials.Add(1)
	ours, theirs := net.Pipe()
	ln := &oneConn{conn: theirs, closed: make(chan struct{})}
	h := &http.Server{Handler: http.HandlerFunc(s.serve)}
	go h.Serve(ln)
	s.t.Cleanup(func() { h.Close(); theirs.Close() })
	return ours, nil
}

// oneConn listens for the one connection that it has.
type oneConn struct {
	conn   net.Conn
	closed chan struct{}
	done   bool
}

func (l *oneConn) Accept() (net.Conn, error) {
	if !l.done {
		l.done = true
		return l.conn, nil
	}
	<-l.closed
	return nil, io.EOF
}

func (l *oneConn) Close() error   { close(l.closed); return nil }
func (l *oneConn) Addr() net.Addr { return l.conn.LocalAddr() }

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	if got := r.Header.Get("Authorization"); got != "Bearer "+testKey {
		s.t.Errorf("Authorization is %q", got)
	}
	if got := r.URL.RequestURI(); got != "/v1/realtime?model=m1" {
		s.t.Errorf("asked for %s", got)
	}
	if refusal := s.refusal.Load(); refusal != nil {
		for name, values := range refusal.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(refusal.Status)
		io.WriteString(w, refusal.Body)
		return
	}
	ws, err := new(websocket.Upgrader).Upgrade(w, r, nil)
	if err != nil {
		s.t.Error(err)
		return
	}
	p := &peer{t: s.t, ws: ws, in: make(chan clientEvent, 1024), gone: make(chan struct{})}
	s.t.Cleanup(p.HangUp)
	pong := ws.PingHandler()
	ws.SetPingHandler(func(data string) error {
		if p.deaf.Load() {
			return nil
		}
		return pong(data)
	})
	go p.read()
	if !s.mute.Load() {
		p.Send(`{"type":"session.created","session":{"type":"realtime"}}`)
	}
	s.peers <- p
}

// A peer is one connection at the provider. It keeps a conversation as the
// provider does.
type peer struct {
	t    *testing.T
	ws   *websocket.Conn
	in   chan clientEvent
	gone chan struct{}
	deaf atomic.Bool // to pings

	items     []serverMessage
	audio     string
	responses int
	item      string // of speech that was committed last
	called    bool
}

type serverMessage struct {
	id string
	chat.PromptMessage
}

func (p *peer) read() {
	defer close(p.gone)
	for {
		_, data, err := p.ws.ReadMessage()
		if err != nil {
			return
		}
		var e clientEvent
		if err := json.Unmarshal(data, &e); err != nil {
			p.t.Errorf("%s: %v", data, err)
		}
		if e.EventID == "" {
			p.t.Errorf("an event without a name: %s", data)
		}
		p.in <- e
	}
}

func (p *peer) Send(event string) { p.ws.WriteMessage(websocket.TextMessage, []byte(event)) }

func (p *peer) send(event map[string]any) { p.ws.WriteJSON(event) }

// until handles events up to one of a type, and returns that; a zero one if the
// connection ends.
func (p *peer) until(kind string) clientEvent {
	for {
		select {
		case e := <-p.in:
			p.handle(e)
			if e.Type == kind {
				return e
			}
		case <-p.gone:
			select {
			case e := <-p.in:
				p.handle(e)
				if e.Type == kind {
					return e
				}
				continue
			default:
				return clientEvent{}
			}
		}
	}
}

func (p *peer) handle(e clientEvent) {
	switch e.Type {
	case "session.update":
		p.Send(`{"type":"session.updated"}`)
	case "conversation.item.create":
		p.create(e)
	case "conversation.item.delete":
		p.items = slices.DeleteFunc(p.items, func(m serverMessage) bool { return m.id == e.ItemID })
	case "input_audio_buffer.append":
		p.audio += e.Audio
	case "input_audio_buffer.clear":
		p.audio = ""
	case "input_audio_buffer.commit":
		p.item = "item_" + string(rune('a'+len(p.items)))
		p.items = append(p.items, serverMessage{p.item, chat.PromptMessage{Role: chat.RoleUser}})
		p.send(map[string]any{"type": "input_audio_buffer.committed", "item_id": p.item})
	}
}

func (p *peer) create(e clientEvent) {
	at := len(p.items)
	if e.Previous == "root" {
		at = 0
	} else if e.Previous != "" {
		at = 1 + slices.IndexFunc(p.items, func(m serverMessage) bool { return m.id == e.Previous })
	}
	if len(e.Item.ID) > maxItemID || at == 0 && e.Previous != "root" && len(p.items) > 0 {
		p.t.Errorf("bad item %+v", e)
	}
	m := chat.PromptMessage{Role: e.Item.Role}
	switch e.Item.Type {
	case "function_call":
		m = chat.PromptMessage{Role: chat.RoleAssistant, Calls: []chat.ToolCall{{Given: e.Item.CallID, Name: e.Item.Name, Arguments: e.Item.Arguments}}}
	case "function_call_output":
		m = chat.PromptMessage{Role: chat.RoleTool, ResultOf: &chat.ToolCall{Given: e.Item.CallID}, Content: *e.Item.Output}
	default:
		m.Content = e.Item.Content[0].Text
	}
	p.items = slices.Insert(p.items, at, serverMessage{e.Item.ID, m})
}

// asked waits until an answer is wanted, and does not begin it.
func (p *peer) asked() clientEvent { return p.until("response.create") }

// begin begins an answer.
func (p *peer) begin() {
	p.responses++
	p.send(map[string]any{"type": "response.created", "response": map[string]any{"id": p.response()}})
	p.add(p.response()+"_item", map[string]any{"type": "message"}, chat.PromptMessage{Role: chat.RoleAssistant})
}

// add adds an item to the answer.
func (p *peer) add(id string, item map[string]any, m chat.PromptMessage) {
	item["id"] = id
	p.send(map[string]any{"type": "response.output_item.added", "response_id": p.response(), "item": item})
	p.items = append(p.items, serverMessage{id, m})
}

func (p *peer) Call(id, name, arguments string) {
	p.called = true
	item := p.response() + "_" + id
	p.add(item, map[string]any{"type": "function_call", "name": name, "call_id": id, "arguments": ""},
		chat.PromptMessage{Role: chat.RoleAssistant, Calls: []chat.ToolCall{{Given: id, Name: name, Arguments: arguments}}})
	of := map[string]any{"response_id": p.response(), "item_id": item, "call_id": id}
	for _, part := range []string{arguments[:1], arguments[1:]} {
		p.send(with(of, map[string]any{"type": "response.function_call_arguments.delta", "delta": part}))
	}
	p.send(with(of, map[string]any{"type": "response.function_call_arguments.done", "arguments": arguments}))
}

// with returns an event with more members.
func with(event, more map[string]any) map[string]any {
	maps.Copy(more, event)
	return more
}

func (p *peer) response() string { return "resp_" + string(rune('0'+p.responses)) }

func (p *peer) conversation() (messages []chat.PromptMessage) {
	for _, m := range p.items {
		if m.Role == chat.RoleAssistant && m.Content == "" && m.Calls == nil && p.called {
			continue // an answer of calls alone
		}
		messages = append(messages, m.PromptMessage)
	}
	return messages
}

// The methods of providertest.Peer.

func (p *peer) Asked() []chat.PromptMessage {
	if p.asked().Type == "" {
		return nil
	}
	known := p.conversation()
	p.begin()
	return known
}

func (p *peer) Say(text string) { p.delta("response.output_text.delta", text) }
func (p *peer) Speak(audio, transcript string) {
	p.delta("response.output_audio_transcript.delta", transcript)
	p.send(map[string]any{"type": "response.output_audio.delta", "response_id": p.response(), "delta": audio})
}

func (p *peer) delta(kind, text string) {
	p.items[len(p.items)-1].Content += text
	p.send(map[string]any{"type": kind, "response_id": p.response(), "delta": text})
}

func (p *peer) Finish(u chat.Usage) {
	p.done("completed", map[string]any{
		"usage": map[string]any{"input_tokens": u.PromptTokens, "output_tokens": u.CompletionTokens, "total_tokens": u.TotalTokens},
	})
}

func (p *peer) Fail(words string) {
	p.done("failed", map[string]any{"status_details": map[string]any{"error": map[string]any{"message": words}}})
}

func (p *peer) done(status string, response map[string]any) {
	response["id"], response["status"] = p.response(), status
	p.send(map[string]any{"type": "response.done", "response": response})
}

func (p *peer) Cancelled() { p.until("response.cancel") }
func (p *peer) Stop()      { p.done("cancelled", map[string]any{}) }

func (p *peer) Committed() string {
	p.until("input_audio_buffer.commit")
	return p.audio
}

func (p *peer) Heard(text string) {
	p.items[len(p.items)-1].Content = text
	p.send(map[string]any{
		"type": "conversation.item.input_audio_transcription.completed", "item_id": p.item, "transcript": text,
	})
}

func (p *peer) HangUp() {
	p.ws.Close()
	<-p.gone
}

func (p *peer) Gone() { <-p.gone }

func TestSuite(t *testing.T) {
	providertest.Run(t, providertest.Harness{Listen: listen, AimockSessions: aimock})
}

// listen serves sessions over pipes.
func listen(t *testing.T, s providertest.SessionServer) (providertest.Provider, <-chan providertest.Peer) {
	srv := newServer(t)
	srv.refusal.Store(s.Refusal)
	peers := make(chan providertest.Peer)
	go func() {
		for {
			select {
			case p := <-srv.peers:
				peers <- p
			case <-t.Context().Done():
				return
			}
		}
	}()
	o := Options{FirstToken: s.FirstToken, Silence: s.Silence}
	if s.Refusal != nil {
		o.Retries = -1
	}
	return srv.client(o), peers
}

// aimock returns a client that fails at once what it could ask for again.
func aimock(t testing.TB, baseURL string, o upstream.Options) providertest.Provider {
	c, err := New(baseURL+"/v1", testKey, Options{FirstToken: o.FirstToken, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
