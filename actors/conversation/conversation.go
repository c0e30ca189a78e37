// Package conversation holds the state of a room, and its decisions: pure functions
// of state and event, without actor, clock or I/O.
//
//	records → State.Apply → State
//	State, Utterance → Moment.Say, Edit … → Plan: the events of one commit
//	State, Running → Moment.Next → the events that nobody has to ask for
//	records → Tail → Compose → chat.Prompt
//	records → Fold → what is kept beside the log, to check a file and to import
//
// A room that runs, a room that restarts and a room that wakes up come to the same
// State by the same Apply. What a room does next follows from its State alone.
package conversation

import (
	"cmp"
	"fmt"

	"parlor/protocol/chat"
)

// The refusals.
var (
	ErrNoModel    = chat.Refuse(chat.CodeNotFound, "there is no such model")
	ErrNoTurn     = chat.Refuse(chat.CodeNotFound, "no such turn is queued or running")
	ErrNoMessage  = chat.Refuse(chat.CodeNotFound, "there is no such message of a person in this conversation")
	ErrNoSuch     = chat.Refuse(chat.CodeNotFound, "there is no such message in this conversation")
	ErrNotAuthor  = chat.Refuse(chat.CodeForbidden, "only its author may edit a message")
	ErrSuperseded = chat.Refuse(chat.CodeNotFound, "the message is not in the current branch of the conversation")
	ErrBusy       = chat.Refuse(chat.CodeBusy, "too many messages wait for an answer in this room")
	ErrRejected   = chat.Refuse(chat.CodeBusy, "an answer is being given in this room; wait for its end")
	ErrTooLarge   = chat.Refuse(chat.CodeTooLarge, "the message is too long")
	ErrNothing    = chat.Refuse(chat.CodeInvalid, "nothing was said that could be answered")
)

// TooLong refuses a message that has more bytes than one may have.
func TooLong(has, most int) *chat.Error {
	return chat.Refuse(chat.CodeTooLarge, fmt.Sprintf("the message has %d bytes; at most %d", has, most))
}

// Models know which models there are.
type Models interface {
	Model(chat.ModelID) (chat.Model, bool)

	// Refusal returns why there is no model with the id, or nil if there is one.
	Refusal(chat.ModelID) *chat.Error
	// Named returns the model that people address by the name, in whatever case.
	Named(name string) (chat.ModelID, bool)
}

// Rules are what all conversations of a server have in common. Their functions
// must not change anything.
type Rules struct {
	Models Models

	// Afford returns why the user may not use the model in the room, or nil.
	Afford func(room chat.RoomID, user chat.UserID, model chat.ModelID) *chat.Error

	// Resting reports whether no turn begins for now. Nil is never.
	Resting func() bool

	// NewID makes a name that nothing else has.
	NewID func() string

	TurnPolicy      chat.Policy // of chats that have none
	MaxMessageBytes int
	MaxQueuedTurns  int // past it a message is refused as busy
	MaxBranches     int // of a chat; 0: any number
	MaxMembers      int // of a chat, with its owner; 0: any number
	MaxAttempts     int // of one turn; then it is interrupted

	// Repeatable reports whether a call of the tool may run again if nobody knows
	// whether it has run.
	Repeatable func(tool string) bool

	// RepeatTools starts a turn again even if it has run a tool. It is a bug that the
	// chaos harness plants, to show that it notices.
	RepeatTools bool
}

// An Answer is what a turn has answered so far.
type Answer struct {
	ModelID  chat.ModelID // who answers; empty: who was asked
	Content  string
	Thought  string
	Usage    *chat.Usage
	Modality string
	Cut      []chat.CutFile
}

// A Moment is a conversation as it is now. Its methods decide, and change nothing.
type Moment struct {
	*Rules
	*State

	// Answer returns what an open turn has answered so far.
	Answer func(chat.Turn) Answer
}

// nameOf returns what people call the model.
func (r *Rules) nameOf(id chat.ModelID) string {
	m, _ := r.Models.Model(id)
	return m.Name
}

// duplex reports whether the model is asked on a line.
func (r *Rules) duplex(id chat.ModelID) bool {
	m, _ := r.Models.Model(id)
	return m.Duplex()
}

// NoModel returns why there is no such model.
func (r *Rules) NoModel(id chat.ModelID) *chat.Error {
	return cmp.Or(r.Models.Refusal(id), ErrNoModel) // it may have come since
}
