package room

import (
	"context"

	"parlor/actors/conversation"
	"parlor/actors/title"
)

// titling makes the title of the chat, once at most.
type titling struct {
	r      *Room
	cancel context.CancelFunc   // nil unless a title is being made
	intent *conversation.Intent // nil until it is made
	number int                  // goes with the title, which may come to a later instance
}

// titleMade brings the title, or the error.
type titleMade struct {
	number int
	title.Made
}

func (*titleMade) roomMessage() {}

func (t *titling) making() bool { return t.cancel != nil }

// look begins to make a title, or records it, when the time has come. It decides from
// the state alone and may be called at any time.
func (t *titling) look() {
	r := t.r
	switch {
	case !r.Titles.On || r.deleting || r.broken != nil || !r.loaded || r.records.retry != nil:
	case t.intent != nil:
		t.propose()
	case !t.making() && r.records.shown.Answered && !r.records.head.Titled:
		t.number = r.stage.Number()
		number, ref, shown := t.number, r.self.Ref(), r.records.shown
		t.cancel = title.Make(r.titles, shown.Chat, shown.Branches.Current(), func(m title.Made) { ref.Tell(&titleMade{number, m}) })
	}
}

// take takes a title that was made.
func (t *titling) take(m *titleMade) {
	if !t.making() || t.number != m.number {
		return
	}
	if m.Err != nil {
		t.r.log().Warn("the model has made no title", "err", m.Err)
	}
	t.intent = &conversation.Intent{Events: title.Record(m.Made)}
	t.look()
}

// propose records the title. If there is nothing to record, it is done.
func (t *titling) propose() {
	t.r.carryOut(t.intent)
	if !t.intent.In(t.r.records.generation) {
		t.stop()
	}
}

// stop ends the making of a title, if there is one.
func (t *titling) stop() {
	if t.cancel != nil {
		t.cancel()
		t.cancel, t.intent = nil, nil
	}
}
