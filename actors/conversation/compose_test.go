package conversation_test

import (
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"parlor/actors/conversation"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// back reads entries back, and counts them.
func back(log []chat.Record, read *int) func(before uint64) iter.Seq2[persistence.Entry, error] {
	return func(before uint64) iter.Seq2[persistence.Entry, error] {
		return func(yield func(persistence.Entry, error) bool) {
			for _, r := range slices.Backward(log[:before-1]) {
				*read++
				data, err := r.Encode()
				if !yield(persistence.Entry{Seq: r.Seq, Data: data}, err) {
					return
				}
			}
		}
	}
}

// TestComposeFromAnyTail composes prompts as rooms do, from a tail that has seen
// anything, and the same ones from nothing but the log, and from a plain reading of
// what a prompt is.
func TestComposeFromAnyTail(t *testing.T) {
	conversation.SetTailSlack(t, 2000) // a few messages
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		w.rules.Models = models{
			"a":   {ID: "a", Name: "ann", ContextWindow: rapid.IntRange(40, 400).Draw(t, "window")},
			"b":   {ID: "b", Name: rapid.SampledFrom([]string{"bo", ""}).Draw(t, "name")},
			"ear": {ID: "ear", APISource: chat.SourceRealtime},
		}
		tail, added := conversation.NewTail(0), uint64(0)
		take := func(*rapid.T) {
			for ; added < w.shown.Seq; added++ {
				tail.Add(w.log[added])
			}
			checkMemory(t, &tail)
		}
		actions := w.actions()
		actions["compose"] = func(t *rapid.T) { w.confirm(); take(t); w.compose(t, &tail); checkMemory(t, &tail) }
		actions["compose again"] = actions["compose"]
		actions["shrink"] = func(t *rapid.T) { tail.Shrink(rapid.IntRange(0, 5000).Draw(t, "to")) }
		actions["take"] = take
		actions["wake"] = func(*rapid.T) { tail, added = conversation.NewTail(w.shown.Seq), w.shown.Seq }
		t.Repeat(actions)
	})
}

// compose checks the prompt of some turn, and has the tail used for it.
func (w *world) compose(t *rapid.T, tail *conversation.Tail) {
	q := conversation.Question{
		Models: w.rules.Models, Window: rapid.IntRange(40, 600).Draw(t, "default window"), System: "Be kind.",
	}
	if turn, open := w.shown.Turn(); open && rapid.Bool().Draw(t, "the open turn") {
		q.Turn = turn
	} else if m, said := w.anyMessage(t); said && m.Seq <= w.shown.Seq && !w.shown.Branches.Withdrawn(m.Seq) {
		q.Turn = chat.Turn{ID: "any", Prompt: m.ID, PromptSeq: m.Seq, ModelID: rapid.SampledFrom([]chat.ModelID{"a", "b"}).Draw(t, "model"), By: m.Author.ID}
	} else {
		return
	}
	q.Path = w.shown.PathOf(q.Turn)
	var read int
	got, err := conversation.Compose(t.Context(), q, *tail, back(w.log, &read))
	want, wantErr := conversation.Compose(t.Context(), q, conversation.NewTail(w.shown.Seq), back(w.log, &read))
	if diff := cmp.Diff(fmt.Sprint(wantErr), fmt.Sprint(err)); diff != "" {
		t.Fatalf("errors from the log and from a tail:\n%s", diff)
	}
	if err != nil {
		return
	}
	if diff := cmp.Diff(want.Prompt, got.Prompt) + cmp.Diff(want.Names, got.Names, cmp.AllowUnexported(conversation.Names{})); diff != "" {
		t.Fatalf("prompts from the log and from a tail:\n%s", diff)
	}
	if got.Tokens != got.Prompt.Tokens() {
		t.Errorf("%d tokens counted, want %d", got.Tokens, got.Prompt.Tokens())
	}
	plain, whole := plainly(w.log, q)
	if diff := cmp.Diff(plain, got.Messages[1:]); diff != "" && whole {
		t.Fatalf("prompt (-plain +got):\n%s", diff)
	}
	tail.Use(got)
}

