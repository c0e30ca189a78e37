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
	a        *Attempt
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
func (r *run) resume() {
	before := r.a.turn.Run
	if before.ID == "" {
		return
	}
	r.begun, r.readsOn = r.record(before), true
	r.a.turn.ModelID = before.Model
	r.a.text = bytes.Clone(r.a.q.Text)
	r.a.saving.bytes = r.a.q.Saved
}

func (r *run) record(of chat.Run) *chat.TurnRun {
	return &chat.TurnRun{TurnID: r.a.turn.ID, MessageID: r.a.turn.MessageID, Attempt: r.a.turn.Attempt, Run: of, State: chat.RunBegun}
}

// began has a run recorded. The reader waits for that before it reads on.
func (r *run) began(e began) {
	if r.a.end != nil {
		return
	}
	e.Model = r.a.turn.ModelID
	*r = run{a: r.a, begun: r.record(e.Run), recorded: e.recorded}
	r.a.room.Advance()
}

// recordedAs takes the record of a run.
func (r *run) recordedAs(e chat.TurnRun) {
	if r.recorded != nil && e.Run == r.begun.Run {
		close(r.recorded)
		r.recorded = nil
	}
}

// lost has the room begin anew, since the run cannot be read on.
func (r *run) lost() {
	if r.a.end != nil {
		return
	}
	r.a.o.Logger.Warn("the provider does not have the answer any more: it is asked again", "room", r.a.q.Room, "turn", r.a.turn.ID, "run", r.begun.ID)
	r.gone = true
	r.a.room.Advance()
}

// saidBefore takes the text of the steps that are recorded. Listeners know what is saved of
// the answer already.
func (r *run) saidBefore(text string) {
	r.a.resumes = text != ""
	if more, follows := strings.CutPrefix(text, string(r.a.text)); follows && more != "" {
		r.a.room.Tell(chat.Text{Turn: r.a.turn, Before: r.a.text, Piece: more})
		r.a.text = append(r.a.text, more...)
	}
	r.read = min(len(text), len(r.a.text))
	r.readsOn = r.readsOn && r.read < len(r.a.text)
}

// unread returns the part of a piece that the attempt does not have already. If the piece
// says something else than what was saved, it is not of that run.
func (r *run) unread(text string) string {
	if !r.readsOn {
		return text
	}
	known := r.a.text[r.read:]
	n := min(len(text), len(known))
	if text[:n] != string(known[:n]) {
		r.lost()
		return ""
	}
	r.read += n
	r.readsOn = r.read < len(r.a.text)
	return text[n:]
}

// textBefore is the text that the next words follow.
func (r *run) textBefore() string {
	if r.readsOn {
		return string(r.a.text[:r.read])
	}
	return string(r.a.text)
}

// cancel ends the answer at the provider, which would go on with it. It does not wait.
func (r *run) cancel() {
	runs, has := r.a.o.Provider.(Runs)
	if !has || r.begun == nil || r.ended || r.gone {
		return
	}
	begun := r.begun.Run
	r.a.o.Goroutines.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cancelTime)
		defer cancel()
		if err := runs.CancelRun(ctx, begun); err != nil {
			r.a.o.Logger.Warn("the provider was not told to end an answer", "run", begun.ID, "err", err)
		}
	})
}
