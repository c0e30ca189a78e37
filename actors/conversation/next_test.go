package conversation_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/conversation"
	"parlor/protocol/chat"
)

// A scene is a conversation that has come so far by these events, behind its
// creation, which is record 1.
func scene(t *testing.T, events ...chat.Event) *world {
	t.Helper()
	w := newWorld()
	w.record(events...)
	w.shown = w.head.Clone()
	return w
}

// The scenes of tests are made of these events: somebody says something, to the
// running turn or not; a turn is queued, begins, takes in a message, runs a tool or
// ends.
func says(by chat.UserID, id chat.MessageID) chat.MessageAdded {
	return chat.MessageAdded{MessageID: id, Author: chat.User{ID: by}, Content: "words", ModelID: "a"}
}

func steers(by chat.UserID, id chat.MessageID, turn chat.TurnID) chat.MessageAdded {
	m := says(by, id)
	m.Steers = turn
	return m
}

func wants(turn chat.TurnID, prompt chat.MessageID, seq uint64) chat.TurnQueued {
	return chat.TurnQueued{TurnID: turn, Prompt: prompt, PromptSeq: seq, ModelID: "a", By: "alice"}
}

func speaks(turn chat.TurnID, prompt chat.MessageID) chat.TurnQueued {
	e := wants(turn, prompt, 0)
	e.ModelID, e.Spoken = "ear", true
	return e
}

func begins(turn chat.TurnID, attempt int) chat.TurnStarted {
	return chat.TurnStarted{TurnID: turn, MessageID: "answer of " + chat.MessageID(turn), ModelID: "a", Attempt: attempt}
}

func takesIn(turn chat.TurnID, messages ...chat.MessageID) chat.TurnSteered {
	return chat.TurnSteered{TurnID: turn, Messages: messages}
}

func runsTool(turn chat.TurnID) chat.ToolStarted { return chat.ToolStarted{TurnID: turn} }

func ends(turn chat.TurnID) chat.TurnEnded {
	return chat.TurnEnded{TurnID: turn, MessageID: "answer of " + chat.MessageID(turn), State: chat.StateCompleted}
}

// short are events without what every one of their kind has.
func short(events []chat.Event) (all []chat.Event) {
	for _, e := range events {
		switch x := e.(type) {
		case chat.TurnStarted:
			e = chat.TurnStarted{TurnID: x.TurnID, Attempt: x.Attempt}
		case chat.TurnEnded:
			e = chat.TurnEnded{TurnID: x.TurnID, PromptSeq: x.PromptSeq, State: x.State, By: x.By, Reason: x.Reason, Error: x.Error}
		case chat.TurnQueued:
			e = chat.TurnQueued{Prompt: x.Prompt, PromptSeq: x.PromptSeq, ModelID: x.ModelID, By: x.By, Before: x.Before, Spoken: x.Spoken}
		}
		all = append(all, e)
	}
	return all
}

