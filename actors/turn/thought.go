package turn

import (
	"bytes"

	"parlor/protocol/chat"
)

// A thought is what the model has thought before its answer, as much of it as is kept.
type thought struct {
	text []byte
	full bool // the rest is not kept
}

// thoughtPart is the part of an answer's limit that thought may take up: one in so many.
// The rest of a longer thought is dropped, so that there is room for the answer.
const thoughtPart = 2

// think tells the listeners a piece of thought at once. Thought is recorded with the end
// of the turn, and not saved before: a turn that starts again thinks again.
func (a *Attempt) think(piece string) {
	if t := &a.thought; !t.full && len(t.text)+len(piece) <= a.o.MaxAnswerBytes/thoughtPart {
		a.room.Tell(chat.Thought{Turn: a.turn, Before: t.text, Piece: piece})
		t.text = append(t.text, piece...)
	} else {
		t.full = true
	}
	if spent := a.spent.say(piece); spent != nil {
		a.Finish(spent)
	}
}

// silent reports whether the answer, which has ended, has no words for people.
func (a *Attempt) silent() bool { return !a.spoken && len(bytes.TrimSpace(a.text)) == 0 }

// whyNoWords returns why an answer without words has none.
func whyNoWords(finish chat.Finish, thought bool) string {
	switch finish {
	case chat.FinishLength:
		if thought {
			return "it thought until it reached its limit of tokens"
		}
		return "it reached its limit of tokens before the first word"
	case chat.FinishFilter:
		return "the provider's filter kept it back"
	case chat.FinishRefusal:
		return "it refused"
	case chat.FinishToolCalls:
		return "it wants a tool that it does not have here"
	case chat.FinishContext:
		return "the conversation is longer than it can read"
	case chat.FinishPause:
		return "the provider paused it"
	}
	if thought {
		return "it only thought"
	}
	return "its provider sent no text"
}
