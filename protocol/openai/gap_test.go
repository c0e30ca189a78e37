package openai

import (
	"slices"
	"testing"

	"parlor/protocol/chat"
)

// An attempt that goes on behind a recorded step begins with the words of that step.
func TestGoesOnBehindAStep(t *testing.T) {
	s := script{[]string{"dead", "before and behind"}, chat.TurnEnded{State: chat.StateCompleted, Content: "before and behind"}}
	all := s.tell(func(text string) []string { return []string{text[:4], text[4:]} })
	piece := func(n told) bool {
		text, ok := n.notice.(chat.Text)
		return ok && text.Turn.Attempt == 2 && len(text.Before) == 0
	}
	all = slices.DeleteFunc(all, piece) // nobody is told the beginning again
	c := client{last: Begin}
	for _, e := range stream(t, NewStream(NewTurn(responseID, info), Begin), all) {
		c.take(t, e)
	}
	c.check(t, s, true)
}

func TestGap(t *testing.T) {
	s := NewStream(NewTurn(responseID, info), Begin)
	stream(t, s, []told{{notice: queued()}, {notice: started(1)}})
	if _, err := s.Take(&Piece{Turn: chat.Turn{ID: turnID, Attempt: 1}, Text: "x", FromBytes: 7, ToBytes: 8}); err == nil {
		t.Error("a gap in the text goes unnoticed")
	}
}
