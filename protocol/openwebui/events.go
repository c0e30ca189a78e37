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

// What the room channel:{chat_id} is told.
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

// Show returns a message as the channel with the id shows it.
func Show(id chat.ID, m chat.Message) Message {
	at := m.Created.UnixNano()
	shown := Message{ID: string(m.ID), Channel: id, Content: m.Content, Created: at, Updated: at, Reactions: []Reaction{}}
	if m.Author != nil {
		shown.UserID, shown.User = m.Author.ID, UserOf(*m.Author)
		return shown
	}
	name := cmp.Or(m.Name, string(m.ModelID))
	shown.User = User{ID: chat.UserID(m.ModelID), Name: name, Role: "assistant"}
	shown.UserID, shown.Meta = shown.User.ID, &meta{m.ModelID, m.State}
	return shown
}
