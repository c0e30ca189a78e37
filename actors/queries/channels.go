package queries

import (
	"context"

	"parlor/protocol/chat"
)

// maxChannelChats is how many of a user's newest chats are looked at to find channels.
const maxChannelChats = 1000

var errNoChannel = chat.Refuse(chat.CodeNotFound, "there is no such channel")

// Channels returns the channels that the user may read, newest first.
func (q *Queries) Channels(ctx context.Context, u chat.User) (channels []chat.Info, err error) {
	list, refusal := q.ListOf(u)
	if refusal != nil {
		return nil, refusal
	}
	err = q.query(ctx, u, func(*read) error {
		return q.eachChat(list, maxChannelChats, func(info chat.Info) {
			if info.Kind == chat.KindChannel {
				channels = append(channels, info)
			}
		})
	})
	return channels, err
}

// Channel returns a channel that the user may read.
func (q *Queries) Channel(_ context.Context, u chat.User, id chat.ID) (chat.Info, error) {
	info, err := q.Info(u, id.Room())
	if err == nil && info.Kind != chat.KindChannel {
		return chat.Info{}, errNoChannel
	}
	return info, err
}

// Board returns the messages of a channel that the user may read. It reads all of its log.
func (q *Queries) Board(ctx context.Context, u chat.User, id chat.ID) (*chat.Board, error) {
	if _, err := q.Channel(ctx, u, id); err != nil {
		return nil, err
	}
	board := new(chat.Board)
	for record, err := range q.stream(ctx, u, q.Log.Read(string(id.Room()), 0), func([]byte) bool { return true }) {
		if err != nil {
			return nil, err
		}
		board.Apply(record)
	}
	return board, nil
}
