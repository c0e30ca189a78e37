package room

import (
	"cmp"

	"parlor/actors/access"
	"parlor/actors/conversation"
	"parlor/protocol/chat"
)

// Send adds a message of the caller and asks for an answer, if one is wanted. The
// reply is a [Sent], once the message is on disk.
type Send struct {
	Caller
	Content     string
	ModelID     chat.ModelID   // empty: the chat's current model
	Addressed   chat.ModelID   // see [chat.Say]
	ClientID    chat.ClientID  // empty: not idempotent
	Correlation string         // see [chat.TurnQueued]
	Origin      string         // see [chat.MessageAdded]
	Policy      chat.Policy    // empty: the chat's
	Answer      *bool          // whether an answer is wanted; nil: as the chat says
	Quiet       bool           // no answer is wanted yet
	Parent      chat.MessageID // that it replies to, in a channel
	Files       []chat.FileID  // of the chat, that the message brings
	OnlyTools   []string       // see [chat.MessageAdded]
	ToolChoice  chat.ToolChoice
	Tools       []chat.OfferedTool // of the program that asks
	After       chat.MessageID     // that it follows, see [chat.Say]
}

func (c *Send) do(r *Room) {
	r.beforeSend(c)
	answer := c.Answer
	if c.Quiet {
		answer = new(bool)
	}
	r.say(c.Caller, access.Send, c.ClientID, r.recallMessage(c.Content, c.ModelID, "", c.Files...), func(m conversation.Moment) (*conversation.Plan, *chat.Error) {
		files, refusal := r.records.files(c.Files)
		if refusal == nil {
			refusal = r.guestAsks(c.Caller, c.ModelID, c.Addressed)
		}
		if refusal == nil && c.Tools != nil {
			refusal = r.Tools.Admit(chat.RequestedTools(c.Tools))
		}
		if refusal != nil {
			return nil, refusal
		}
		var after *chat.Message
		if c.After != "" {
			m, refusal := r.records.find(c.After)
			if refusal != nil {
				return nil, refusal
			}
			after = &m
		}
		return m.Say(conversation.Utterance{
			By: c.User, Content: c.Content, ModelID: c.ModelID, Addressed: c.Addressed, ClientID: c.ClientID, After: after,
			Correlation: c.Correlation, Origin: c.Origin, Policy: c.Policy, Answer: answer, Files: files,
			Parent: c.Parent, OnlyTools: c.OnlyTools, Choice: c.ToolChoice, Tools: c.Tools, Question: func(t chat.Turn) (chat.Message, *chat.Error) { return r.records.find(t.Prompt) },
		})
	})
}

// Edit replaces a message by a new one. The old message and all that followed it
// leave the conversation, and turns that answer any of it are stopped. The reply is a
// [Sent]. An edit is queued, whatever the policy.
type Edit struct {
	Caller
	Replaces chat.MessageID // the caller's own
	Content  string
	ModelID  chat.ModelID  // empty: the chat's current model
	ClientID chat.ClientID // empty: not idempotent
	Origin   string        // see [chat.MessageAdded]
	Answer   *bool         // whether an answer is wanted; nil: as the chat says
}

func (c *Edit) do(r *Room) {
	r.say(c.Caller, access.Edit, c.ClientID, r.recallMessage(c.Content, c.ModelID, c.Replaces), func(m conversation.Moment) (*conversation.Plan, *chat.Error) {
		old, refusal := r.records.find(c.Replaces)
		if refusal == nil {
			refusal = r.guestAsks(c.Caller, c.ModelID)
		}
		if refusal != nil {
			return nil, refusal
		}
		return m.Edit(conversation.Utterance{
			By: c.User, Content: c.Content, ModelID: c.ModelID, ClientID: c.ClientID, Origin: c.Origin, Answer: c.Answer,
		}, old)
	})
}

func sent(m chat.MessageAdded, seq uint64) Sent {
	return Sent{
		MessageID: m.MessageID, ClientID: m.ClientID, Seq: seq, Unasked: m.Unasked, Replaces: m.Replaces, ReplacesSeq: m.ReplacesSeq,
	}
}

// A planner places a message, or refuses it.
type planner func(conversation.Moment) (*conversation.Plan, *chat.Error)

// say records a message as plan places it, or refuses it. A message that was recorded
// before is not recorded again.
func (r *Room) say(c Caller, a access.Action, id chat.ClientID, recall recall, plan planner) {
	key, fresh := r.begin(c, a, id, recall)
	if !fresh {
		return
	}
	moment := r.moment()
	p, refusal := plan(moment)
	if refusal != nil {
		r.refuse(c, refusal)
		return
	}
	events, seq := moment.Message(p, c.User.ID)
	if refusal := r.budget.short(c.User.ID, p, seq); refusal != nil {
		r.refuse(c, refusal)
		return
	}
	if p.Quiet() {
		r.lastQuiet = p
	}
	r.noteAuthor(p.MessageID, c)
	r.attendance.hasTyped(c)
	r.stage.stop(p.Ends())
	r.records.propose(c, key, sent(p.MessageAdded, seq), events...)
	r.advance()
}

