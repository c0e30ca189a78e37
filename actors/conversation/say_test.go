package conversation_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/conversation"
	"parlor/protocol/chat"
)

// planned are the events of a plan, or its refusal.
func planned(t *testing.T, m conversation.Moment, p *conversation.Plan, refusal *chat.Error, by chat.UserID) []chat.Event {
	t.Helper()
	if refusal != nil {
		return nil
	}
	events, seq := m.Message(p, by)
	if said, ok := events[seq-m.Seq-1].(chat.MessageAdded); !ok || said.MessageID != p.MessageID {
		t.Errorf("record %d is to be the message; got %+v", seq, events)
	}
	return events
}

func TestSayByPolicy(t *testing.T) {
	const reject, interrupt, steer, queue = chat.PolicyReject, chat.PolicyInterrupt, chat.PolicySteer, chat.PolicyQueue
	idle := []chat.Event(nil)
	waits := []chat.Event{says("alice", "m"), wants("t", "m", 2)}
	runs := append(waits[:2:2], begins("t", 1))
	more := append(runs[:3:3], wants("u", "m", 2))
	talk := append(more[:4:4], steers("bob", "s1", "t"), steers("bob", "s2", "t"))
	full := append(more[:4:4], wants("v", "m", 2), wants("w", "m", 2))
	deaf := append(more[:4:4], steers("bob", "s1", "t"), steers("bob", "s2", "t"), steers("bob", "s3", "t"), steers("bob", "s4", "t"))

	message := chat.MessageAdded{MessageID: "id-1", Author: chat.User{ID: "carol"}, Content: "hello", ModelID: "a"}
	steering := message
	steering.Steers = "t"
	answer := func(seq uint64, before chat.TurnID) chat.Event {
		return chat.TurnQueued{Prompt: "id-1", PromptSeq: seq, ModelID: "a", By: "carol", Before: before}
	}
	stopped := chat.TurnEnded{TurnID: "t", PromptSeq: 2, State: chat.StateStopped, By: "carol", Reason: "interrupted by a new message"}
	toBo := message
	toBo.Content = "@bo, hello"
	boAnswers := func(seq uint64, before chat.TurnID) chat.Event {
		return chat.TurnQueued{Prompt: "id-1", PromptSeq: seq, ModelID: "b", By: "carol", Before: before}
	}

	for _, test := range []struct {
		name    string
		events  []chat.Event
		policy  chat.Policy
		say     chat.MessageAdded // its content is said
		quiet   bool
		want    []chat.Event
		refusal *chat.Error
	}{
		{"no turn: queue", idle, queue, message, false, []chat.Event{message, answer(2, "")}, nil},
		{"no turn: steer", idle, steer, message, false, []chat.Event{message, answer(2, "")}, nil},
		{"no turn: interrupt", idle, interrupt, message, false, []chat.Event{message, answer(2, "")}, nil},
		{"no turn: reject", idle, reject, message, false, []chat.Event{message, answer(2, "")}, nil},
		{"no turn: quiet", idle, queue, message, true, []chat.Event{message}, nil},

		{"a turn waits: queue", waits, queue, message, false, []chat.Event{message, answer(4, "")}, nil},
		{"a turn waits: steer", waits, steer, message, false, []chat.Event{message, answer(4, "")}, nil},
		{"a turn waits: interrupt", waits, interrupt, message, false, []chat.Event{message, answer(4, "t")}, nil},
		{"a turn waits: reject", waits, reject, message, false, nil, conversation.ErrRejected},
		{"a turn waits: quiet", waits, reject, message, true, []chat.Event{message}, nil},

		{"a turn runs: queue", more, queue, message, false, []chat.Event{message, answer(6, "")}, nil},
		{"a turn runs: steer", more, steer, message, false, []chat.Event{steering}, nil},
		{"a turn runs: interrupt", more, interrupt, message, false, []chat.Event{stopped, message, answer(7, "u")}, nil},
		{"a turn runs: interrupt, and nothing waits", runs, interrupt, message, false, []chat.Event{stopped, message, answer(6, "")}, nil},
		{"a turn runs: reject", more, reject, message, false, nil, conversation.ErrRejected},
		{"a turn runs: quiet", more, interrupt, message, true, []chat.Event{message}, nil},

		{"what was said to it is answered with it", talk, interrupt, message, false, []chat.Event{stopped, message, answer(9, "u")}, nil},
		{"more is said to it", talk, steer, message, false, []chat.Event{steering}, nil},
		{"too much was said to it", deaf, steer, message, false, []chat.Event{message, answer(10, "")}, nil},
		{"another model is asked: steer", more, steer, toBo, false, []chat.Event{toBo, boAnswers(6, "")}, nil},
		{"another model is asked: interrupt", more, interrupt, toBo, false, []chat.Event{stopped, toBo, boAnswers(7, "u")}, nil},

		{"the queue is full: queue", full, queue, message, false, nil, conversation.ErrBusy},
		{"the queue is full: steer", full, steer, message, false, []chat.Event{steering}, nil},
		{"the queue is full: steer another", full, steer, toBo, false, nil, conversation.ErrBusy},
		{"the queue is full: interrupt", full, interrupt, message, false, []chat.Event{stopped, message, answer(9, "u")}, nil},
		{"the queue is full: quiet", full, queue, message, true, []chat.Event{message}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := scene(t, test.events...)
			m := w.moment()
			p, refusal := m.Say(conversation.Utterance{By: chat.User{ID: "carol"}, Content: test.say.Content, Policy: test.policy, Answer: quietly(test.quiet)})
			if refusal != test.refusal {
				t.Fatalf("got %v, want %v", refusal, test.refusal)
			}
			want := slices.Clone(test.want)
			for i, e := range want {
				if said, ok := e.(chat.MessageAdded); ok {
					said.Unasked = test.quiet
					want[i] = said
				}
			}
			wantEvents(t, planned(t, m, p, refusal, "carol"), want...)
			if refusal == nil && p.Quiet() != test.quiet {
				t.Errorf("quiet: %v", p.Quiet())
			}
		})
	}
}

