package room

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"parlor/actors/access"
	"parlor/protocol/chat"
)

var (
	errNoRoom   = chat.Refuse(chat.CodeNotFound, "there is no such room")
	errLost     = chat.Refuse(chat.CodeInternal, "the server failed on this command")
	errHung     = chat.Refuse(chat.CodeBusy, "the room does not answer")
	errNoModel  = chat.Refuse(chat.CodeNotFound, "there is no such model")
	errNoTurn   = chat.Refuse(chat.CodeNotFound, "no such turn is queued or running")
	errBusy     = chat.Refuse(chat.CodeBusy, "too many messages wait for an answer in this room")
	errTooLarge = chat.Refuse(chat.CodeTooLarge, "the message is too long")

	errUnreadable = chat.Refuse(chat.CodeStorageUnavailable, "the history of this room cannot be read")
)

// admit returns why the caller may not do that in this room, or nil.
func (r *Room) admit(c Caller, a access.Action) *chat.Error {
	if !r.head.Exists() || r.deleting {
		return errNoRoom
	}
	return r.Access.Check(r.head.Chat, c.User, a)
}

func (r *Room) create(c *Create) {
	action := access.Create
	if r.head.Exists() {
		action = access.Read // it is only told what is there
	}
	refusal := r.Access.Check(r.head.Chat, c.User, action)
	switch {
	case r.deleting:
		refuse(c.Caller, chat.Refuse(chat.CodeBusy, "the chat is being deleted"))
		return
	case refusal != nil:
		refuse(c.Caller, refusal)
		return
	case r.shown.Exists():
		reply(c.Caller, Created{r.shown.Chat})
		return
	case r.head.Exists(): // on its way to the disk: answered together with that
		r.creating.callers = append(r.creating.callers, c.Caller)
		return
	}
	model, ok := r.Models.Model(c.ModelID)
	if !ok {
		refuse(c.Caller, r.noModel(c.ModelID))
		return
	}
	info := chat.Info{
		ID: c.Chat, Room: r.id, Owner: c.User.ID, ModelID: c.ModelID, APISource: model.APISource,
		Epoch: newID(), Created: now(),
	}
	r.creating = r.propose(c.Caller, "", Created{info}, chat.Created{Chat: info})
}

func (r *Room) join(c *Join) {
	refusal := r.admit(c.Caller, access.Read)
	if refusal == nil && !r.shown.Exists() {
		refusal = errNoRoom // not yet
	}
	if refusal != nil {
		refuse(c.Caller, refusal)
		return
	}
	if c.Address != nil {
		r.members[c.Address] = member{c.User, c.Dialect}
	}
	reply(c.Caller, Joined{
		Chat: r.shown.Chat, Epoch: r.shown.Chat.Epoch + "." + r.Epoch,
		Seq: r.shown.Seq, Members: r.users(), Turn: r.running(), Queued: r.queued(),
	})
}

