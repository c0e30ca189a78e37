package turn

import "parlor/protocol/chat"

// finishOnce is Finish for what may come when the answer has ended.
func (a *Attempt) finishOnce(err error) {
	if a.end == nil {
		a.Finish(err)
	}
}

// Finish ends the turn, as failed if err is not nil or nothing was said.
func (a *Attempt) Finish(err error) {
	end := a.room.End(a.turn)
	if err == nil {
		a.run.ended = true
		end.State, end.Finish, end.Reason = chat.StateCompleted, a.finish, a.note
		if a.silent() {
			err = chat.Refuse(chat.CodeProviderError, "the assistant gave no answer: "+whyNoWords(a.finish, len(a.thought.text) > 0))
		}
	}
	if err != nil {
		end.State, end.Error = chat.StateFailed, chat.AsError(err)
		if a.unanswered(end.Error) {
			end.Usage = a.usage
		}
		a.o.Logger.Warn("turn failed", "room", a.q.Room, "turn", end.TurnID, "model", end.ModelID, "err", err)
	}
	a.Stop(end)
	a.room.Advance()
}

// FinishStopped ends the turn as stopped.
func (a *Attempt) FinishStopped(by chat.UserID, reason string) {
	end := a.room.End(a.turn)
	end.State, end.By, end.Reason = chat.StateStopped, by, reason
	a.Stop(end)
	a.room.Advance()
}

// FinishAnswer ends the turn as its answer on a line has ended. If the answer is complete,
// the reader says whether another step follows.
func (a *Attempt) FinishAnswer(e chat.Ended, lost *chat.Error) {
	whole := a.wanted
	a.wanted = nil // there is nothing to cancel
	switch {
	case whole == nil:
	case e.State == chat.StateCompleted:
		whole.answer <- &whole.said
	case e.State == chat.StateStopped:
		a.FinishStopped("", "the provider stopped the answer")
	case e.Error != nil:
		a.Finish(e.Error)
	default:
		a.Finish(lost)
	}
}

// FinishLine ends a turn whose line has ended in an answer. Between answers the turn goes on,
// on another line.
func (a *Attempt) FinishLine(err error) {
	unfinished := a.wanted != nil
	a.line, a.wanted, a.lineLost = nil, nil, err
	if unfinished {
		a.finishOnce(err)
	}
}

// Stop ends the answer as end says, and its stream without waiting for it.
func (a *Attempt) Stop(end chat.TurnEnded) {
	a.end = &end
	a.endTrace(end)
	a.run.cancel()
	a.Cancel()
}

// Cancel ends the stream. It may be called again.
func (a *Attempt) Cancel() {
	a.endTrace(chat.TurnEnded{TurnID: a.turn.ID, ModelID: a.turn.ModelID})
	a.clock.expiry.Stop()
	a.saving.stop()
	a.calling.cancel()
	a.actor.Stop()
	if a.wanted != nil {
		a.line.Cancel(a.turn.MessageID)
	}
	a.line, a.wanted = nil, nil
}
