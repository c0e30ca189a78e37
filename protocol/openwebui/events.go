package openwebui

import (
	"cmp"
	"encoding/json"

	"parlor/protocol/chat"
	"parlor/protocol/socketio"
)

// The data of chat-events.
type (
	content struct {
		Content string `json:"content"`
	}
	done struct {
		Done    bool   `json:"done"`
		Content string `json:"content"`
		Title   string `json:"title"`
	}
	status struct {
		Action      string `json:"action,omitempty"`
		Description string `json:"description"`
		Done        bool   `json:"done"`
	}
	notification struct {
		Type    string `json:"type"`
		Content string `json:"content"`
	}
	completionError struct {
		Message string    `json:"message,omitempty"`
		Content string    `json:"content,omitempty"`
		Code    chat.Code `json:"code"`
	}

	// chunk is a piece of an answer as OpenAI streams it.
	chunk struct {
		ID      string       `json:"id"`
		Object  string       `json:"object"`
		Model   chat.ModelID `json:"model"`
		Choices [1]choice    `json:"choices"`
	}
	choice struct {
		Index  int     `json:"index"`
		Delta  delta   `json:"delta"`
		Finish *string `json:"finish_reason"`
	}
	delta struct {
		Role    string  `json:"role,omitempty"`
		Thought string  `json:"reasoning_content,omitempty"`
		Content *string `json:"content,omitempty"`
	}
)

// These are the events of the room channel:{chat_id}.
type (
	streamed struct {
		Chat    chat.ID `json:"chat_id"`
		Message string  `json:"message_id"`
		Content string  `json:"content"` // the next piece
	}
	streamedSoFar struct {
		streamed
		Replace bool `json:"replace"` // Content is all of it so far
	}
	finalAnswer struct {
		Chat    chat.ID    `json:"chat_id"`
		ID      string     `json:"message_id"`
		Seq     uint64     `json:"seq"`
		Done    bool       `json:"done"`
		Content string     `json:"content"`
		State   chat.State `json:"state"`
		Message Message    `json:"message"`
	}
)

func chunkOf(name string, model chat.ModelID, d delta, finish *string) chunk {
	return chunk{name, "chat.completion.chunk", model, [1]choice{{0, d, finish}}}
}

// finish returns why an answer is complete, in OpenAI's words.
func finish(f chat.Finish) *string {
	reason := string(chat.FinishStop)
	switch f {
	case chat.FinishLength, chat.FinishFilter, chat.FinishToolCalls:
		reason = string(f)
	case chat.FinishContext:
		reason = string(chat.FinishLength)
	case chat.FinishRefusal:
		reason = string(chat.FinishFilter)
	}
	return &reason
}

func title(of string) string { return cmp.Or(of, "New Chat") }

func argument(id string) json.RawMessage { return socketio.Argument(id) }

// A Message is an utterance as channels show it. Its times are in nanoseconds.
type Message struct {
	ID            string      `json:"id"`
	UserID        chat.UserID `json:"user_id"`
	Channel       chat.ID     `json:"channel_id"`
	Parent        *string     `json:"parent_id"`
	Content       string      `json:"content"`
	Data          any         `json:"data"`
	Meta          *meta       `json:"meta"`
	Created       int64       `json:"created_at"`
	Updated       int64       `json:"updated_at"`
	ReplyCount    int         `json:"reply_count"`
	LatestReplyAt *int64      `json:"latest_reply_at"`
	Reactions     []Reaction  `json:"reactions"`
	User          User        `json:"user"`
}

type meta struct {
	ModelID chat.ModelID `json:"model_id"`
	State   chat.State   `json:"state"`
}

// A Reaction is who has reacted to a message by a name.
type Reaction struct {
	Name  string        `json:"name"`
	Users []chat.UserID `json:"user_ids"`
	Count int           `json:"count"`
}

// A ReactedMessage is a message with the name of a reaction that somebody has added or removed.
type ReactedMessage struct {
	Message
	Reaction string `json:"name"`
}

// WithReaction returns what clients are told of a reaction. They know the message by its ID.
func WithReaction(m Message, name string) ReactedMessage { return ReactedMessage{m, name} }

// ShowPosted returns a message of the channel with the id as it now is.
func ShowPosted(id chat.ID, p chat.Posted) Message {
	shown := Show(id, p.Message)
	shown.Updated, shown.ReplyCount = p.Updated.UnixNano(), p.Replies
	if p.Replies > 0 {
		at := p.LastReply.UnixNano()
		shown.LatestReplyAt = &at
	}
	for _, r := range p.Reactions {
		shown.Reactions = append(shown.Reactions, Reaction{r.Name, r.Users, len(r.Users)})
	}
	return shown
}

// A Channel is a channel as clients are told it. Its times are in nanoseconds.
type Channel struct {
	ID          chat.ID        `json:"id"`
	UserID      chat.UserID    `json:"user_id"`
	Type        *string        `json:"type"`
	Name        string         `json:"name"`
	Description *string        `json:"description"`
	Data        any            `json:"data"`
	Meta        any            `json:"meta"`
	Access      *AccessControl `json:"access_control"`
	Created     int64          `json:"created_at"`
	Updated     int64          `json:"updated_at"`
}

// AccessControl says who may read a channel, and who may write to it.
type AccessControl struct {
	Read  Group `json:"read"`
	Write Group `json:"write"`
}

// A Group is users. There are no groups of others.
type Group struct {
	Groups []string      `json:"group_ids"`
	Users  []chat.UserID `json:"user_ids"`
}

// ShowChannel returns the channel that a room is.
func ShowChannel(info chat.Info) Channel {
	control := AccessControl{Read: Group{[]string{}, []chat.UserID{}}, Write: Group{[]string{}, []chat.UserID{}}}
	for _, m := range info.Members {
		control.Read.Users = append(control.Read.Users, m.ID)
		if m.Role == chat.RoleMember {
			control.Write.Users = append(control.Write.Users, m.ID)
		}
	}
	at := info.Created.UnixNano()
	return Channel{ID: info.ID, UserID: info.Owner, Name: info.Title, Access: &control, Created: at, Updated: at}
}

// Roles returns the members that the control names, with their roles.
func (c AccessControl) Roles() map[chat.UserID]chat.MemberRole {
	roles := make(map[chat.UserID]chat.MemberRole)
	for _, u := range c.Read.Users {
		roles[u] = chat.RoleViewer
	}
	for _, u := range c.Write.Users {
		roles[u] = chat.RoleMember
	}
	return roles
}

// Show returns a message as the channel with the id shows it.
func Show(id chat.ID, m chat.Message) Message {
	at := m.Created.UnixNano()
	shown := Message{ID: string(m.ID), Channel: id, Content: m.Content, Created: at, Updated: at, Reactions: []Reaction{}}
	if m.Parent != "" {
		parent := string(m.Parent)
		shown.Parent = &parent
	}
	if m.Author != nil {
		shown.UserID, shown.User = m.Author.ID, UserOf(*m.Author)
		return shown
	}
	name := cmp.Or(m.Name, string(m.ModelID))
	shown.User = User{ID: chat.UserID(m.ModelID), Name: name, Role: "assistant"}
	shown.UserID, shown.Meta = shown.User.ID, &meta{m.ModelID, m.State}
	return shown
}
