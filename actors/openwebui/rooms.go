package openwebui

import (
	"context"
	"slices"
	"time"

	"parlor/actors/room"
	"parlor/actors/session"
	"parlor/protocol/chat"
	"parlor/protocol/engineio"
	wire "parlor/protocol/openwebui"
	"parlor/protocol/socketio"
)

// A membership is the client's part in a room that it listens to, or has asked to.
type membership struct {
	chat   chat.ID
	why    reason
	joined bool      // the room has admitted the client
	form   wire.Form // in which it was joined last
	info   chat.Info // when it was joined
	epoch  string    // of the room's log
	caught uint64    // the record up to which the client was told what it had missed

	progress
	used uint64 // when the client used it last, see client.used
}

// A reason is why a client listens to a room. A greater one takes the place of a smaller one.
type reason int

const (
	ofAnswer   reason = iota // an answer was running there when the client came
	ofQuestion               // its user has asked a question there
	ofWish                   // the client wanted to
)

var (
	errTooManyRooms = chat.Refuse(chat.CodeBusy, "you have joined as many rooms as one connection may")
	errLeft         = chat.Refuse(chat.CodeBusy, "the room had to make way for others")
	errNotJoined    = chat.Refuse(chat.CodeInvalid, "you have not joined this channel")
)

// followRunning listens to the rooms in which an answer for the client's user runs or waits.
func (c *client) followRunning(running []chat.Activity) {
	for _, a := range running {
		if c.rooms[a.Room] != nil {
			continue
		}
		c.follow(a.Chat, ofAnswer, func(j room.Joined, refusal *chat.Error) {
			m := c.rooms[a.Room]
			if refusal == nil && m != nil && m.why == ofAnswer && !isFor(c.user.ID, j) {
				c.leave(m)
			}
		})
	}
}

// isFor reports whether the user has asked for one of a room's open turns.
func isFor(u chat.UserID, j room.Joined) bool {
	return j.Turn != nil && j.Turn.By == u || slices.ContainsFunc(j.Queued, func(t chat.Turn) bool { return t.By == u })
}

// follow makes the client a listener of the chat's room, and calls then. When the client is
// in as many rooms as it may be, one that it has not wished for makes way.
func (c *client) follow(id chat.ID, why reason, then func(room.Joined, *chat.Error)) {
	if why < ofWish && c.form&(wire.Old|wire.New) == 0 {
		then(room.Joined{}, nil) // the client does not want to be told
		return
	}
	m := c.rooms[id.Room()]
	if m == nil {
		if len(c.rooms) >= c.maxRooms() && !c.makeWay() {
			then(room.Joined{}, errTooManyRooms)
			return
		}
		m = &membership{chat: id}
		c.rooms[id.Room()] = m
	}
	c.used++
	m.used = c.used
	m.why = max(m.why, why)
	form := c.formIn(m)
	c.tell(id.Room(), func(call room.Caller) room.Message {
		return &room.Join{Caller: call, Encoder: form.String(), Returning: true}
	}, func(reply room.Reply) {
		switch left := c.rooms[id.Room()] != m; {
		case left:
			then(room.Joined{}, errLeft)
			return
		case reply.Err != nil:
			if !m.joined {
				delete(c.rooms, id.Room())
			}
			then(room.Joined{}, reply.Err)
			return
		}
		j := reply.Body.(room.Joined)
		c.joined(m, form, j)
		then(j, nil)
	})
}

// formIn is the form in which the client is told of a room: messages, "stream" and "final"
// are for rooms that it has wished for.
func (c *client) formIn(m *membership) wire.Form {
	if m.why == ofWish {
		return c.form | wire.Messages
	}
	return c.form &^ wire.Room
}

// joined tells the client what it has missed of the running answer, in this form at least.
func (c *client) joined(m *membership, form wire.Form, j room.Joined) {
	first, again := !m.joined, m.form != form
	m.joined, m.form = true, form
	if m.why == ofWish {
		c.groups.Join(c.socket, c.groupsOf(m.chat)...)
	}
	if first {
		m.info, m.epoch, m.progress = j.Chat, j.Epoch, progress{seq: j.Seq, sure: j.Seq}
		c.catchUp(m)
	}
	if t := j.Turn; (first || again) && t != nil && t.Content+t.Thought != "" {
		c.socket.Send(wire.NewEncoder(form, j.Chat).Frames(t.SoFar())...)
	}
}

// makeWay leaves the room that the client has used least recently, of those that it has not
// wished for. It reports false if there is none.
func (c *client) makeWay() bool {
	var oldest *membership
	for _, m := range c.rooms {
		if m.why < ofWish && (oldest == nil || m.used < oldest.used) {
			oldest = m
		}
	}
	if oldest == nil {
		return false
	}
	c.leave(oldest)
	return true
}

func (c *client) leave(m *membership) {
	c.forget(m)
	c.Rooms.Tell(m.chat.Room(), &room.Leave{Caller: room.Caller{User: c.user, Address: c.address}})
}

func (c *client) forget(m *membership) {
	delete(c.rooms, m.chat.Room())
	c.groups.Leave(c.socket, c.groupsOf(m.chat)...)
}

