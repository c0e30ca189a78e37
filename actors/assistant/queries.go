package assistant

import (
	"context"

	"parlor/actors/session"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// find looks for a chat. Commands that the client sends meanwhile wait.
func (c *client) find(e *session.Event, r wire.FindChat) {
	c.queues.inOrder(behindFind, func() {
		if c.gone {
			return
		}
		c.queues.hold(behindFind)
		c.socket.Go(func(ctx context.Context) func() {
			info, err := c.Rooms.Get(ctx, c.user, r.Chat)
			return func() {
				c.answerFind(e, r, info, err)
				c.queues.proceed(behindFind)
			}
		})
	})
}

func (c *client) answerFind(e *session.Event, r wire.FindChat, info chat.Info, err error) {
	if err != nil {
		c.refuse(e, r, chat.AsError(err))
		return
	}
	c.lastRoom = info.Room
	found := wire.RoomFound{Room: info.Room, Chat: r.Chat}
	c.emit("room_found", string(r.Chat), found)
	c.ok(e, found)
}

func (c *client) usage(e *session.Event, r wire.Usage) {
	c.socket.Go(func(ctx context.Context) func() {
		report, err := c.Rooms.Usage(ctx, c.user, chat.UsageQuery{By: r.By, Room: r.Room})
		return func() { c.answerQuery(e, r, report, err) }
	})
}

func (c *client) members(e *session.Event, r wire.ListMembers) {
	c.socket.Go(func(ctx context.Context) func() {
		members, err := c.Rooms.Members(ctx, c.user, r.Room)
		return func() { c.answerQuery(e, r, wire.Members{Members: members}, err) }
	})
}

// history reads a page when the client has taken the pages before: many of them at
// once would be more than may be queued for it.
func (c *client) history(e *session.Event, r wire.History) {
	c.queues.inOrder(behindHistory, func() {
		c.queues.hold(behindHistory)
		c.socket.Go(func(ctx context.Context) func() {
			var messages []chat.Message
			var more bool
			err := c.socket.Drain(ctx)
			if err == nil {
				messages, more, err = c.Rooms.HistoryOf(ctx, c.user, r.Room, r.Branch, r.Before, r.Limit)
			}
			return func() {
				c.answerQuery(e, r, page(messages, more), err)
				c.queues.proceed(behindHistory)
			}
		})
	})
}

func (c *client) answerQuery(e *session.Event, r wire.Request, body any, err error) {
	if err != nil {
		c.refuse(e, r, chat.AsError(err))
		return
	}
	c.ok(e, body)
}
