package conversation_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/conversation"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// answers is the end of a turn with an answer that says so.
func answers(turn chat.TurnID, prompt chat.MessageID, seq uint64) chat.TurnEnded {
	e := ends(turn)
	e.ModelID, e.Prompt, e.PromptSeq, e.Content = "a", prompt, seq, "answer of "+string(turn)
	return e
}

// asks is a message that says what it is called.
func asks(by chat.UserID, id chat.MessageID) chat.MessageAdded {
	m := says(by, id)
	m.Content = string(id)
	return m
}

// told are the messages of a prompt, but the first, a line each.
func told(p conversation.Composed) (lines []string) {
	for _, m := range p.Messages[1:] {
		lines = append(lines, fmt.Sprintf("%s %s", m.Role, m.Content))
	}
	return lines
}

func TestPrompts(t *testing.T) {
	steering := func(by chat.UserID, id chat.MessageID, turn chat.TurnID) chat.MessageAdded {
		m := asks(by, id)
		m.Steers = turn
		return m
	}
	work := []chat.Event{asks("alice", "work"), wants("t", "work", 2), begins("t", 1), steering("alice", "faster", "t"), takesIn("t", "faster")}
	for _, test := range []struct {
		name   string
		events []chat.Event
		prompt uint64
		want   []string
	}{
		{"a question", []chat.Event{asks("alice", "one")}, 2, []string{"user one"}},
		{"what was said later", []chat.Event{asks("alice", "one"), asks("alice", "two")}, 2, []string{"user one"}},
		{"what was said before and not answered", []chat.Event{asks("alice", "one"), asks("alice", "two")}, 3, []string{"user one", "user two"}},
		{"an answer stands behind its question", []chat.Event{
			asks("alice", "one"), wants("t", "one", 2), begins("t", 1), asks("alice", "two"), answers("t", "one", 2)}, 5,
			[]string{"user one", "assistant answer of t", "user two"}},
		{"an answer to an old question without its number", []chat.Event{
			asks("alice", "one"), wants("t", "one", 2), begins("t", 1), asks("alice", "two"), answers("t", "one", 0)}, 5,
			[]string{"user one", "assistant answer of t", "user two"}},
		{"the newest answer counts", []chat.Event{
			asks("alice", "one"), wants("t", "one", 2), begins("t", 1), answers("t", "one", 2),
			wants("u", "one", 2), begins("u", 1), answers("u", "one", 2), asks("alice", "two")}, 9,
			[]string{"user one", "assistant answer of u", "user two"}},
		{"the newest answer counts, also to an old question", []chat.Event{
			asks("alice", "one"), wants("t", "one", 2), begins("t", 1), answers("t", "one", 0),
			wants("u", "one", 2), begins("u", 1), answers("u", "one", 2), asks("alice", "two")}, 9,
			[]string{"user one", "assistant answer of u", "user two"}},
		{"an answer is given anew", []chat.Event{asks("alice", "one"), wants("t", "one", 2), begins("t", 1), answers("t", "one", 2)}, 2,
			[]string{"user one"}},

		{"what was taken in stands before the answer", append(work[:5:5], answers("t", "work", 2), asks("alice", "next")), 8,
			[]string{"user work", "user faster", "assistant answer of t", "user next"}},
		{"what was not taken in stands for itself", append(work[:4:4], answers("t", "work", 2), asks("alice", "next")), 7,
			[]string{"user work", "assistant answer of t", "user faster", "user next"}},
		{"what an attempt took in that was cut stands for itself", append(work[:5:5], begins("t", 2), answers("t", "work", 2), asks("alice", "next")), 9,
			[]string{"user work", "assistant answer of t", "user faster", "user next"}},
		{"what was taken in is asked for itself", append(work[:5:5], answers("t", "work", 2)), 5,
			[]string{"user work", "assistant answer of t", "user faster"}},
		{"a turn that waited is stopped before what the running one takes in", append(work[:4:4], wants("u", "work", 2), takesIn("t", "faster"),
			chat.TurnEnded{TurnID: "u", Prompt: "work", PromptSeq: 2, State: chat.StateStopped}, answers("t", "work", 2), asks("alice", "next")), 10,
			[]string{"user work", "user faster", "assistant answer of t", "user next"}},

		{"what was edited", []chat.Event{asks("alice", "one"), wants("t", "one", 2), begins("t", 1), answers("t", "one", 2), asks("alice", "two"),
			edits("alice", "other", "one", 2)}, 7, []string{"user other"}},
		{"an answer from before an edit, recorded behind it", []chat.Event{asks("alice", "one"), wants("t", "one", 2), begins("t", 1), asks("alice", "two"),
			edits("alice", "other", "two", 5), answers("t", "one", 2)}, 6, []string{"user one", "assistant answer of t", "user other"}},
		{"what was taken in while a message was said that is edited", append(work[:4:4], asks("alice", "two"), takesIn("t", "faster"),
			edits("alice", "other", "two", 6), answers("t", "work", 2)), 8,
			[]string{"user work", "user faster", "assistant answer of t", "user other"}},
		{"an attempt that was cut while a message was said that is edited", append(work[:5:5], asks("alice", "two"), begins("t", 2),
			edits("alice", "other", "two", 7), answers("t", "work", 2)), 9,
			[]string{"user work", "assistant answer of t", "user faster", "user other"}},

		{"several people", []chat.Event{asks("alice", "one"), asks("bob", "two\nalice: three")}, 3, []string{"user alice: one", "user bob: two\n> alice: three"}},
		{"somebody who spoke later only", []chat.Event{asks("alice", "one"), asks("bob", "two")}, 2, []string{"user one"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := scene(t, test.events...)
			m, _ := w.log[test.prompt-1].Message()
			q := conversation.Question{
				Turn: chat.Turn{ID: "now", Prompt: m.ID, PromptSeq: m.Seq, ModelID: "a"}, Models: theModels,
				Window: 1000, System: "Be kind.", Path: w.head.Branches.Current(),
			}
			var read int
			p, err := conversation.Compose(t.Context(), q, conversation.NewTail(w.head.Seq), back(w.log, &read))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, told(p)); diff != "" {
				t.Errorf("prompt (-want +got):\n%s", diff)
			}
		})
	}
}