// users lists the members, each user once, in the order of their ids.
func (r *Room) users() []chat.User {
	var users []chat.User
	for _, m := range r.members {
		users = append(users, m.user)
	}
	slices.SortFunc(users, func(a, b chat.User) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return slices.CompactFunc(users, func(a, b chat.User) bool { return a.ID == b.ID })
}

// noModel says why a model cannot be asked.
func (r *Room) noModel(id chat.ModelID) *chat.Error {
	return cmp.Or(r.Models.Refusal(id), errNoModel) // it may have come since
}

// running is the turn as members see it: recorded as started and not as ended.
func (r *Room) running() *Running {
	turn, ok := r.shown.Turn()
	switch {
	case !ok || turn.Attempt == 0:
		return nil
	case r.run != nil && r.run.turn.ID == turn.ID:
		return &Running{r.run.turn, string(r.run.text), r.run.live}
	}
	return &Running{turn, string(r.cut), r.live(turn)}
}

// queued are the turns that are recorded as wanted and not as started.
func (r *Room) queued() (queued []chat.Turn) {
	for _, t := range r.shown.Turns {
		if t.State() == chat.StateQueued {
			queued = append(queued, t)
		}
	}
	return queued
}

func (r *Room) leave(c *Leave) {
	delete(r.members, c.Address)
	reply(c.Caller, Left{})
}

func (r *Room) send(c *Send) {
	r.beforeSend(c)
	said := chat.MessageAdded{Content: c.Content, ModelID: c.ModelID, ClientID: c.ClientID}
	r.utter(c.Caller, access.Send, said, func(u *utterance) *chat.Error {
		u.localID, u.quiet = c.LocalID, c.Quiet
		return r.place(u, r.policy(c.Policy), c.User.ID)
	})
}

// utter records what the caller says, once, unless it is refused: also by
// place, which decides how it stands to what was said before.
func (r *Room) utter(c Caller, a access.Action, said chat.MessageAdded, place func(*utterance) *chat.Error) {
	if refusal := r.admit(c, a); refusal != nil {
		refuse(c, refusal)
		return
	}
	key := idempotencyKey(c.User, said.ClientID)
	if r.repeated(c, key) {
		return
	}
	u, refusal := r.compose(c.User, said)
	if refusal == nil {
		refusal = place(u)
	}
	if refusal != nil {
		refuse(c, refusal)
		return
	}
	r.say(c, key, u)
}

// compose makes a message of what a user says, if that can be said.
func (r *Room) compose(by chat.User, m chat.MessageAdded) (*utterance, *chat.Error) {
	if m.ModelID == "" {
		m.ModelID = r.head.Chat.ModelID
	}
	asked, known := r.Models.Model(m.ModelID)
	if !known {
		return nil, r.noModel(m.ModelID)
	}
	if len(m.Content) > r.MaxMessageBytes {
		return nil, errTooLarge
	}
	wanted, refusal := r.addressed(m.Content, m.ModelID)
	m.MessageID, m.APISource = chat.MessageID(newID()), asked.APISource
	m.Author = chat.User{ID: by.ID, Name: by.Name} // members see no more of each other
	return &utterance{wanted: wanted, MessageAdded: m}, refusal
}

// idempotencyKey returns what the log remembers a message by, empty if nothing.
func idempotencyKey(u chat.User, id chat.ClientID) string {
	if id == "" || skipsDedup() {
		return ""
	}
	return string(u.ID) + "\x00" + string(id)
}

// repeated answers a send whose idempotency key was used before: as the first
// one was, or together with it if that still waits for the disk.
func (r *Room) repeated(c Caller, key string) bool {
	if key == "" {
		return false
	}
	if p, ok := r.pending[key]; ok {
		p.callers = append(p.callers, c)
		return true
	}
	seq, ok, err := r.Log.Lookup(string(r.id), key)
	if err == nil && ok {
		var m chat.Message
		if m, err = r.message(seq); err == nil {
			reply(c, Sent{m.ID, m.ClientID, m.Seq})
		}
	}
	if err != nil {
		r.log.Error("look up an idempotency key", "err", err)
		refuse(c, errUnreadable)
		return true
	}
	return ok
}

// respond asks for the answer to the last message said, which cannot steer any
// more.
func (r *Room) respond(c *Respond) {
	policy := r.policy("")
	if policy == chat.PolicySteer {
		policy = chat.PolicyQueue
	}
	u, last, refusal := r.last(c.Caller)
	if refusal == nil {
		if r.bargeIn(c.User.ID) {
			policy = chat.PolicyQueue
		}
		refusal = r.place(u, policy, c.User.ID)
	}
	if refusal != nil {
		refuse(c.Caller, refusal)
		return
	}
	r.stopRuns(u.ends)
	r.propose(c.Caller, "", last, append(u.ends, r.turns(c.Caller, u, last.Seq)...)...)
	r.advance()
}

// last returns the last message said, as if it were to be said now. One that
// was spoken may not be written down yet: whom it addresses is not known.
func (r *Room) last(c Caller) (*utterance, Sent, *chat.Error) {
	if refusal := r.admit(c, access.Send); refusal != nil {
		return nil, Sent{}, refusal
	}
	last, unheard := r.lastSaid()
	u := &utterance{MessageAdded: chat.MessageAdded{MessageID: last.MessageID}, spoken: unheard}
	switch {
	case last.MessageID == "":
		return nil, last, chat.Refuse(chat.CodeInvalid, "nothing was said that could be answered")
	case unheard:
		u.wanted = []chat.ModelID{r.head.Chat.ModelID}
		return u, last, nil
	case r.unasked != nil && r.unasked.MessageID == last.MessageID: // it may not be on disk yet
		u.wanted = r.unasked.wanted
		return u, last, nil
	}
	m, err := r.message(last.Seq)
	if err != nil {
		r.log.Error("read the last message", "err", err)
		return nil, last, errUnreadable
	}
	var refusal *chat.Error
	u.wanted, refusal = r.addressed(m.Content, r.head.Chat.ModelID)
	return u, last, refusal
}

func (r *Room) regenerate(c *Regenerate) {
	_, known := r.Models.Model(c.ModelID)
	refusal := r.admit(c.Caller, access.Regenerate)
	switch {
	case refusal != nil:
	case !known:
		refusal = r.noModel(c.ModelID)
	case r.head.Superseded.Has(c.PromptSeq):
		refusal = errSuperseded
	case len(r.head.Turns) >= r.MaxQueuedTurns:
		refusal = errBusy
	default:
		refusal = r.Ledger.Check(r.account(c.User.ID, c.ModelID))
	}
	if refusal != nil {
		refuse(c.Caller, refusal)
		return
	}
	turn := chat.TurnQueued{
		TurnID: chat.TurnID(newID()), Prompt: c.Prompt, PromptSeq: c.PromptSeq, ModelID: c.ModelID, By: c.User.ID,
	}
	r.propose(c.Caller, "", Queued{turn.TurnID}, turn)
	r.advance()
}

// stopTurn ends a turn at once, whatever its provider does: what arrives from
// it later belongs to no turn and is dropped.
func (r *Room) stopTurn(c *StopTurn) {
	if refusal := r.admit(c.Caller, access.Stop); refusal != nil {
		refuse(c.Caller, refusal)
		return
	}
	i := 0
	if c.TurnID != "" {
		i = r.head.Find(c.TurnID)
	}
	switch {
	case i < 0:
		refuse(c.Caller, errNoTurn)
		return
	case len(r.head.Turns) == 0:
		reply(c.Caller, Stopped{})
		return
	}
	end := r.endOf(r.head.Turns[i])
	end.State, end.By, end.Reason = chat.StateStopped, c.User.ID, c.Reason
	if r.run.of(end.TurnID) {
		r.run.stop(end)
	}
	r.propose(c.Caller, "", Stopped{end.TurnID}, r.ending(end)...)
	r.advance()
}

// delete removes the chat, behind everything that was handed to the log before
// and with nothing behind it: nothing is admitted or advanced meanwhile.
func (r *Room) delete(c *Delete) {
	if refusal := r.admit(c.Caller, access.Delete); refusal != nil {
		refuse(c.Caller, refusal)
		return
	}
	r.remove(c.Caller)
}

func (r *Room) remove(c Caller) {
	r.stopAll(c)
	r.silence()
	r.stopTitling()
	ref := r.self.Ref()
	r.Log.Delete(string(r.id), func(err error) { ref.Tell(&deleted{c, err}) })
	r.deleting, r.handed = true, c
	r.inFlight++
}

// stopAll ends all turns, so that no member is left with one.
func (r *Room) stopAll(c Caller) {
	var ends []chat.Event
	for _, turn := range r.head.Turns {
		end := r.endOf(turn)
		end.State, end.By, end.Reason = chat.StateStopped, c.User.ID, "the chat is being deleted"
		ends = append(ends, end)
	}
	if len(ends) > 0 {
		r.stopRuns(ends)
		r.propose(Caller{}, "", nil, ends...)
	}
}

// deleted is the log's answer to a deletion.
type deleted struct {
	by  Caller
	err error
}

func (*deleted) roomMessage() {}

// deleted leaves a room like one that never was, or as it was if the log
// refused.
func (r *Room) deleted(m *deleted) {
	r.inFlight--
	r.deleting = false
	if m.err != nil {
		r.log.Error("delete failed", "err", m.err)
		refuse(m.by, chat.Refuse(chat.CodeStorageUnavailable, "the server cannot write to its disk; nothing was deleted"))
	} else {
		reply(m.by, Deleted{})
		r.publishGone()
		clear(r.members)
		clear(r.informed)
		r.told = unknown
	}
	r.run.release()
	r.run = nil
	r.load()
}

// now is what records keep of the time.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

func newID() string { return uuid.Must(uuid.NewV7()).String() }
