package room

import (
	"context"

	"parlor/actors/conversation"
	"parlor/actors/title"
)

// titling is the making of a title.
type titling struct {
	cancel context.CancelFunc
	record *conversation.Intent // nil until the title is made
}

// titleMade is what has come of it.
type titleMade struct {
	of *titling
	title.Made
}

func (*titleMade) roomMessage() {}

// entitle sees to it that the chat gets a title when it is time for that. Like
// advance it decides from the state alone and may be called at any time.
func (r *Room) entitle() {
	switch {
	case !r.Titles.On || r.deleting || r.broken != nil || !r.loaded || r.records.retry != nil:
	case r.title != nil && r.title.record != nil:
		r.recordTitle()
	case r.title == nil && r.records.shown.Answered && !r.records.head.Titled:
		r.makeTitle()
	}
}

func (r *Room) makeTitle() {
	making := new(titling)
	r.title = making
	ref, shown := r.self.Ref(), &r.records.shown
	making.cancel = title.Make(r.titles, shown.Chat, shown.Superseded, func(m title.Made) { ref.Tell(&titleMade{making, m}) })
}

func (r *Room) titleMade(m *titleMade) {
	if r.title != m.of {
		return
	}
	if m.Err != nil {
		r.log.Warn("the model has made no title", "err", m.Err)
	}
	r.title.record = &conversation.Intent{Events: title.Record(m.Made)}
	r.entitle()
}

// recordTitle records the title, or lets it go if there is nothing to record.
func (r *Room) recordTitle() {
	r.carryOut(r.title.record)
	if !r.title.record.In(r.records.generation) {
		r.stopTitling()
	}
}

// stopTitling ends the making of a title, if there is one.
func (r *Room) stopTitling() {
	if r.title != nil {
		r.title.cancel()
		r.title = nil
	}
}
