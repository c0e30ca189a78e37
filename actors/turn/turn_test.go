package turn_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/ledger"
	"parlor/actors/turn"
	"parlor/persistence"
	"parlor/protocol/chat"
)

func wantNotes(t *testing.T, r *room, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, r.noted()); diff != "" {
		t.Errorf("the room was told (-want +got):\n%s", diff)
	}
}

// wantEnd checks the end of the attempt: its state, code and text.
func wantEnd(t *testing.T, r *room, state chat.State, code chat.Code, content string) {
	t.Helper()
	end := r.end()
	if end == nil {
		t.Fatal("the attempt goes on")
	}
	var got chat.Code
	if end.Error != nil {
		got = end.Error.Code
	}
	if end.State != state || got != code || end.Content != content {
		t.Errorf("ended %s, %q, %q; want %s, %q, %q", end.State, got, end.Content, state, code, content)
	}
}

// An answer is told piece by piece, and ends as its stream does.
func TestAnswer(t *testing.T) {
	usage := &chat.Usage{PromptTokens: 1, CompletionTokens: 2, TotalTokens: 3}
	p := func(_ context.Context, p chat.Prompt, say func(chat.Delta) bool) error {
		say(chat.Delta{Retrying: chat.Refuse(chat.CodeProviderError, "once more")})
		say(chat.Delta{Model: "n"})
		say(chat.Delta{Text: "one \xff"})
		say(chat.Delta{Tool: &chat.ToolCall{ID: "call"}})
		say(chat.Delta{Audio: "AAAA", Text: "two"})
		say(chat.Delta{Usage: &chat.Usage{PromptTokens: -1}})
		say(chat.Delta{Usage: usage})
		return nil
	}
	attempt(t, p, nil, func(r *room) {
		r.start(nil)
		wantNotes(t, r, "remember 20 tokens",
			"progress: retrying provider_error: once more, model \"\"",
			"text \"one \uFFFD\" behind 0 bytes", "advance, with 1 tools, ended false",
			"chat.Speech", "text \"two\" behind 7 bytes", "advance, with 1 tools, ended true")
		wantEnd(t, r, chat.StateCompleted, "", "one \uFFFDtwo")
		if e := r.end(); e.ModelID != "n" || *e.Usage != *usage || e.Modality != chat.ModalityAudio {
			t.Errorf("ended %+v", e)
		}
	})
}

// Thought is told as it comes, and recorded with the end: no more of it than half of the
// longest answer. If the model is asked again it thinks anew.
func TestThought(t *testing.T) {
	p := func(_ context.Context, _ chat.Prompt, say func(chat.Delta) bool) error {
		say(chat.Delta{Thought: "in vain"})
		say(chat.Delta{Retrying: chat.Refuse(chat.CodeProviderError, "once more")})
		say(chat.Delta{Thought: "so "})
		say(chat.Delta{Thought: "then\xff"})
		say(chat.Delta{Thought: strings.Repeat("x", 50)})
		say(chat.Delta{Thought: "y"})
		say(chat.Delta{Text: "answer", Finish: chat.FinishStop})
		say(chat.Delta{Finish: chat.FinishLength})
		return nil
	}
	attempt(t, p, nil, func(r *room) {
		r.start(nil)
		wantNotes(t, r, "remember 20 tokens",
			`thought "in vain" behind 0 bytes`, `progress: retrying provider_error: once more, model ""`,
			`thought "so " behind 0 bytes`, "thought \"then\uFFFD\" behind 3 bytes", `text "answer" behind 0 bytes`, "advance, with 0 tools, ended true")
		wantEnd(t, r, chat.StateCompleted, "", "answer")
		if e := r.end(); e.Thought != "so then\uFFFD" || e.Finish != chat.FinishLength || e.Usage.CompletionTokens < 15 {
			t.Errorf("ended %+v, usage %+v", e, e.Usage)
		}
	})
}

