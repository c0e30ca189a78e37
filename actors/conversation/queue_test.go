package conversation_test

import (
	"testing"

	"parlor/actors/conversation"
	"parlor/protocol/chat"
)

// A message that waits can be taken back by its author, with the turns that would answer it.
func TestWithdraw(t *testing.T) {
	waits := []chat.Event{says("alice", "m"), wants("t", "m", 2), says("bob", "n"), wants("u", "n", 4)}
	runs := append(waits[:4:4], begins("t", 1))
	for _, test := range []struct {
		name    string
		events  []chat.Event
		old     chat.Message
		by      chat.UserID
		want    []chat.Event
		refusal *chat.Error
	}{
		{"one that waits", runs, message("n", 4, "bob"), "bob", []chat.Event{
			chat.MessageWithdrawn{MessageID: "n", Seq: 4, By: "bob"},
			chat.TurnEnded{TurnID: "u", PromptSeq: 4, State: chat.StateStopped, By: "bob", Reason: "the message was withdrawn"},
		}, nil},
		{"one that is being answered", runs, message("m", 2, "alice"), "alice", nil, conversation.ErrBegun},
		{"one that was answered", append(runs[:5:5], ends("t")), message("m", 2, "alice"), "alice", nil, conversation.ErrBegun},
		{"somebody else's", runs, message("n", 4, "bob"), "alice", nil, conversation.ErrNotAuthor},
		{"none", runs, chat.Message{}, "alice", nil, conversation.ErrNoMessage},
		{"one that is gone", append(runs[:5:5], chat.MessageWithdrawn{MessageID: "n", Seq: 4}), message("n", 4, "bob"), "bob", nil, conversation.ErrSuperseded},
		{"one that was said to the running turn", append(runs[:5:5], steers("bob", "s", "t")), message("s", 7, "bob"), "bob",
			[]chat.Event{chat.MessageWithdrawn{MessageID: "s", Seq: 7, By: "bob"}}, nil},
		{"one that the running turn took in", append(runs[:5:5], steers("bob", "s", "t"), chat.TurnSteered{TurnID: "t", Messages: []chat.MessageID{"s"}}),
			message("s", 7, "bob"), "bob", nil, conversation.ErrBegun},
		{"one that was answered, and is to be once more", append(runs[:5:5], ends("t"), again("v", "m", 2)), message("m", 2, "alice"), "alice", nil, conversation.ErrBegun},
		{"one that another assistant answers", append(waits[:2:2], wants("v", "m", 2), begins("t", 1)), message("m", 2, "alice"), "alice", nil, conversation.ErrBegun},
		{"one that another assistant has answered", append(waits[:2:2], wants("v", "m", 2), begins("t", 1), ends("t")), message("m", 2, "alice"), "alice", nil, conversation.ErrBegun},
		{"one that was answered before an answer was wanted", append(waits[:2:2], begins("t", 1), ends("t"), wants("v", "m", 2)), message("m", 2, "alice"), "alice", nil, conversation.ErrBegun},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, refusal := scene(t, test.events...).moment().Withdraw(test.old, test.by, "")
			if refusal != test.refusal {
				t.Errorf("refused with %v, want %v", refusal, test.refusal)
			}
			wantEvents(t, got, test.want...)
		})
	}
}

func again(turn chat.TurnID, prompt chat.MessageID, seq uint64) chat.TurnQueued {
	e := wants(turn, prompt, seq)
	e.Again = "answer"
	return e
}

func message(id chat.MessageID, seq uint64, by chat.UserID) chat.Message {
	return chat.Message{ID: id, Seq: seq, Role: chat.RoleUser, Author: &chat.User{ID: by}}
}

// The user who has asked for a turn may have it wait elsewhere.
func TestMove(t *testing.T) {
	events := []chat.Event{
		says("alice", "m"), wants("t", "m", 2), begins("t", 1),
		says("alice", "n"), wants("u", "n", 5), says("alice", "o"), wants("v", "o", 7), wants("w", "o", 7),
	}
	for _, test := range []struct {
		id, before chat.TurnID
		by         chat.UserID
		order      []chat.TurnID
		refusal    *chat.Error
	}{
		{"w", "u", "alice", []chat.TurnID{"t", "w", "u", "v"}, nil},
		{"u", "", "alice", []chat.TurnID{"t", "v", "w", "u"}, nil},
		{"u", "w", "alice", []chat.TurnID{"t", "v", "u", "w"}, nil},
		{"u", "v", "alice", []chat.TurnID{"t", "u", "v", "w"}, nil},
		{"u", "t", "alice", nil, conversation.ErrNotQueued},
		{"t", "u", "alice", nil, conversation.ErrNotQueued},
		{"x", "", "alice", nil, conversation.ErrNotQueued},
		{"u", "u", "alice", nil, conversation.ErrNotQueued},
		{"u", "", "bob", nil, conversation.ErrNotAsker},
	} {
		w := scene(t, events...)
		moved, refusal := w.moment().Move(test.id, test.before, test.by, "")
		if refusal != test.refusal {
			t.Errorf("%+v: refused with %v", test, refusal)
		}
		if refusal != nil {
			continue
		}
		w.record(moved)
		var order []chat.TurnID
		for _, turn := range w.head.Turns {
			order = append(order, turn.ID)
		}
		if len(order) != len(test.order) || order[1] != test.order[1] || order[2] != test.order[2] || order[3] != test.order[3] {
			t.Errorf("%+v: the order is %v", test, order)
		}
	}
}

