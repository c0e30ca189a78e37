package room

import (
	"slices"

	"parlor/actors/access"
	"parlor/protocol/chat"
)

var (
	errLost       = chat.Refuse(chat.CodeInternal, "the server failed on this command")
	errCrowded    = chat.Refuse(chat.CodeBusy, "too many of your chats are in use at once; leave some")
	errHung       = chat.Refuse(chat.CodeBusy, "the room does not answer")
	errNoEncoder  = chat.Refuse(chat.CodeInvalid, "the server does not know the wire that you speak")
	errDeleting   = chat.Refuse(chat.CodeBusy, "the chat is being deleted")
	errNoAnswer   = chat.Refuse(chat.CodeNotFound, "there is no such message")
	errUnreadable = chat.Refuse(chat.CodeStorageUnavailable, "the history of this room cannot be read")
)

// admit returns why the caller may not do a in this room, or nil.
func (r *Room) admit(c Caller, a access.Action) *chat.Error {
	if !r.records.head.Exists() || r.deleting {
		return access.ErrNoChat
	}
	refusal := r.Access.Check(r.records.head.Chat, c.User, a)
	if refusal == nil && a != access.Accept { // which any stranger may try
		r.passivation.used = true
	}
	return refusal
}

// Create makes the chat if there is none, and answers with a [Created] either way.
type Create struct {
	Caller
	Chat     chat.ID
	ModelID  chat.ModelID
	Kind     string        // see [chat.Info]
	Settings chat.Settings // that it begins with
}

// creation is the key of the proposal that creates the chat, while it waits for the
// disk. No idempotency key is equal to it: each of those holds a 0 byte.
const creation = "created"

func (c *Create) do(r *Room) {
	head, shown := r.records.head, r.records.shown
	model, ok := r.Models.Model(c.ModelID)
	info, action := chat.Info{ID: c.Chat}, access.Create
	if head.Exists() {
		info, action = head.Chat, access.Read // the caller is only told what is there
	}
	refusal := r.Access.Check(info, c.User, action)
	switch {
	case refusal == access.ErrNoChat:
		r.refuse(c.Caller, r.noChat(c))
	case refusal != nil:
		r.refuse(c.Caller, refusal)
	case r.deleting:
		r.refuse(c.Caller, errDeleting)
	case shown.Exists():
		r.passivation.used = true
		r.reply(c.Caller, Created{shown.Chat})
	case head.Exists(): // on its way to the disk: answered together with that
		r.records.join(creation, c.Caller)
	case !ok:
		r.refuse(c.Caller, r.rules.NoModel(c.ModelID))
	default:
		info := chat.Info{
			ID: c.Chat, Room: r.id, Owner: c.User.ID, OwnerName: c.User.Name, ModelID: c.ModelID, APISource: model.APISource,
			Epoch: newID(), Created: now(), Kind: c.Kind, Settings: c.Settings,
		}
		r.records.await(creation, r.records.propose(c.Caller, "", Created{info}, chat.Created{Chat: info}))
	}
}

// Join makes the caller's address a listener. The reply is a [Joined]; after it the
// address gets every publication, encoded by the one of [Options.Encoders] that
// Encoder names. To join again changes the encoder and nothing else.
type Join struct {
	Caller
	Encoder   string
	Returning bool // leaves Users out of the reply: thousands may come back at once
	Apart     bool // the listener is none of those who are in the room, and is not told who is

	// Tools are what the caller's page runs for the caller's answers. Nil leaves those that
	// it has offered before.
	Tools []chat.Tool
}

func (c *Join) do(r *Room) {
	refusal := r.admit(c.Caller, access.Read)
	shown := r.records.shown
	switch {
	case refusal != nil:
	case !shown.Exists():
		refusal = access.ErrNoChat // not yet
	case r.Encoders[c.Encoder] == nil:
		refusal = errNoEncoder
	case c.Tools != nil:
		refusal = r.Tools.Admit(c.Tools)
	}
	if refusal != nil {
		r.refuse(c.Caller, refusal)
		return
	}
	r.attendance.listen(c.Address, &listener{user: c.User, apart: c.Apart}, c.Encoder)
	joined := Joined{Chat: shown.Chat, Epoch: shown.Chat.Epoch + "." + r.Epoch, Seq: shown.Seq, Branched: shown.Branches.Last()}
	if !c.Returning {
		joined.Users = r.presence.listFor(c.User, r.MaxListed)
	}
	for _, t := range shown.Turns {
		if t.Attempt == 0 {
			joined.Queued = append(joined.Queued, t)
		} else {
			joined.Turn = r.stage.show(t)
		}
	}
	joined.Pending, joined.Calls = r.records.pendingCalls(), slices.Clone(shown.Summary.Calls)
	if r.stage.attempt != nil {
		r.stage.attempt.ShowProgress(joined.Calls)
	}
	r.reply(c.Caller, joined)
	if c.Tools != nil {
		r.stage.take(c.Caller, c.Tools)
	}
}

// Leave ends what Join began. It does nothing if the address is no listener.
type Leave struct{ Caller }

func (c *Leave) do(r *Room) {
	r.attendance.unlisten(c.Address)
	r.reply(c.Caller, Left{})
}

// Configure changes the chat's settings, and is answered with a [Configured].
type Configure struct {
	Caller
	Changes  chat.Changes
	ClientID chat.ClientID // empty: not idempotent
}

func (c *Configure) do(r *Room) {
	action := access.Configure
	if c.Changes.ReadOnly != nil || c.Changes.RetainFor != nil {
		action = access.Manage
	}
	key, fresh := r.begin(c.Caller, action, c.ClientID, c.recall(r))
	if !fresh {
		return
	}
	info := r.records.head.Chat
	settings, refusal := c.Changes.Apply(info.Settings)
	if refusal != nil {
		r.refuse(c.Caller, refusal)
		return
	}
	info.Settings = settings
	r.records.propose(c.Caller, key, Configured{info}, chat.Configured{Settings: settings, By: c.User.ID, ClientID: c.ClientID})
}

// recall recalls changes that have led to the recorded settings: to make them once more
// changes nothing.
func (c *Configure) recall(r *Room) recall {
	return func(record chat.Record) (any, bool) {
		e, configured := record.Event.(chat.Configured)
		info := r.records.head.Chat
		info.Settings = e.Settings
		again, refusal := c.Changes.Apply(e.Settings)
		return Configured{info}, configured && refusal == nil && again == e.Settings
	}
}
