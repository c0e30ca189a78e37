package conversation

import (
	"cmp"

	"parlor/protocol/chat"
)

// Running is what a room knows of the first open turn besides its records.
type Running struct {
	Turn  chat.TurnID     // that has an attempt going on here; empty: none has
	End   *chat.TurnEnded // of that attempt; nil while it goes on
	Tools []chat.ToolCall // that the attempt's provider has begun to run

	Steps    int               // of the turn that have ended in calls of tools
	Step     *chat.ToolsCalled // the last of those, if this attempt has come to it
	Outcomes []chat.ToolEnded  // of its calls

	Run     *chat.TurnRun // that the attempt's provider has begun; nil: none, or none yet
	RunGone bool          // the run that is recorded cannot be read on

	Heard bool         // its prompt was spoken, and is being written down
	Line  chat.ModelID // the model that a line is open to; empty: none
}

// Next returns what is recorded next without anybody asking for it: the step that
// the first open turn has to take. There is none while the room waits for
// somebody else. shown is the state that is on disk. Next looks at nothing but the
// moment and its arguments, so that it may be called at any time.
func (m Moment) Next(shown *State, r Running) []chat.Event {
	turn, open := m.Turn()
	if !open || m.awaitsPrompt(turn, r) {
		return nil
	}
	confirmed, _ := shown.Turn()
	runs := turn.ID == r.Turn
	switch {
	case turn.Unheard && !r.Heard:
		return m.interrupt(turn, "what was said was lost when the server was restarted")
	case turn.Attempt == 0:
		return m.start(turn, chat.MessageID(m.NewID()))
	case runs && r.End != nil: // just now, or before: then the disk has refused the end
		end := *r.End
		end.PromptSeq = turn.PromptSeq // of a prompt that was written down meanwhile
		return m.ending(end)
	case runs && r.RunGone && turn.Run.ID != "":
		return []chat.Event{chat.TurnRun{TurnID: turn.ID, MessageID: turn.MessageID, Attempt: turn.Attempt, Run: turn.Run, State: chat.RunGone}}
	case runs && !r.RunGone && r.Run != nil && turn.Run != r.Run.Run:
		return []chat.Event{*r.Run}
	case runs && turn.Tools < len(r.Tools):
		return []chat.Event{chat.ToolStarted{TurnID: turn.ID, MessageID: turn.MessageID, Tool: r.Tools[turn.Tools]}}
	case runs && turn.Steps < r.Steps && r.Step != nil:
		return []chat.Event{*r.Step}
	case runs && m.outcome(r) != nil:
		return []chat.Event{*m.outcome(r)}
	case runs, confirmed.ID != turn.ID, confirmed.Attempt != turn.Attempt, confirmed.Resumed != turn.Resumed, confirmed.Run != turn.Run:
		return nil // it runs, or its start is on its way to the disk
	case turn.Tools > 0 && !m.RepeatTools:
		return m.interrupt(turn, "the server was restarted while a tool ran")
	case len(m.lost()) > 0:
		return []chat.Event{chat.ToolsLost{TurnID: turn.ID, Calls: m.lost()}}
	case turn.Run.ID != "":
		return m.readOn(turn)
	case turn.Attempt-turn.Progress >= m.MaxAttempts:
		return m.interrupt(turn, "the server was restarted too often")
	}
	return m.start(turn, turn.MessageID) // a crash has cut it
}

// readOn goes on with the run of a turn that a crash has cut. If that has brought nothing
// more of it several times, the run may be what ends the server.
func (m Moment) readOn(turn chat.Turn) []chat.Event {
	if m.rests() {
		return nil
	}
	e := chat.TurnRun{TurnID: turn.ID, MessageID: turn.MessageID, Attempt: turn.Attempt, Run: turn.Run, State: chat.RunResumed}
	e.Saved = len(m.Answer(turn).Content)
	if e.Saved <= turn.Saved {
		e.Vain = turn.Vain + 1
	}
	if e.Vain >= m.MaxAttempts {
		return m.interrupt(turn, "the server was restarted too often")
	}
	return []chat.Event{e}
}

// outcome returns one that is not recorded, or nil.
func (s *State) outcome(r Running) *chat.ToolEnded {
	for i, o := range r.Outcomes {
		if s.openCall(o.CallID) >= 0 {
			return &r.Outcomes[i]
		}
	}
	return nil
}

// awaitsPrompt reports whether the turn cannot go on before its prompt is
// recorded: it has to end, to record a step, or to ask a model that has not heard it.
func (m Moment) awaitsPrompt(t chat.Turn, r Running) bool {
	switch {
	case !t.Unheard, !r.Heard:
		return false
	case r.Turn == t.ID:
		return r.End != nil || t.Steps < r.Steps
	}
	return t.Attempt == 0 && r.Line != t.ModelID
}

