package turn

import (
	"parlor/actors/conversation"
	"parlor/protocol/chat"
)

// An Event is what an attempt tells itself through its room's mailbox.
type Event interface{ event() }

// The events.
type (
	// piece is a piece of the answer.
	piece struct{ chat.Delta }

	// ended is the end of the stream, or of the time that it has.
	ended struct {
		err  error
		note string // see [chat.TurnEnded.Reason]
	}

	// composed brings the prompt.
	composed struct {
		conversation.Composed
		said string // in the steps that are recorded already
		err  error
	}

	// asking asks the model on the line. The answer comes on the channel, which has room
	// for it, unless it fails.
	asking struct {
		chat.Prompt
		answer chan<- *said
	}

	// stepped brings the calls in which a step has ended.
	stepped struct{ *step }

	// began says that the provider gives the answer whether or not it is read. The channel is
	// closed when that is on disk.
	began struct {
		chat.Run
		recorded chan<- struct{}
	}

	// runGone says that the run that was begun before cannot be read on.
	runGone struct{}

	// ran brings what has come of a call.
	ran struct {
		call   string
		result string
		err    error
	}

	// progressed says how far a call is.
	progressed struct {
		call string
		chat.ToolProgress
	}

	// pause asks, between two steps, for what people said meanwhile. The channel
	// has room for one answer.
	pause struct {
		answer chan<- []conversation.Steering
	}

	// overdrawn says that a budget is used up.
	overdrawn struct{ why *chat.Error }

	// saveDue says that it is time to save the text, and saved that it was saved, or
	// why not.
	saveDue struct{}
	saved   struct {
		bytes int
		err   error
	}
)

func (piece) event()      {}
func (ended) event()      {}
func (composed) event()   {}
func (asking) event()     {}
func (stepped) event()    {}
func (began) event()      {}
func (runGone) event()    {}
func (ran) event()        {}
func (progressed) event() {}
func (pause) event()      {}
func (overdrawn) event()  {}
func (saveDue) event()    {}
func (saved) event()      {}
