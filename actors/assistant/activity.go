package assistant

import (
	"context"

	"parlor/actors/room"
	"parlor/actors/session"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// signal carries out an event about who is where and has read what. None of it is said
// in a chat.
func (c *client) signal(e *session.Event, request wire.Request) {
	switch r := request.(type) {
	case wire.SetTyping:
		c.tell(e, r, r.Room, func(call room.Caller) room.Message { return &room.SetTyping{Caller: call, Typing: r.Typing} })
	case wire.AskPresence:
		if r.Room == "" {
			c.ok(e, wire.Devices{User: c.user.ID, Devices: c.visit.Devices()})
			return
		}
		c.tell(e, r, r.Room, func(call room.Caller) room.Message { return &room.AskPresence{Caller: call} })
	case wire.MarkRead:
		c.markRead(e, r)
	case wire.Watch:
		c.watchChats(e, r)
	}
}

// watcher tells a client what happens in chats whose rooms it need not have joined.
type watcher struct{ socket *session.Socket }

// Tell implements room.Watcher.
func (w *watcher) Tell(a chat.Activity) { w.socket.Send(wire.Activity(a)) }

// watchChats begins to tell the client what happens in chats, and answers which of them
// are running. What happens meanwhile may be told first.
func (c *client) watchChats(e *session.Event, r wire.Watch) {
	if c.watcher == nil {
		c.watcher = &watcher{c.socket}
		c.Rooms.Watch(c.user, c.watcher)
	}
	c.socket.Go(func(ctx context.Context) func() {
		running, err := c.Rooms.Running(ctx, c.user)
		return func() { c.answerQuery(e, r, wire.Watched{Chats: orEmpty(running)}, err) }
	})
}

func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func (c *client) unwatchChats() {
	if c.watcher != nil {
		c.Rooms.Unwatch(c.user.ID, c.watcher)
	}
}

func (c *client) markRead(e *session.Event, r wire.MarkRead) {
	c.socket.Go(func(ctx context.Context) func() {
		left, err := c.Rooms.MarkRead(ctx, c.user, r.Room, r.Seq)
		return func() { c.answerQuery(e, r, left, err) }
	})
}