// quietly returns that no answer is wanted, or leaves it to the chat.
func quietly(quiet bool) *bool {
	if !quiet {
		return nil
	}
	return new(bool)
}

// The chat says which messages are answered, and the sender of a message says it better.
// Members who are named are noted.
func TestWhoIsAsked(t *testing.T) {
	yes, no := true, false
	for _, test := range []struct {
		answers chat.Answers
		answer  *bool
		content string
		asked   []chat.ModelID
	}{
		{"", nil, "hello", []chat.ModelID{"a"}},
		{chat.AnswerAll, nil, "hello @alice", []chat.ModelID{"a"}},
		{chat.AnswerAll, &no, "hello", nil},
		{chat.AnswerAll, &no, "hello @bo", nil},
		{chat.AnswerMentioned, nil, "hello", nil},
		{chat.AnswerMentioned, nil, "hello @alice", nil},
		{chat.AnswerMentioned, nil, "hello @bo and @alice", []chat.ModelID{"b"}},
		{chat.AnswerMentioned, &yes, "hello", []chat.ModelID{"a"}},
		{chat.AnswerNone, nil, "hello @bo", nil},
		{chat.AnswerNone, &yes, "hello @bo", []chat.ModelID{"b"}},
	} {
		w := scene(t, chat.MemberChanged{Member: chat.Member{ID: "Alice", Role: chat.RoleMember}}, chat.Configured{Settings: chat.Settings{Answers: test.answers}})
		m := w.moment()
		p, refusal := m.Say(conversation.Utterance{By: chat.User{ID: "bob"}, Content: test.content, Answer: test.answer})
		var asked []chat.ModelID
		var mentions []chat.UserID
		for _, e := range planned(t, m, p, refusal, "bob") {
			switch e := e.(type) {
			case chat.TurnQueued:
				asked = append(asked, e.ModelID)
			case chat.MessageAdded:
				mentions = e.Mentions
			}
		}
		if diff := cmp.Diff(test.asked, asked); diff != "" || p.Quiet() != (asked == nil) {
			t.Errorf("%+v: asked (-want +got):\n%s", test, diff)
		}
		if named := strings.Contains(test.content, "@alice"); named != (len(mentions) == 1) {
			t.Errorf("%q mentions %v", test.content, mentions)
		}
	}
}

