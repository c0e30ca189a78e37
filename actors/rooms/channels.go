package rooms

import (
	"context"
	"crypto/rand"

	"parlor/actors/access"
	"parlor/actors/room"
	"parlor/protocol/chat"
)

// maxChannelChats is how many of a user's newest chats are looked at to find channels.
const maxChannelChats = 1000

var errNoChannel = chat.Refuse(chat.CodeNotFound, "there is no such channel")

// CreateChannel makes a channel, in which a model answers when it is mentioned.
func (r *Rooms) CreateChannel(ctx context.Context, u chat.User, name string, model chat.ModelID) (chat.Info, error) {
	settings, refusal := chat.Changes{Title: &name}.Apply(chat.Settings{Answers: chat.AnswerMentioned})
	if refusal != nil {
		return chat.Info{}, refusal
	}
	var random [8]byte
	rand.Read(random[:])
	id := chat.MakeID(u.ID, random)
	reply, err := r.ask(ctx, id.Room(), u, func(c room.Caller) room.Command {
		return &room.Create{Caller: c, Chat: id, ModelID: model, Kind: chat.KindChannel, Settings: settings}
	})
	if err != nil {
		return chat.Info{}, err
	}
	return reply.Body.(room.Created).Chat, nil
}

// Channels returns the channels that the user may read, newest first.
func (r *Rooms) Channels(ctx context.Context, u chat.User) (channels []chat.Info, err error) {
	scope, refusal := r.options.Access.Scope(u, access.List)
	if refusal != nil {
		return nil, refusal
	}
	err = r.query(ctx, u, func(*read) error {
		return r.eachChat(string(scope.User), maxChannelChats, func(info chat.Info) {
			if info.Kind == chat.KindChannel {
				channels = append(channels, info)
			}
		})
	})
	return channels, err
}

// Channel returns a channel that the user may read.
func (r *Rooms) Channel(_ context.Context, u chat.User, id chat.ID) (chat.Info, error) {
	info, err := r.info(u, id.Room())
	if err == nil && info.Kind != chat.KindChannel {
		return chat.Info{}, errNoChannel
	}
	return info, err
}

// Board returns the messages of a channel that the user may read. It reads all of its log.
func (r *Rooms) Board(ctx context.Context, u chat.User, id chat.ID) (*chat.Board, error) {
	if _, err := r.Channel(ctx, u, id); err != nil {
		return nil, err
	}
	board := new(chat.Board)
	for record, err := range r.stream(ctx, u, r.log.Read(string(id.Room()), 0), func([]byte) bool { return true }) {
		if err != nil {
			return nil, err
		}
		board.Apply(record)
	}
	return board, nil
}

// Revise replaces the content of a message, by the id of its present version.
func (r *Rooms) Revise(ctx context.Context, u chat.User, id chat.ID, message chat.MessageID, content string) error {
	_, err := r.ask(ctx, id.Room(), u, func(c room.Caller) room.Command {
		return &room.Revise{Caller: c, MessageID: message, Content: content}
	})
	return err
}

// Retract takes a message back, by the id of its present version.
func (r *Rooms) Retract(ctx context.Context, u chat.User, id chat.ID, message chat.MessageID) error {
	_, err := r.ask(ctx, id.Room(), u, func(c room.Caller) room.Command { return &room.Retract{Caller: c, MessageID: message} })
	return err
}

// React has the user react to a message by a name, or not any more.
func (r *Rooms) React(ctx context.Context, u chat.User, id chat.ID, message chat.MessageID, name string, removed bool) error {
	_, err := r.ask(ctx, id.Room(), u, func(c room.Caller) room.Command {
		return &room.React{Caller: c, MessageID: message, Name: name, Removed: removed}
	})
	return err
}
