package commands

import (
	"context"

	"parlor/actors/room"
	"parlor/protocol/chat"
)

// Say adds a message of the user to a chat. It returns when the message is on disk.
func (c *Commands) Say(ctx context.Context, u chat.User, id chat.ID, m chat.Say) (chat.Said, error) {
	return c.say(ctx, u, id, func(by room.Caller) room.Command {
		return &room.Send{
			Caller: by, Content: m.Content, ModelID: m.ModelID, Addressed: m.Addressed, ClientID: m.ClientID, Policy: m.Policy, Answer: m.Answer, Correlation: m.Correlation, Files: m.Files,
			Parent: m.Parent, OnlyTools: m.OnlyTools, ToolChoice: m.ToolChoice, Tools: m.Tools, After: m.After,
		}
	})
}

// Edit replaces a message of the user. It returns when that is on disk.
func (c *Commands) Edit(ctx context.Context, u chat.User, id chat.ID, m chat.Edit) (chat.Said, error) {
	return c.say(ctx, u, id, func(by room.Caller) room.Command {
		return &room.Edit{Caller: by, Replaces: m.MessageID, Content: m.Content, ModelID: m.ModelID, ClientID: m.ClientID, Answer: m.Answer}
	})
}

func (c *Commands) say(ctx context.Context, u chat.User, id chat.ID, command func(room.Caller) room.Command) (chat.Said, error) {
	reply, err := c.ask(ctx, id.Room(), u, command)
	if err != nil {
		return chat.Said{}, err
	}
	sent := reply.Body.(room.Sent)
	said := chat.Said{
		MessageID: sent.MessageID, ClientID: sent.ClientID, Seq: sent.Seq, Unasked: sent.Unasked,
		Replaces: sent.Replaces, ReplacesSeq: sent.ReplacesSeq, Repeated: reply.Repeated,
	}
	if said.Turns, err = c.log.TurnsOf(id.Room(), sent.MessageID, sent.Seq); err != nil {
		return chat.Said{}, err
	}
	return said, nil
}

// Regenerate asks for another answer. It returns when that is on disk.
func (c *Commands) Regenerate(ctx context.Context, u chat.User, id chat.ID, a chat.Again) (chat.Queued, error) {
	reply, err := c.ask(ctx, id.Room(), u, func(by room.Caller) room.Command {
		return &room.Regenerate{Caller: by, Answer: a.Answer, ModelID: a.ModelID, ClientID: a.ClientID}
	})
	if err != nil {
		return chat.Queued{}, err
	}
	return chat.Queued{TurnID: reply.Body.(room.Queued).TurnID, Repeated: reply.Repeated}, nil
}

// Stop stops a turn. It returns when that is on disk, or when the disk is full and the
// provider has been stopped all the same.
func (c *Commands) Stop(ctx context.Context, u chat.User, id chat.ID, s chat.Stop) (chat.Stopped, error) {
	return c.StopIn(ctx, u, id.Room(), s)
}

// StopIn is Stop by the room of the chat.
func (c *Commands) StopIn(ctx context.Context, u chat.User, id chat.RoomID, s chat.Stop) (chat.Stopped, error) {
	reply, err := c.ask(ctx, id, u, func(by room.Caller) room.Command {
		return &room.StopTurn{Caller: by, TurnID: s.TurnID, Reason: s.Reason, ClientID: s.ClientID}
	})
	if err != nil {
		return chat.Stopped{}, err
	}
	stopped := reply.Body.(room.Stopped)
	return chat.Stopped{TurnID: stopped.TurnID, Unrecorded: stopped.Unrecorded, Repeated: reply.Repeated}, nil
}

// Decide decides about a call of a tool that waits. It returns when that is on disk.
func (c *Commands) Decide(ctx context.Context, u chat.User, id chat.ID, d chat.Decide) (chat.Decided, error) {
	reply, err := c.ask(ctx, id.Room(), u, func(by room.Caller) room.Command { return room.DecideAs(by, d) })
	if err != nil {
		return chat.Decided{}, err
	}
	decided := reply.Body.(room.Decided)
	return chat.Decided{CallID: decided.CallID, Approved: decided.Approved, Repeated: reply.Repeated}, nil
}

// Offer takes the tools that an app of the user runs.
func (c *Commands) Offer(ctx context.Context, u chat.User, id chat.ID, tools []chat.Tool) error {
	_, err := c.ask(ctx, id.Room(), u, func(by room.Caller) room.Command { return &room.Offer{Caller: by, Tools: tools} })
	return err
}

// AnswerCall brings what has come of a call that an app of the user has run.
func (c *Commands) AnswerCall(ctx context.Context, u chat.User, id chat.ID, a chat.AnswerCall) error {
	_, err := c.ask(ctx, id.Room(), u, func(by room.Caller) room.Command { return room.AnswerCallAs(by, a) })
	return err
}

// Turns returns the open turns of a chat that the user may read: first the one that runs.
func (c *Commands) Turns(ctx context.Context, u chat.User, id chat.RoomID) ([]chat.Turn, error) {
	body, err := asked[room.Turns](ctx, c, id, u, func(by room.Caller) room.Command { return &room.ListTurns{Caller: by} })
	return body.Turns, err
}
