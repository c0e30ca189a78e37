package chat

import "time"

// A Notice is what a room tells its members. The set is sealed, and knows no
// wire: each wire has an encoder that gives a notice its form there.
type Notice interface{ notice() }

// The notices, besides a [Record], which is a notice too.
type (
	// Missed is a record for a client that was away when it was told, and has
	// not been told either what went before it and was not recorded.
	Missed struct{ Record Record }

	// Transcribed is, for who said it, the record of what was understood of
	// speech. Others are told the record.
	Transcribed struct{ Record Record }

	// Text is the next piece of a running answer. Before is the text that it
	// follows, which must not be changed.
	Text struct {
		Turn   Turn
		Before []byte
		Piece  string
		Spoken bool // the piece is, or what went before it
	}

	// TextSoFar is all of a running answer, for a client that may have some of it.
	TextSoFar struct {
		Turn Turn
		Text string
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

	// Removal says that the chat was deleted.
	Removal struct{}

	// Failure says what has befallen the room. Turn is the one that was running,
	// zero if none was: it goes on only if the room does, which nobody knows.
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
func (TextSoFar) notice()   {}
func (Speech) notice()      {}
func (Progress) notice()    {}
func (Removal) notice()     {}
func (Failure) notice()     {}
