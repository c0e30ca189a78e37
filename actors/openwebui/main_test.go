package openwebui_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"parlor/actors/actortest"
	"parlor/actors/door"
	"parlor/actors/openwebui"
	"parlor/actors/room"
	"parlor/actors/session"
	"parlor/actors/system"
	"parlor/protocol/chat"
	wire "parlor/protocol/openwebui"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const theChat chat.ID = "the-chat"

// doorman takes tokens of the form "alice 60s": a user, and how long it is good. That of
// "alice-reads 60s" may only read.
type doorman struct{}

func (doorman) Token(_, token string) (chat.SignIn, error) {
	user, ttl, _ := strings.Cut(token, " ")
	left, err := time.ParseDuration(ttl)
	if err != nil {
		return chat.SignIn{}, chat.Refuse(chat.CodeUnauthenticated, "not a good token")
	}
	user, readOnly := strings.CutSuffix(user, "-reads")
	return chat.SignIn{User: chat.User{ID: chat.UserID(user), Name: strings.ToUpper(user)}, Expires: time.Now().Add(left), ReadOnly: readOnly}, nil
}

func (d doorman) Socket(remote string, _ http.Header, auth json.RawMessage) (chat.SignIn, error) {
	var payload struct{ Token string }
	_ = json.Unmarshal(auth, &payload)
	return d.Token(remote, payload.Token)
}

func (doorman) Watch(in chat.SignIn, ended func()) (stop func()) {
	timer := time.AfterFunc(time.Until(in.Expires), ended)
	return func() { timer.Stop() }
}

// A world is rooms, and the namespace on them.
type world struct {
	*actortest.Server
	t         *testing.T
	namespace *openwebui.Namespace
	sessions  *session.Sessions
}

// run calls f with the namespace in a bubble.
func run(t *testing.T, f func(*world)) {
	t.Helper()
	encoders := actortest.Encoders()
	for _, form := range wire.Forms {
		encoders[form.String()] = func(info chat.Info) room.Encoder { return wire.NewEncoder(form, info) }
	}
	actortest.Run(t, room.Options{Encoders: encoders}, func(t *testing.T, s *actortest.Server) {
		t.Cleanup(synctest.Wait)
		w := &world{Server: s, t: t, namespace: &openwebui.Namespace{Auth: doorman{}, Rooms: s.Rooms, Devices: new(door.Devices), MaxRooms: 3}}
		w.sessions = session.New(system.New(nil), session.Options{Namespaces: map[string]session.Namespace{wire.Namespace: w.namespace}})
		f(w)
	})
}

// page is a socket in the namespace.
type page struct {
	*actortest.Conn
	t     *testing.T
	acks  int
	heard []heard
}

type heard struct {
	name string
	arg  string
}

// connect connects with a token. more are further fields of auth.
func (w *world) connect(token, more string) *page {
	w.t.Helper()
	p := &page{Conn: actortest.Dial(w.t, w.sessions), t: w.t}
	p.Say(fmt.Sprintf(`0{"token":%q%s}`, token, more))
	time.Sleep(time.Second)
	synctest.Wait()
	got := p.Got()
	if len(got) == 0 || !strings.HasPrefix(got[0], "40") {
		w.t.Fatalf("connect: got %q", got)
	}
	p.take(got[1:])
	return p
}

func (p *page) take(lines []string) (ack string) {
	p.t.Helper()
	for _, line := range lines {
		switch {
		case strings.HasPrefix(line, "42"):
			var event []json.RawMessage
			if err := json.Unmarshal([]byte(line[2:]), &event); err != nil || len(event) != 2 {
				p.t.Fatalf("got %s", line)
			}
			p.heard = append(p.heard, heard{strings.Trim(string(event[0]), `"`), string(event[1])})
		case strings.HasPrefix(line, "43"):
			_, value, _ := strings.Cut(line, "[")
			ack = strings.TrimSuffix(value, "]")
		default:
			p.t.Errorf("got %s", line)
		}
	}
	return ack
}

// emit sends an event, and returns the acknowledgement.
func (p *page) emit(event, arg string) (ack string) {
	p.t.Helper()
	p.acks++
	p.Say(fmt.Sprintf(`2%d[%q,%s]`, p.acks, event, arg))
	synctest.Wait()
	return p.take(p.Got())
}

// last returns the argument of the last event of that name.
func (p *page) last(name string) string {
	p.t.Helper()
	synctest.Wait()
	p.take(p.Got())
	for _, h := range slices.Backward(p.heard) {
		if h.name == name {
			return h.arg
		}
	}
	return ""
}

// all returns the arguments of the events of that name.
func (p *page) all(name string) (args []string) {
	p.last(name)
	for _, h := range p.heard {
		if h.name == name {
			args = append(args, h.arg)
		}
	}
	return args
}

func (p *page) want(name, arg string) {
	p.t.Helper()
	if got := p.last(name); got != arg {
		p.t.Errorf("%s: got %s, want %s", name, got, arg)
	}
}

// text returns the answer of that id as chat-events tell it.
func (p *page) text(id string) (text string) {
	p.t.Helper()
	for _, arg := range p.all("chat-events") {
		var e struct {
			Message string `json:"message_id"`
			Data    struct {
				Type string
				Data json.RawMessage
			}
		}
		if err := json.Unmarshal([]byte(arg), &e); err != nil {
			p.t.Fatal(err)
		}
		var body struct {
			Content string
			Choices []struct{ Delta struct{ Content string } }
		}
		_ = json.Unmarshal(e.Data.Data, &body)
		switch {
		case e.Message != id:
		case e.Data.Type == "replace", body.Content != "":
			text = body.Content
		case len(body.Choices) > 0:
			text += body.Choices[0].Delta.Content
		}
	}
	return text
}

// ask asks a question the way POST /api/chat/completions does.
func (w *world) ask(u *actortest.User, id chat.ID, answer, question string) {
	w.namespace.Follow(context.Background(), u.User, id)
	said := u.Do(id, &room.Send{Content: question, Correlation: wire.Correlation(answer)}).Body.(room.Sent)
	w.namespace.Asked(u.ID, id, said.Seq)
	synctest.Wait()
}
