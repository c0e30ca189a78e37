// Package commands asks rooms to do something, and waits for their replies.
//
//	Commands.Say, Edit, Stop … → room.Command → Rooms.Tell → room
//	                                  reply ← Directory ←┘
//
// It is for those who want one answer, as a request by HTTP does. Connections tell rooms
// their commands themselves. A room decides who may do what.
package commands

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"parlor/actors/room"
	"parlor/protocol/chat"
)

// Rooms takes messages to rooms, and replies to whoever has opened an address.
type Rooms interface {
	Tell(id chat.RoomID, m room.Message)
	Open(to room.Recipient) room.Address
	Forget(a room.Address)
}

// A Log finds in the event log which turns answer a message, which is record seq.
type Log interface {
	TurnsOf(id chat.RoomID, message chat.MessageID, seq uint64) ([]chat.TurnID, error)
}

// Commands asks rooms. Its methods may be called from any goroutine.
type Commands struct {
	rooms Rooms
	log   Log
}

// New returns Commands.
func New(r Rooms, l Log) *Commands { return &Commands{r, l} }

// ask sends a command to a room and waits for the reply.
func (c *Commands) ask(ctx context.Context, id chat.RoomID, user chat.User, command func(room.Caller) room.Command) (room.Reply, error) {
	a := make(answer, 1)
	address := c.rooms.Open(a)
	defer c.rooms.Forget(address)
	c.rooms.Tell(id, command(room.Caller{User: user, Address: address}))
	select {
	case reply := <-a:
		if reply.Err != nil {
			return reply, reply.Err
		}
		return reply, nil
	case <-ctx.Done():
		return room.Reply{}, ctx.Err()
	}
}

// asked returns the body of the reply.
func asked[T any](ctx context.Context, c *Commands, id chat.RoomID, u chat.User, command func(room.Caller) room.Command) (body T, err error) {
	reply, err := c.ask(ctx, id, u, command)
	if err == nil {
		body = reply.Body.(T)
	}
	return body, err
}

// An answer is a caller that waits for one reply.
type answer chan room.Reply

// Deliver implements room.Recipient.
func (a answer) Deliver(d room.Delivery) {
	if reply, ok := d.(room.Reply); ok {
		select {
		case a <- reply:
		default: // a second reply: the room refused the command, and then did it after all
		}
	}
}

// Create makes a chat, and its id.
func (c *Commands) Create(ctx context.Context, u chat.User, model chat.ModelID) (chat.Info, error) {
	var random [8]byte
	rand.Read(random[:])
	return c.CreateAs(ctx, u, chat.MakeID(u.ID, random), model)
}

// CreateAs makes the chat with an id that the user has chosen, unless the user may read the
// one that there is.
func (c *Commands) CreateAs(ctx context.Context, u chat.User, id chat.ID, model chat.ModelID) (chat.Info, error) {
	body, err := asked[room.Created](ctx, c, id.Room(), u, func(by room.Caller) room.Command {
		return &room.Create{Caller: by, Chat: id, ModelID: model}
	})
	return body.Chat, err
}

// Configure changes a chat's settings.
func (c *Commands) Configure(ctx context.Context, u chat.User, id chat.ID, changes chat.Changes) (chat.Info, error) {
	body, err := asked[room.Configured](ctx, c, id.Room(), u, func(by room.Caller) room.Command {
		return &room.Configure{Caller: by, Changes: changes}
	})
	return body.Chat, err
}

// Delete deletes a chat with all its history.
func (c *Commands) Delete(ctx context.Context, u chat.User, id chat.ID) error {
	_, err := c.ask(ctx, id.Room(), u, func(by room.Caller) room.Command { return &room.Delete{Caller: by} })
	return err
}

// Release ends the quarantine of a room, for an operator. It reports whether
// the room was quarantined.
func (c *Commands) Release(ctx context.Context, id chat.RoomID) (was bool, err error) {
	body, err := asked[room.Released](ctx, c, id, chat.User{}, func(by room.Caller) room.Command { return &room.Release{Caller: by} })
	return body.WasQuarantined, err
}

// Announce tells the listeners of a room what another backend has for them, and returns how
// many they are. It wakes no room.
func (c *Commands) Announce(ctx context.Context, id chat.RoomID, a chat.Announcement) (listeners int, err error) {
	body, err := asked[room.Announced](ctx, c, id, chat.User{}, func(by room.Caller) room.Command { return &room.Announce{Caller: by, Announcement: a} })
	return body.Listeners, err
}

// Expire deletes a chat if nothing was recorded in it since before, and reports
// whether it did. With unused it keeps a chat that has listeners or an open turn.
// The listeners are told that the chat was deleted.
func (c *Commands) Expire(ctx context.Context, id chat.RoomID, before time.Time, unused bool) (deleted bool, err error) {
	reply, err := c.ask(ctx, id, chat.User{}, func(by room.Caller) room.Command {
		return &room.Expire{Caller: by, Before: before, Unused: unused}
	})
	var refusal *chat.Error
	switch {
	case errors.As(err, &refusal) && refusal.Code == chat.CodeNotFound:
		return false, nil // a user has deleted it
	case err != nil:
		return false, err
	}
	_, deleted = reply.Body.(room.Deleted)
	return deleted, nil
}