// plainly is what a prompt is: the newest exchanges that fit, of what was said up
// to the prompt of the turn in its branch. An exchange is a message, what
// the turns that answered it have taken in, and the newest answer of each model.
// It is whole if there are so few answers that none is left out for its size.
func plainly(log []chat.Record, q conversation.Question) (prompt []chat.PromptMessage, whole bool) {
	type answer struct {
		chat.TurnEnded
		seq uint64
	}
	var said []chat.MessageAdded
	answers := make(map[chat.MessageID]map[chat.ModelID]answer)
	answered := 0                                   // bytes
	prompts := make(map[chat.TurnID]chat.MessageID) // of turns that have ended
	takenBy := make(map[chat.MessageID]chat.TurnID)
	for _, r := range log {
		switch e := r.Event.(type) {
		case chat.TurnStarted:
			for id, turn := range takenBy {
				if turn == e.TurnID && e.Attempt > 1 {
					delete(takenBy, id)
				}
			}
		case chat.TurnSteered:
			for _, id := range e.Messages {
				takenBy[id] = e.TurnID
			}
		}
		if q.Path.Hides(r) {
			continue
		}
		switch e := r.Event.(type) {
		case chat.MessageAdded:
			said = append(said, e)
		case chat.TurnEnded:
			prompts[e.TurnID] = e.Prompt
			if e.Content == "" || !slices.ContainsFunc(said, func(m chat.MessageAdded) bool { return m.MessageID == e.Prompt }) {
				continue // what was spoken may be written down after its answer was stopped
			}
			if answers[e.Prompt] == nil {
				answers[e.Prompt] = make(map[chat.ModelID]answer)
			}
			answers[e.Prompt][e.ModelID] = answer{e, r.Seq}
			answered += len(e.Content)
		}
	}
	at := slices.IndexFunc(said, func(m chat.MessageAdded) bool { return m.MessageID == q.Turn.Prompt })
	if q.Turn.Unheard {
		said = append(said, chat.MessageAdded{MessageID: q.Turn.Prompt, Author: chat.User{ID: q.Turn.By}})
		at = len(said) - 1
	}
	delete(takenBy, q.Turn.Prompt) // somebody wants it answered for itself
	taken := func(m chat.MessageAdded) chat.MessageID { return prompts[takenBy[m.MessageID]] }

	asked, _ := q.Models.Model(q.Turn.ModelID)
	window := q.Window
	if asked.ContextWindow > 0 {
		window = asked.ContextWindow
	}
	left := window - min(4096, window/2) - chat.Tokens(q.System) - chat.MessageTokens
	whole = answered <= 16*left
	type exchange struct {
		said    []chat.MessageAdded
		answers []chat.TurnEnded
	}
	var exchanges []exchange // newest first
	for i := at; i >= 0; i-- {
		m := said[i]
		if i < at && taken(m) != "" {
			continue
		}
		x := exchange{said: []chat.MessageAdded{m}}
		if i < at {
			for _, s := range said {
				if taken(s) == m.MessageID {
					x.said = append(x.said, s)
				}
			}
			var given []answer
			for _, a := range answers[m.MessageID] {
				given = append(given, a)
			}
			slices.SortFunc(given, func(a, b answer) int { return int(a.seq) - int(b.seq) })
			for _, a := range given {
				x.answers = append(x.answers, a.TurnEnded)
			}
		}
		for _, m := range x.said {
			left -= chat.Tokens(m.Content) + chat.Tokens(m.Author.Name) + chat.MessageTokens
		}
		for _, a := range x.answers {
			left -= chat.Tokens(a.Content) + chat.MessageTokens
		}
		if i < at && left < 0 {
			break
		}
		exchanges = append(exchanges, x)
	}
	names := conversation.NewNames()
	for _, x := range slices.Backward(exchanges) {
		for _, m := range x.said {
			names.Add(m.Author)
		}
	}
	for _, x := range slices.Backward(exchanges) {
		for _, m := range x.said {
			prompt = append(prompt, chat.PromptMessage{ID: m.MessageID, Role: chat.RoleUser, Content: names.Say(m.Author.ID, m.Content)})
		}
		for _, a := range x.answers {
			name := a.Name
			if other, _ := q.Models.Model(a.ModelID); name == "" {
				name = other.Name
			}
			p := chat.PromptMessage{ID: a.MessageID, Role: chat.RoleAssistant, Content: a.Content}
			if a.ModelID != q.Turn.ModelID && name != "" && asked.Name != "" {
				p.Role, p.Content = chat.RoleUser, "["+name+"]: "+a.Content
			}
			prompt = append(prompt, p)
		}
	}
	return prompt, whole
}
