package conversation_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/conversation"
	"parlor/protocol/chat"
)

// unheardOf is an event of a version to come.
type unheardOf struct{ chat.Event }

// A record that cannot follow the state is refused, and changes nothing.
func TestApplyRefuses(t *testing.T) {
	events := []chat.Event{ // records 2 to 7
		says("bob", "m"), wants("t", "m", 2), begins("t", 1), wants("u", "m", 2), steers("bob", "s", "t"),
		chat.MessageAdded{MessageID: "s+", Replaces: "s", ReplacesSeq: 6},
	}
	for _, test := range []struct {
		name string
		seq  uint64
		e    chat.Event
	}{
		{"a record that is there", 7, says("bob", "n")},
		{"a gap", 9, says("bob", "n")},
		{"steering of a turn that waits", 8, steers("bob", "n", "u")},
		{"steering of no turn", 8, steers("bob", "n", "x")},
		{"an edit of what was edited", 8, chat.MessageAdded{Replaces: "s", ReplacesSeq: 6}},
		{"a selection of what is to come", 8, chat.BranchSelected{MessageID: "s", After: 8}},
		{"another version of an answer to come", 8, chat.TurnQueued{TurnID: "v", PromptSeq: 2, FirstSeq: 8}},
		{"an edit of itself", 8, chat.MessageAdded{Replaces: "n", ReplacesSeq: 8}},
		{"an edit of nothing", 8, chat.MessageAdded{Replaces: "n"}},
		{"a turn before one that runs", 8, chat.TurnQueued{TurnID: "v", Before: "t"}},
		{"a turn before none", 8, chat.TurnQueued{TurnID: "v", Before: "x"}},
		{"a start out of order", 8, begins("u", 1)},
		{"a start of no turn", 8, begins("x", 1)},
		{"a turn that waits takes something in", 8, takesIn("u", "s")},
		{"a turn that waits runs a tool", 8, runsTool("u")},
		{"an end of no turn", 8, ends("x")},
		{"an event of a version to come", 8, unheardOf{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := scene(t, events...)
			if err := w.head.Apply(chat.Record{Seq: test.seq, Event: test.e}); err == nil {
				t.Error("it was applied")
			} else if _, future := test.e.(unheardOf); future != errors.Is(err, chat.ErrUnknownEvent) {
				t.Errorf("got %v", err)
			}
			if diff := cmp.Diff(w.shown, w.head); diff != "" {
				t.Errorf("the state has changed:\n%s", diff)
			}
		})
	}
}

