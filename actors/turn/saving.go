package turn

import "time"

// saving is how much of an answer's text is on disk.
type saving struct {
	a        *Attempt
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
func (s *saving) keep() {
	switch {
	case len(s.a.text)-s.bytes >= s.a.o.CheckpointBytes, s.a.turn.Resumed > 0 && s.bytes == s.a.q.Saved:
		s.save()
	case s.timer == nil:
		s.soon()
	}
}

func (s *saving) soon() {
	s.timer = time.AfterFunc(s.a.o.CheckpointEvery, func() { s.a.tell(saveDue{}) })
}

// save saves the text that was added since the last time, one piece at a time.
// It is no event: nobody is told, and nothing waits for it.
func (s *saving) save() {
	if s.a.end != nil || s.underway || len(s.a.text) == s.bytes {
		return
	}
	s.stop()
	s.timer, s.underway = nil, true
	upTo := len(s.a.text)
	s.a.room.Save(s.a.text[s.bytes:upTo:upTo], s.bytes, func(err error) Event { return saved{upTo, err} })
}

func (s *saving) done(e saved) {
	s.underway = false
	if e.err == nil {
		s.bytes = e.bytes
	}
	if s.a.end == nil && len(s.a.text) > s.bytes && s.timer == nil {
		s.soon()
	}
}