// wantEvents compares events without what every one of their kind has.
func wantEvents(t *testing.T, got []chat.Event, want ...chat.Event) {
	t.Helper()
	if diff := cmp.Diff(short(want), short(got)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

var errSpent = chat.Refuse(chat.CodeBudgetExceeded, "nothing is left")

func TestNext(t *testing.T) {
	asked := []chat.Event{says("alice", "m"), wants("t", "m", 2)}
	begun := append(asked[:2:2], begins("t", 1))
	steered := append(begun[:3:3], steers("bob", "s", "t"))
	spoken := []chat.Event{speaks("t", "m")}
	tool := chat.ToolCall{ID: "call", Name: "tool"}
	for _, test := range []struct {
		name    string
		events  []chat.Event
		pending int // of the events are not on disk yet
		now     conversation.Running
		change  func(*conversation.Rules)
		want    []chat.Event
	}{
		{name: "nothing is open"},
		{name: "a message that wants no answer", events: asked[:1]},
		{name: "the first turn starts", events: append(asked[:2:2], wants("u", "m", 2)),
			want: []chat.Event{chat.TurnStarted{TurnID: "t", Attempt: 1}}},
		{name: "a turn starts before it is on disk that it is wanted", events: asked, pending: 2,
			want: []chat.Event{chat.TurnStarted{TurnID: "t", Attempt: 1}}},
		{name: "nothing is left of a budget", events: asked, change: spent,
			want: []chat.Event{chat.TurnEnded{TurnID: "t", PromptSeq: 2, State: chat.StateFailed, Error: errSpent}}},
		{name: "the start is on its way to the disk", events: begun, pending: 1},
		{name: "so it is, and the end of the turn before", events: append([]chat.Event{says("alice", "m"), wants("s", "m", 2), begins("s", 1), ends("s")}, wants("t", "m", 2), begins("t", 1)), pending: 3},
		{name: "it runs", events: begun, now: conversation.Running{Turn: "t"}},
		{name: "it has ended", events: begun, now: conversation.Running{Turn: "t", End: &chat.TurnEnded{TurnID: "t", State: chat.StateCompleted}},
			want: []chat.Event{chat.TurnEnded{TurnID: "t", PromptSeq: 2, State: chat.StateCompleted}}},
		{name: "what was said to it is answered next", events: append(steered[:4:4], wants("u", "m", 2)),
			now: conversation.Running{Turn: "t", End: &chat.TurnEnded{TurnID: "t", State: chat.StateCompleted}},
			want: []chat.Event{
				chat.TurnEnded{TurnID: "t", PromptSeq: 2, State: chat.StateCompleted},
				chat.TurnQueued{Prompt: "s", PromptSeq: 5, ModelID: "a", By: "bob", Before: "u"},
			}},
		{name: "what it took in is answered", events: append(steered[:4:4], takesIn("t", "s")),
			now:  conversation.Running{Turn: "t", End: &chat.TurnEnded{TurnID: "t", State: chat.StateCompleted}},
			want: []chat.Event{chat.TurnEnded{TurnID: "t", PromptSeq: 2, State: chat.StateCompleted}}},
		{name: "a tool", events: begun, now: conversation.Running{Turn: "t", Tools: []chat.ToolCall{tool}},
			want: []chat.Event{chat.ToolStarted{TurnID: "t", MessageID: "answer of t", Tool: tool}}},
		{name: "a tool that is recorded", events: append(begun[:3:3], runsTool("t")), now: conversation.Running{Turn: "t", Tools: []chat.ToolCall{tool}}},
		{name: "the end comes before a tool", events: begun,
			now:  conversation.Running{Turn: "t", Tools: []chat.ToolCall{tool}, End: &chat.TurnEnded{TurnID: "t", State: chat.StateStopped}},
			want: []chat.Event{chat.TurnEnded{TurnID: "t", PromptSeq: 2, State: chat.StateStopped}}},

		{name: "a crash has cut it", events: begun, want: []chat.Event{chat.TurnStarted{TurnID: "t", Attempt: 2}}},
		{name: "another crash has", events: append(begun[:3:3], begins("t", 2)), want: []chat.Event{chat.TurnStarted{TurnID: "t", Attempt: 3}}},
		{name: "the last attempt is cut", events: append(begun[:3:3], begins("t", 2), begins("t", 3)),
			want: []chat.Event{chat.TurnEnded{TurnID: "t", PromptSeq: 2, State: chat.StateInterrupted, Reason: "the server was restarted too often"}}},
		{name: "it is cut, and nothing is left of a budget", events: begun, change: spent,
			want: []chat.Event{chat.TurnEnded{TurnID: "t", PromptSeq: 2, State: chat.StateFailed, Error: errSpent}}},
		{name: "it is cut while a tool runs", events: append(steered[:4:4], runsTool("t")),
			want: []chat.Event{
				chat.TurnEnded{TurnID: "t", PromptSeq: 2, State: chat.StateInterrupted, Reason: "the server was restarted while a tool ran"},
				chat.TurnQueued{Prompt: "s", PromptSeq: 5, ModelID: "a", By: "bob"},
			}},
		{name: "with the bug that tools are repeated", events: append(begun[:3:3], runsTool("t")),
			change: func(r *conversation.Rules) { r.RepeatTools = true }, want: []chat.Event{chat.TurnStarted{TurnID: "t", Attempt: 2}}},
		{name: "the next attempt is on its way to the disk", events: append(begun[:3:3], begins("t", 2)), pending: 1},

		{name: "the model hears the prompt", events: spoken, now: conversation.Running{Heard: true, Line: "ear"},
			want: []chat.Event{chat.TurnStarted{TurnID: "t", Attempt: 1}}},
		{name: "another model hears it, so that it waits to be written down", events: spoken, now: conversation.Running{Heard: true, Line: "other"}},
		{name: "it ends when its prompt is written down", events: append(spoken[:1:1], begins("t", 1)),
			now: conversation.Running{Turn: "t", Heard: true, Line: "ear", End: &chat.TurnEnded{TurnID: "t", State: chat.StateCompleted}}},
		{name: "which it is", events: append(spoken[:1:1], begins("t", 1), says("alice", "m")),
			now:  conversation.Running{Turn: "t", Line: "ear", End: &chat.TurnEnded{TurnID: "t", State: chat.StateCompleted}},
			want: []chat.Event{chat.TurnEnded{TurnID: "t", PromptSeq: 4, State: chat.StateCompleted}}},
		{name: "it runs while that is done", events: append(spoken[:1:1], begins("t", 1)), now: conversation.Running{Turn: "t", Heard: true, Line: "ear"}},
		{name: "what was said is lost", events: append(spoken[:1:1], begins("t", 1)),
			want: []chat.Event{chat.TurnEnded{TurnID: "t", State: chat.StateInterrupted, Reason: "what was said was lost when the server was restarted"}}},
		{name: "before the turn began", events: spoken,
			want: []chat.Event{chat.TurnEnded{TurnID: "t", State: chat.StateInterrupted, Reason: "what was said was lost when the server was restarted"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := scene(t, test.events...)
			w.shown = scene(t, test.events[:len(test.events)-test.pending]...).head
			if test.change != nil {
				test.change(&w.rules)
			}
			wantEvents(t, w.moment().Next(&w.shown, test.now), test.want...)
		})
	}
}

func spent(r *conversation.Rules) {
	r.Afford = func(chat.RoomID, chat.UserID, chat.ModelID) *chat.Error { return errSpent }
}

// The start of a turn names the answer, the same in each attempt, and says who gives it.
func TestStartOfATurn(t *testing.T) {
	w := scene(t, says("alice", "m"), wants("t", "m", 2))
	first := w.moment().Next(&w.shown, conversation.Running{})[0].(chat.TurnStarted)
	if want := (chat.TurnStarted{TurnID: "t", MessageID: "id-1", ModelID: "a", Name: "ann", Attempt: 1}); first != want {
		t.Errorf("got %+v, want %+v", first, want)
	}
	w.record(first)
	w.confirm()
	w.running = conversation.Running{}
	if again := w.moment().Next(&w.shown, conversation.Running{})[0].(chat.TurnStarted); again.MessageID != first.MessageID || again.Attempt != 2 {
		t.Errorf("the second attempt is %+v", again)
	}
	w = scene(t, says("alice", "m"), speaks("t", "m"))
	if e := w.moment().Next(&w.shown, conversation.Running{Heard: true, Line: "ear"})[0].(chat.TurnStarted); !e.Duplex {
		t.Errorf("a model that listens begins with %+v", e)
	}
}

// The end of a turn holds its answer, and the model that gave it.
func TestEndOfATurn(t *testing.T) {
	w := scene(t, says("alice", "m"), chat.TurnQueued{TurnID: "t", Prompt: "m", PromptSeq: 2, ModelID: "a", By: "alice", Correlation: "c"}, begins("t", 1))
	usage := &chat.Usage{TotalTokens: 7}
	m := w.moment()
	m.Answer = func(chat.Turn) conversation.Answer {
		return conversation.Answer{ModelID: "b", Content: "so far", Usage: usage, Modality: chat.ModalityAudio}
	}
	got := m.End(w.head.Turns[0])
	want := chat.TurnEnded{
		TurnID: "t", MessageID: "answer of t", Prompt: "m", PromptSeq: 2, Correlation: "c",
		ModelID: "b", Name: "bo", Content: "so far", Usage: usage, Modality: chat.ModalityAudio,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("end (-want +got):\n%s", diff)
	}
}

func TestStop(t *testing.T) {
	events := []chat.Event{says("alice", "m"), wants("t", "m", 2), begins("t", 1), wants("u", "m", 2), steers("bob", "s", "t")}
	stopped := func(id chat.TurnID) chat.Event {
		return chat.TurnEnded{TurnID: id, PromptSeq: 2, State: chat.StateStopped, By: "carol", Reason: "enough", ClientID: "once"}
	}
	next := chat.TurnQueued{Prompt: "s", PromptSeq: 6, ModelID: "a", By: "bob", Before: "u"}
	for _, test := range []struct {
		name    string
		events  []chat.Event
		id      chat.TurnID
		want    []chat.Event
		stopped chat.TurnID
		refusal *chat.Error
	}{
		{"nothing, if there is nothing", nil, "", nil, "", nil},
		{"no such turn", events, "x", nil, "", conversation.ErrNoTurn},
		{"one that has ended", append(events[:5:5], ends("t")), "t", nil, "", conversation.ErrNoTurn},
		{"the one that runs", events, "", []chat.Event{stopped("t"), next}, "t", nil},
		{"the one that runs, by name", events, "t", []chat.Event{stopped("t"), next}, "t", nil},
		{"one that waits", events, "u", []chat.Event{stopped("u")}, "u", nil},
		{"the one that runs next", events[:2], "", []chat.Event{stopped("t")}, "t", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, id, refusal := scene(t, test.events...).moment().Stop(test.id, "carol", "enough", "once")
			wantEvents(t, got, test.want...)
			if id != test.stopped || refusal != test.refusal {
				t.Errorf("stopped %q, %v", id, refusal)
			}
		})
	}
}

// All turns end with a chat that is being deleted, and nothing follows.
func TestStopAll(t *testing.T) {
	w := scene(t, says("alice", "m"), wants("t", "m", 2), begins("t", 1), wants("u", "m", 2), steers("bob", "s", "t"))
	stopped := chat.TurnEnded{PromptSeq: 2, State: chat.StateStopped, By: "alice", Reason: "the chat is being deleted"}
	one, two := stopped, stopped
	one.TurnID, two.TurnID = "t", "u"
	wantEvents(t, w.moment().StopAll("alice"), one, two)
}

// A model that cannot be asked any more, or only in place of another, is replaced by the
// chat's.
func TestRegenerateAnAnswerOfAFallback(t *testing.T) {
	w := scene(t, says("alice", "m"))
	got, refusal := w.moment().Regenerate("carol", chat.Message{ID: "old", Prompt: "m", PromptSeq: 2, ModelID: "x"}, "", "")
	if refusal != nil || got.ModelID != w.head.Chat.ModelID {
		t.Errorf("got %+v, %v", got, refusal)
	}
}

func TestRegenerate(t *testing.T) {
	asked := []chat.Event{says("alice", "m"), wants("t", "m", 2)}
	edit := chat.MessageAdded{MessageID: "e", Replaces: "m", ReplacesSeq: 2}
	full := append(asked[:2:2], wants("u", "m", 2), wants("v", "m", 2), wants("w", "m", 2))
	for _, test := range []struct {
		name    string
		events  []chat.Event
		model   chat.ModelID
		change  func(*conversation.Rules)
		refusal *chat.Error
	}{
		{name: "while a turn waits", events: asked, model: "b"},
		{name: "by the model that gave the old answer", events: asked},
		{name: "by no model", events: asked, model: "x", refusal: chat.Refuse(chat.CodeNotFound, "there is no x")},
		{name: "what was edited", events: []chat.Event{says("alice", "m"), edit}, model: "a", refusal: conversation.ErrSuperseded},
		{name: "while the queue is full", events: full, model: "a", refusal: conversation.ErrBusy},
		{name: "with nothing left", events: asked, model: "a", change: spent, refusal: errSpent},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := scene(t, test.events...)
			if test.change != nil {
				test.change(&w.rules)
			}
			got, refusal := w.moment().Regenerate("carol", chat.Message{ID: "old", Seq: 9, Prompt: "m", PromptSeq: 2, ModelID: "a"}, test.model, "once")
			if diff := cmp.Diff(test.refusal, refusal); diff != "" {
				t.Errorf("refusal (-want +got):\n%s", diff)
			}
			model := test.model
			if model == "" {
				model = "a"
			}
			if refusal == nil {
				wantEvents(t, []chat.Event{got}, chat.TurnQueued{
					Prompt: "m", PromptSeq: 2, ModelID: model, By: "carol", Again: "old", First: "old", FirstSeq: 9, ClientID: "once",
				})
			}
		})
	}
}