func TestApply(t *testing.T) {
	info := chat.Info{ID: "chat", Room: "room", Owner: "alice", ModelID: "a"}
	turn := func(id chat.TurnID, attempt int) chat.Turn {
		turn := chat.Turn{ID: id, Prompt: "m", PromptSeq: 2, ModelID: "a", By: "alice", Attempt: attempt}
		if attempt > 0 {
			turn.MessageID = "answer of " + chat.MessageID(id)
		}
		return turn
	}
	said := conversation.Said{MessageID: "m", Seq: 2}
	asked := []chat.Event{says("alice", "m"), wants("t", "m", 2)}
	steered := append(asked[:2:2], begins("t", 1), steers("bob", "s", "t"), steers("bob", "s2", "t"))
	steering := conversation.State{
		Seq: 6, Chat: info, Last: conversation.Said{MessageID: "s2", Seq: 6}, Turns: []chat.Turn{turn("t", 1)},
		Steering: []conversation.Steering{{MessageID: "s", Seq: 5, By: "bob"}, {MessageID: "s2", Seq: 6, By: "bob"}},
	}
	with := func(s conversation.State, change func(*conversation.State)) conversation.State {
		s = s.Clone()
		s.Seq++
		change(&s)
		return s
	}
	titled := info
	titled.Title = "title"
	for _, test := range []struct {
		name   string
		events []chat.Event
		want   conversation.State
	}{
		{"created", nil, conversation.State{Seq: 1, Chat: info}},
		{"given a title", []chat.Event{chat.Configured{Settings: chat.Settings{Title: "title"}}}, conversation.State{Seq: 2, Chat: titled, Titled: true}},
		{"its title taken away", []chat.Event{chat.Configured{Settings: chat.Settings{Title: "title"}}, chat.Configured{}},
			conversation.State{Seq: 3, Chat: info, Titled: true}},
		{"configured otherwise", []chat.Event{chat.Configured{}}, conversation.State{Seq: 2, Chat: info}},
		{"a turn waits", asked, conversation.State{Seq: 3, Chat: info, Last: said, Turns: []chat.Turn{turn("t", 0)}}},
		{"another goes before it", append(asked[:2:2], chat.TurnQueued{TurnID: "u", Prompt: "m", PromptSeq: 2, ModelID: "a", By: "alice", Before: "t"}),
			conversation.State{Seq: 4, Chat: info, Last: said, Turns: []chat.Turn{turn("u", 0), turn("t", 0)}}},
		{"steered", steered, steering},
		{"taken in", append(steered[:5:5], takesIn("t", "s")), with(steering, func(s *conversation.State) { s.Steering[0].Taken = true })},
		{"taken in by an attempt that was cut", append(steered[:5:5], takesIn("t", "s"), begins("t", 2)),
			with(steering, func(s *conversation.State) { s.Seq, s.Turns[0].Attempt = 8, 2 })},
		{"steering was edited", append(steered[:5:5], chat.MessageAdded{MessageID: "e", Replaces: "s", ReplacesSeq: 5, ModelID: "a"}),
			with(steering, func(s *conversation.State) {
				s.Last, s.Steering = conversation.Said{MessageID: "e", Seq: 7}, s.Steering[:0]
			})},
		{"a tool runs", append(steered[:5:5], runsTool("t")), with(steering, func(s *conversation.State) { s.Turns[0].Tools = 1 })},
		{"answered", append(steered[:5:5], ends("t")),
			with(steering, func(s *conversation.State) { s.Turns, s.Steering, s.Answered = s.Turns[:0], nil, true })},
		{"a turn that waited has ended", append(steered[:5:5], wants("u", "m", 2), chat.TurnEnded{TurnID: "u", State: chat.StateStopped}),
			with(steering, func(s *conversation.State) { s.Seq = 8 })},
		{"written down", []chat.Event{speaks("t", "m"), says("alice", "m")}, conversation.State{
			Seq: 3, Chat: info, Last: conversation.Said{MessageID: "m", Seq: 3},
			Turns: []chat.Turn{{ID: "t", Prompt: "m", PromptSeq: 3, ModelID: "ear", By: "alice"}},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := scene(t, test.events...)
			for _, r := range w.log {
				test.want.Branches = test.want.Branches.After(r)
			}
			if diff := cmp.Diff(test.want, w.head); diff != "" {
				t.Errorf("state (-want +got):\n%s", diff)
			}
		})
	}
}

// A copy shares nothing that changes.
func TestClone(t *testing.T) {
	w := scene(t, says("alice", "m"), wants("t", "m", 2), begins("t", 1), steers("bob", "s", "t"))
	before := w.head.Encode()
	w.shown = w.head.Clone()
	w.record(takesIn("t", "s"), runsTool("t"), chat.MessageAdded{MessageID: "e", Replaces: "s", ReplacesSeq: 5})
	if got := w.shown.Encode(); !bytes.Equal(got, before) {
		t.Errorf("the copy was\n%s, is\n%s", before, got)
	}
}

func TestSnapshotIsRefused(t *testing.T) {
	w := scene(t, says("alice", "m"))
	good := w.head.Encode()
	for name, b := range map[string][]byte{
		"garbage":         []byte("garbage"),
		"another version": bytes.Replace(good, []byte(`{"version":`), []byte(`{"version":9`), 1),
		"another record":  bytes.Replace(good, []byte(`"Seq":2`), []byte(`"Seq":3`), 1),
	} {
		if _, ok := conversation.DecodeState(2, b); ok {
			t.Errorf("%s was read", name)
		}
	}
}

// An intent is proposed once to each generation, as soon as it can be.
func TestIntent(t *testing.T) {
	var ready bool
	i := conversation.Intent{Events: func(head *conversation.State) []chat.Event {
		if !ready {
			return nil
		}
		return []chat.Event{says("alice", "m")}
	}}
	var head conversation.State
	for n, step := range []struct {
		ready      bool
		generation int
		proposed   bool
		in         bool // the head
	}{
		{false, 1, false, false}, // it cannot be recorded yet
		{true, 1, true, true},
		{true, 1, false, true}, // it is on its way
		{true, 2, true, true},  // its commit has failed
		{true, 2, false, true},
		{false, 3, false, false},
		{true, 3, true, true},
	} {
		ready = step.ready
		proposed := len(i.Propose(&head, step.generation)) > 0
		if in := i.In(step.generation); proposed != step.proposed || in != step.in {
			t.Errorf("step %d: proposed %v, in the head %v", n, proposed, in)
		}
	}
}
