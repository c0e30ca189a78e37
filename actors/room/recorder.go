package room

import (
	"context"
	"errors"
	"slices"
	"time"

	"parlor/actors/conversation"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// A proposal is the events that the room has handed to the log in one commit, and
// the callers that wait for them.
type proposal struct {
	records    []chat.Record
	at         int                       // index of the record that the reply is about
	generation int                       // of head when it was made
	key        string                    // idempotency key, if it is a command with one
	body       any                       // of the replies
	callers    []Caller                  // more than one if the command was repeated
	done       func(refusal *chat.Error) // nil, or called once, if no caller waits

	// unrecorded returns the reply if the log refuses the events and something has
	// been done all the same. It returns nil if nothing has; it may itself be nil.
	unrecorded func() any
	charges    []persistence.Charge // of the turns that end with it
}

// seq is the number of the record that the reply is about.
func (p *proposal) seq() uint64 { return p.records[p.at].Seq }

// committed is an answer of the log to a proposal: the outcome, or that it is not known yet.
type committed struct {
	*proposal
	err error
}

func (*committed) roomMessage() {}

// tailTick comes when no turn has run for IdleTimeout.
type tailTick struct{}

func (*tailTick) roomMessage() {}

// retryTick comes when the room may try again what the disk has refused.
type retryTick struct{}

func (*retryTick) roomMessage() {}

// A recorder hands the events of a room to the log, takes the log's answers, and
// keeps the two states of the room.
type recorder struct {
	*Options
	*lasting
	room *Room

	shown      *conversation.State  // what the log has confirmed
	head       *conversation.State  // shown, and what has been handed to the log; the same one while nothing has
	generation int                  // of head: counts up when that falls back to shown
	tail       *conversation.Tail   // of shown, for prompts; nil unless turns run
	tailTimer  *time.Timer          // runs while the tail is kept
	pending    map[string]*proposal // those with an idempotency key that wait for the disk
	latest     command              // that was handed to the log last
	retry      *time.Timer          // runs after a failed commit
	refusal    *chat.Error          // of the proposal for which head fell back last
}

func newRecorder(r *Room) recorder {
	empty := new(conversation.State)
	return recorder{Options: r.Options, lasting: r.lasting, room: r, shown: empty, head: empty, generation: 1}
}

// replay reads the state from the log, and publishes the records that no instance
// has published.
func (r *recorder) replay(ctx context.Context) error {
	r.shown, r.tail = new(conversation.State), nil
	defer func() { r.head = r.shown }()
	if err := r.restore(); err != nil {
		return err
	}
	for record, err := range conversation.Records(ctx, r.Log.Read(string(r.id), r.shown.Seq)) {
		if err == nil {
			err = r.confirm(record)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// restore takes the state from the last snapshot, if there is one, so that only the
// records after it are read. It leaves the state empty if the listeners have yet to
// be told of a record that the snapshot covers.
func (r *recorder) restore() error {
	seq, b, err := r.Log.Snapshot(string(r.id))
	if err != nil || seq == 0 || r.lastPublished != unknown && r.lastPublished < seq {
		return err
	}
	if state, ok := conversation.DecodeState(seq, b); ok {
		r.shown = &state
	}
	return nil
}

// message returns the message of record seq, which must be on disk. It returns the
// zero Message if the record holds none.
func (r *recorder) message(seq uint64) (chat.Message, error) {
	return conversation.MessageOf(context.Background(), r.Log.Read(string(r.id), seq-1))
}

// find returns a message by its id, or the zero Message if it is not on disk. It
// costs one look-up and reads one record.
func (r *recorder) find(id chat.MessageID) (m chat.Message, refusal *chat.Error) {
	seq, ok, err := r.Log.Message(string(r.id), string(id))
	if err == nil && ok {
		m, err = r.message(seq)
	}
	if err != nil {
		r.room.log().Error("find a message", "message", id, "err", err)
		return m, errUnreadable
	}
	return m, nil
}

// propose hands events to the log and folds them into head. Once they are on disk
// the caller gets body as the reply. The reply comes before the listeners are told of
// the message among the events, or of the first event if there is no message.
func (r *recorder) propose(c Caller, key string, body any, events ...chat.Event) *proposal {
	before, next := r.head, r.head.Clone()
	r.head = &next
	p := &proposal{generation: r.generation, key: key, body: body, callers: []Caller{c}}
	p.at = max(0, slices.IndexFunc(events, func(e chat.Event) bool { return isMessage(e) || key != "" && conversation.KeyOf(e) == key }))
	commit := persistence.Commit{Room: string(r.id), After: before.Seq, Limited: limited(c, body, events)}
	for _, e := range events {
		record := chat.Record{Seq: r.head.Seq + 1, At: now(), Event: e}
		if charge, ok := conversation.ChargeOf(r.head, record); ok {
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
		if id, ok := conversation.IDOf(record); ok {
			commit.Messages = append(commit.Messages, persistence.Key{Name: id, Seq: record.Seq})
		}
	}
	if key != "" {
		r.await(key, p)
		commit.Keys = []persistence.Key{{Name: key, Seq: p.seq()}}
	}
	commit.Charges, commit.Flow = p.charges, string(r.head.Chat.Owner)
	r.keepBeside(&commit, before, events)

	ref := r.room.self.Ref()
	r.Log.Append(commit, func(err error) { ref.Tell(&committed{p, err}) })
	r.inFlight++ // not before: it must not count what a panic has kept from the log
	if !c.Address.IsZero() {
		r.latest = c.command()
	}
	r.room.afterAppend(p)
	return p
}

// limited reports whether a proposal counts against the quota of the chat's owner. Also
// when the quota is used up, the room ends what was begun, turns can be stopped, and
// members can be removed.
func limited(c Caller, body any, events []chat.Event) bool {
	_, stops := body.(Stopped)
	_, answers := body.(Answered)
	return c.User.ID != "" && !stops && !answers && !slices.ContainsFunc(events, removes)
}

func removes(e chat.Event) bool {
	switch e := e.(type) {
	case chat.MemberChanged:
		return e.Member.Role == ""
	case chat.InviteRevoked:
		return true
	}
	return false
}

// await notes a proposal under its key while it waits for the disk. join adds a
// caller to the proposal with the key, and reports whether there is one.
func (r *recorder) await(key string, p *proposal) {
	if r.pending == nil {
		r.pending = make(map[string]*proposal)
	}
	p.key, r.pending[key] = key, p
}

func (r *recorder) join(key string, c Caller) bool {
	p, ok := r.pending[key]
	if ok {
		p.callers = append(p.callers, c)
	}
	return ok
}

// lastAt returns when the last record was made.
func (r *recorder) lastAt() (at time.Time, err error) {
	for record, err := range conversation.Records(context.Background(), r.Log.ReadBack(string(r.id), 0)) {
		return record.At, err
	}
	return at, nil
}

// record is propose without a caller.
func (r *recorder) record(events ...chat.Event) *proposal {
	return r.propose(Caller{}, "", nil, events...)
}

func isMessage(e chat.Event) bool {
	_, said := e.(chat.MessageAdded)
	return said
}

// keepBeside adds to the commit what the store keeps beside the log, where it has
// changed: the chat's row, whether a turn is open, and now and then a snapshot.
func (r *recorder) keepBeside(c *persistence.Commit, before *conversation.State, events []chat.Event) {
	if !r.head.Chat.Equal(before.Chat) {
		row := conversation.Row(r.head.Chat)
		c.Chat = &row
	}
	if open := len(r.head.Turns) > 0; open != (len(before.Turns) > 0) {
		c.Turn = &open
	}
	c.DropText = slices.ContainsFunc(events, endsAttempt)
	if every := uint64(r.SnapshotEvery); r.head.Seq/every != before.Seq/every {
		c.Snapshot = r.head.Encode()
	}
}

// endsAttempt reports whether, with e, the saved text of the running turn has no use
// any more.
func endsAttempt(e chat.Event) bool {
	switch e := e.(type) {
	case chat.TurnStarted:
		return true
	case chat.TurnEnded:
		return e.MessageID != "" // it had been started
	}
	return false
}

// confirm folds a record of the log into shown, replies to the callers that wait for
// it, and publishes it.
func (r *recorder) confirm(record chat.Record) error {
	if err := r.shown.Apply(record); err != nil {
		return err
	}
	if r.tail != nil {
		r.tail.Add(record)
	}
	r.replyUpTo(record.Seq)
	if r.lastPublished != unknown && record.Seq > r.lastPublished {
		r.room.publish(record)
	}
	return nil
}

// settle lets go of one of the two states when the log has confirmed all that it was handed.
func (r *recorder) settle() {
	if r.shown.Seq == r.head.Seq {
		r.shown = r.head
	}
}

// replyUpTo replies to the callers that wait for records up to seq.
func (r *recorder) replyUpTo(seq uint64) {
	for len(r.unreplied) > 0 && r.unreplied[0].seq() <= seq {
		p := r.unreplied[0]
		r.unreplied = r.unreplied[1:]
		r.reply(p)
	}
}

// reply tells the callers that what they asked for is on disk.
func (r *recorder) reply(p *proposal) {
	if r.pending[p.key] == p {
		delete(r.pending, p.key)
	}
	for i, c := range p.callers {
		if i == 0 {
			r.Directory.reply(c, p.body)
		} else {
			r.Directory.repeat(c, p.body)
		}
	}
	if p.done != nil {
		p.done(nil)
	}
}

// unknown reports whether the log does not know yet what became of a proposal. Until it tells,
// the proposal stays in flight: its callers wait, a repeated command joins them, and no
// instance of the room reads the log.
func (r *recorder) unknown(m *committed) bool {
	if !undecided(m) {
		return false
	}
	r.room.log().Warn("the log does not know yet whether a commit was recorded", "seq", m.seq())
	return true
}

// failed refuses the callers of a proposal that the log has refused. The commits
// behind it fail too, since they build on it. Head falls back once, for all of them.
func (r *recorder) failed(m *committed, loaded bool) {
	if r.pending[m.key] == m.proposal {
		delete(r.pending, m.key)
	}
	refusal := conversation.RefusalOf(m.err)
	if errors.Is(m.err, persistence.ErrConflict) && m.generation != r.generation && r.refusal != nil {
		refusal = r.refusal // it was made on top of what the log has refused
	}
	var done any
	if m.unrecorded != nil {
		done = m.unrecorded()
	}
	for _, c := range m.callers {
		if done != nil {
			r.Directory.reply(c, done)
		} else {
			r.Directory.refuse(c, refusal)
		}
	}
	if m.done != nil {
		m.done(refusal)
	}
	if m.generation != r.generation || !loaded {
		return
	}
	if errors.Is(m.err, persistence.ErrConflict) {
		panic("room: somebody else writes to this room's log")
	}
	r.room.log().Debug("commit failed", "err", m.err)
	r.generation++
	r.head, r.refusal = r.shown, refusal
	if !overQuota(m.err) {
		r.retryLater()
	}
}

// overQuota reports whether the log has refused a commit for its quota alone: it accepts
// others.
func overQuota(err error) bool {
	return errors.Is(err, persistence.ErrChatQuota) || errors.Is(err, persistence.ErrByteQuota)
}

func (r *recorder) retryLater() {
	if r.retry == nil {
		r.retry = r.room.self.After(r.RetryDelay, &retryTick{})
	}
}

// kept returns the tail, which is empty unless turns run.
func (r *recorder) kept() conversation.Tail {
	if r.tail == nil {
		return conversation.NewTail(r.shown.Seq)
	}
	return *r.tail
}

// remember keeps what a prompt was made of for the prompts of the next turns.
func (r *recorder) remember(p conversation.Composed) {
	tail := r.kept()
	tail.Use(p)
	r.tail = &tail
	if r.tailTimer != nil {
		r.tailTimer.Stop()
	}
	r.tailTimer = r.room.self.After(r.IdleTimeout, &tailTick{})
}

// forgetTail gives back the memory of the tail. The next prompt is read from the log.
func (r *recorder) forgetTail() { r.tailTimer, r.tail = nil, nil }

// stop ends what the recorder has started.
func (r *recorder) stop() {
	for _, t := range []*time.Timer{r.retry, r.tailTimer} {
		if t != nil {
			t.Stop()
		}
	}
}
