package room

import (
	"time"

	"parlor/protocol/chat"
)

// A Meter counts what happens in rooms, for the operator. Its methods are called on the
// goroutines of rooms, many at once, and must not block.
type Meter interface {
	// TurnEnded gets the recorded end of each turn.
	TurnEnded(chat.TurnEnded)

	// Tools gets what was recorded of calls of tools: [chat.ToolsCalled],
	// [chat.ToolDecided] and [chat.ToolEnded].
	Tools(chat.Event)

	// FirstToken gets the time from the start of an attempt at a turn to the first that was
	// heard of its answer.
	FirstToken(time.Duration)
}

type unmetered struct{}

func (unmetered) TurnEnded(chat.TurnEnded) {}
func (unmetered) Tools(chat.Event)         {}
func (unmetered) FirstToken(time.Duration) {}
