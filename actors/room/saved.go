package room

import (
	"time"

	"parlor/persistence"
)

// restore takes the state from the last snapshot, so that only what follows it
// is read from the log, unless there is none, or members have to be told
// something that it holds.
func (r *Room) restore() error {
	seq, b, err := r.Log.Snapshot(string(r.id))
	if err != nil || seq == 0 || r.told != unknown && r.told < seq {
		return err
	}
	if state, ok := decodeState(seq, b); ok {
		r.shown = state
	}
	return nil
}

// saving is how much of a running turn's text is on disk.
type saving struct {
	bytes  int
	timer  *time.Timer // nil unless there is text to save
	onDisk bool        // on its way there
}

func (s *saving) stop() {
	if s.timer != nil {
		s.timer.Stop()
	}
}

// checkpointTick says that it is time to save a run's text, and checkpointed
// what became of that.
type (
	checkpointTick struct{ run int }
	checkpointed   struct {
		run, bytes int
		err        error
	}
)

func (*checkpointTick) roomMessage() {}
func (*checkpointed) roomMessage()   {}

// keep sees to it that new text is saved: soon, or at once if it is much.
func (r *Room) keep(run *run) {
	switch {
	case len(run.text)-run.saved.bytes >= r.CheckpointBytes:
		r.checkpoint(run.number)
	case run.saved.timer == nil:
		run.saved.timer = r.self.After(r.CheckpointEvery, &checkpointTick{run.number})
	}
}

// checkpoint saves the text that a run has added since it did the last time,
// one piece at a time. It is no event: nobody is told, and nothing waits for it.
func (r *Room) checkpoint(number int) {
	run := r.run
	if run == nil || run.number != number || run.end != nil || run.saved.onDisk {
		return
	}
	run.saved.stop()
	run.saved.timer, run.saved.onDisk = nil, true
	upTo, ref := len(run.text), r.self.Ref()
	c := persistence.Commit{Room: string(r.id), After: r.head.Seq, Text: run.text[run.saved.bytes:upTo:upTo], TextAt: run.saved.bytes}
	r.Log.Append(c, func(err error) { ref.Tell(&checkpointed{number, upTo, err}) })
}

func (r *Room) checkpointed(m *checkpointed) {
	run := r.run
	if run == nil || run.number != m.run {
		return
	}
	run.saved.onDisk = false
	if m.err == nil {
		run.saved.bytes = m.bytes
	}
	if run.end == nil && len(run.text) > run.saved.bytes && run.saved.timer == nil {
		run.saved.timer = r.self.After(r.CheckpointEvery, &checkpointTick{run.number})
	}
}

// savedText returns what is left of an answer that was cut: what the members
// were told, unless the server itself was cut and only what was saved is.
func (r *Room) savedText() []byte {
	turn, ok := r.shown.Turn()
	switch {
	case !ok || turn.Attempt == 0:
		return nil
	case r.answering.TurnID == turn.ID && r.answering.Attempt == turn.Attempt && len(r.streamed) > 0:
		return r.streamed
	}
	text, err := r.Log.Text(string(r.id))
	if err != nil {
		r.log.Error("the text of a turn cannot be read", "err", err)
	}
	return text
}