// A message's policy comes before the chat's, and that before the server's.
func TestWhosePolicy(t *testing.T) {
	for _, test := range []struct {
		message, chat, server chat.Policy
		refused               bool
	}{
		{"", "", chat.PolicyReject, true},
		{"", "", chat.PolicyQueue, false},
		{"", chat.PolicyQueue, chat.PolicyReject, false},
		{"", chat.PolicyReject, chat.PolicyQueue, true},
		{chat.PolicyQueue, chat.PolicyReject, chat.PolicyReject, false},
		{chat.PolicyReject, chat.PolicyQueue, chat.PolicyQueue, true},
	} {
		w := scene(t, says("alice", "m"), wants("t", "m", 2), chat.Configured{Settings: chat.Settings{Policy: test.chat}})
		w.rules.TurnPolicy = test.server
		if _, refusal := w.moment().Say(conversation.Utterance{Content: "hello", Policy: test.message}); (refusal != nil) != test.refused {
			t.Errorf("%+v: %v", test, refusal)
		}
	}
}

// A message is recorded with its fields, or refused with a reason.
func TestSay(t *testing.T) {
	eve := chat.User{ID: "eve", Name: "Eve", Email: "eve@example.org", Picture: "p", Guest: true}
	w := scene(t)
	m := w.moment()
	p, refusal := m.Say(conversation.Utterance{By: eve, Content: "@bo and @ANN?", ModelID: "ear", ClientID: "c", Correlation: "x"})
	want := []chat.Event{
		chat.MessageAdded{MessageID: "id-1", Author: chat.User{ID: "eve", Name: "Eve"}, Content: "@bo and @ANN?", ModelID: "ear", Duplex: true, ClientID: "c"},
		chat.TurnQueued{TurnID: "id-2", Prompt: "id-1", PromptSeq: 2, ModelID: "b", By: "eve", Correlation: "x"},
		chat.TurnQueued{TurnID: "id-3", Prompt: "id-1", PromptSeq: 2, ModelID: "a", By: "eve", Correlation: "x"},
	}
	if diff := cmp.Diff(want, planned(t, m, p, refusal, "eve")); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	for _, test := range []struct {
		name string
		u    conversation.Utterance
		want *chat.Error
	}{
		{"to no model", conversation.Utterance{ModelID: "x"}, chat.Refuse(chat.CodeNotFound, "there is no x")},
		{"too long", conversation.Utterance{Content: strings.Repeat("x", 1001)}, chat.Refuse(chat.CodeTooLarge, "the message has 1001 bytes; at most 1000")},
		{"as long as may be", conversation.Utterance{Content: strings.Repeat("x", 1000)}, nil},
		{"without a budget", conversation.Utterance{By: chat.User{ID: "poor"}, Content: "hello"}, errSpent},
		{"without a budget, quietly", conversation.Utterance{By: chat.User{ID: "poor"}, Content: "hello", Answer: quietly(true)}, nil},
		{"without a budget for one of two", conversation.Utterance{Content: "@ann @bo"}, errSpent},
	} {
		w := scene(t)
		w.rules.Afford = func(_ chat.RoomID, user chat.UserID, model chat.ModelID) *chat.Error {
			if user == "poor" || model == "b" {
				return errSpent
			}
			return nil
		}
		if _, refusal := w.moment().Say(test.u); !cmp.Equal(test.want, refusal) {
			t.Errorf("%s: got %v, want %v", test.name, refusal, test.want)
		}
	}
}

