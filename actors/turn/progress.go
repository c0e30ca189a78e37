package turn

import (
	"strings"
	"sync"
	"time"

	"parlor/protocol/chat"
)

// Limits of what is told of the progress of a call.
const (
	progressEvery   = 250 * time.Millisecond
	maxProgressText = 500 // bytes
)

// news passes on the progress of a call: the first at once, then the latest, once in
// progressEvery at most. A tool may tell it as often as it likes.
type news struct {
	tell func(chat.ToolProgress)

	mu    sync.Mutex
	last  *chat.ToolProgress // that was not passed on yet
	timer *time.Timer        // nil: the next one is passed on at once
	over  bool               // the call has ended
}

// note takes the progress. It does not block.
func (n *news) note(p chat.ToolProgress) {
	if len(p.Message) > maxProgressText {
		p.Message = p.Message[:maxProgressText]
	}
	p.Message = strings.ToValidUTF8(p.Message, "")
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = &p
	if n.timer == nil {
		n.pass()
	}
}

// pass passes on the last progress, if there is one.
func (n *news) pass() {
	n.timer = nil
	if n.last == nil || n.over {
		return
	}
	n.tell(*n.last)
	n.last = nil
	n.timer = time.AfterFunc(progressEvery, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.pass()
	})
}

// end drops what comes later.
func (n *news) end() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.over = true
	if n.timer != nil {
		n.timer.Stop()
	}
}

// progressed tells the listeners how far a call is, and keeps it for those who join.
func (c *calling) progressed(e progressed) {
	s := c.step
	if c.a.end != nil || s == nil || s.running[e.call] == nil {
		return
	}
	if s.progress == nil {
		s.progress = make(map[string]chat.ToolProgress)
	}
	s.progress[e.call] = e.ToolProgress
	c.a.room.Tell(chat.ToolNews{MessageID: c.a.turn.MessageID, CallID: e.call, Name: s.Calls[s.find(e.call)].Name, ToolProgress: e.ToolProgress})
}

// ShowProgress adds to the calls of the turn how far those are that run.
func (a *Attempt) ShowProgress(calls []chat.Called) {
	if a.calling.step == nil {
		return
	}
	for i, c := range calls {
		if p, told := a.calling.step.progress[c.ID]; told && c.State == "" {
			calls[i].Progress = &p
		}
	}
}

// progress tells the listeners how the provider fares. If another model answers in
// place of the one that was asked, that is recorded with the end of the turn.
func (a *Attempt) progress(d chat.Delta) {
	if d.Model != "" {
		a.turn.ModelID = d.Model
	}
	if d.Retrying == nil && d.Health == nil {
		return
	}
	if d.Retrying != nil {
		a.thought = thought{} // it begins anew
		a.o.Logger.Info("provider failed, asking again", "room", a.q.Room, "turn", a.turn.ID, "model", a.turn.ModelID, "err", d.Retrying)
	}
	a.room.Tell(chat.Progress{MessageID: a.turn.MessageID, Retrying: d.Retrying, Model: d.Model, Health: d.Health})
}