// An answer without words is none: the turn fails, and says why.
func TestNoWords(t *testing.T) {
	for _, test := range []struct {
		deltas []chat.Delta
		text   string
		why    string
	}{
		{nil, "", "sent no text"},
		{[]chat.Delta{{Text: " \n"}, {Finish: chat.FinishStop}}, " \n", "sent no text"},
		{[]chat.Delta{{Thought: "hm"}, {Finish: chat.FinishStop}}, "", "only thought"},
		{[]chat.Delta{{Thought: "hm"}, {Finish: chat.FinishLength}}, "", "thought until it reached its limit of tokens"},
		{[]chat.Delta{{Finish: chat.FinishLength}}, "", "limit of tokens before the first word"},
		{[]chat.Delta{{Finish: chat.FinishFilter}}, "", "filter"},
		{[]chat.Delta{{Finish: chat.FinishRefusal}}, "", "refused"},
		{[]chat.Delta{{Finish: chat.FinishToolCalls}}, "", "tool"},
		{[]chat.Delta{{Finish: chat.FinishContext}}, "", "longer than it can read"},
		{[]chat.Delta{{Finish: chat.FinishPause}}, "", "paused"},
	} {
		p := func(_ context.Context, _ chat.Prompt, say func(chat.Delta) bool) error {
			for _, d := range test.deltas {
				say(d)
			}
			return nil
		}
		attempt(t, p, nil, func(r *room) {
			r.start(nil)
			wantEnd(t, r, chat.StateFailed, chat.CodeProviderError, test.text)
			if e := r.end(); !strings.Contains(e.Error.Message, test.why) {
				t.Errorf("%+v: failed with %q, want %q", test.deltas, e.Error.Message, test.why)
			} else if (e.Usage != nil) != (test.deltas != nil) { // a filter, too, has read the prompt
				t.Errorf("%+v: charged %+v", test.deltas, e.Usage)
			}
		})
	}
}

// An attempt ends in its own time, whatever its provider does; and once.
func TestEnds(t *testing.T) {
	hangs := func(ctx context.Context, _ chat.Prompt, say func(chat.Delta) bool) error {
		say(chat.Delta{Text: "so far"})
		<-ctx.Done()
		say(chat.Delta{Text: ", and more"})
		return ctx.Err()
	}
	failure := chat.Refuse(chat.CodeProviderError, "no")
	for _, test := range []struct {
		name    string
		p       provider
		do      func(r *room)
		state   chat.State
		code    chat.Code
		content string
	}{
		{"time is up", hangs, func(*room) { time.Sleep(time.Minute); synctest.Wait() }, chat.StateFailed, chat.CodeProviderTimeout, "so far"},
		{"stopped", hangs, func(r *room) { r.do(func() { r.attempt.FinishStopped("bob", "enough") }) }, chat.StateStopped, "", "so far"},
		{"stopped as somebody has recorded", hangs, func(r *room) {
			r.do(func() {
				end := r.End(r.attempt.Turn())
				end.State = chat.StateStopped
				r.attempt.Stop(end)
				r.Advance()
			})
		}, chat.StateStopped, "", "so far"},
		{"failed", func(_ context.Context, _ chat.Prompt, say func(chat.Delta) bool) error {
			say(chat.Delta{Text: "so"})
			return failure
		}, nil, chat.StateFailed, chat.CodeProviderError, "so"},
		{"failed without a reason for members", func(context.Context, chat.Prompt, func(chat.Delta) bool) error {
			return errors.New("open /etc/secret")
		}, nil, chat.StateFailed, chat.CodeInternal, ""},
		{"panicked", func(context.Context, chat.Prompt, func(chat.Delta) bool) error { panic("a bug") }, nil, chat.StateFailed, chat.CodeInternal, ""},
		{"too long", func(_ context.Context, _ chat.Prompt, say func(chat.Delta) bool) error {
			say(chat.Delta{Text: strings.Repeat("x", 100)})
			say(chat.Delta{Text: "y"})
			return nil
		}, nil, chat.StateFailed, chat.CodeProviderError, strings.Repeat("x", 100)},
	} {
		t.Run(test.name, func(t *testing.T) {
			attempt(t, test.p, nil, func(r *room) {
				r.start(nil)
				if test.do != nil {
					test.do(r)
				}
				wantEnd(t, r, test.state, test.code, test.content)
				r.noted()
				time.Sleep(2 * time.Minute) // the time of the attempt, and of what is to be saved
				synctest.Wait()
				wantNotes(t, r)
			})
		})
	}
}

// A stream is not read further while its pieces wait for a room that is busy.
func TestWindow(t *testing.T) {
	read := 0
	p := func(_ context.Context, _ chat.Prompt, say func(chat.Delta) bool) error {
		for range 90 {
			read++
			say(chat.Delta{Text: "x"})
		}
		return nil
	}
	attempt(t, p, nil, func(r *room) {
		free := make(chan struct{})
		r.do(func() {
			r.attempt.Start(nil)
			<-free
		})
		if read != 17 { // what waits, and one in hand
			t.Errorf("%d pieces were read, want 17", read)
		}
		close(free)
		synctest.Wait()
		wantEnd(t, r, chat.StateCompleted, "", strings.Repeat("x", 90))
	})
}

// speak is a provider that says the pieces, each when the time before it has passed.
func speak(pieces ...any) provider {
	return func(ctx context.Context, _ chat.Prompt, say func(chat.Delta) bool) error {
		for _, p := range pieces {
			switch p := p.(type) {
			case time.Duration:
				if !pause(ctx, p) {
					return ctx.Err()
				}
			case string:
				say(chat.Delta{Text: p})
			}
		}
		return nil
	}
}

