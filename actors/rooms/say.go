package rooms

import (
	"context"

	"parlor/actors/room"
	"parlor/protocol/chat"
)

// Say adds a message of the user to a chat. It returns when the message is on disk.
func (r *Rooms) Say(ctx context.Context, u chat.User, id chat.ID, m chat.Say) (chat.Said, error) {
	return r.say(ctx, u, id, func(c room.Caller) room.Command {
		return &room.Send{
			Caller: c, Content: m.Content, ModelID: m.ModelID, Addressed: m.Addressed, ClientID: m.ClientID, Policy: m.Policy, Answer: m.Answer, Correlation: m.Correlation, Files: m.Files,
			Parent: m.Parent, OnlyTools: m.OnlyTools, ToolChoice: m.ToolChoice, Tools: m.Tools, After: m.After,
		}
	})
}

// Edit replaces a message of the user. It returns when that is on disk.
func (r *Rooms) Edit(ctx context.Context, u chat.User, id chat.ID, m chat.Edit) (chat.Said, error) {
	return r.say(ctx, u, id, func(c room.Caller) room.Command {
		return &room.Edit{Caller: c, Replaces: m.MessageID, Content: m.Content, ModelID: m.ModelID, ClientID: m.ClientID, Answer: m.Answer}
	})
}

func (r *Rooms) say(ctx context.Context, u chat.User, id chat.ID, command func(room.Caller) room.Command) (chat.Said, error) {
	reply, err := r.ask(ctx, id.Room(), u, command)
	if err != nil {
		return chat.Said{}, err
	}
	sent := reply.Body.(room.Sent)
	said := chat.Said{
		MessageID: sent.MessageID, ClientID: sent.ClientID, Seq: sent.Seq, Unasked: sent.Unasked,
		Replaces: sent.Replaces, ReplacesSeq: sent.ReplacesSeq, Repeated: reply.Repeated,
	}
	if said.Turns, err = r.turnsOf(id.Room(), sent); err != nil {
		return chat.Said{}, r.unreadable(err)
	}
	return said, nil
}

// turnsOf returns the turns that answer a message. They follow the message in the log, with
// which they were recorded, unless a turn that was running has taken the message in.
func (r *Rooms) turnsOf(id chat.RoomID, sent room.Sent) (turns []chat.TurnID, err error) {
	for entry, err := range r.log.Read(string(id), sent.Seq-1) {
		if err != nil {
			return nil, err
		}
		record, err := chat.DecodeRecord(entry.Seq, entry.Data)
		if err != nil {
			return nil, err
		}
		said, isMessage := record.Event.(chat.MessageAdded)
		turn, isTurn := record.Event.(chat.TurnQueued)
		switch {
		case isMessage && said.MessageID == sent.MessageID && said.Steers != "":
			return []chat.TurnID{said.Steers}, nil
		case isMessage && said.MessageID == sent.MessageID:
		case isTurn && turn.Prompt == sent.MessageID && turn.Again == "":
			turns = append(turns, turn.TurnID)
		default:
			return turns, nil
		}
	}
	return turns, nil
}

// Regenerate asks for another answer. It returns when that is on disk.
func (r *Rooms) Regenerate(ctx context.Context, u chat.User, id chat.ID, a chat.Again) (chat.Queued, error) {
	reply, err := r.ask(ctx, id.Room(), u, func(c room.Caller) room.Command {
		return &room.Regenerate{Caller: c, Answer: a.Answer, ModelID: a.ModelID, ClientID: a.ClientID}
	})
	if err != nil {
		return chat.Queued{}, err
	}
	return chat.Queued{TurnID: reply.Body.(room.Queued).TurnID, Repeated: reply.Repeated}, nil
}

// Stop stops a turn. It returns when that is on disk, or when the disk is full and the
// provider has been stopped all the same.
func (r *Rooms) Stop(ctx context.Context, u chat.User, id chat.ID, s chat.Stop) (chat.Stopped, error) {
	return r.StopIn(ctx, u, id.Room(), s)
}

// StopIn is Stop for who knows the room of the chat.
func (r *Rooms) StopIn(ctx context.Context, u chat.User, id chat.RoomID, s chat.Stop) (chat.Stopped, error) {
	reply, err := r.ask(ctx, id, u, func(c room.Caller) room.Command {
		return &room.StopTurn{Caller: c, TurnID: s.TurnID, Reason: s.Reason, ClientID: s.ClientID}
	})
	if err != nil {
		return chat.Stopped{}, err
	}
	stopped := reply.Body.(room.Stopped)
	return chat.Stopped{TurnID: stopped.TurnID, Unrecorded: stopped.Unrecorded, Repeated: reply.Repeated}, nil
}

// Decide decides about a call of a tool that waits. It returns when that is on disk.
func (r *Rooms) Decide(ctx context.Context, u chat.User, id chat.ID, d chat.Decide) (chat.Decided, error) {
	reply, err := r.ask(ctx, id.Room(), u, func(c room.Caller) room.Command { return room.DecideAs(c, d) })
	if err != nil {
		return chat.Decided{}, err
	}
	decided := reply.Body.(room.Decided)
	return chat.Decided{CallID: decided.CallID, Approved: decided.Approved, Repeated: reply.Repeated}, nil
}

// Offer takes the tools that an app of the user runs.
func (r *Rooms) Offer(ctx context.Context, u chat.User, id chat.ID, tools []chat.Tool) error {
	_, err := r.ask(ctx, id.Room(), u, func(c room.Caller) room.Command { return &room.Offer{Caller: c, Tools: tools} })
	return err
}

// AnswerCall brings what has come of a call that an app of the user has run.
func (r *Rooms) AnswerCall(ctx context.Context, u chat.User, id chat.ID, a chat.AnswerCall) error {
	_, err := r.ask(ctx, id.Room(), u, func(c room.Caller) room.Command { return room.AnswerCallAs(c, a) })
	return err
}
