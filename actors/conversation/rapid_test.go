package conversation_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"parlor/actors/conversation"
	"parlor/protocol/chat"
)

// People, assistants and disks may do anything: the records follow each other, a
// snapshot says the same as the records, turns run one at a time and do not pile up, and
// a room comes to rest by itself.
func TestAnythingMayHappen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		actions := w.actions()
		actions[""] = w.check
		t.Repeat(actions)
		w.rest(t)
		w.check(t)
		if len(w.head.Turns) > 0 {
			t.Errorf("at rest with open turns: %+v", w.head.Turns)
		}
		w.checkAnswered(t)
	})
}

func (w *world) check(t *rapid.T) {
	decoded, ok := conversation.DecodeState(w.head.Seq, w.head.Encode())
	if diff := cmp.Diff(w.head, decoded); diff != "" || !ok {
		t.Errorf("the snapshot (-state +decoded):\n%s", diff)
	}
	for i, turn := range w.head.Turns {
		if i > 0 && turn.Attempt > 0 {
			t.Errorf("turn %d of %d runs", i, len(w.head.Turns))
		}
	}
	if n := len(w.head.Turns); n > w.rules.MaxQueuedTurns {
		t.Errorf("%d turns are open, want at most %d", n, w.rules.MaxQueuedTurns)
	}
	if turn, _ := w.head.Turn(); turn.Attempt == 0 && len(w.head.Steering) > 0 {
		t.Errorf("something was said to a turn that does not run: %+v", w.head.Steering)
	}
}

// rest lets every attempt end and every commit succeed. Each round starts or
// ends a turn, or records one of few tools, so rounds are bounded.
func (w *world) rest(t *rapid.T) {
	limit := 4*len(w.head.Turns) + 2*len(w.head.Steering) + len(w.running.Tools) + 8
	for n := 0; ; n++ {
		if n > limit {
			t.Fatalf("the room is not at rest after %d steps: %+v", n, w.head)
		}
		w.confirm()
		w.hear(t)
		turn, open := w.head.Turn()
		runs := open && turn.ID == w.running.Turn
		if runs && w.running.End == nil && turn.Tools == len(w.running.Tools) {
			w.end(chat.StateCompleted)
		}
		if !w.next() {
			return
		}
	}
}

// checkAnswered checks that nothing that was said to a turn is left unanswered:
// the turn has taken it in and ended with that, or a turn that was queued later
// answers it, or what was said behind it. An edit may have taken it out.
func (w *world) checkAnswered(t *rapid.T) {
	taken := make(map[chat.MessageID]bool)
	var lastPrompt uint64
	for _, r := range w.log {
		switch e := r.Event.(type) {
		case chat.TurnSteered:
			for _, id := range e.Messages {
				taken[id] = true
			}
		case chat.TurnQueued:
			lastPrompt = max(lastPrompt, e.PromptSeq)
		}
	}
	for _, r := range w.log {
		m, ok := r.Event.(chat.MessageAdded)
		if ok && m.Steers != "" && !taken[m.MessageID] && r.Seq > lastPrompt && w.head.Branches.Shows(r.Seq) {
			t.Errorf("nobody answers message %s, which is record %d", m.MessageID, r.Seq)
		}
	}
}