// saved returns what the room was asked to save since it was asked last.
func (r *room) saved() (saves []string) {
	for _, n := range r.noted() {
		if strings.HasPrefix(n, "save") {
			saves = append(saves, n)
		}
	}
	return saves
}

// The text is saved a while after it was said, or at once if it is much; one piece
// at a time, and again if that failed.
func TestSaving(t *testing.T) {
	much := strings.Repeat("m", 50)
	p := speak("one", 500*time.Millisecond, "two", time.Second, "three", 100*time.Millisecond, much, 100*time.Millisecond, "end", time.Hour)
	attempt(t, p, nil, func(r *room) {
		check := func(at time.Duration, want ...string) {
			t.Helper()
			time.Sleep(at)
			synctest.Wait()
			if diff := cmp.Diff(want, r.saved()); diff != "" {
				t.Errorf("saved (-want +got):\n%s", diff)
			}
		}
		answer := func(err error) {
			r.do(func() { r.saves[0](err); r.saves = r.saves[1:] })
		}
		r.start(nil)
		check(999 * time.Millisecond)
		check(time.Millisecond, `save "onetwo" behind 0 bytes`) // at 1.0
		answer(nil)
		check(600*time.Millisecond, `save "three`+much+`" behind 6 bytes`) // at 1.6
		check(200 * time.Millisecond)                                      // "end" was said meanwhile
		answer(errors.New("the disk is full"))
		check(999 * time.Millisecond)
		check(time.Millisecond, `save "three`+much+`end" behind 6 bytes`)
		answer(nil)
		check(time.Minute / 2)
	})
}

// A disk that is slower than the time between two savings delays the next one only.
func TestSavingOnASlowDisk(t *testing.T) {
	p := speak("one", 1500*time.Millisecond, "two", time.Hour)
	attempt(t, p, nil, func(r *room) {
		r.start(nil)
		time.Sleep(3 * time.Second) // it is time to save "two", and "one" is not on disk
		synctest.Wait()
		if diff := cmp.Diff([]string{`save "one" behind 0 bytes`}, r.saved()); diff != "" {
			t.Errorf("saved (-want +got):\n%s", diff)
		}
		r.do(func() { r.saves[0](nil) })
		time.Sleep(time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{`save "two" behind 3 bytes`}, r.saved()); diff != "" {
			t.Errorf("saved (-want +got):\n%s", diff)
		}
	})
}

// budget returns a ledger with tokens left for each model of those named.
func budget(t *testing.T, left map[chat.ModelID]int64) *ledger.Ledger {
	t.Helper()
	var budgets []ledger.Budget
	for model, tokens := range left {
		budgets = append(budgets, ledger.Budget{Model: string(model), Period: ledger.Total, Tokens: tokens})
	}
	nothing := func(func(persistence.Charge, error) bool) {}
	l, err := ledger.New(budgets, iter.Seq2[persistence.Charge, error](nothing), func(id chat.ModelID) (string, chat.ModelID) { return "", id })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// spend uses tokens of a model until the ledger is told otherwise.
func spend(l *ledger.Ledger, model chat.ModelID, tokens uint64) {
	l.Record([]persistence.Charge{{User: "bob", Model: string(model), Hour: persistence.HourOf(time.Now()), Count: persistence.Count{Prompt: tokens}}})
}

// Nobody is asked for whom nothing is left, and an answer ends where that is so.
func TestSpending(t *testing.T) {
	asked := 0
	p := func(_ context.Context, _ chat.Prompt, say func(chat.Delta) bool) error {
		asked++
		say(chat.Delta{Text: "1234"}) // a token
		say(chat.Delta{Text: "5678"})
		say(chat.Delta{Text: "9abc"})
		return nil
	}
	for _, test := range []struct {
		name    string
		left    int64 // of the model
		content string
		asked   int
	}{
		{"nothing is left", 0, "", 0},
		{"too little for the prompt", 19, "", 0},
		{"enough for the prompt", 20, "1234", 1},
		{"enough for a piece", 21, "12345678", 1}, // the piece that crosses it is said
		{"enough", 23, "123456789abc", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			asked = 0
			attempt(t, p, func(o *turn.Options) {
				o.Ledger = budget(t, map[chat.ModelID]int64{"m": 1000})
				spend(o.Ledger, "m", uint64(1000-test.left))
			}, func(r *room) {
				r.start(nil)
				if test.left >= 23 {
					wantEnd(t, r, chat.StateCompleted, "", test.content)
				} else {
					wantEnd(t, r, chat.StateFailed, chat.CodeBudgetExceeded, test.content)
				}
				if asked != test.asked {
					t.Errorf("the provider was asked %d times, want %d", asked, test.asked)
				}
				if usage := r.end().Usage; asked > 0 != (usage != nil) {
					t.Errorf("usage %+v", usage)
				}
			})
		})
	}
}

