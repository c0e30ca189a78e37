package chat

import "errors"

// A Run is an answer that its provider gives whether or not somebody reads it. So a turn that
// the end of the server has cut can read on, and the provider is not asked again.
type Run struct {
	ID    string  `json:"run_id"`
	After int64   `json:"run_after"`          // the number of the event behind which its text begins
	Model ModelID `json:"model_id,omitempty"` // that answers
}

// ErrRunGone is returned for a [Run] that cannot be read any more.
var ErrRunGone = errors.New("chat: the provider does not have the answer any more")

// TurnRun records what becomes of the run of a turn. It is recorded before any of its text is
// told.
type TurnRun struct {
	TurnID    TurnID    `json:"turn_id"`
	MessageID MessageID `json:"message_id"`
	Attempt   int       `json:"attempt"`
	Run
	State RunState `json:"state"`

	// Of a run that is read on: how much of the answer was saved before, in bytes, and how
	// often it was read on without more of it.
	Saved int `json:"saved,omitempty"`
	Vain  int `json:"vain,omitempty"`
}

// A RunState is what has become of a run.
type RunState string

// The states of runs.
const (
	RunBegun   RunState = "begun"
	RunResumed RunState = "resumed" // after the end of the server
	RunGone    RunState = "gone"    // see [ErrRunGone]. Another attempt follows
)

func (TurnRun) kind() string { return "turn_run" }

// TakeRun takes in what has become of the run of a turn.
func (t *Turn) TakeRun(e TurnRun) {
	switch e.State {
	case RunBegun:
		t.Run, t.Saved, t.Vain = e.Run, 0, 0
	case RunResumed:
		t.Resumed, t.Saved, t.Vain = t.Resumed+1, e.Saved, e.Vain
	case RunGone:
		t.Run = Run{}
	}
}
