package chat

// A Place is how far somebody was in a room. The zero Place is the beginning.
type Place struct {
	// Epoch names the room's log, in which Seq counts. A number of another log means
	// nothing: that of a chat that was deleted and made anew, or of an older copy of the
	// file. If Epoch is empty it is not compared.
	Epoch string
	Seq   uint64 // of the last record that is known
	Now   bool   // whatever was recorded so far is known
}

// A Told is one thing that a follower of a room is told.
type Told struct {
	Seq     uint64 // of the record; 0 for what is not recorded
	Epoch   string // of the room's log, see [Place]
	Notice  Notice
	Encoded any  // the notice in the encoding that the follower has asked for
	More    bool // the follower is told more at once, and need not send this on before

	// Of who follows several chats: the one that this is about, and where the follower is
	// before the record and behind it.
	Chat           ID
	Before, Cursor string
}

// Entered is the notice that a follower gets first, and only a follower: how the room
// stands, of which everything that follows is a change.
type Entered struct {
	Chat    Info
	Epoch   string
	Seq     uint64 // of the last record; those behind the follower's place follow
	Users   []User // who are in the room, as far as they are listed
	Turn    *Turn  // that runs, or nil
	Text    string // of its answer so far
	Thought string // the one before that
	Queued  []Turn // those that wait, in order
	Pending []Pending
	Calls   []Called // that the turn has made so far
	Anew    Restart  // empty, or why everything is told from the beginning

	Branched uint64 // the record that has changed the current branch last, or 0
}

// A Restart says why the place of a follower meant nothing.
type Restart string

// The reasons.
const (
	RestartEpoch Restart = "epoch" // it was in another log
	RestartAhead Restart = "ahead" // the log has no such record
)

func (Entered) notice() {}