// The model that answers in place of another is charged for all of it, and the other one
// for nothing.
func TestSubstituteIsChargedInstead(t *testing.T) {
	p := func(ctx context.Context, _ chat.Prompt, say func(chat.Delta) bool) error {
		say(chat.Delta{Model: "n"})
		say(chat.Delta{Text: "1234"})
		<-ctx.Done()
		return nil
	}
	left := func(l *ledger.Ledger, model chat.ModelID, tokens uint64) bool {
		spend(l, model, tokens)
		return l.Check(ledger.Account{Model: model}) == nil
	}
	var l *ledger.Ledger
	change := func(o *turn.Options) { l = budget(t, map[chat.ModelID]int64{"m": 100, "n": 100}); o.Ledger = l }
	attempt(t, p, change, func(r *room) {
		r.start(nil)
		if !left(l, "m", 99) {
			t.Error("the model that was asked is charged")
		}
		if !left(l, "n", 78) || left(l, "n", 1) { // 20 of the prompt, 1 of the answer
			t.Error("the model that answers is not charged for 21 tokens")
		}
		if r.end() != nil {
			t.Error("it has ended though it may use all that is left")
		}
		spend(l, "n", 1) // somebody else crosses it
		synctest.Wait()
		wantEnd(t, r, chat.StateFailed, chat.CodeBudgetExceeded, "1234")
		r.do(r.attempt.Release)
		if !left(l, "n", 0) {
			t.Error("an attempt that was recorded is charged by estimate")
		}
	})
	attempt(t, p, func(o *turn.Options) { change(o); spend(l, "n", 100) }, func(r *room) {
		r.start(nil)
		wantEnd(t, r, chat.StateFailed, chat.CodeBudgetExceeded, "")
	})
}

// line is a session with a model, which notes what it is asked.
type line struct{ r *room }

func (l *line) Ask(id chat.MessageID, p chat.Prompt) {
	l.r.note("ask for %s, with %d messages", id, len(p.Messages))
}
func (l *line) Cancel(id chat.MessageID) { l.r.note("cancel %s", id) }

// On a line the attempt composes, and asks there; the provider is not asked again.
func TestOnALine(t *testing.T) {
	p := func(context.Context, chat.Prompt, func(chat.Delta) bool) error { panic("not on the line") }
	lost := chat.Refuse(chat.CodeProviderError, "lost")
	for _, test := range []struct {
		name  string
		end   func(a *turn.Attempt)
		state chat.State
		code  chat.Code
		notes []string
	}{
		{"completed", func(a *turn.Attempt) { a.FinishAnswer(chat.Ended{State: chat.StateCompleted}, lost) }, chat.StateCompleted, "",
			[]string{"advance, with 0 tools, ended true"}},
		{"stopped by the provider", func(a *turn.Attempt) { a.FinishAnswer(chat.Ended{State: chat.StateStopped}, lost) }, chat.StateStopped, "",
			[]string{"advance, with 0 tools, ended true"}},
		{"failed", func(a *turn.Attempt) {
			a.FinishAnswer(chat.Ended{State: chat.StateFailed, Error: chat.Refuse(chat.CodeBusy, "no")}, lost)
		}, chat.StateFailed, chat.CodeBusy, []string{"advance, with 0 tools, ended true"}},
		{"failed without a reason", func(a *turn.Attempt) { a.FinishAnswer(chat.Ended{State: chat.StateFailed}, lost) }, chat.StateFailed, chat.CodeProviderError,
			[]string{"advance, with 0 tools, ended true"}},
		{"the line has ended", func(a *turn.Attempt) { a.FinishLine(lost) }, chat.StateFailed, chat.CodeProviderError,
			[]string{"advance, with 0 tools, ended true"}},
		{"the line has ended after the answer", func(a *turn.Attempt) {
			a.FinishAnswer(chat.Ended{State: chat.StateCompleted}, lost)
			a.FinishLine(lost)
		}, chat.StateCompleted, "", []string{"advance, with 0 tools, ended true"}},
		{"stopped", func(a *turn.Attempt) { a.FinishStopped("bob", "barge-in"); a.Cancel() }, chat.StateStopped, "",
			[]string{"cancel answer", "advance, with 0 tools, ended true"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			attempt(t, p, nil, func(r *room) {
				l := &line{r}
				r.start(l)
				wantNotes(t, r, "remember 20 tokens", "ask for answer, with 2 messages")
				r.do(func() {
					if !r.attempt.OnLine() || !r.attempt.On(l) || r.attempt.On(&line{r}) {
						t.Error("it is not on its line")
					}
					r.attempt.Take(chat.Delta{Text: "so far"})
				})
				r.noted()
				r.do(func() { test.end(r.attempt) })
				wantNotes(t, r, test.notes...)
				wantEnd(t, r, test.state, test.code, "so far")
			})
		})
	}
}
