package mcp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"parlor/protocol/chat"
	"parlor/transport/live"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fake is a server with one chat, whose epoch is "e".
type fake struct {
	messages []chat.Message
	records  []chat.Record // behind which a follower begins
	entered  chat.Entered
	live     []chat.Told // then
	failure  error

	mu   sync.Mutex
	said []chat.Say

	following chan struct{} // gets an element when there is a follower
	left      chan error    // gets why a follower has left
}

var info = chat.Info{ID: "c", Room: chat.ID("c").Room(), Epoch: "e", Owner: "alice"}

func (f *fake) Get(_ context.Context, _ chat.User, id chat.ID) (chat.Info, error) {
	if id != info.ID {
		return chat.Info{}, chat.Refuse(chat.CodeNotFound, "there is no such chat")
	}
	return info, f.failure
}

func (f *fake) List(_ context.Context, _ chat.User, offset, limit int) ([]chat.Info, int, error) {
	if f.failure == errPanic {
		panic("a bug")
	}
	all := make([]chat.Info, 45)
	for i := range all {
		all[i] = chat.Info{ID: chat.ID(fmt.Sprint(i))}
	}
	return all[min(offset, 45):min(offset+limit, 45)], 45, f.failure
}

var errPanic = errors.New("panic")

func (f *fake) Search(_ context.Context, _ chat.User, q chat.SearchQuery) (chat.SearchPage, error) {
	return chat.SearchPage{Results: []chat.Found{{Chat: "c", MessageID: "m", Seq: 7, Snippet: q.Text}}, Cursor: "more"}, f.failure
}

func (f *fake) Say(_ context.Context, _ chat.User, _ chat.ID, m chat.Say) (chat.Said, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said = append(f.said, m)
	return chat.Said{MessageID: "m", Seq: 3, Turns: []chat.TurnID{"t"}}, f.failure
}

func (f *fake) HistoryOf(_ context.Context, _ chat.User, _ chat.RoomID, _ chat.MessageID, before uint64, limit int) ([]chat.Message, bool, error) {
	var page []chat.Message
	for _, m := range f.messages {
		if before == 0 || m.Seq < before {
			page = append(page, m)
		}
	}
	from := max(0, len(page)-limit)
	return page[from:], from > 0, f.failure
}

func (f *fake) Follow(ctx context.Context, _ chat.User, _ chat.ID, from chat.Place, _ string, tell func(chat.Told) error) (err error) {
	if f.left != nil {
		defer func() { f.left <- err }()
	}
	if f.failure != nil {
		return f.failure
	}
	entered := f.entered
	entered.Chat = info
	told := []chat.Told{{Notice: entered}}
	for _, r := range f.records {
		if !from.Now && r.Seq > from.Seq {
			told = append(told, chat.Told{Seq: r.Seq, Notice: chat.Missed{Record: r}})
		}
	}
	told = append(told, f.live...)
	for i, t := range told {
		t.More = i < len(told)-1 && i < len(told)-len(f.live)-1
		if err := tell(t); err != nil {
			return err
		}
	}
	if f.following != nil {
		f.following <- struct{}{}
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

func said(seq uint64, author chat.UserID, text string) chat.Record {
	return chat.Record{Seq: seq, Event: chat.MessageAdded{MessageID: chat.MessageID(fmt.Sprint("m", seq)), Author: chat.User{ID: author}, Content: text}}
}

func answered(seq uint64, turn chat.TurnID, text string) chat.Record {
	return chat.Record{Seq: seq, Event: chat.TurnEnded{TurnID: turn, MessageID: chat.MessageID(fmt.Sprint("m", seq)), ModelID: "eliza", State: chat.StateCompleted, Content: text}}
}

var alice = chat.SignIn{User: chat.User{ID: "alice"}}

// An edge is a Server behind HTTP. Its user is alice.
type edge struct {
	*fake
	url string
	in  chat.SignIn
	end func() // ends the sign-in, or the server
}

func newEdge(t *testing.T, f *fake) *edge {
	t.Helper()
	e := &edge{fake: f, in: alice}
	server := New(Options{Rooms: f, MaxBytes: 10_000, Streams: live.New(live.Options{
		Watch: func(_ chat.SignIn, ended func()) func() { e.end = ended; return func() {} },
	})})
	http := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := server.Post(w, r, e.in); err != nil {
			http.Error(w, err.Error(), http.StatusTeapot)
		}
	}))
	t.Cleanup(http.Close)
	e.url = http.URL
	return e
}

// request returns a call of a tool, in a version of the protocol without cancellation.
func (e *edge) request(ctx context.Context, body string) *http.Request {
	r, err := http.NewRequestWithContext(ctx, "POST", e.url, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Mcp-Protocol-Version", "2025-11-25")
	return r
}

func toolCall(name, arguments string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s}}`, name, arguments)
}

func texts(messages []message) (all []string) {
	for _, m := range messages {
		all = append(all, m.Text)
	}
	return all
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

func equal[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
