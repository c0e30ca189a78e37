package aisdk_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"parlor/protocol/chat"
	"parlor/transport/aisdk"
	"parlor/transport/live"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A room is a server with one chat. It notes its commands, and tells followers the records
// and then what comes from live.
type room struct {
	mu       sync.Mutex
	missing  bool
	messages []chat.Message
	now      chat.Entered
	records  []chat.Record
	live     chan chat.Notice
	commands []string
	keys     []chat.ClientID
	edited   bool // the first edit was made before
	again    bool // so was the first regenerate
	shown    bool // and has taken the place of the first message
	refusal  error
}

func newRoom() *room { return &room{live: make(chan chat.Notice, 100)} }

// note notes a command, and returns the refusal that is due.
func (r *room) note(format string, args ...any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.commands = append(r.commands, fmt.Sprintf(format, args...))
	return r.refusal
}

// set changes the room while it is served.
func (r *room) set(messages []chat.Message, refusal error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.messages, r.refusal = messages, refusal
}

func (r *room) said() ([]chat.Message, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.messages, r.refusal
}

func (r *room) noted() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.commands)
}

var errNoChat = chat.Refuse(chat.CodeNotFound, "there is no such chat")

func (r *room) CreateAs(_ context.Context, u chat.User, id chat.ID, model chat.ModelID) (chat.Info, error) {
	r.mu.Lock()
	r.missing = false
	r.mu.Unlock()
	return chat.Info{}, r.note("create %s by %s with %s", id, u.ID, model)
}

func (r *room) Upload(_ context.Context, u chat.User, id chat.ID, up chat.Upload) (chat.File, error) {
	if r.missing {
		return chat.File{}, errNoChat
	}
	body, _ := io.ReadAll(up.Body)
	return chat.File{ID: "f" + chat.FileID(up.Key[len(up.Key)-1:])}, r.note("upload %s %q as %s", up.Name, body, up.Key)
}

func (r *room) Say(_ context.Context, u chat.User, id chat.ID, m chat.Say) (chat.Said, error) {
	if r.missing {
		return chat.Said{}, errNoChat
	}
	with := ""
	if len(m.Files) > 0 {
		with = fmt.Sprint(" with ", m.Files)
	}
	err := r.note("say %q as %s%s", m.Content, m.ClientID, with)
	return chat.Said{MessageID: "question", Seq: 4, Turns: []chat.TurnID{"turn"}}, err
}

func (r *room) Edit(_ context.Context, u chat.User, id chat.ID, m chat.Edit) (chat.Said, error) {
	r.mu.Lock()
	r.keys = append(r.keys, m.ClientID)
	r.mu.Unlock()
	err := r.note("edit %s to %q", m.MessageID, m.Content)
	said := chat.Said{MessageID: "question", Seq: 4, Turns: []chat.TurnID{"turn"}, Replaces: m.MessageID}
	if r.edited && len(r.keys) == 1 {
		said.MessageID, said.Repeated = "the edit", true
		if r.shown {
			r.messages[0].ID = said.MessageID
		}
	}
	return said, err
}

func (r *room) Regenerate(_ context.Context, u chat.User, id chat.ID, a chat.Again) (chat.Queued, error) {
	r.mu.Lock()
	r.keys = append(r.keys, a.ClientID)
	queued := chat.Queued{TurnID: "turn"}
	if r.again && len(r.keys) == 1 {
		queued = chat.Queued{TurnID: "failed", Repeated: true}
	}
	r.mu.Unlock()
	return queued, r.note("regenerate %s", a.Answer)
}

func (r *room) Stop(_ context.Context, u chat.User, id chat.ID, s chat.Stop) (chat.Stopped, error) {
	return chat.Stopped{TurnID: s.TurnID}, r.note("stop %s", s.TurnID)
}

func (r *room) Decide(_ context.Context, u chat.User, id chat.ID, d chat.Decide) (chat.Decided, error) {
	if d.CallID == "decided" {
		return chat.Decided{}, chat.Refuse(chat.CodeNotFound, "no such call waits")
	}
	return chat.Decided{CallID: d.CallID, Approved: d.Approved}, r.note("decide %s %t %s", d.CallID, d.Approved, d.Reason)
}

func (r *room) History(_ context.Context, _ chat.User, _ chat.RoomID, before uint64, limit int) ([]chat.Message, bool, error) {
	var page []chat.Message
	messages, refusal := r.said()
	for _, m := range messages {
		if before == 0 || m.Seq < before {
			page = append(page, m)
		}
	}
	from := max(0, len(page)-limit)
	return page[from:], from > 0, refusal
}

