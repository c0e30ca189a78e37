package title_test

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"parlor/actors/conversation"
	"parlor/actors/ledger"
	"parlor/actors/title"
	"parlor/persistence"
	"parlor/protocol/chat"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// models has every model; those whose names begin with "ear" listen.
type models struct{}

func (models) Model(id chat.ModelID) (chat.Model, bool) {
	m := chat.Model{ID: id}
	if strings.HasPrefix(string(id), "ear") {
		m.APISource = chat.SourceRealtime
	}
	return m, id != "gone"
}
func (models) Refusal(chat.ModelID) *chat.Error           { return nil }
func (models) Named(string) (id chat.ModelID, named bool) { return "", false }

// log is a room's log of these events.
type log []chat.Event

func (l log) Read(string, uint64) iter.Seq2[persistence.Entry, error] {
	return func(yield func(persistence.Entry, error) bool) {
		for i, e := range l {
			seq := uint64(i + 1)
			data, err := chat.Record{Seq: seq, Event: e}.Encode()
			if !yield(persistence.Entry{Seq: seq, Data: data}, err) {
				return
			}
		}
	}
}

// unread is a log that cannot be read behind a first question.
type unread struct{}

func (unread) Read(string, uint64) iter.Seq2[persistence.Entry, error] {
	return func(yield func(persistence.Entry, error) bool) {
		for e, err := range (log{asks("m", "a question")}).Read("", 0) {
			yield(e, err)
		}
		yield(persistence.Entry{}, errors.New("a damaged page"))
	}
}

// provider is asked for titles, and notes it.
type provider struct {
	answer func(ctx context.Context, say func(chat.Delta) bool) error
	asked  []chat.Prompt
}

func (p *provider) Stream(ctx context.Context, asked chat.Prompt) iter.Seq2[chat.Delta, error] {
	p.asked = append(p.asked, asked)
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

func says(pieces ...string) func(context.Context, func(chat.Delta) bool) error {
	return func(_ context.Context, say func(chat.Delta) bool) error {
		for _, p := range pieces {
			say(chat.Delta{Text: p})
		}
		return nil
	}
}

func asks(id chat.MessageID, content string) chat.Event {
	return chat.MessageAdded{MessageID: id, Content: content}
}

func answers(prompt uint64, state chat.State, content string) chat.Event {
	return chat.TurnEnded{PromptSeq: prompt, State: state, Content: content}
}

// give makes a title in a bubble.
func give(t *testing.T, change func(*title.Options), path chat.Path) (made title.Made) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o := &title.Options{
			Policy: title.Policy{On: true}, Models: models{}, Logger: slog.New(slog.DiscardHandler), Goroutines: new(sync.WaitGroup),
			Log: log{asks("m", "What is\nthis?"), answers(1, chat.StateCompleted, "It is that.")},
		}
		change(o)
		n := 0
		cancel := title.Make(o, chat.Info{Room: "room", Owner: "alice", ModelID: "m"}, path, func(m title.Made) { made = m; n++ })
		o.Goroutines.Wait()
		cancel()
		if n != 1 {
			t.Errorf("the title was made %d times", n)
		}
	})
	return made
}

