package room

import (
	"context"

	"parlor/actors/conversation"
	"parlor/actors/title"
)

// titling is the making of a title for the chat, which happens once at most.
type titling struct {
	r      *Room
	cancel context.CancelFunc   // nil unless a title is being made
	record *conversation.Intent // nil until it is made
	number int                  // of the making; other instances of the room have others
}

// titleMade is what has come of a making.
type titleMade struct {
	number int
	title.Made
}

func (*titleMade) roomMessage() {}

func (t *titling) making() bool { return t.cancel != nil }

// look sees to it that the chat gets a title when it is time for that. It decides
// from the state alone and may be called at any time.
func (t *titling) look() {
	r := t.r
	switch {
	case !r.Titles.On || r.deleting || r.broken != nil || !r.loaded || r.records.retry != nil:
	case t.record != nil:
		t.propose()
	case !t.making() && r.records.shown.Answered && !r.records.head.Titled:
		t.number = r.stage.Number()
		number, ref, shown := t.number, r.self.Ref(), &r.records.shown
		t.cancel = title.Make(r.titles, shown.Chat, shown.Superseded, func(m title.Made) { ref.Tell(&titleMade{number, m}) })
	}
}

// take takes what has come of a making.
func (t *titling) take(m *titleMade) {
	if !t.making() || t.number != m.number {
		return
	}
	if m.Err != nil {
		t.r.log.Warn("the model has made no title", "err", m.Err)
	}
	t.record = &conversation.Intent{Events: title.Record(m.Made)}
	t.look()
}

// propose records the title, or ends the making if there is nothing to record.
func (t *titling) propose() {
	t.r.carryOut(t.record)
	if !t.record.In(t.r.records.generation) {
		t.stop()
	}
}

// stop ends the making, if there is one.
func (t *titling) stop() {
	if t.cancel != nil {
		t.cancel()
		t.cancel, t.record = nil, nil
	}
}