// By merge a message is answered together with the last one of its author that waits.
func TestMerge(t *testing.T) {
	waits := []chat.Event{says("alice", "m"), wants("t", "m", 2), begins("t", 1), says("alice", "n"), wants("u", "n", 5), says("bob", "o"), wantedBy("v", "o", 7, "bob")}
	answer := func(seq uint64, before chat.TurnID) chat.Event {
		return chat.TurnQueued{Prompt: "id-1", PromptSeq: seq, ModelID: "a", By: "alice", Before: before}
	}
	merged := chat.TurnEnded{TurnID: "u", PromptSeq: 5, State: chat.StateStopped, By: "alice", Reason: "answered together with a newer message"}
	for _, test := range []struct {
		name   string
		events []chat.Event
		by     chat.UserID
		want   []chat.Event
	}{
		{"the author's waits", waits, "alice", []chat.Event{merged, nil, answer(10, "v")}},
		{"none of the author's waits", waits, "carol", []chat.Event{nil, wantedBy("", "id-1", 9, "carol")}},
		{"one only runs", waits[:3], "alice", []chat.Event{nil, answer(5, "")}},
	} {
		m := scene(t, test.events...).moment()
		p, refusal := m.Say(conversation.Utterance{By: chat.User{ID: test.by}, Content: "words", Policy: chat.PolicyMerge})
		got := planned(t, m, p, refusal, test.by)
		for i := range test.want {
			if test.want[i] == nil {
				test.want[i] = says(test.by, "id-1")
			}
		}
		t.Run(test.name, func(t *testing.T) { wantEvents(t, got, test.want...) })
	}
}

func wantedBy(turn chat.TurnID, prompt chat.MessageID, seq uint64, by chat.UserID) chat.TurnQueued {
	e := wants(turn, prompt, seq)
	e.By = by
	return e
}

// By rollback a message takes the place of the author's question that is being answered.
func TestRollBack(t *testing.T) {
	runs := []chat.Event{says("alice", "m"), wants("t", "m", 2), begins("t", 1), says("bob", "n"), wantedBy("u", "n", 5, "bob")}
	instead := says("alice", "id-1")
	instead.Replaces, instead.ReplacesSeq, instead.RolledBack = "m", 2, true
	edited := func(turn chat.TurnID, seq uint64) chat.Event {
		return chat.TurnEnded{TurnID: turn, PromptSeq: seq, State: chat.StateStopped, By: "alice", Reason: "the message was edited"}
	}
	interrupted := chat.TurnEnded{TurnID: "t", PromptSeq: 2, State: chat.StateStopped, By: "bob", Reason: "interrupted by a new message"}
	for _, test := range []struct {
		name   string
		events []chat.Event
		by     chat.UserID
		want   []chat.Event
	}{
		{"the author's question", runs, "alice", []chat.Event{edited("t", 2), edited("u", 5), instead, wantedBy("", "id-1", 9, "alice")}},
		{"somebody else's", runs, "bob", []chat.Event{interrupted, says("bob", "id-1"), wantedByBefore("", "id-1", 8, "bob", "u")}},
		{"nothing runs", runs[:2], "alice", []chat.Event{says("alice", "id-1"), wantedBy("", "id-1", 4, "alice")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := scene(t, test.events...)
			m := w.moment()
			p, refusal := m.Say(conversation.Utterance{By: chat.User{ID: test.by}, Content: "words", Policy: chat.PolicyRollback, Question: w.question})
			wantEvents(t, planned(t, m, p, refusal, test.by), test.want...)
		})
	}
}

func wantedByBefore(turn chat.TurnID, prompt chat.MessageID, seq uint64, by chat.UserID, before chat.TurnID) chat.TurnQueued {
	e := wantedBy(turn, prompt, seq, by)
	e.Before = before
	return e
}
