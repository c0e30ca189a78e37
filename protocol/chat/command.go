package chat

// The commands that a user may give a room by HTTP. A command with a ClientID is carried
// out once, however often it comes.
type (
	// Say adds a message.
	Say struct {
		Content     string
		ModelID     ModelID // empty: the chat's current model
		ClientID    ClientID
		Addressed   ModelID   // that answers this message alone; empty: those that it names, or the chat's
		Policy      Policy    // empty: the chat's
		Answer      *bool     // whether an answer is wanted; nil: as the chat says
		Correlation string    // see [TurnQueued]
		Parent      MessageID // that it replies to, in a channel
		Files       []FileID
		OnlyTools   []string // see [MessageAdded]
		ToolChoice  ToolChoice
		Tools       []OfferedTool

		// After is the message or the answer that it follows: if something else does, the
		// conversation goes on in a branch of its own. Empty is the end of the current branch.
		After MessageID
	}

	// Edit replaces a message of the user by a new one.
	Edit struct {
		MessageID MessageID
		Content   string
		ModelID   ModelID // empty: the chat's current model
		ClientID  ClientID
		Answer    *bool // as in Say
	}

	// Again asks for another answer to the message that Answer has answered.
	Again struct {
		Answer   MessageID
		ModelID  ModelID // empty: the one that gave the answer
		ClientID ClientID
	}

	// Stop stops a turn: the one that runs, or else the next one, if none is named.
	Stop struct {
		TurnID   TurnID
		Reason   string
		ClientID ClientID
	}

	// Decide decides about a call of a tool that waits.
	Decide struct {
		CallID    string
		Approved  bool
		Arguments string // instead of those that the model wrote; empty: those
		Always    bool   // nobody is asked again in this chat
		Reason    string
		ClientID  ClientID
	}

	// AnswerCall brings what has come of a call that a page of the user has run.
	AnswerCall struct {
		CallID string
		Result string     // or the words of the error
		Choice ToolChoice // of what the model calls next
		Failed bool
	}
)

// These say what such a command has done. Repeated means that an earlier command with the same
// ClientID had done it.
type (
	// Said is a message that is on disk.
	Said struct {
		MessageID   MessageID
		ClientID    ClientID
		Seq         uint64
		Turns       []TurnID // that answer it
		Unasked     bool     // see [MessageAdded]
		Replaces    MessageID
		ReplacesSeq uint64
		Repeated    bool
	}

	// Queued is a turn that will run.
	Queued struct {
		TurnID   TurnID
		Repeated bool
	}

	// Stopped is the turn that was stopped, or empty if there was none. Unrecorded means
	// that the disk is full, so that the end of the turn is recorded later.
	Stopped struct {
		TurnID     TurnID
		Unrecorded bool
		Repeated   bool
	}

	// Answered is what has come of the call.
	Answered struct {
		CallID   string
		State    ToolOutcome
		Repeated bool
	}

	// Decided is what was decided about the call.
	Decided struct {
		CallID   string
		Approved bool
		Repeated bool
	}
)