func (r *Rules) rests() bool { return r.Resting != nil && r.Resting() }

// start begins the turn, or fails it if a budget is used up.
func (m Moment) start(turn chat.Turn, answer chat.MessageID) []chat.Event {
	if m.rests() {
		return nil
	}
	if spent := m.Afford(m.Chat.Room, turn.By, turn.ModelID); spent != nil {
		end := m.End(turn)
		end.State, end.Error = chat.StateFailed, spent
		return m.ending(end)
	}
	return []chat.Event{chat.TurnStarted{
		TurnID: turn.ID, MessageID: answer, ModelID: turn.ModelID, Name: m.nameOf(turn.ModelID), Attempt: turn.Attempt + 1,
		Duplex: m.duplex(turn.ModelID),
	}}
}

// interrupt ends a turn that a crash has ended and that does not start again.
func (m Moment) interrupt(turn chat.Turn, reason string) []chat.Event {
	end := m.End(turn)
	end.State, end.Reason = chat.StateInterrupted, reason
	return m.ending(end)
}

// End returns the end of a turn with what it has answered so far, without a state.
func (m Moment) End(turn chat.Turn) chat.TurnEnded {
	a := m.Answer(turn)
	if i := m.Find(turn.ID); i >= 0 {
		turn.Steps = m.Turns[i].Steps // as it now is
	}
	if a.ModelID == "" {
		a.ModelID = turn.ModelID
	}
	return chat.TurnEnded{
		TurnID: turn.ID, MessageID: turn.MessageID, Prompt: turn.Prompt, PromptSeq: turn.PromptSeq, Version: turn.Version, First: turn.First,
		Correlation: turn.Correlation, ModelID: a.ModelID, Name: m.nameOf(a.ModelID), Duplex: m.duplex(turn.ModelID),
		Content: a.Content, Thought: a.Thought, Steps: turn.Steps, Usage: a.Usage, Modality: a.Modality, Cut: a.Cut,
	}
}

// stopped returns the end of a turn that somebody stops.
func (m Moment) stopped(turn chat.Turn, by chat.UserID, reason string) chat.TurnEnded {
	end := m.End(turn)
	end.State, end.By, end.Reason = chat.StateStopped, by, reason
	return end
}

// Stop ends a turn, running or queued; without an id the one that runs or runs
// next. There may be nothing to stop, which is no refusal if no id was named.
func (m Moment) Stop(id chat.TurnID, by chat.UserID, reason string, client chat.ClientID) (events []chat.Event, stopped chat.TurnID, refusal *chat.Error) {
	i := 0
	if id != "" {
		i = m.Find(id)
	}
	switch {
	case i < 0:
		return nil, "", ErrNoTurn
	case len(m.Turns) == 0:
		return nil, "", nil
	}
	end := m.stopped(m.Turns[i], by, reason)
	end.ClientID = client
	return m.ending(end), end.TurnID, nil
}

// StopAll ends all turns of a chat that is being deleted. Nothing follows their ends.
func (m Moment) StopAll(by chat.UserID) (ends []chat.Event) {
	for _, turn := range m.Turns {
		ends = append(ends, m.stopped(turn, by, "the chat is being deleted"))
	}
	return ends
}

// Regenerate plans another answer to the message that a given one answers. It is to come
// from the model. If none is named it comes from the one that gave the old answer, or, if
// that one cannot be asked, from the chat's: a fallback may be no model for people.
func (m Moment) Regenerate(by chat.UserID, old chat.Message, model chat.ModelID, client chat.ClientID) (chat.TurnQueued, *chat.Error) {
	named := model != ""
	model = cmp.Or(model, old.ModelID)
	_, known := m.Models.Model(model)
	if !known && !named {
		model = m.Chat.ModelID
		_, known = m.Models.Model(model)
	}
	switch {
	case !known:
		return chat.TurnQueued{}, m.NoModel(model)
	case !m.Branches.Shows(old.PromptSeq):
		return chat.TurnQueued{}, ErrSuperseded
	case len(m.Turns) >= m.MaxQueuedTurns:
		return chat.TurnQueued{}, ErrBusy
	case m.branched() != nil:
		return chat.TurnQueued{}, ErrBranches
	}
	return chat.TurnQueued{
		TurnID: chat.TurnID(m.NewID()), Prompt: old.Prompt, PromptSeq: old.PromptSeq, ModelID: model, By: by,
		Again: old.ID, First: cmp.Or(old.First, old.ID), FirstSeq: m.Branches.FirstAnswer(old), ClientID: client,
	}, m.Afford(m.Chat.Room, by, model)
}