func (r *room) Messages(context.Context, chat.User, chat.ID, uint64, int) iter.Seq2[chat.Message, error] {
	return func(yield func(chat.Message, error) bool) {
		messages, refusal := r.said()
		for _, m := range messages {
			if !yield(m, nil) {
				return
			}
		}
		if refusal != nil {
			yield(chat.Message{}, refusal)
		}
	}
}

func (r *room) Follow(ctx context.Context, _ chat.User, _ chat.ID, from chat.Place, _ string, tell func(chat.Told) error) error {
	if r.missing {
		return errNoChat
	}
	if err := tell(chat.Told{Notice: r.now}); err != nil {
		return err
	}
	for i, record := range r.records {
		if from.Now || record.Seq <= from.Seq {
			continue
		}
		if err := tell(chat.Told{Seq: record.Seq, Notice: chat.Missed{Record: record}, More: i < len(r.records)-1}); err != nil {
			return err
		}
	}
	for {
		select {
		case n := <-r.live:
			if n == nil {
				panic("a bug")
			}
			if err := tell(chat.Told{Notice: n}); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

type models struct{}

func (models) List() []chat.Model { return []chat.Model{{ID: "eliza"}, {ID: "other"}} }

var (
	turn   = chat.Turn{ID: "turn", Prompt: "question", PromptSeq: 4, By: "alice", MessageID: "answer", Attempt: 1}
	asked  = chat.Record{Seq: 4, Event: chat.MessageAdded{MessageID: "question", Content: "hi"}}
	queued = chat.Record{Seq: 5, Event: chat.TurnQueued{TurnID: "turn", Prompt: "question", PromptSeq: 4, By: "alice"}}
	start  = chat.Record{Seq: 6, Event: chat.TurnStarted{TurnID: "turn", MessageID: "answer", Attempt: 1}}
)

func text(before, piece string) chat.Notice {
	return chat.Text{Turn: turn, Before: []byte(before), Piece: piece}
}

func ended(content string) chat.Record {
	return chat.Record{Seq: 9, Event: chat.TurnEnded{TurnID: "turn", MessageID: "answer", State: chat.StateCompleted, Content: content}}
}

// A site serves a room to alice.
type site struct {
	*httptest.Server
	in  chat.SignIn
	end func(error) // ends the streams
}

// serve serves the room. What a handler returns is answered as its code.
func serve(t *testing.T, r *room, o aisdk.Options) *site {
	t.Helper()
	s := &site{in: chat.SignIn{User: chat.User{ID: "alice"}}}
	var mu sync.Mutex
	var ends []func()
	signedOut := make(map[string]func())
	o.Rooms, o.Models = r, models{}
	if o.Streams == nil {
		o.Streams = live.New(live.Options{
			Hold: func(_ *http.Request, end func()) (func(), error) {
				mu.Lock()
				defer mu.Unlock()
				ends = append(ends, end)
				return func() {}, nil
			},
			Watch: func(_ chat.SignIn, ended func()) func() {
				mu.Lock()
				defer mu.Unlock()
				signedOut["alice"] = ended
				return func() {}
			},
		})
	}
	s.end = func(why error) {
		mu.Lock()
		defer mu.Unlock()
		if why == error(live.ErrSignedOut) {
			signedOut["alice"]()
			return
		}
		for _, end := range ends {
			end()
		}
	}
	mux := http.NewServeMux()
	for name, route := range aisdk.New(o).Routes() {
		mux.HandleFunc(name, func(w http.ResponseWriter, q *http.Request) {
			if err := route(w, q, s.in); err != nil {
				http.Error(w, err.Error(), http.StatusTeapot)
			}
		})
	}
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return s
}

// wait waits until a test holds.
func wait(t *testing.T, holds func() bool) {
	t.Helper()
	for range 1000 {
		if holds() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("it never came to hold")
}

func (r *room) Offer(_ context.Context, u chat.User, id chat.ID, tools []chat.Tool) error {
	if r.missing {
		return errNoChat
	}
	return r.note("offer %s", tools[0].Name)
}

func (r *room) AnswerCall(_ context.Context, u chat.User, id chat.ID, a chat.AnswerCall) error {
	return r.note("answer %s with %q, failed %t", a.CallID, a.Result, a.Failed)
}
