package openai

import (
	"cmp"
	"context"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"parlor/protocol/chat"
	wire "parlor/protocol/openai"
	"parlor/transport/live"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var alice = chat.User{ID: "alice"}

// A world is rooms in memory, in which each message is answered by the word "yes" at once.
type world struct {
	mu      sync.Mutex
	chats   []chat.Info // newest first
	records map[chat.RoomID][]chat.Record
	said    []chat.Say
	err     error       // of each Say
	turn    chat.TurnID // of each message; empty: another one for each
	sayHook func(context.Context)
	follow  func(ctx context.Context, tell func(chat.Told) error) error // instead of the records
}

func newWorld() *world { return &world{records: make(map[chat.RoomID][]chat.Record)} }

func (w *world) CreateAs(_ context.Context, u chat.User, id chat.ID, model chat.ModelID) (chat.Info, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if info, ok := w.find(id); ok {
		return info, nil
	}
	info := chat.Info{ID: id, Room: id.Room(), Owner: u.ID, ModelID: model, Created: time.Now()}
	w.chats = append([]chat.Info{info}, w.chats...)
	w.add(id.Room(), chat.Created{Chat: info})
	return info, nil
}

func (w *world) find(id chat.ID) (chat.Info, bool) {
	for _, info := range w.chats {
		if info.ID == id {
			return info, true
		}
	}
	return chat.Info{}, false
}

func (w *world) add(id chat.RoomID, e chat.Event) uint64 {
	seq := uint64(len(w.records[id]) + 1)
	w.records[id] = append(w.records[id], chat.Record{Seq: seq, At: time.Now(), Event: e})
	return seq
}

func (w *world) Get(_ context.Context, _ chat.User, id chat.ID) (chat.Info, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if info, ok := w.find(id); ok {
		return info, nil
	}
	return chat.Info{}, chat.Refuse(chat.CodeNotFound, "no such chat")
}

func (w *world) List(context.Context, chat.User, int, int) ([]chat.Info, int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.chats, len(w.chats), nil
}

func (w *world) Configure(ctx context.Context, u chat.User, id chat.ID, c chat.Changes) (chat.Info, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.chats {
		if w.chats[i].ID == id {
			w.chats[i].Settings, _ = c.Apply(w.chats[i].Settings)
			return w.chats[i], nil
		}
	}
	return chat.Info{}, chat.Refuse(chat.CodeNotFound, "no such chat")
}

func (w *world) Delete(context.Context, chat.User, chat.ID) error { return nil }

func (w *world) Messages(ctx context.Context, u chat.User, id chat.ID, before uint64, limit int) iter.Seq2[chat.Message, error] {
	var all []chat.Message
	for r := range w.Records(ctx, u, id.Room(), 0) {
		if m, ok := r.Message(); ok && (before == 0 || m.Seq < before) {
			all = append(all, m)
		}
	}
	return func(yield func(chat.Message, error) bool) {
		for _, m := range all[max(0, len(all)-limit):] {
			if !yield(m, nil) {
				return
			}
		}
	}
}

func (w *world) Records(_ context.Context, _ chat.User, id chat.RoomID, after uint64) iter.Seq2[chat.Record, error] {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.records[id]
	return func(yield func(chat.Record, error) bool) {
		for _, r := range all[min(after, uint64(len(all))):] {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (w *world) Say(ctx context.Context, u chat.User, id chat.ID, m chat.Say) (chat.Said, error) {
	if w.sayHook != nil {
		w.sayHook(ctx)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return chat.Said{}, w.err
	}
	for _, r := range w.records[id.Room()] {
		if e, ok := r.Event.(chat.MessageAdded); ok && e.ClientID == m.ClientID {
			return w.saidAt(id.Room(), r.Seq, true), nil
		}
	}
	w.said = append(w.said, m)
	n := strings.ReplaceAll(time.Now().Format("150405.000000000"), ".", "")
	seq := w.add(id.Room(), chat.MessageAdded{MessageID: chat.MessageID("m" + n), Author: u, Content: m.Content, ClientID: m.ClientID})
	if m.Answer != nil && !*m.Answer {
		return w.saidAt(id.Room(), seq, false), nil
	}
	turn := cmp.Or(w.turn, chat.TurnID("t"+n))
	w.add(id.Room(), chat.TurnQueued{TurnID: turn, Prompt: chat.MessageID("m" + n), PromptSeq: seq, ModelID: "eliza"})
	w.add(id.Room(), chat.TurnStarted{TurnID: turn, MessageID: chat.MessageID("a" + n), ModelID: "eliza", Attempt: 1})
	w.add(id.Room(), chat.TurnEnded{TurnID: turn, MessageID: chat.MessageID("a" + n), Prompt: chat.MessageID("m" + n), PromptSeq: seq, ModelID: "eliza", State: chat.StateCompleted, Content: "yes"})
	return w.saidAt(id.Room(), seq, false), nil
}

func (w *world) saidAt(id chat.RoomID, seq uint64, repeated bool) chat.Said {
	s := chat.Said{MessageID: w.records[id][seq-1].Event.(chat.MessageAdded).MessageID, Seq: seq, Repeated: repeated}
	if int(seq) < len(w.records[id]) {
		if e, ok := w.records[id][seq].Event.(chat.TurnQueued); ok {
			s.Turns = []chat.TurnID{e.TurnID}
		}
	}
	return s
}

func (w *world) Offer(context.Context, chat.User, chat.ID, []chat.Tool) error          { return nil }
func (w *world) AnswerCall(context.Context, chat.User, chat.ID, chat.AnswerCall) error { return nil }
func (w *world) Decide(context.Context, chat.User, chat.ID, chat.Decide) (chat.Decided, error) {
	return chat.Decided{}, nil
}

func (w *world) Stop(context.Context, chat.User, chat.ID, chat.Stop) (chat.Stopped, error) {
	return chat.Stopped{}, chat.Refuse(chat.CodeNotFound, "no such turn")
}

func (w *world) Follow(ctx context.Context, u chat.User, id chat.ID, from chat.Place, encoder string, tell func(chat.Told) error) error {
	if w.follow != nil {
		return w.follow(ctx, tell)
	}
	info, err := w.Get(ctx, u, id)
	if err != nil {
		return err
	}
	notices := []chat.Notice{chat.Entered{Chat: info}}
	for r := range w.Records(ctx, u, id.Room(), from.Seq) {
		notices = append(notices, chat.Missed{Record: r})
	}
	encode := new(wire.Encode)
	for _, n := range notices {
		if err := tell(chat.Told{Notice: n, Encoded: encode.Encode("", n), More: true}); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// models has one model.
type models struct{}

func (models) List() []chat.Model { return []chat.Model{{ID: "eliza", Provider: "eliza"}} }
func (models) Model(id chat.ModelID) (chat.Model, bool) {
	return chat.Model{ID: id, Provider: "eliza"}, id == "eliza" || id == "org/model:free"
}
func (models) Refusal(id chat.ModelID) *chat.Error {
	return chat.Refuse(chat.CodeNotFound, "there is no model "+string(id))
}

// completer answers with its words, or fails behind them.
type completer struct {
	words []string
	err   error
	wait  time.Duration // before the first word
	calls []chat.ToolCall

	asked []chat.Prompt
}

func (c *completer) Complete(ctx context.Context, _ chat.User, p chat.Prompt, tell func(string) error) (chat.Completed, error) {
	c.asked = append(c.asked, p)
	time.Sleep(c.wait)
	for _, word := range c.words {
		if err := tell(word); err != nil {
			return chat.Completed{}, err
		}
	}
	return chat.Completed{Model: p.Model, Finish: chat.FinishStop, Usage: &chat.Usage{PromptTokens: 1, CompletionTokens: 2, TotalTokens: 3}, Calls: c.calls}, c.err
}

// signIn takes everybody with the key "good" for alice.
func signIn(r *http.Request) (chat.SignIn, error) {
	if r.Header.Get("Authorization") != "Bearer good" {
		return chat.SignIn{}, chat.Refuse(chat.CodeUnauthenticated, "no valid key")
	}
	return chat.SignIn{User: alice}, nil
}

type rig struct {
	world *world
	ai    *completer
	mux   *http.ServeMux
	s     *Server
}

func newRig(o Options) *rig {
	r := &rig{world: newWorld(), ai: &completer{words: []string{"he", "llo"}}, mux: http.NewServeMux()}
	r.start(o)
	return r
}

// start starts a server, also after another one on the same rooms.
func (r *rig) start(o Options) {
	o.Rooms, o.Follower, o.Completer, o.Models, o.SignIn = r.world, r.world, r.ai, models{}, signIn
	if o.Streams == nil {
		o.Streams = live.New(live.Options{})
	}
	r.s, r.mux = New(o), http.NewServeMux()
	r.s.Register(r.mux, "/v1")
}

// ask sends a request with pairs of header fields. It returns nil if the connection was reset.
func (r *rig) ask(ctx context.Context, method, path, body string, header ...string) (answer *httptest.ResponseRecorder) {
	request := httptest.NewRequestWithContext(ctx, method, "/v1"+path, strings.NewReader(body))
	request.Header.Set("Authorization", "Bearer good")
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	answer = httptest.NewRecorder()
	defer func() {
		if p := recover(); p == http.ErrAbortHandler {
			answer = nil
		} else if p != nil {
			panic(p)
		}
	}()
	r.mux.ServeHTTP(answer, request)
	return answer
}
