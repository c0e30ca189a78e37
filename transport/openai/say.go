package openai

import (
	"cmp"
	"errors"

	"parlor/protocol/chat"
	wire "parlor/protocol/openai"
)

// say records what a request says. The caller calls done.
func (s *Server) say(c *call, q wire.ResponseRequest, body []byte) (info chat.Info, id wire.ResponseID, done func(answered, begun bool), err error) {
	if q.Model != "" || q.New() {
		model, err := s.model(cmp.Or(q.Model, s.firstModel()))
		if err != nil {
			return info, id, nil, err
		}
		q.Model = model.ID
	}
	info, after, err := c.room(q)
	if err != nil {
		return info, id, nil, err
	}
	if refusal := q.Follows(info); !q.New() && refusal != nil {
		return info, id, nil, refusal
	}
	post, err := s.posts.begin(c, info.ID, body)
	if err != nil {
		return info, id, nil, err
	}
	done = func(answered, begun bool) { s.posts.end(post, answered, begun) }
	if q.New() {
		info, err = c.newRoom(post.chat, q)
	}
	if err == nil {
		id, err = s.sayIn(c, info, q.Tools, chat.Say{
			Content: q.Input[0].Content, Addressed: q.Model, ClientID: post.client, After: after, OnlyTools: q.Only, ToolChoice: q.Choice,
		})
	}
	if err != nil {
		done(false, false)
		return info, id, nil, err
	}
	return info, id, done, nil
}

// firstModel is the one that clients are offered first.
func (s *Server) firstModel() chat.ModelID {
	if all := s.Models.List(); len(all) > 0 {
		return all[0].ID
	}
	return ""
}

// room returns the chat that a request belongs to, or none for one that begins a chat, and
// what it follows there unless that is the end of the conversation.
func (c *call) room(q wire.ResponseRequest) (info chat.Info, after chat.MessageID, err error) {
	switch {
	case q.Chat != "":
		info, err = c.chat(q.Chat)
		return info, "", err
	case q.New():
		return info, "", nil
	}
	if info, err = c.previous(q.Previous); err != nil {
		return info, "", err
	}
	if q.Previous.Functions {
		t, _, err := c.asking(q.Previous, wire.NewTurn(q.Previous, info))
		if err != nil {
			return info, "", err
		}
		if refusal := t.Busy(); refusal != nil {
			return info, "", refusal
		}
	}
	after, err = c.behind(q.Previous)
	return info, after, err
}

// previous returns the chat of a response.
func (c *call) previous(id wire.ResponseID) (chat.Info, error) {
	info, err := c.Rooms.Get(c.ctx(), c.user(), id.Chat)
	if err != nil && chat.AsError(err).Code == chat.CodeNotFound {
		err = noPrevious(id)
	}
	return info, err
}

func noPrevious(id wire.ResponseID) error {
	return wire.NoPrevious("there is no response " + id.String())
}

// behind returns the answer of a response, or what it answers if that is not there yet. It is
// empty if the response is the last one of the current branch.
func (c *call) behind(id wire.ResponseID) (after chat.MessageID, err error) {
	followed, moved := false, false
	for r, err := range c.Rooms.Records(c.ctx(), c.user(), id.Chat.Room(), id.Seq-1) {
		if err != nil {
			return "", err
		}
		turn, queued := r.Event.(chat.TurnQueued)
		end, ended := r.Event.(chat.TurnEnded)
		switch {
		case after == "" && (!queued || turn.TurnID != id.Turn):
			return "", noPrevious(id)
		case after == "":
			after = turn.Prompt
		case ended && end.TurnID == id.Turn && end.MessageID != "":
			after = end.MessageID
		}
		followed, moved = followed || queued && turn.TurnID != id.Turn, moved || moves(r)
	}
	switch {
	case after == "":
		return "", noPrevious(id)
	case followed:
		return after, nil
	case moved:
		shown, err := c.shown(id)
		if err != nil || !shown {
			return after, err
		}
	}
	return "", nil
}

// moves reports whether the conversation may go on in another branch behind the record.
func moves(r chat.Record) bool {
	switch e := r.Event.(type) {
	case chat.BranchSelected:
		return true
	case chat.MessageAdded:
		return e.Replaces != ""
	}
	return false
}

// shown reports whether a response is of the current branch.
func (c *call) shown(id wire.ResponseID) (bool, error) {
	var branches chat.Branches
	for r, err := range c.Rooms.Records(c.ctx(), c.user(), id.Chat.Room(), 0) {
		if err != nil {
			return false, err
		}
		branches = branches.After(r)
	}
	return branches.Shows(id.Seq), nil
}

// newRoom makes the chat that a response begins. A request that is repeated finds it there. Its
// first words are its title, since programs may begin many and a model is not to be asked for each.
func (c *call) newRoom(id chat.ID, q wire.ResponseRequest) (chat.Info, error) {
	info, err := c.Rooms.CreateAs(c.ctx(), c.user(), id, q.Model)
	if err != nil || info.Title != "" {
		return info, err
	}
	title := chat.Title(q.Input[0].Content)
	changes := chat.Changes{Title: &title}
	if q.Instructions != "" {
		changes.SystemPrompt = &q.Instructions
	}
	return c.Rooms.Configure(c.ctx(), c.user(), id, changes)
}

var errNoTurn = errors.New("openai: a message has led to no turn")

// sayIn says something that wants an answer, and a turn of its own, which may call the tools of
// the caller.
func (s *Server) sayIn(c *call, info chat.Info, tools []chat.Tool, m chat.Say) (id wire.ResponseID, err error) {
	m.Answer, m.Tools = new(true), brought(tools)
	if cmp.Or(info.Policy, s.TurnPolicy) == chat.PolicySteer {
		m.Policy = chat.PolicyQueue
	}
	said, err := c.Rooms.Say(c.ctx(), c.user(), info.ID, m)
	switch {
	case m.After != "" && err != nil && chat.AsError(err).Code == chat.CodeNotFound:
		return id, wire.NoPrevious("what the response answers was taken back, or the conversation is gone")
	case err != nil:
		return id, err
	case len(said.Turns) == 0:
		return id, errNoTurn
	}
	// The turns were recorded with the message, and follow it.
	return wire.ResponseID{Chat: info.ID, Turn: said.Turns[0], Seq: said.Seq + 1, Functions: len(tools) > 0}, nil
}

// chat returns a chat that the user may read.
func (c *call) chat(id chat.ID) (chat.Info, error) {
	info, err := c.Rooms.Get(c.ctx(), c.user(), id)
	if err != nil && chat.AsError(err).Code == chat.CodeNotFound {
		err = wire.NotFound("conversation " + wire.ConversationID(id))
	}
	return info, err
}