func TestEdit(t *testing.T) {
	base := []chat.Event{says("bob", "m"), wants("t", "m", 2), begins("t", 1), wants("u", "m", 2), says("bob", "n"), wants("v", "n", 6)}
	talk := append(base[:6:6], steers("bob", "s1", "t"), steers("bob", "s2", "t"))
	heard := []chat.Event{ // what t answers is written down behind what was said to it
		speaks("t", "m"), begins("t", 1), wants("u", "k", 1), steers("bob", "s1", "t"), says("bob", "m"), steers("bob", "s2", "t"),
	}
	edit := func(replaces chat.MessageID, seq uint64) chat.Event {
		return chat.MessageAdded{MessageID: "id-1", Author: chat.User{ID: "bob"}, Content: "anew", ModelID: "a", Replaces: replaces, ReplacesSeq: seq}
	}
	stopped := func(id chat.TurnID, prompt uint64) chat.Event {
		return chat.TurnEnded{TurnID: id, PromptSeq: prompt, State: chat.StateStopped, By: "bob", Reason: "the message was edited"}
	}
	answer := func(seq uint64) chat.Event {
		return chat.TurnQueued{Prompt: "id-1", PromptSeq: seq, ModelID: "a", By: "bob"}
	}
	for _, test := range []struct {
		name    string
		events  []chat.Event
		old     uint64 // the record that is edited
		by      chat.UserID
		want    []chat.Event
		refusal *chat.Error
	}{
		{"nothing answers it", []chat.Event{says("bob", "m")}, 2, "bob", []chat.Event{edit("m", 2), answer(3)}, nil},
		{"turns answer it, and what followed", base, 2, "bob",
			[]chat.Event{stopped("t", 2), stopped("u", 2), stopped("v", 6), edit("m", 2), answer(11)}, nil},
		{"turns answer what was before", base, 6, "bob", []chat.Event{stopped("v", 6), edit("n", 6), answer(9)}, nil},
		{"it was said to a turn that has not taken it in", talk, 8, "bob", []chat.Event{edit("s1", 8), answer(10)}, nil},
		{"it was taken in", append(talk[:8:8], takesIn("t", "s1", "s2")), 9, "bob",
			[]chat.Event{stopped("t", 2), edit("s2", 9), answer(12)}, nil},
		{"what followed it was taken in", append(talk[:8:8], takesIn("t", "s1", "s2")), 8, "bob",
			[]chat.Event{stopped("t", 2), edit("s1", 8), answer(12)}, nil},
		{"what was before it was taken in", append(talk[:7:7], takesIn("t", "s1"), steers("bob", "s2", "t")), 10, "bob",
			[]chat.Event{edit("s2", 10), answer(11)}, nil},
		{"what was said to the turn before is answered", heard, 6, "bob",
			[]chat.Event{
				stopped("t", 6), chat.TurnQueued{Prompt: "s1", PromptSeq: 5, ModelID: "ear", By: "bob", Before: "u"},
				edit("m", 6), answer(10),
			}, nil},

		{"it is somebody else's", base, 2, "carol", nil, conversation.ErrNotAuthor},
		{"it is no message", base, 3, "bob", nil, conversation.ErrNoMessage},
		{"it is an answer", append(base[:6:6], ends("t")), 8, "bob", nil, conversation.ErrNoMessage},
		{"it was edited", []chat.Event{says("bob", "m"), edit("m", 2)}, 2, "bob", nil, conversation.ErrSuperseded},
		{"nothing is left of a budget", base, 2, "poor", nil, errSpent},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := scene(t, test.events...)
			w.rules.Afford = func(_ chat.RoomID, user chat.UserID, _ chat.ModelID) *chat.Error {
				if user == "poor" {
					return errSpent
				}
				return nil
			}
			m := w.moment()
			old, _ := w.log[test.old-1].Message()
			if test.by == "poor" {
				old.Author.ID = "poor"
			}
			p, refusal := m.Edit(conversation.Utterance{By: chat.User{ID: test.by}, Content: "anew"}, old)
			if refusal != test.refusal {
				t.Fatalf("got %v, want %v", refusal, test.refusal)
			}
			wantEvents(t, planned(t, m, p, refusal, test.by), test.want...)
		})
	}
}

