package openai

import (
	"cmp"
	"slices"
	"strconv"

	"parlor/protocol/chat"
	wire "parlor/protocol/openai"
)

// createConversation makes a chat. The answer shows what is kept of the metadata.
func (s *Server) createConversation(c *call) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	q, refusal := wire.DecodeConversation(body)
	if refusal != nil {
		return refusal
	}
	model, err := s.model(cmp.Or(q.Model, s.firstModel()))
	if err != nil {
		return err
	}
	post, err := s.posts.begin(c, "", body)
	if err != nil {
		return err
	}
	answered := false
	defer func() { s.posts.end(post, answered, false) }()
	info, err := c.Rooms.CreateAs(c.ctx(), c.user(), post.chat, model.ID)
	if err == nil && q.Title != nil {
		info, err = c.Rooms.Configure(c.ctx(), c.user(), info.ID, chat.Changes{Title: q.Title})
	}
	if err == nil {
		_, err = c.add(info.ID, q.Items, post.client)
	}
	if err == nil {
		err = c.answer(wire.ConversationOf(info))
	}
	answered = err == nil && c.ctx().Err() == nil
	return err
}

// add says messages that want no answer, and returns their ids.
func (c *call) add(id chat.ID, texts []string, key chat.ClientID) (added []wire.Item, err error) {
	for i, text := range texts {
		said, err := c.Rooms.Say(c.ctx(), c.user(), id, chat.Say{
			Content: text, ClientID: key + chat.ClientID("."+strconv.Itoa(i)), Answer: new(false),
		})
		if err != nil {
			return nil, err
		}
		added = append(added, wire.ItemOf(chat.Message{ID: said.MessageID, Role: chat.RoleUser, Content: text, State: chat.StateCompleted}))
	}
	return added, nil
}

// conversation returns the chat in the path of the request.
func (c *call) conversation() (chat.Info, error) {
	name := c.r.PathValue("conversation")
	id, ok := wire.ParseConversationID(name)
	if !ok {
		return chat.Info{}, wire.NotFound("conversation " + name)
	}
	return c.chat(id)
}

func (s *Server) getConversation(c *call) error {
	info, err := c.conversation()
	if err != nil {
		return err
	}
	return c.answer(wire.ConversationOf(info))
}

// updateConversation changes the title. The model of a chat changes with what is said in it.
func (s *Server) updateConversation(c *call) error {
	info, err := c.conversation()
	if err != nil {
		return err
	}
	body, err := c.body()
	if err != nil {
		return err
	}
	q, refusal := wire.DecodeConversation(body)
	switch {
	case refusal != nil:
		return refusal
	case q.Lost != "":
		return wire.Invalid("metadata."+q.Lost, "of metadata a conversation keeps model and title only")
	case q.Model != "" && q.Model != info.ModelID:
		return wire.Invalid("metadata.model", "the model of a conversation is the one that it began with")
	case q.Title != nil:
		if info, err = c.Rooms.Configure(c.ctx(), c.user(), info.ID, chat.Changes{Title: q.Title}); err != nil {
			return err
		}
	}
	return c.answer(wire.ConversationOf(info))
}

func (s *Server) deleteConversation(c *call) error {
	info, err := c.conversation()
	if err != nil {
		return err
	}
	if err := c.Rooms.Delete(c.ctx(), c.user(), info.ID); err != nil {
		return err
	}
	return c.answer(wire.DeletedConversation(info.ID))
}

func (s *Server) addItems(c *call) error {
	info, err := c.conversation()
	if err != nil {
		return err
	}
	body, err := c.body()
	if err != nil {
		return err
	}
	texts, refusal := wire.DecodeItems(body)
	if refusal != nil {
		return refusal
	}
	post, err := s.posts.begin(c, info.ID, body)
	if err != nil {
		return err
	}
	answered := false
	defer func() { s.posts.end(post, answered, false) }()
	added, err := c.add(info.ID, texts, post.client)
	if err == nil {
		err = c.answer(wire.NewList(added, false))
	}
	answered = err == nil && c.ctx().Err() == nil
	return err
}

// Limits of a page of items, which are OpenAI's, and how many messages are read at once to find
// the place of one.
const (
	defaultItems = 20
	maxItems     = 100
	itemsRead    = 100
)

func (s *Server) listItems(c *call) error {
	info, err := c.conversation()
	if err != nil {
		return err
	}
	limit, err := c.number("limit", defaultItems, 1, maxItems)
	if err != nil {
		return err
	}
	after, order := c.r.URL.Query().Get("after"), cmp.Or(c.r.URL.Query().Get("order"), "desc")
	if order != "asc" && order != "desc" {
		return wire.Invalid("order", "order must be asc or desc")
	}
	p := page{after: after, limit: int(limit) + 1, begun: after == ""}
	if order == "desc" {
		err = c.backwards(info.ID, p.take)
	} else {
		err = c.forwards(info.ID, p.take)
	}
	switch {
	case err != nil:
		return err
	case !p.begun:
		return wire.Invalid("after", "there is no item "+after)
	}
	more := len(p.items) > int(limit)
	return c.answer(wire.NewList(p.items[:min(len(p.items), int(limit))], more))
}

// A page collects items.
type page struct {
	after string // the item before the first one
	limit int
	begun bool
	items []wire.Item
}

// take takes the next message, and reports whether it wants another.
func (p *page) take(m chat.Message) bool {
	item := wire.ItemOf(m)
	if p.begun {
		p.items = append(p.items, item)
	}
	p.begun = p.begun || item.ID == p.after
	return len(p.items) < p.limit
}

// forwards yields the messages of a chat, oldest first.
func (c *call) forwards(id chat.ID, yield func(chat.Message) bool) error {
	const all = 1 << 30
	for m, err := range c.Rooms.Messages(c.ctx(), c.user(), id, 0, all) {
		if err != nil {
			return err
		}
		if !yield(m) {
			break
		}
	}
	return nil
}

// backwards yields them newest first.
func (c *call) backwards(id chat.ID, yield func(chat.Message) bool) error {
	for before := uint64(0); ; {
		var some []chat.Message
		for m, err := range c.Rooms.Messages(c.ctx(), c.user(), id, before, itemsRead) {
			if err != nil {
				return err
			}
			some = append(some, m)
		}
		for _, m := range slices.Backward(some) {
			if !yield(m) {
				return nil
			}
		}
		if len(some) < itemsRead {
			return nil
		}
		before = some[0].Seq
	}
}

func (s *Server) getItem(c *call) error {
	info, err := c.conversation()
	if err != nil {
		return err
	}
	name := c.r.PathValue("item")
	id, ok := wire.ParseItemID(name)
	found := chat.Message{}
	if ok {
		err = c.backwards(info.ID, func(m chat.Message) bool {
			if m.ID == id {
				found = m
			}
			return m.ID != id
		})
	}
	switch {
	case err != nil:
		return err
	case found.ID == "":
		return wire.NotFound("item " + name)
	}
	return c.answer(wire.ItemOf(found))
}

func (s *Server) deleteItem(c *call) error {
	if _, err := c.conversation(); err != nil {
		return err
	}
	return wire.Invalid("", "a conversation keeps what was said; it can be deleted as a whole")
}
