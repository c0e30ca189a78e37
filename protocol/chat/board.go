package chat

import (
	"slices"
	"time"
)

// KindChannel is the [Info.Kind] of a room in which people talk with each other: its messages
// have replies and reactions, and may be changed.
const KindChannel = "channel"

// Reacted records that somebody reacted to a message of a channel, or does so no more.
type Reacted struct {
	MessageID MessageID `json:"message_id"`
	Seq       uint64    `json:"message_seq"`
	Name      string    `json:"name"`
	By        UserID    `json:"by"`
	Removed   bool      `json:"removed,omitempty"`
}

func (Reacted) kind() string { return "reacted" }

// A Posted is a message of a channel as it now is.
type Posted struct {
	Message               // as it was posted, with the present content
	Current   MessageID   // of the record that holds the present content
	Updated   time.Time   // when the content changed last
	Reactions []Reactions // in the order of the first of each name
	Replies   int
	LastReply time.Time
	Deleted   bool
}

// Reactions are the users who have reacted to a message by a name, in that order.
type Reactions struct {
	Name  string
	Users []UserID
}

// A Board is the messages of a channel: a fold of its records. The zero value is that of no
// records.
type Board struct {
	posts []*Posted
	byID  map[MessageID]*Posted // by the ids of all their versions
}

// Apply folds the next record.
func (b *Board) Apply(r Record) {
	switch e := r.Event.(type) {
	case MessageWithdrawn:
		if p := b.byID[e.MessageID]; p != nil {
			p.Deleted = true
		}
	case Reacted:
		if p := b.byID[e.MessageID]; p != nil {
			p.react(e)
		}
	case MessageAdded:
		if p := b.byID[e.Revises]; p != nil {
			p.Content, p.Current, p.Updated, p.Deleted = e.Content, e.MessageID, r.At, false
			b.byID[e.MessageID] = p
			return
		}
		b.post(r)
	default:
		b.post(r)
	}
}

// post adds the message that the record holds, if it holds one.
func (b *Board) post(r Record) {
	m, ok := r.Message()
	if !ok {
		return
	}
	p := &Posted{Message: m, Current: m.ID, Updated: r.At}
	if b.byID == nil {
		b.byID = make(map[MessageID]*Posted)
	}
	b.posts, b.byID[m.ID] = append(b.posts, p), p
}

func (p *Posted) react(e Reacted) {
	i := slices.IndexFunc(p.Reactions, func(r Reactions) bool { return r.Name == e.Name })
	if i < 0 && e.Removed {
		return
	}
	if i < 0 {
		i = len(p.Reactions)
		p.Reactions = append(p.Reactions, Reactions{Name: e.Name})
	}
	users := slices.DeleteFunc(p.Reactions[i].Users, func(u UserID) bool { return u == e.By })
	if !e.Removed {
		users = append(users, e.By)
	}
	if p.Reactions[i].Users = users; len(users) == 0 {
		p.Reactions = slices.Delete(p.Reactions, i, i+1)
	}
}

// Find returns the message with the id, which may be that of any version of it. It reports
// false if there is none, or it was deleted.
func (b *Board) Find(id MessageID) (Posted, bool) {
	p := b.byID[id]
	if p == nil || p.Deleted {
		return Posted{}, false
	}
	return b.counted(p), true
}

// Page returns the messages whose parent has the id, or which have none if it is empty,
// newest first: limit of them behind the first skip.
func (b *Board) Page(parent MessageID, skip, limit int) []Posted {
	page := []Posted{}
	for _, p := range slices.Backward(b.posts) {
		switch {
		case p.Deleted || p.Parent != parent:
		case skip > 0:
			skip--
		case len(page) < limit:
			page = append(page, b.counted(p))
		}
	}
	return page
}

// counted returns the message with its replies counted.
func (b *Board) counted(p *Posted) Posted {
	counted := *p
	for _, reply := range b.posts {
		if reply.Parent == p.ID && !reply.Deleted && p.ID != "" {
			counted.Replies++
			counted.LastReply = reply.Created
		}
	}
	return counted
}
