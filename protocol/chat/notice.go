package chat

import "time"

// A Notice is what a room tells its listeners. The set is sealed. A notice has no
// form of its own: each wire has an encoder that gives it one.
type Notice interface{ notice() }

// The notices, besides a [Record], which is a notice too.
type (
	// Missed is a record for a client that was away when the others were told.
	// Nor has this client got the text that came before the record and was not
	// recorded.
	// Of an answer it may have had the first Has bytes nevertheless.
	Missed struct {
		Record Record
		Has    int
	}

	// Transcribed is the record of a message that was spoken, for the client
	// that spoke. The other listeners are told the [Record].
	Transcribed struct{ Record Record }

	// Text is the next piece of a running answer. Before is the text that it
	// follows; nobody may change it.
	Text struct {
		Turn   Turn
		Before []byte
		Piece  string
		Spoken bool // the answer has been spoken, in this piece or before
	}

	// Thought is the next piece of what the model thinks before a running answer.
	// Before is the thought that it follows; nobody may change it. Thought is
	// recorded with the end of the turn.
	Thought struct {
		Turn   Turn
		Before []byte
		Piece  string
	}

	// TextSoFar is all of a running answer, and of the thought before it, for a
	// client that may have some of it.
	TextSoFar struct {
		Turn    Turn
		Text    string
		Thought string
		Has     int // bytes of the text that the client is known to have

		// Cut means that the attempt has ended with a crash. Another one may follow, and
		// give another text.
		Cut bool
	}

	// Speech is a spoken piece of a running answer, see [AudioAppend]. It is
	// neither recorded nor told again.
	Speech struct {
		MessageID MessageID
		Audio     string
	}

	// Progress says how the provider of a running answer fares: that it has
	// failed and is asked again, or Model in its place; or its health.
	Progress struct {
		MessageID MessageID
		Retrying  *Error
		Model     ModelID
		Health    *Health
	}

	// ToolNews says how far a call is that runs.
	ToolNews struct {
		MessageID MessageID
		CallID    string
		Name      string
		ToolProgress
	}

	// RunTool has the one listener that is told it run a call of a tool that it offers.
	RunTool struct {
		MessageID MessageID
		Call      ToolCall
		Until     time.Time // then the call has failed
	}

	// Removal says that the chat was deleted or, if Left, that its listener has no
	// role in it any more. If the listener was Away it may be either.
	Removal struct{ Left, Away bool }

	// Failure says that the room has failed, and is out of service. Turn is the
	// turn that was running, or zero. It may never go on.
	Failure struct {
		Error *Error
		Turn  TurnStarted
		At    time.Time
	}
)

func (Record) notice()      {}
func (Missed) notice()      {}
func (Transcribed) notice() {}
func (Text) notice()        {}
func (Thought) notice()     {}
func (TextSoFar) notice()   {}
func (Speech) notice()      {}
func (Progress) notice()    {}
func (ToolNews) notice()    {}
func (RunTool) notice()     {}
func (Removal) notice()     {}
func (Failure) notice()     {}

// KindOf returns the name of an event's type, such as "turn_ended".
func KindOf(e Event) string { return e.kind() }
