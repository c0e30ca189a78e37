package room

import (
	"parlor/actors/access"
	"parlor/actors/conversation"
	"parlor/protocol/chat"
)

// Send adds what the caller says and, unless Quiet, asks for an answer to it.
// It is answered with a [Sent] once it is on disk.
type Send struct {
	Caller
	Content     string
	ModelID     chat.ModelID  // empty: the chat's current model
	ClientID    chat.ClientID // empty: not idempotent
	Correlation string        // see [chat.TurnQueued]
	Policy      chat.Policy   // empty: the chat's
	Quiet       bool
}

func (c *Send) do(r *Room) {
	r.beforeSend(c)
	r.say(c.Caller, access.Send, c.ClientID, func(m conversation.Moment) (*conversation.Plan, *chat.Error) {
		return m.Say(conversation.Utterance{
			By: c.User, Content: c.Content, ModelID: c.ModelID, ClientID: c.ClientID,
			Correlation: c.Correlation, Policy: c.Policy, Quiet: c.Quiet,
		})
	})
}

// Edit says something anew: the message that it replaces, and all that
// followed, is no longer part of the conversation, and what answers any of it is
// stopped. Like a Send that is queued it is answered with a [Sent].
type Edit struct {
	Caller
	Replaces chat.MessageID // the caller's own
	Content  string
	ModelID  chat.ModelID  // empty: the chat's current model
	ClientID chat.ClientID // empty: not idempotent
}

func (c *Edit) do(r *Room) {
	r.say(c.Caller, access.Edit, c.ClientID, func(m conversation.Moment) (*conversation.Plan, *chat.Error) {
		old, refusal := r.records.find(c.Replaces)
		if refusal != nil {
			return nil, refusal
		}
		return m.Edit(conversation.Utterance{By: c.User, Content: c.Content, ModelID: c.ModelID, ClientID: c.ClientID}, old)
	})
}

// say records what the caller says, once, unless it is refused.
func (r *Room) say(c Caller, a access.Action, id chat.ClientID, plan func(conversation.Moment) (*conversation.Plan, *chat.Error)) {
	if refusal := r.admit(c, a); refusal != nil {
		r.refuse(c, refusal)
		return
	}
	key := idempotencyKey(c.User, id)
	if r.repeated(c, key) {
		return
	}
	moment := r.moment()
	p, refusal := plan(moment)
	if refusal != nil {
		r.refuse(c, refusal)
		return
	}
	if p.Quiet() {
		r.quiet = p
	}
	if !c.Address.IsZero() {
		r.authors[p.MessageID] = c.Address
	}
	events, seq := moment.Message(p, c.User.ID)
	r.stage.stop(p.Ends())
	r.records.propose(c, key, Sent{p.MessageID, p.ClientID, seq}, events...)
	r.advance()
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
	if r.records.join(key, c) {
		return true
	}
	seq, ok, err := r.Log.Lookup(string(r.id), key)
	if err == nil && ok {
		var m chat.Message
		if m, err = r.records.message(seq); err == nil {
			r.reply(c, Sent{m.ID, m.ClientID, m.Seq})
		}
	}
	if err != nil {
		r.log.Error("look up an idempotency key", "err", err)
		r.refuse(c, errUnreadable)
		return true
	}
	return ok
}

// Respond asks for an answer to the last message, which was sent Quiet or
// spoken. It is answered with a [Sent] of that message; the Seq of one that is
// not recorded yet is 0.
type Respond struct{ Caller }

func (c *Respond) do(r *Room) {
	if refusal := r.admit(c.Caller, access.Send); refusal != nil {
		r.refuse(c.Caller, refusal)
		return
	}
	last := r.records.head.Last
	speech := r.stage.voice.Last(last.Seq, r.records.generation)
	content, refusal := "", (*chat.Error)(nil)
	if speech != nil {
		last = conversation.Said{MessageID: speech.ID}
	} else {
		content, refusal = r.contentOf(last)
	}
	if refusal != nil {
		r.refuse(c.Caller, refusal)
		return
	}
	alone := r.stage.voice.BargeIn(c.User.ID)
	moment := r.moment()
	p, refusal := moment.Respond(c.User.ID, last, content, speech != nil, alone)
	if refusal != nil {
		r.refuse(c.Caller, refusal)
		return
	}
	r.stage.stop(p.Ends())
	r.records.propose(c.Caller, "", Sent(last), moment.Response(p, last.Seq, c.User.ID)...)
	r.advance()
}

// contentOf returns what the last message says. It may not be on disk yet.
func (r *Room) contentOf(last conversation.Said) (string, *chat.Error) {
	switch {
	case last.MessageID == "":
		return "", conversation.ErrNothing
	case r.quiet != nil && r.quiet.MessageID == last.MessageID:
		return r.quiet.Content, nil
	}
	m, err := r.records.message(last.Seq)
	if err != nil {
		r.log.Error("read the last message", "err", err)
		return "", errUnreadable
	}
	return m.Content, nil
}

// AppendAudio is a piece of what the caller says to a model that listens:
// [chat.AudioAppend]. It is not recorded. ClearAudio forgets what was appended,
// CommitAudio makes it a message. They are answered with a [Taken].
type (
	AppendAudio struct {
		Caller
		Audio string
	}
	ClearAudio  struct{ Caller }
	CommitAudio struct{ Caller }
)

func (c *AppendAudio) do(r *Room) {
	r.speak(c.Caller, "", func(model chat.ModelID) *chat.Error { return r.stage.voice.Append(c.User.ID, model, c.Audio) })
}

func (c *ClearAudio) do(r *Room) {
	r.speak(c.Caller, "", func(model chat.ModelID) *chat.Error { return r.stage.voice.Clear(c.User.ID, model) })
}

func (c *CommitAudio) do(r *Room) {
	id := chat.MessageID(newID())
	r.speak(c.Caller, id, func(model chat.ModelID) *chat.Error {
		refusal := r.stage.voice.Commit(c.User, model, id, r.records.head.Seq)
		if refusal == nil && !c.Address.IsZero() {
			r.authors[id] = c.Address
		}
		return refusal
	})
}

// speak does something with what the caller says to the chat's model.
func (r *Room) speak(c Caller, id chat.MessageID, do func(chat.ModelID) *chat.Error) {
	refusal := r.admit(c, access.Send)
	if refusal == nil {
		refusal = do(r.records.head.Chat.ModelID)
	}
	if refusal != nil {
		r.refuse(c, refusal)
		return
	}
	r.reply(c, Taken{id})
}