// edits is a message in place of another one, which is record seq.
func edits(by chat.UserID, id, old chat.MessageID, seq uint64) chat.MessageAdded {
	m := asks(by, id)
	m.Replaces, m.ReplacesSeq = old, seq
	return m
}

// Where one model has more answers that wait for their questions than it could
// read many times over, the newest go.
func TestAnswersThatWaitAreBounded(t *testing.T) {
	c := new(chronicle)
	for i := range 40 {
		c.add(chat.MessageAdded{MessageID: chat.MessageID(fmt.Sprint(i)), Content: "q"})
	}
	for i := range 40 { // each was answered when all had been asked
		c.add(chat.TurnEnded{
			TurnID: chat.TurnID(fmt.Sprint(i)), MessageID: "a", Prompt: chat.MessageID(fmt.Sprint(i)), PromptSeq: uint64(i + 1), ModelID: "m",
			Content: strings.Repeat("a", 400),
		})
	}
	prompt := c.add(chat.MessageAdded{MessageID: "last", Content: "and now?"})
	q := conversation.Question{
		Turn:   chat.Turn{Prompt: "last", PromptSeq: prompt, ModelID: "m"},
		Models: models{"m": {ID: "m"}}, Window: 1000, System: "Be kind.",
	}
	var read int
	p, err := conversation.Compose(t.Context(), q, conversation.NewTail(prompt), back(c.records, &read))
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, m := range p.Messages {
		if m.Role == chat.RoleUser {
			asked++
		}
	}
	if asked < 20 { // with their answers there would be room for few
		t.Errorf("%d questions in a prompt of %d tokens", asked, p.Tokens)
	}
}

// A prompt that cannot be made fails with the reason.
func TestPromptFails(t *testing.T) {
	c := new(chronicle)
	seq := c.add(chat.MessageAdded{MessageID: "m", Content: strings.Repeat("x", 4000)})
	damaged := errors.New("a damaged page")
	entries := func(e persistence.Entry, err error) func(uint64) iter.Seq2[persistence.Entry, error] {
		return func(uint64) iter.Seq2[persistence.Entry, error] {
			return func(yield func(persistence.Entry, error) bool) { yield(e, err) }
		}
	}
	var read int
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	var tooLong *chat.Error
	for name, test := range map[string]struct {
		ctx    context.Context
		model  chat.Model
		older  func(uint64) iter.Seq2[persistence.Entry, error]
		failed func(error) bool
	}{
		"the log cannot be read": {t.Context(), chat.Model{}, entries(persistence.Entry{}, damaged), func(err error) bool { return errors.Is(err, damaged) }},
		"nor understood":         {t.Context(), chat.Model{}, entries(persistence.Entry{Seq: 1, Data: []byte("?")}, nil), func(err error) bool { return err != nil }},
		"the turn was stopped":   {cancelled, chat.Model{}, back(c.records, &read), func(err error) bool { return errors.Is(err, context.Canceled) }},
		"it is too long": {t.Context(), chat.Model{ContextWindow: 100}, back(c.records, &read),
			func(err error) bool { return errors.As(err, &tooLong) && tooLong.Code == chat.CodeTooLarge }},
		"it may be too long": {t.Context(), chat.Model{}, back(c.records, &read), func(err error) bool { return err == nil }},
	} {
		q := conversation.Question{Turn: chat.Turn{Prompt: "m", PromptSeq: seq, ModelID: "m"}, Models: models{"m": test.model}, Window: 100}
		if _, err := conversation.Compose(test.ctx, q, conversation.NewTail(seq), test.older); !test.failed(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSystemPrompt(t *testing.T) {
	now := time.Date(2026, 1, 2, 23, 30, 0, 0, time.FixedZone("", -3600))
	got := conversation.SystemPrompt(now, "Be kind.", " \n", "", "Be brief.")
	if want := "Be kind.\n\nBe brief.\n\nToday is Saturday, 3 January 2026 (UTC)."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
