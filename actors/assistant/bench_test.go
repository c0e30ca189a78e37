package assistant_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"parlor/actors/access"
	"parlor/actors/actortest"
	"parlor/actors/assistant"
	"parlor/actors/chats"
	"parlor/actors/conversation"
	"parlor/actors/queries"
	"parlor/actors/recovery"
	"parlor/actors/room"
	"parlor/actors/session"
	"parlor/actors/system"
	"parlor/persistence"
	wire "parlor/protocol/assistant"
	"parlor/protocol/engineio"
)

// BenchmarkReturn is what it costs the server that 5,000 clients of one room come
// back at once after a restart, and have each missed 100 messages.
func BenchmarkReturn(b *testing.B) {
	const clients, missed = 5000, 100
	path := filepath.Join(b.TempDir(), "parlor.db")
	auths := make([]string, clients)
	s := startReturn(b, path)
	s.say(b, "first")
	for i := range auths {
		c := s.dial(`{"user_id":"alice"}`, 2)
		c.port.Receive(engineio.Message{Data: fmt.Appendf(nil, `2%s["join_room",{"room_id":%q,"dialect":"documented"}]`, prefix, theRoom)})
		c.wait()
		auths[i] = c.auth(b)
		c.Close("transport close")
	}
	for range missed {
		s.say(b, strings.Repeat("word ", 40))
	}
	s.stop(b)
	var cpu time.Duration
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		s := startReturn(b, path)
		conns := make([]*conn, clients)
		before := used()
		b.StartTimer()
		for i, auth := range auths {
			conns[i] = s.dial(auth, 1+missed)
		}
		for _, c := range conns {
			c.wait()
		}
		b.StopTimer()
		cpu += used() - before
		for _, c := range conns {
			c.Close("transport close")
		}
		s.stop(b)
		b.StartTimer()
	}
	b.ReportMetric(cpu.Seconds()/float64(b.N), "cpu-s/op")
}

func used() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// returnServer is a server with nothing before its sessions.
type returnServer struct {
	store    *persistence.Store
	rooms    *chats.Chats
	table    *recovery.Table
	sessions *session.Sessions
}

func startReturn(b *testing.B, path string) *returnServer {
	b.Helper()
	s := new(returnServer)
	var err error
	if s.store, err = persistence.Open(path, persistence.Options{Charges: conversation.Charges, MessageID: conversation.MessageID}); err != nil {
		b.Fatal(err)
	}
	if s.table, err = recovery.Open(recovery.Options{Store: s.store}); err != nil {
		b.Fatal(err)
	}
	actors, models := system.New(nil), new(actortest.Assistant)
	s.rooms, err = chats.Start(actors, s.store, room.Options{Models: models, Provider: models, Access: access.Policy{Shared: true}, Encoders: actortest.Encoders()}, queries.Reads{})
	if err != nil {
		b.Fatal(err)
	}
	s.sessions = session.New(actors, session.Options{Namespaces: map[string]session.Namespace{
		wire.Namespace: &assistant.Namespace{Auth: believer{}, Rooms: s.rooms, Recovery: s.table},
	}})
	return s
}

func (s *returnServer) stop(b *testing.B) {
	b.Helper()
	if err := s.rooms.Close(context.Background()); err != nil {
		b.Error(err)
	}
	s.table.Close()
	if err := s.store.Close(); err != nil {
		b.Error(err)
	}
}

// say says something in the room, which is made if need be, and waits.
func (s *returnServer) say(b *testing.B, content string) {
	b.Helper()
	c := s.dial(`{"user_id":"bob"}`, 3)
	c.port.Receive(engineio.Message{Data: fmt.Appendf(nil, `2%s["create_room",{"chat_id":%q,"model_api_source":"aisuite","model_id":%q}]`, prefix, theChat, actortest.Model)})
	c.port.Receive(engineio.Message{Data: fmt.Appendf(nil, `2%s["send_message",{"room_id":%q,"message":{"type":"conversation.item.create","id":"1","data":{"item":{"type":"message","role":"user","content":[{"type":"input_text","text":%q}]}}}}]`, prefix, theRoom, content)})
	c.wait()
	c.Close("transport close")
}

// conn is a connection whose client waits for so many frames.
type conn struct {
	port *session.Port
	want int
	done chan struct{}

	mu     sync.Mutex
	got    int
	last   []byte
	pid    string
	closed bool
}

func (s *returnServer) dial(auth string, want int) *conn {
	c := &conn{want: want, done: make(chan struct{})}
	c.port = s.sessions.Open(c)
	c.port.Receive(engineio.Message{Data: []byte("0" + prefix + auth)})
	return c
}

func (c *conn) wait() { <-c.done }

// auth is what the client comes back with.
func (c *conn) auth(b *testing.B) string {
	b.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var args []json.RawMessage
	if err := json.Unmarshal(c.last[len("42"+prefix):], &args); err != nil || len(args) != 3 {
		b.Fatalf("%s: %v", c.last, err)
	}
	return fmt.Sprintf(`{"user_id":"alice","pid":%q,"offset":%s}`, c.pid, args[2])
}

// Header implements session.Conn.
func (c *conn) Header() http.Header { return nil }
func (c *conn) RemoteAddr() string  { return "" }

// Send implements session.Conn.
func (c *conn) Send(frames ...engineio.Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range frames {
		if _, pid, ok := strings.Cut(string(f.Data[:min(len(f.Data), 150)]), `"pid":"`); ok && c.got == 0 {
			c.pid = strings.TrimSuffix(pid, `"}`)
		}
		c.last = f.Data
		if c.got++; c.got == c.want {
			close(c.done)
		}
	}
	return nil
}

// LetIn implements session.Conn.
func (*conn) LetIn() {}

// TrySend implements session.Conn.
func (c *conn) TrySend(frames ...engineio.Frame) { _ = c.Send(frames...) }

// Drain implements session.Conn: the client takes everything at once.
func (*conn) Drain(context.Context) error { return nil }

// Close implements session.Conn.
func (c *conn) Close(reason string) {
	c.mu.Lock()
	closed := c.closed
	c.closed = true
	c.mu.Unlock()
	if !closed {
		c.port.Closed(reason)
	}
}