// Respond asks for an answer to the last message, which was sent Quiet or spoken. The
// reply is a [Sent] of that message, whose Seq is 0 if it is not recorded yet.
type Respond struct {
	Caller
	ClientID chat.ClientID // empty: not idempotent
	Origin   string        // see [chat.MessageAdded]
}

func (c *Respond) do(r *Room) {
	key, fresh := r.begin(c.Caller, access.Send, c.ClientID, r.records.recallResponse)
	if !fresh {
		return
	}
	last := r.records.head.Last
	speech := r.stage.voice.Last(last.Seq, r.records.generation)
	content, refusal := "", (*chat.Error)(nil)
	spokenTo := chat.ModelID("")
	if speech != nil {
		last, spokenTo = conversation.Said{MessageID: speech.ID}, speech.Model
	} else {
		content, refusal = r.contentOf(last)
	}
	if refusal != nil {
		r.refuse(c.Caller, refusal)
		return
	}
	alone := r.stage.voice.BargeIn(c.User.ID)
	moment := r.moment()
	p, refusal := moment.Respond(c.User.ID, last, content, spokenTo, alone)
	if refusal == nil {
		p.Content = content
		refusal = r.budget.short(c.User.ID, p, last.Seq)
	}
	if refusal != nil {
		r.refuse(c.Caller, refusal)
		return
	}
	r.stage.stop(p.Ends())
	p.ClientID, p.Origin = c.ClientID, c.Origin
	r.records.propose(c.Caller, key, Sent{MessageID: last.MessageID, ClientID: last.ClientID, Seq: last.Seq}, moment.Response(p, last.Seq, c.User.ID)...)
	r.advance()
}

// recallResponse recalls that somebody asked for an answer to the last message.
func (r *recorder) recallResponse(record chat.Record) (any, bool) {
	turn, asked := record.Event.(chat.TurnQueued)
	sent := Sent{MessageID: turn.Prompt, Seq: turn.PromptSeq}
	if m, refusal := r.find(turn.Prompt); asked && refusal == nil {
		sent = Sent{MessageID: turn.Prompt, ClientID: m.ClientID, Seq: m.Seq}
	}
	return sent, asked && turn.Again == ""
}

// contentOf returns the content of the last message, which may not be on disk yet.
func (r *Room) contentOf(last conversation.Said) (string, *chat.Error) {
	switch {
	case last.MessageID == "":
		return "", conversation.ErrNothing
	case r.lastQuiet != nil && r.lastQuiet.MessageID == last.MessageID:
		return r.lastQuiet.Content, nil
	}
	m, err := r.records.message(last.Seq)
	if err != nil {
		r.log().Error("read the last message", "err", err)
		return "", errUnreadable
	}
	return m.Content, nil
}

// AppendAudio is a piece of speech for a model that listens: see [chat.AudioAppend].
// It is not recorded. ClearAudio forgets what was appended, and CommitAudio makes it a
// message. The replies are [Taken]. ModelID is the model that is spoken to; empty: the
// chat's current model.
type (
	AppendAudio struct {
		Caller
		ModelID chat.ModelID
		Audio   string
	}
	ClearAudio struct {
		Caller
		ModelID chat.ModelID
	}
	CommitAudio struct {
		Caller
		ModelID chat.ModelID
		Origin  string // see [chat.MessageAdded]
	}
)

func (c *AppendAudio) do(r *Room) {
	r.speak(c.Caller, c.ModelID, "", func(model chat.ModelID) *chat.Error { return r.stage.voice.Append(c.User.ID, model, c.Audio) })
}

func (c *ClearAudio) do(r *Room) {
	r.speak(c.Caller, c.ModelID, "", func(model chat.ModelID) *chat.Error { return r.stage.voice.Clear(c.User.ID, model) })
}

func (c *CommitAudio) do(r *Room) {
	id := chat.MessageID(newID())
	r.speak(c.Caller, c.ModelID, id, func(model chat.ModelID) *chat.Error {
		refusal := r.stage.voice.Commit(c.User, model, id, r.records.head.Seq)
		if refusal == nil {
			r.noteAuthor(id, c.Caller)
			r.stage.voice.Find(id).Origin = c.Origin
		}
		return refusal
	})
}

// speak calls do with the model that is spoken to, and replies with a [Taken] or the refusal.
func (r *Room) speak(c Caller, model chat.ModelID, id chat.MessageID, do func(chat.ModelID) *chat.Error) {
	refusal := r.admit(c, access.Send)
	if refusal == nil {
		refusal = r.guestAsks(c, model)
	}
	if refusal == nil {
		refusal = do(cmp.Or(model, r.records.head.Chat.ModelID))
	}
	if refusal != nil {
		r.refuse(c, refusal)
		return
	}
	r.reply(c, Taken{id})
}
