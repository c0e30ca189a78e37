package persistence

// Writes are the methods that change a store. A [Store] carries them out itself. Those of
// [NewWrites] go to a log that several stores have in common.
type Writes struct {
	put   func(*request)
	limit int // bytes of one commit
	quota Quota
}

// A Proposal is a change that a replicated log is asked to make.
type Proposal struct {
	Command
	Room string // that it changes, or ""
	Size int    // about how many bytes of memory it takes

	// Refusal, if not nil, is why the change cannot be made. It is to be told in its turn.
	Refusal error

	// Done takes the outcome. If the proposal Doubts, it takes [ErrUnknown] ahead of that.
	Done   func(error)
	Doubts bool
}

// NewWrites returns Writes that propose what they are asked for. Of the options it needs
// MaxCommitBytes and Quota.
func NewWrites(o Options, propose func(Proposal)) Writes {
	o = o.withDefaults()
	put := func(r *request) {
		q := Proposal{Command{change: r.change}, r.room, r.size, r.err, r.done, false}
		switch r.change.(type) {
		case *appendCommit, *deleteRoom:
			q.Doubts = true
		}
		propose(q)
	}
	return Writes{put: put, limit: o.MaxCommitBytes, quota: o.Quota}
}

func (s *Writes) enqueue(r *request) {
	if r.done == nil {
		r.done = func(error) {}
	}
	if r.err != nil {
		r.refuse(r.err)
	}
	s.put(r)
}
