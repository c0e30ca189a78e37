package assistant_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"parlor/actors/actortest"
	"parlor/actors/assistant"
	"parlor/actors/room"
	"parlor/actors/session"
	"parlor/actors/system"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	theChat chat.ID = "the-chat"
	theRoom         = "rf74rhscgm3uacyrl3izqi7fb"
	prefix          = wire.Namespace + ","
)

// believer takes everybody for who they say they are.
type believer struct{}

func (believer) Socket(_ string, _ http.Header, auth json.RawMessage) (chat.SignIn, error) {
	var user chat.User
	if json.Unmarshal(auth, &user) != nil || user.ID == "" {
		return chat.SignIn{}, chat.Refuse(chat.CodeUnauthenticated, "say who you are")
	}
	return chat.SignIn{User: user}, nil
}

func (believer) Token(string, string) (chat.SignIn, error) { return chat.SignIn{}, nil }
func (believer) Watch(chat.SignIn, func()) (stop func())   { return func() {} }

// serve serves the namespace on the rooms that s has now.
func serve(s *actortest.Server) *session.Sessions { return serveRooms(s.Rooms) }

func serveRooms(r assistant.Rooms) *session.Sessions {
	return session.New(system.New(nil), session.Options{
		Namespaces: map[string]session.Namespace{wire.Namespace: &assistant.Namespace{Auth: believer{}, Rooms: r}},
	})
}

// run calls f with rooms and the namespace in a bubble.
func run(t *testing.T, o room.Options, f func(t *testing.T, s *actortest.Server, sessions *session.Sessions)) {
	t.Helper()
	actortest.Run(t, o, func(t *testing.T, s *actortest.Server) {
		t.Cleanup(synctest.Wait)
		f(t, s, serve(s))
	})
}

// client is a socket in the namespace.
type client struct {
	*actortest.Conn
	t    *testing.T
	acks int // asked for
}

// connect connects as a user, the way the SPA does it.
func connect(t *testing.T, s *session.Sessions, user chat.UserID) *client {
	t.Helper()
	c := &client{Conn: actortest.Dial(t, s), t: t}
	c.Say(fmt.Sprintf(`0%s{"user_id":%q}`, prefix, user))
	synctest.Wait()
	if got := c.Got(); len(got) != 1 || !strings.HasPrefix(got[0], "40"+prefix) {
		t.Fatalf("connect: got %q", got)
	}
	return c
}

// emit sends an event and returns what the client hears of it, and the value
// of the acknowledgement, which it asks for.
func (c *client) emit(event, args string) (heard []heard, ack json.RawMessage) {
	c.t.Helper()
	c.acks++
	if args != "" {
		args = "," + args
	}
	c.Say(fmt.Sprintf(`2%s%d[%s%s]`, prefix, c.acks, quote(event), args))
	synctest.Wait()
	return c.hear()
}

// heard is an event that a client got.
type heard struct {
	name string
	arg  json.RawMessage
}

func (h heard) String() string { return h.name + " " + string(h.arg) }

// hearAll is hear when everything has come to rest.
func (c *client) hearAll() (events []heard, ack json.RawMessage) {
	c.t.Helper()
	synctest.Wait()
	return c.hear()
}

// hear returns what the client got since it was asked last: events, and the
// value of the acknowledgement, if there is one.
func (c *client) hear() (events []heard, ack json.RawMessage) {
	c.t.Helper()
	for _, line := range c.Got() {
		switch {
		case strings.HasPrefix(line, "42"+prefix):
			var event []json.RawMessage
			unmarshal(c.t, strings.TrimPrefix(line, "42"+prefix), &event)
			if len(event) != 2 {
				c.t.Fatalf("got %s", line)
			}
			var name string
			unmarshal(c.t, string(event[0]), &name)
			if name == "room_error" || name == "room_left "+theRoom {
				c.t.Errorf("%s throws inside the SPA", name)
			}
			events = append(events, heard{name, event[1]})
		case strings.HasPrefix(line, "43"+prefix):
			if ack != nil {
				c.t.Errorf("a second acknowledgement: %s", line)
			}
			id, value, _ := strings.Cut(strings.TrimPrefix(line, "43"+prefix), "[")
			if id != strconv.Itoa(c.acks) {
				c.t.Errorf("got %s, want an acknowledgement of %d", line, c.acks)
			}
			ack = json.RawMessage(strings.TrimSuffix(value, "]"))
		default:
			c.t.Errorf("got %s", line)
		}
	}
	return events, ack
}

// quote returns text as JSON.
func quote(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func unmarshal(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

// names returns the names of events.
func names(events []heard) (all []string) {
	for _, e := range events {
		all = append(all, e.name)
	}
	return all
}

// find returns the arguments of the events of that name.
func find(events []heard, name string) (args []string) {
	for _, e := range events {
		if e.name == name {
			args = append(args, string(e.arg))
		}
	}
	return args
}

// wantOrder checks that events of these names came, in this order, whatever
// came between them.
func wantOrder(t *testing.T, events []heard, want ...string) {
	t.Helper()
	rest := names(events)
	for _, name := range want {
		i := slices.Index(rest, name)
		if i < 0 {
			t.Errorf("%q is missing, or too early, in %q", name, names(events))
			return
		}
		rest = rest[i+1:]
	}
}

// enter creates the chat, if it is not there, and joins its room as the SPA does.
func (c *client) enter() {
	c.t.Helper()
	_, created := c.emit("create_room", fmt.Sprintf(`{"chat_id":%q,"model_api_source":"aisuite","model_id":%q}`, theChat, actortest.Model))
	_, joined := c.emit("join_room", fmt.Sprintf(`{"room_id":%q}`, theRoom))
	for _, ack := range []json.RawMessage{created, joined} {
		if !strings.HasPrefix(string(ack), `{"ok":true,`) {
			c.t.Fatalf("enter: got %s", ack)
		}
	}
}
