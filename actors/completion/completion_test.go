package completion_test

import (
	"context"
	"errors"
	"iter"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"parlor/actors/completion"
	"parlor/actors/ledger"
	"parlor/persistence"
	"parlor/protocol/chat"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// models has every model but "gone". The model "ear" listens, and "told" is told something.
type models struct{}

func (models) Model(id chat.ModelID) (chat.Model, bool) {
	m := chat.Model{ID: id}
	switch id {
	case "ear":
		m.APISource = chat.SourceRealtime
	case "told":
		m.SystemPrompt = "be brief"
	}
	return m, id != "gone"
}
func (models) Refusal(id chat.ModelID) *chat.Error {
	if id == "gone" {
		return chat.Refuse(chat.CodeNotFound, "there is no model gone")
	}
	return nil
}
func (models) Named(string) (id chat.ModelID, named bool) { return "", false }

// provider answers as a test says, and notes what it was asked.
type provider struct {
	answer func(ctx context.Context, say func(chat.Delta) bool) error

	mu    sync.Mutex
	asked []chat.Prompt
}

func (p *provider) Stream(ctx context.Context, asked chat.Prompt) iter.Seq2[chat.Delta, error] {
	p.mu.Lock()
	p.asked = append(p.asked, asked)
	p.mu.Unlock()
	return func(yield func(chat.Delta, error) bool) {
		more := true
		err := p.answer(ctx, func(d chat.Delta) bool {
			more = more && yield(d, nil)
			return more
		})
		if more && err != nil {
			yield(chat.Delta{}, err)
		}
	}
}

// says is an answer of these deltas.
func says(deltas ...chat.Delta) func(context.Context, func(chat.Delta) bool) error {
	return func(_ context.Context, say func(chat.Delta) bool) error {
		for _, d := range deltas {
			if !say(d) {
				return nil
			}
		}
		return nil
	}
}

// hangs says a word, and then nothing until its context ends.
func hangs(ctx context.Context, say func(chat.Delta) bool) error {
	say(chat.Delta{Text: "word"})
	<-ctx.Done()
	return ctx.Err()
}

// log notes the charges.
type log struct {
	mu      sync.Mutex
	charges []persistence.Charge
	broken  error
}

func (l *log) Charge(c persistence.Charge, done func(error)) {
	l.mu.Lock()
	c.Hour = 0
	l.charges = append(l.charges, c)
	l.mu.Unlock()
	go done(l.broken)
}

var (
	alice  = chat.User{ID: "alice"}
	prompt = chat.Prompt{Model: "m", Messages: []chat.PromptMessage{{Role: chat.RoleUser, Content: "hello"}}}
)

func charge(model string, estimated, in, out uint64) persistence.Charge {
	return persistence.Charge{User: "alice", Model: model, Count: persistence.Count{Turns: 1, Estimated: estimated, Prompt: in, Completion: out}}
}

func code(err error) chat.Code {
	if err == nil {
		return ""
	}
	return chat.AsError(err).Code
}

func TestComplete(t *testing.T) {
	usage := &chat.Usage{PromptTokens: 5, CompletionTokens: 7, TotalTokens: 12}
	for name, test := range map[string]struct {
		answer  func(context.Context, func(chat.Delta) bool) error
		text    string
		code    chat.Code
		done    chat.Completed
		charges []persistence.Charge
	}{
		"told with its usage": {
			says(chat.Delta{Text: "he"}, chat.Delta{Text: "llo"}, chat.Delta{Finish: chat.FinishLength, Usage: usage}),
			"hello", "", chat.Completed{Model: "m", Finish: chat.FinishLength, Usage: usage}, []persistence.Charge{charge("m", 0, 5, 7)},
		},
		"estimated": {
			says(chat.Delta{Thought: "12345678"}, chat.Delta{Text: "1234"}),
			"1234", "", chat.Completed{Model: "m", Usage: chat.EstimateUsage(6, 3)}, []persistence.Charge{charge("m", 1, 6, 3)},
		},
		"by a fallback": {
			says(chat.Delta{Retrying: chat.Refuse(chat.CodeProviderError, "x"), Model: "other"}, chat.Delta{Text: "hi", Usage: usage}),
			"hi", "", chat.Completed{Model: "other", Usage: usage}, []persistence.Charge{charge("other", 0, 5, 7)},
		},
		"failed before the first word": {
			func(context.Context, func(chat.Delta) bool) error {
				return chat.Refuse(chat.CodeProviderTimeout, "late")
			},
			"", chat.CodeProviderTimeout, chat.Completed{Model: "m"}, nil,
		},
		"failed behind it": {
			func(_ context.Context, say func(chat.Delta) bool) error {
				say(chat.Delta{Text: "1234"})
				return errors.New("cut")
			},
			"1234", chat.CodeInternal, chat.Completed{Model: "m", Usage: chat.EstimateUsage(6, 1)}, []persistence.Charge{charge("m", 1, 6, 1)},
		},
		"calls alone": {
			says(chat.Delta{Calls: &chat.Calls{List: []chat.ToolCall{{Given: "c1", Name: "pay", Arguments: "{}"}}}}, chat.Delta{Finish: chat.FinishStop, Usage: usage}),
			"", "", chat.Completed{Model: "m", Finish: chat.FinishStop, Usage: usage, Calls: []chat.ToolCall{{Given: "c1", Name: "pay", Arguments: "{}"}}}, []persistence.Charge{charge("m", 0, 5, 7)},
		},
		"calls too long": {
			says(chat.Delta{Calls: &chat.Calls{List: []chat.ToolCall{{Name: "pay", Arguments: strings.Repeat("x", 100)}}}}),
			"", chat.CodeProviderError, chat.Completed{Model: "m", Usage: chat.EstimateUsage(6, 0), Calls: []chat.ToolCall{{Name: "pay", Arguments: strings.Repeat("x", 100)}}}, []persistence.Charge{charge("m", 1, 6, 0)},
		},
		"silent": {says(), "", chat.CodeProviderError, chat.Completed{Model: "m"}, nil},
		"too long": {
			says(chat.Delta{Text: "1234"}, chat.Delta{Text: strings.Repeat("x", 100)}),
			"1234", chat.CodeProviderError, chat.Completed{Model: "m", Usage: chat.EstimateUsage(6, 1)}, []persistence.Charge{charge("m", 1, 6, 1)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, text := new(log), ""
			c := completion.New(completion.Options{Provider: &provider{answer: test.answer}, Models: models{}, Log: l, MaxAnswerBytes: 50})
			done, err := c.Complete(t.Context(), alice, prompt, func(piece string) error { text += piece; return nil })
			if text != test.text || code(err) != test.code {
				t.Errorf("said %q, %v, want %q, %q", text, err, test.text, test.code)
			}
			if diff := cmp.Diff(test.done, done, cmpopts.IgnoreFields(chat.ToolCall{}, "ID")); diff != "" {
				t.Errorf("done (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.charges, l.charges); diff != "" {
				t.Errorf("charges (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPrompt(t *testing.T) {
	p := &provider{answer: says(chat.Delta{Text: "hi"})}
	c := completion.New(completion.Options{Provider: p, Models: models{}, Log: new(log), SystemPrompt: "be here"})
	if _, err := c.Complete(t.Context(), alice, chat.Prompt{Model: "told", Messages: prompt.Messages}, func(string) error { return nil }); err != nil {
		t.Fatal(err)
	}
	got := p.asked[0]
	if len(got.Messages) != 2 || !strings.HasPrefix(got.Messages[0].Content, "be here\n\nbe brief\n\nToday is ") || !reflect.DeepEqual(got.Messages[1], prompt.Messages[0]) || got.User != "alice" {
		t.Errorf("asked %+v", got)
	}
	for id, want := range map[chat.ModelID]chat.Code{"gone": chat.CodeNotFound, "ear": chat.CodeInvalid} {
		if _, err := c.Complete(t.Context(), alice, chat.Prompt{Model: id}, nil); code(err) != want {
			t.Errorf("model %s: %v, want %s", id, err, want)
		}
	}
	if len(p.asked) != 1 {
		t.Errorf("asked %d times", len(p.asked))
	}
}

// A budget holds before an answer, in it, and for the next one.
func TestBudget(t *testing.T) {
	budgets := func(tokens int64) *ledger.Ledger {
		l, err := ledger.New([]ledger.Budget{{User: "*", Period: ledger.Total, Tokens: tokens}}, func(func(persistence.Charge, error) bool) {},
			func(id chat.ModelID) (string, chat.ModelID) { return "", id })
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	p := &provider{answer: func(_ context.Context, say func(chat.Delta) bool) error {
		for say(chat.Delta{Text: "1234"}) {
		}
		return nil
	}}
	for _, test := range []struct {
		tokens int64
		asked  int
	}{{5, 0}, {9, 1}} {
		p.asked = nil
		l := new(log)
		c := completion.New(completion.Options{Provider: p, Models: models{}, Log: l, Ledger: budgets(test.tokens)})
		for range 2 {
			if _, err := c.Complete(t.Context(), alice, prompt, func(string) error { return nil }); code(err) != chat.CodeBudgetExceeded {
				t.Errorf("%d tokens: %v", test.tokens, err)
			}
		}
		if len(p.asked) != test.asked || len(l.charges) != test.asked {
			t.Errorf("%d tokens: asked %d times, charged %v, want %d", test.tokens, len(p.asked), l.charges, test.asked)
		}
	}
}

func TestLimitsAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &log{broken: persistence.ErrClosed}
		c := completion.New(completion.Options{Provider: &provider{answer: hangs}, Models: models{}, Log: l, PerUser: 2, Timeout: time.Minute})
		ends := make(chan error, 4)
		run := func(ctx context.Context, u chat.User) {
			go func() {
				_, err := c.Complete(ctx, u, prompt, func(string) error { return nil })
				ends <- err
			}()
			synctest.Wait()
		}
		leaves, leave := context.WithCancel(t.Context())
		run(leaves, alice)
		run(t.Context(), alice)
		run(t.Context(), alice)
		if err := <-ends; code(err) != chat.CodeRateLimited || chat.AsError(err).RetryAfter == 0 {
			t.Errorf("the third at once: %v", err)
		}
		run(t.Context(), chat.User{ID: "bob"})
		leave()
		if err := <-ends; !errors.Is(err, context.Canceled) {
			t.Errorf("whose client has gone: %v", err)
		}
		time.Sleep(time.Minute)
		for range 2 {
			if err := <-ends; code(err) != chat.CodeProviderTimeout {
				t.Errorf("after its time: %v", err)
			}
		}
		run(t.Context(), alice)
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-ends; code(err) != chat.CodeStorageUnavailable {
			t.Errorf("when the server stops: %v", err)
		}
		run(t.Context(), alice)
		if err := <-ends; code(err) != chat.CodeStorageUnavailable {
			t.Errorf("after that: %v", err)
		}
		if len(l.charges) != 4 {
			t.Errorf("charged %d times, want 4", len(l.charges))
		}
	})
}

// The file holds what was used, and no chat.
func TestStored(t *testing.T) {
	path := filepath.Join(t.TempDir(), "parlor.db")
	store, err := persistence.Open(path, persistence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := completion.New(completion.Options{Provider: &provider{answer: says(chat.Delta{Text: "hello"})}, Models: models{}, Log: store})
	for range 2 {
		if _, err := c.Complete(t.Context(), alice, prompt, func(string) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	var faults []persistence.Fault
	sum, err := persistence.Check(path, persistence.Checking{Report: func(f persistence.Fault) { faults = append(faults, f) }})
	if err != nil || len(faults) > 0 || sum.Chats+sum.Records > 0 {
		t.Errorf("check: %v, %v, %+v", err, faults, sum)
	}
	if store, err = persistence.Open(path, persistence.Options{}); err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	turns := uint64(0)
	for c, err := range store.ChargesOf("alice", 0, persistence.EndOfHours) {
		if err != nil || c.Room != "" {
			t.Errorf("charge %+v, %v", c, err)
		}
		turns += c.Turns
	}
	if turns != 2 {
		t.Errorf("%d turns were charged, want 2", turns)
	}
}
