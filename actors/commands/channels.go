package commands

import (
	"context"
	"crypto/rand"

	"parlor/actors/room"
	"parlor/protocol/chat"
)

// CreateChannel makes a channel, in which a model answers when it is mentioned.
func (c *Commands) CreateChannel(ctx context.Context, u chat.User, name string, model chat.ModelID) (chat.Info, error) {
	settings, refusal := chat.Changes{Title: &name}.Apply(chat.Settings{Answers: chat.AnswerMentioned})
	if refusal != nil {
		return chat.Info{}, refusal
	}
	var random [8]byte
	rand.Read(random[:])
	id := chat.MakeID(u.ID, random)
	body, err := asked[room.Created](ctx, c, id.Room(), u, func(by room.Caller) room.Command {
		return &room.Create{Caller: by, Chat: id, ModelID: model, Kind: chat.KindChannel, Settings: settings}
	})
	return body.Chat, err
}

// Revise replaces the content of a message, by the id of its present version.
func (c *Commands) Revise(ctx context.Context, u chat.User, id chat.ID, message chat.MessageID, content string) error {
	_, err := c.ask(ctx, id.Room(), u, func(by room.Caller) room.Command {
		return &room.Revise{Caller: by, MessageID: message, Content: content}
	})
	return err
}

// Retract takes a message back, by the id of its present version.
func (c *Commands) Retract(ctx context.Context, u chat.User, id chat.ID, message chat.MessageID) error {
	_, err := c.ask(ctx, id.Room(), u, func(by room.Caller) room.Command { return &room.Retract{Caller: by, MessageID: message} })
	return err
}

// React has the user react to a message by a name, or not any more.
func (c *Commands) React(ctx context.Context, u chat.User, id chat.ID, message chat.MessageID, name string, removed bool) error {
	_, err := c.ask(ctx, id.Room(), u, func(by room.Caller) room.Command {
		return &room.React{Caller: by, MessageID: message, Name: name, Removed: removed}
	})
	return err
}
