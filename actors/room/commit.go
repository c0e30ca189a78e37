package room

import (
	"errors"
	"slices"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// A proposal is what the room has handed to the log in one step, and who
// waits for it.
type proposal struct {
	records []chat.Record
	at      int    // place among them of the one that is the answer's
	gen     int    // of head when it was made
	key     string // idempotency key, if it is a send with one
	body    any    // of the replies
	callers []Caller
	charges []persistence.Charge // of the turns that end with it
}

// committed is the log's answer to a proposal.
type committed struct {
	*proposal
	err error
}

func (*committed) roomMessage() {}

// propose hands events to the log and folds them into head. The caller gets
// body as the answer once they are on disk: ahead of what members are told of
// the message among them, or of the first event, and behind all that was before.
func (r *Room) propose(c Caller, key string, body any, events ...chat.Event) *proposal {
	before := r.head.Clone()
	p := &proposal{gen: r.gen, key: key, body: body, callers: []Caller{c}}
	p.at = max(0, slices.IndexFunc(events, isMessage))
	commit := persistence.Commit{Room: string(r.id), After: before.Seq}
	for _, e := range events {
		record := chat.Record{Seq: r.head.Seq + 1, At: now(), Event: e}
		if charge, ok := chargeOf(&r.head, record); ok {
			p.charges = append(p.charges, charge)
		}
		data, err := record.Encode()
		if err == nil {
			err = r.head.Apply(record)
		}
		if err != nil {
			panic("room: propose: " + err.Error())
		}
		p.records = append(p.records, record)
		commit.Entries = append(commit.Entries, data)
		if id, ok := messageID(record); ok {
			commit.Messages = append(commit.Messages, persistence.Key{Name: id, Seq: record.Seq})
		}
	}
	if key != "" {
		r.pending[key] = p
		commit.Keys = []persistence.Key{{Name: key, Seq: p.seq()}}
	}
	commit.Charges = p.charges
	r.index(&commit, &before, events)

	ref := r.self.Ref()
	r.Log.Append(commit, func(err error) { ref.Tell(&committed{p, err}) })
	r.inFlight++ // not before: it must not count what a panic has kept from the log
	if c.Address != nil {
		r.handed = c
	}
	r.afterAppend(p)
	return p
}

func isMessage(e chat.Event) bool {
	_, said := e.(chat.MessageAdded)
	return said
}

// seq is the number of the record that the callers' answer is about.
func (p *proposal) seq() uint64 { return p.records[p.at].Seq }

// index adds to the commit what is kept beside the log, if it changes: the
// chat's row, whether a turn is open, and now and then the state.
func (r *Room) index(c *persistence.Commit, before *State, events []chat.Event) {
	if r.head.Chat != before.Chat {
		row := ChatRow(r.head.Chat)
		c.Chat = &row
	}
	if open := len(r.head.Turns) > 0; open != (len(before.Turns) > 0) {
		c.Turn = &open
	}
	c.DropText = slices.ContainsFunc(events, endsAttempt)
	if every := uint64(r.SnapshotEvery); r.head.Seq/every != before.Seq/every {
		c.Snapshot = r.head.encode()
	}
}

// endsAttempt reports whether e is the end of what a running turn has answered
// so far.
func endsAttempt(e chat.Event) bool {
	switch e := e.(type) {
	case chat.TurnStarted:
		return true
	case chat.TurnEnded:
		return e.MessageID != "" // it had been started
	}
	return false
}

// committed takes the log's answer: the senders are answered, and then the
// members told, in the order of the log.
func (r *Room) committed(m *committed) {
	r.inFlight--
	if r.pending[m.key] == m.proposal {
		delete(r.pending, m.key)
	}
	if m.err != nil {
		r.failed(m)
	} else {
		r.book(m.proposal)
		r.owed = append(r.owed, m.proposal)
	}
	switch {
	case !r.loaded:
		if r.inFlight == 0 {
			r.load()
		}
	case m.err == nil:
		r.showAll(m.records)
		r.advance()
		r.entitle()
	}
}

// settle answers those who wait for records up to seq.
func (r *Room) settle(seq uint64) {
	for len(r.owed) > 0 && r.owed[0].seq() <= seq {
		p := r.owed[0]
		r.owed = r.owed[1:]
		r.answer(p)
	}
}

// answer tells the callers that what they asked for is on disk. Who has sent a
// message is not told it once more: not even after a restart of the room, but
// from another address, which has not had the answer.
func (r *Room) answer(p *proposal) {
	said := isMessage(p.records[p.at].Event)
	for _, c := range p.callers {
		reply(c, p.body)
		if said && c.Address != nil {
			r.informed[p.seq()] = append(r.informed[p.seq()], c.Address)
		}
	}
}

func (r *Room) showAll(records []chat.Record) {
	for _, record := range records {
		if err := r.show(record); err != nil {
			panic("room: the log confirmed what cannot follow: " + err.Error())
		}
		switch e := record.Event.(type) {
		case chat.MessageAdded:
			r.wroteDown(e.MessageID)
		case chat.TurnStarted:
			r.begin(e)
		case chat.TurnEnded:
			r.finish(e)
		case chat.Configured:
			r.entitled(e)
		}
	}
}

// show folds a record of the log into shown and publishes it, unless an
// instance before this one has.
func (r *Room) show(record chat.Record) error {
	if err := r.shown.Apply(record); err != nil {
		return err
	}
	r.settle(record.Seq)
	if r.told != unknown && record.Seq > r.told {
		r.follow(record.Event)
		r.publish(record)
		r.told = record.Seq
	}
	return nil
}

// failed refuses what the log refused. The commits behind the first failure
// fail with it, since they build on it; head falls back once, for all of them.
func (r *Room) failed(m *committed) {
	refusal := refusalOf(m.err)
	for _, c := range m.callers {
		refuse(c, refusal)
	}
	if m.gen != r.gen || !r.loaded {
		return
	}
	if errors.Is(m.err, persistence.ErrConflict) {
		panic("room: somebody else writes to this room's log")
	}
	r.log.Debug("commit failed", "err", m.err)
	r.gen++
	r.head = r.shown.Clone()
	r.retryLater()
}

func (r *Room) retryLater() {
	if r.retry == nil {
		r.retry = r.self.After(r.RetryDelay, &retryTick{})
	}
}

// refusalOf tells a sender what the log said.
func refusalOf(err error) *chat.Error {
	switch {
	case errors.Is(err, persistence.ErrBusy):
		return chat.Refuse(chat.CodeBusy, "too much waits for the server's disk; try again")
	case errors.Is(err, persistence.ErrTooLarge):
		return errTooLarge
	}
	return chat.Refuse(chat.CodeStorageUnavailable, "the server cannot write to its disk; nothing was recorded")
}

// retryTick lets load and advance try the disk again.
type retryTick struct{}

func (*retryTick) roomMessage() {}