// A chat gets a title whatever happens: the model's, or the first words.
func TestMake(t *testing.T) {
	usage := &chat.Usage{PromptTokens: 1, CompletionTokens: 2, TotalTokens: 3}
	const words = "What is this?"
	for _, test := range []struct {
		name   string
		answer func(context.Context, func(chat.Delta) bool) error
		change func(*title.Options)
		title  string
		model  chat.ModelID // that was asked
		usage  bool
		fails  bool
	}{
		{"the model's", says("\"A fine\n", "title.\"\n"), nil, "A fine title", "m", true, false},
		{"a heading", says("# **Learning C#**"), nil, "Learning C#", "m", true, false},
		{"the word itself", says("**Title:** \"Tea\""), nil, "Tea", "m", true, false},
		{"an announcement", says("Here is a title:\n\n", "*Tea*\n\nI chose it since you asked."), nil, "Tea", "m", true, false},
		{"JSON", says(`{"title": "Tea, \u00e0 la carte"}`), nil, "Tea, à la carte", "m", true, false},
		{"JSON in a fence", says("```json\n{\"title\": \"Tea\"}\n```"), nil, "Tea", "m", true, false},
		{"JSON that was cut", says(`{"title": "Te`), nil, words, "m", true, false},
		{"an apostrophe", says("'90s music"), nil, "'90s music", "m", true, false},
		{"a title with its thought", func(_ context.Context, say func(chat.Delta) bool) error {
			say(chat.Delta{Thought: "hm"})
			say(chat.Delta{Text: "Tea"})
			return nil
		}, nil, "Tea", "m", true, false},
		{"a title that was cut", func(_ context.Context, say func(chat.Delta) bool) error {
			say(chat.Delta{Text: "Tea and", Finish: chat.FinishLength})
			return nil
		}, nil, words, "m", true, false},
		{"thought alone", func(_ context.Context, say func(chat.Delta) bool) error {
			say(chat.Delta{Thought: "hm", Finish: chat.FinishLength})
			return nil
		}, nil, words, "m", true, false},
		{"another model's", says("title"), func(o *title.Options) { o.Policy.Model = "n" }, "title", "n", true, false},
		{"nothing but quotes", says("\"**\""), nil, words, "m", true, false},
		{"nothing at all", says(), nil, words, "m", false, false},
		{"nothing, at a price", func(_ context.Context, say func(chat.Delta) bool) error {
			say(chat.Delta{Usage: usage})
			return nil
		}, nil, words, "m", true, false},
		{"a failure", func(context.Context, func(chat.Delta) bool) error { return errors.New("no") }, nil, words, "m", false, true},
		{"a failure behind some words", func(_ context.Context, say func(chat.Delta) bool) error {
			say(chat.Delta{Text: "A fi"})
			return errors.New("no")
		}, nil, words, "m", true, true},
		{"a bug", func(context.Context, func(chat.Delta) bool) error { panic("a bug") }, nil, words, "m", false, true},
		{"no end", func(ctx context.Context, say func(chat.Delta) bool) error {
			<-ctx.Done()
			return ctx.Err()
		}, nil, words, "m", false, true},
		{"a model that listens", nil, func(o *title.Options) { o.Policy.Model = "ear" }, words, "", false, false},
		{"a model that is not there", nil, func(o *title.Options) { o.Policy.Model = "gone" }, words, "", false, false},
		{"a model that cannot", nil, func(o *title.Options) { o.Able = func(chat.Model) bool { return false } }, words, "", false, false},
		{"a log that cannot be read", nil, func(o *title.Options) { o.Log = unread{} }, "a question", "", false, true},
		{"no words", says("title"), func(o *title.Options) { o.Log = log{asks("m", ""), answers(1, chat.StateCompleted, "Hi.")} }, "title", "m", true, false},
		{"no words, and no title", says(), func(o *title.Options) { o.Log = log{asks("m", ""), answers(1, chat.StateCompleted, "Hi.")} }, "…", "m", false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := &provider{answer: test.answer}
			made := give(t, func(o *title.Options) {
				o.Provider = p
				if test.change != nil {
					test.change(o)
				}
			}, chat.Path{})
			e := made.Record
			if e.Settings.Title != test.title || e.ModelID != test.model || (e.Usage != nil) != test.usage || (made.Err != nil) != test.fails {
				t.Errorf("made %+v, usage %+v, %v", e, e.Usage, made.Err)
			}
			if asked := len(p.asked) > 0; asked != (test.model != "") {
				t.Errorf("the provider was asked: %v", asked)
			}
		})
	}
}

// An answer that is no title is not read to its end.
func TestLongTitle(t *testing.T) {
	said := 0
	p := &provider{answer: func(_ context.Context, say func(chat.Delta) bool) error {
		for said = range 1000 {
			if !say(chat.Delta{Text: "and on and on "}) {
				break
			}
		}
		return nil
	}}
	made := give(t, func(o *title.Options) { o.Provider = p }, chat.Path{})
	if n := len([]rune(made.Record.Settings.Title)); n > chat.MaxTitleLen || said > 100 {
		t.Errorf("a title of %d characters, after %d pieces", n, said)
	}
}