// An edit may not make the queue longer than it may be, whatever follows from it.
func TestEditInAFullQueue(t *testing.T) {
	said := says("bob", "n")
	for _, test := range []struct {
		name    string
		events  []chat.Event
		old     uint64
		refusal *chat.Error
	}{
		{"it ends a turn", []chat.Event{said, wants("t", "n", 2), wants("u", "n", 2), wants("v", "n", 2), wants("w", "n", 2)}, 2, nil},
		{"it ends none", []chat.Event{wants("t", "m", 1), wants("u", "m", 1), wants("v", "m", 1), wants("w", "m", 1), said}, 6, conversation.ErrBusy},
		{"what was said to the turn that it ends is answered", []chat.Event{
			wants("q", "m", 1), begins("q", 1), speaks("t", "n"), wants("u", "m", 1), wants("v", "m", 1), wants("w", "m", 1), ends("q"),
			begins("t", 1), steers("bob", "s", "t"), said,
		}, 11, conversation.ErrBusy},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := scene(t, test.events...)
			old, _ := w.log[test.old-1].Message()
			if _, refusal := w.moment().Edit(conversation.Utterance{By: chat.User{ID: "bob"}, Content: "anew"}, old); refusal != test.refusal {
				t.Errorf("got %v, want %v", refusal, test.refusal)
			}
		})
	}
}

func TestRespond(t *testing.T) {
	runs := []chat.Event{says("alice", "m"), wants("t", "m", 2), begins("t", 1), says("bob", "n")}
	answer := func(model chat.ModelID, before chat.TurnID) chat.TurnQueued {
		return chat.TurnQueued{Prompt: "n", PromptSeq: 5, ModelID: model, By: "carol", Before: before}
	}
	stopped := chat.TurnEnded{TurnID: "t", PromptSeq: 2, State: chat.StateStopped, By: "carol", Reason: "interrupted by a new message"}
	spoken := answer("a", "")
	spoken.PromptSeq, spoken.Spoken = 0, true
	for _, test := range []struct {
		name          string
		policy        chat.Policy
		content       string
		spoken, alone bool
		want          []chat.Event
		refusal       *chat.Error
	}{
		{"queue", chat.PolicyQueue, "hello", false, false, []chat.Event{answer("a", "")}, nil},
		{"it cannot steer any more", chat.PolicySteer, "hello", false, false, []chat.Event{answer("a", "")}, nil},
		{"interrupt", chat.PolicyInterrupt, "hello", false, false, []chat.Event{stopped, answer("a", "")}, nil},
		{"reject", chat.PolicyReject, "hello", false, false, nil, conversation.ErrRejected},
		{"an answer was stopped for it", chat.PolicyReject, "hello", false, true, []chat.Event{answer("a", "")}, nil},
		{"it addresses two", chat.PolicyQueue, "@bo and @ann", false, false, []chat.Event{answer("b", ""), answer("a", "")}, nil},
		{"it addresses a crowd", chat.PolicyQueue, "@1 @2 @3 @4 @5 @6 @7 @8 @9", false, false, nil, conversation.ErrCrowd},
		{"nobody knows yet whom it addresses", chat.PolicyQueue, "@bo", true, false, []chat.Event{spoken}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := scene(t, runs...)
			w.rules.TurnPolicy = test.policy
			if test.refusal == conversation.ErrCrowd {
				w.rules.Models = everybody{}
			}
			m := w.moment()
			last := m.Last
			spokenTo := chat.ModelID("")
			if test.spoken {
				last.Seq, spokenTo = 0, m.Chat.ModelID
			}
			p, refusal := m.Respond("carol", last, test.content, spokenTo, test.alone)
			if refusal != test.refusal {
				t.Fatalf("got %v, want %v", refusal, test.refusal)
			}
			if refusal == nil {
				wantEvents(t, m.Response(p, last.Seq, "carol"), test.want...)
			}
		})
	}
}