// groupsOf are the groups of a channel that the client is in: one for each name that its
// form has for events.
func (c *client) groupsOf(id chat.ID) (all []string) {
	for _, f := range []wire.Form{wire.Old, wire.New} {
		if c.form&f != 0 {
			all = append(all, groupOf(f, id))
		}
	}
	return all
}

func groupOf(f wire.Form, id chat.ID) string { return f.String() + " channel:" + string(id) }

// publish passes on what a room tells.
func (c *client) publish(p *room.Publication) {
	m := c.rooms[p.Room]
	if m == nil || !m.joined {
		return
	}
	m.add(p.Seq)
	frames, _ := p.Encoded.([]engineio.Frame)
	c.socket.Send(frames...)
	if _, removed := p.Notice.(chat.Removal); removed {
		c.forget(m)
		c.socket.Go(func(ctx context.Context) func() {
			c.pool.lookAround(ctx, c)
			return func() {}
		})
	}
}

// A joinedChannel says what came of the wish to join a room.
type joinedChannel struct {
	Channel chat.ID     `json:"channel_id"`
	OK      bool        `json:"ok"`
	Seq     uint64      `json:"seq,omitempty"` // of the last record
	Error   *chat.Error `json:"error,omitempty"`
}

func (c *client) joinChannels(e *session.Event, r wire.JoinChannels) {
	c.renew(e, r.Token, func() {
		c.arrive()
		if len(r.Chats) > 0 {
			c.joinEach(r.Chats, func(answers []joinedChannel) { answerJoin(e, answers) })
			return
		}
		c.joinMyChannels(func(answers []joinedChannel, refusal *chat.Error) {
			if refusal != nil {
				refuse(e, refusal)
				return
			}
			answerJoin(e, answers)
		})
	})
}

// answerJoin acknowledges the wish to join rooms.
func answerJoin(e *session.Event, answers []joinedChannel) {
	answer := map[string]any{"ok": true, "channels": answers}
	for _, a := range answers {
		if a.Error != nil {
			answer["ok"], answer["error"] = false, a.Error
			e.Note.Outcome = string(a.Error.Code)
		}
	}
	e.Ack(socketio.Argument(answer))
	e.Done()
}

// joinEach joins the rooms of the chats, and calls then when all have answered.
func (c *client) joinEach(chats []chat.ID, then func([]joinedChannel)) {
	answers := make([]joinedChannel, len(chats))
	waiting := len(chats)
	if waiting == 0 {
		then(answers)
	}
	for i, id := range chats {
		c.follow(id, ofWish, func(j room.Joined, refusal *chat.Error) {
			answers[i] = joinedChannel{id, refusal == nil, j.Seq, refusal}
			if waiting--; waiting == 0 {
				then(answers)
			}
		})
	}
}

// joinMyChannels joins the channels that the user may read, as many as one client may, and
// calls then.
func (c *client) joinMyChannels(then func([]joinedChannel, *chat.Error)) {
	c.socket.Go(func(ctx context.Context) func() {
		channels, err := c.Rooms.Channels(ctx, c.user)
		return func() {
			if err != nil {
				then(nil, chat.AsError(err))
				return
			}
			var ids []chat.ID
			for _, info := range channels[:min(len(channels), c.maxRooms())] {
				ids = append(ids, info.ID)
			}
			c.joinEach(ids, func(answers []joinedChannel) { then(answers, nil) })
		}
	})
}

// typing tells the room that the user types, and then those who have joined the channel.
func (c *client) typing(e *session.Event, r wire.Typing) {
	m := c.rooms[r.Chat.Room()]
	if m == nil || !m.joined || m.why < ofWish {
		refuse(e, errNotJoined)
		return
	}
	c.tell(r.Chat.Room(), func(call room.Caller) room.Message { return &room.SetTyping{Caller: call, Typing: !r.Ended} }, func(reply room.Reply) {
		if reply.Err != nil {
			refuse(e, reply.Err)
			return
		}
		c.TellChannel(wire.ChannelEvent{Channel: r.Chat, Message: r.MessageID, Data: r.Body, User: wire.UserOf(c.user)})
		ok(e, nil)
	})
}

// TellChannel tells an event to those who have joined the room of the channel.
func (n *Namespace) TellChannel(e wire.ChannelEvent) {
	for _, f := range []wire.Form{wire.Old, wire.New} {
		n.groups.Broadcast([]string{groupOf(f, e.Channel)}, nil, wire.ChannelEvents(f, e)...)
	}
}

// followTimeout is how long a question waits for the sockets of its user to join the room.
const followTimeout = time.Second

// Follow makes the sockets of the user listeners of a chat that the user may read, so that
// all of them are told the answer to a question that follows. A socket that does not do so
// in time is told the answer from where it then is.
func (n *Namespace) Follow(ctx context.Context, u chat.User, id chat.ID) {
	clients := n.pool.clients(u.ID)
	done := make(chan struct{}, len(clients))
	for _, c := range clients {
		c.socket.Do(func() {
			c.follow(id, ofQuestion, func(room.Joined, *chat.Error) { done <- struct{}{} })
		})
	}
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	for range clients {
		select {
		case <-done:
		case <-ctx.Done():
			return
		}
	}
}