// An answer of any length that comes in one piece is thrown away at once. To take off the
// dots of this one, one by one, would take minutes.
func TestLongTitleInOnePiece(t *testing.T) {
	done := make(chan title.Made)
	go func() {
		done <- give(t, func(o *title.Options) { o.Provider = &provider{answer: says(strings.Repeat(".", 1<<20))} }, chat.Path{})
	}()
	select {
	case made := <-done:
		if made.Record.Settings.Title != "What is this?" {
			t.Errorf("made %+v", made.Record)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the title is still being cleaned")
	}
}

// The owner pays for the title, and gets none from a model if nothing is left.
func TestTitleBeyondTheBudget(t *testing.T) {
	p := &provider{answer: says("title")}
	made := give(t, func(o *title.Options) {
		o.Provider = p
		used := func(yield func(persistence.Charge, error) bool) {
			yield(persistence.Charge{User: "alice", Model: "m", Hour: persistence.HourOf(time.Now()), Count: persistence.Count{Prompt: 10}}, nil)
		}
		var err error
		o.Ledger, err = ledger.New([]ledger.Budget{{User: "alice", Period: ledger.Total, Tokens: 10}}, used, func(id chat.ModelID) (string, chat.ModelID) { return "", id })
		if err != nil {
			t.Fatal(err)
		}
	}, chat.Path{})
	var spent *chat.Error
	if !errors.As(made.Err, &spent) || spent.Code != chat.CodeBudgetExceeded || made.Record.Settings.Title != "What is this?" || len(p.asked) > 0 {
		t.Errorf("made %+v, %v", made.Record, made.Err)
	}
}

// The model is told the first question and the first answer that was completed, in
// excerpts, and nothing that was edited since.
func TestWhatTheModelIsTold(t *testing.T) {
	long := strings.Repeat("é", 3000)
	for _, test := range []struct {
		name             string
		log              log
		path             chat.Path
		question, answer string
	}{
		{"the beginning", log{asks("1", "one"), answers(1, chat.StateCompleted, "first"), asks("2", "two"), answers(3, chat.StateCompleted, "second")}, chat.Path{}, "one", "first"},
		{"the first answer that was completed", log{asks("1", "one"), answers(1, chat.StateFailed, "fi"), asks("2", "two"), answers(3, chat.StateCompleted, "second")}, chat.Path{}, "one", "second"},
		{"no answer", log{asks("1", "one")}, chat.Path{}, "one", ""},
		{"excerpts", log{asks("1", "x"+long), answers(1, chat.StateCompleted, long)}, chat.Path{}, "x" + long[:2<<10-2], long[:2<<10]},
		{"what was edited", log{asks("1", "one"), answers(1, chat.StateCompleted, "first"), asks("2", "other"), answers(3, chat.StateCompleted, "second")},
			chat.Branches{}.After(chat.Record{Seq: 3, Event: chat.MessageAdded{Replaces: "1", ReplacesSeq: 1}}).Current(), "other", "second"},
	} {
		p := &provider{answer: says("title")}
		give(t, func(o *title.Options) { o.Provider, o.Log = p, test.log }, test.path)
		got := p.asked[0].Messages[len(p.asked[0].Messages)-1].Content
		if want := "Question:\n" + test.question + "\n\nAnswer:\n" + test.answer; got != want {
			t.Errorf("%s: the model was told\n%.100q, want\n%.100q", test.name, got, want)
		}
	}
}

// Somebody may have given a title meanwhile, or changed other settings: both stay.
func TestRecord(t *testing.T) {
	usage := &chat.Usage{TotalTokens: 1}
	made := chat.Configured{Settings: chat.Settings{Title: "made"}, ModelID: "m"}
	spent := made
	spent.Usage = usage
	for _, test := range []struct {
		name   string
		made   chat.Configured
		now    chat.Settings
		titled bool
		want   []chat.Event
	}{
		{"nobody has", made, chat.Settings{Policy: chat.PolicySteer}, false,
			[]chat.Event{chat.Configured{Settings: chat.Settings{Title: "made", Policy: chat.PolicySteer}, ModelID: "m"}}},
		{"somebody has", made, chat.Settings{Title: "given"}, true, nil},
		{"somebody has taken it away", made, chat.Settings{}, true, nil},
		{"somebody has, and it has cost something", spent, chat.Settings{Title: "given"}, true,
			[]chat.Event{chat.Configured{Settings: chat.Settings{Title: "given"}, ModelID: "m", Usage: usage}}},
	} {
		head := conversation.State{Chat: chat.Info{Settings: test.now}, Titled: test.titled}
		if diff := cmp.Diff(test.want, title.Record(title.Made{Record: test.made})(&head)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}
