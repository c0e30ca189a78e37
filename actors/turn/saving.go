package turn

import "time"

// saving is how much of an answer's text is on disk.
type saving struct {
	bytes    int
	timer    *time.Timer // nil unless it is going to be time to save more
	underway bool        // some is on its way to the disk
}

func (s *saving) stop() {
	if s.timer != nil {
		s.timer.Stop()
	}
}

// keep has new text saved: soon, or at once if it is much. The first of a run that is read on
// is saved at once too: it shows that the run does not end the server.
func (a *Attempt) keep() {
	switch {
	case len(a.text)-a.saving.bytes >= a.o.CheckpointBytes, a.turn.Resumed > 0 && a.saving.bytes == a.q.Saved:
		a.save()
	case a.saving.timer == nil:
		a.saveSoon()
	}
}

func (a *Attempt) saveSoon() {
	a.saving.timer = time.AfterFunc(a.o.CheckpointEvery, func() { a.tell(saveDue{}) })
}

// save saves the text that was added since the last time, one piece at a time.
// It is no event: nobody is told, and nothing waits for it.
func (a *Attempt) save() {
	if a.end != nil || a.saving.underway || len(a.text) == a.saving.bytes {
		return
	}
	a.saving.stop()
	a.saving.timer, a.saving.underway = nil, true
	upTo := len(a.text)
	a.room.Save(a.text[a.saving.bytes:upTo:upTo], a.saving.bytes, func(err error) Event { return saved{upTo, err} })
}

func (a *Attempt) saved(s saved) {
	a.saving.underway = false
	if s.err == nil {
		a.saving.bytes = s.bytes
	}
	if a.end == nil && len(a.text) > a.saving.bytes && a.saving.timer == nil {
		a.saveSoon()
	}
}
