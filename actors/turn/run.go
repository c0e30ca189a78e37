package turn

import (
	"bytes"
	"context"
	"strings"
	"time"

	"parlor/protocol/chat"
)

// Runs end answers that their provider gives whether or not they are read. A [Provider] that
// has such implements it.
type Runs interface {
	CancelRun(ctx context.Context, r chat.Run) error
}

// cancelTime limits how long a provider is asked to end a run.
const cancelTime = 10 * time.Second

// A run is what an attempt knows of the answer at its provider.
type run struct {
	begun    *chat.TurnRun   // nil: there is none
	recorded chan<- struct{} // is closed when it is on disk
	gone     bool
	ended    bool // the provider has said how

	// Of a run that is read on, its text comes once more from its beginning on. Read is how
	// far it has come, in the text of the attempt.
	readsOn bool
	read    int
}

// resume goes on with the run that an earlier attempt has begun, and with its text.
func (a *Attempt) resume() {
	r := a.turn.Run
	if r.ID == "" {
		return
	}
	a.run.begun, a.run.readsOn = a.runOf(r), true
	a.turn.ModelID = r.Model
	a.text = bytes.Clone(a.q.Text)
	a.saving.bytes = a.q.Saved
}

func (a *Attempt) runOf(r chat.Run) *chat.TurnRun {
	return &chat.TurnRun{TurnID: a.turn.ID, MessageID: a.turn.MessageID, Attempt: a.turn.Attempt, Run: r, State: chat.RunBegun}
}

// began has a run recorded. The reader waits for that before it reads on.
func (a *Attempt) began(e began) {
	if a.end != nil {
		return
	}
	e.Model = a.turn.ModelID
	a.run = run{begun: a.runOf(e.Run), recorded: e.recorded}
	a.room.Advance()
}

// runRecorded takes the record of a run.
func (a *Attempt) runRecorded(e chat.TurnRun) {
	if a.run.recorded != nil && e.Run == a.run.begun.Run {
		close(a.run.recorded)
		a.run.recorded = nil
	}
}

// runGone has the room begin anew, since the run cannot be read on.
func (a *Attempt) runGone() {
	if a.end != nil {
		return
	}
	a.o.Logger.Warn("the provider does not have the answer any more: it is asked again", "room", a.q.Room, "turn", a.turn.ID, "run", a.run.begun.ID)
	a.run.gone = true
	a.room.Advance()
}

// saidBefore takes the text of the steps that are recorded. Listeners know what is saved of
// the answer already.
func (a *Attempt) saidBefore(text string) {
	a.resumes = text != ""
	if more, follows := strings.CutPrefix(text, string(a.text)); follows && more != "" {
		a.room.Tell(chat.Text{Turn: a.turn, Before: a.text, Piece: more})
		a.text = append(a.text, more...)
	}
	a.run.read = min(len(text), len(a.text))
	a.run.readsOn = a.run.readsOn && a.run.read < len(a.text)
}

// unread returns the part of a piece that the attempt does not have already. If the piece
// says something else than what was saved, it is not of that run.
func (a *Attempt) unread(text string) string {
	if !a.run.readsOn {
		return text
	}
	known := a.text[a.run.read:]
	n := min(len(text), len(known))
	if text[:n] != string(known[:n]) {
		a.runGone()
		return ""
	}
	a.run.read += n
	a.run.readsOn = a.run.read < len(a.text)
	return text[n:]
}

// textBefore is the text that the next words follow.
func (a *Attempt) textBefore() string {
	if a.run.readsOn {
		return string(a.text[:a.run.read])
	}
	return string(a.text)
}

// cancelRun ends the answer at the provider, which would go on with it. It does not wait.
func (a *Attempt) cancelRun() {
	runs, has := a.o.Provider.(Runs)
	if !has || a.run.begun == nil || a.run.ended || a.run.gone {
		return
	}
	r := a.run.begun.Run
	a.o.Goroutines.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cancelTime)
		defer cancel()
		if err := runs.CancelRun(ctx, r); err != nil {
			a.o.Logger.Warn("the provider was not told to end an answer", "run", r.ID, "err", err)
		}
	})
}
