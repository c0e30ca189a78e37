package exports

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"parlor/protocol/chat"
)

// A One is one chat of parlor as its members export it: what was said in its current branch.
// It has nothing of the server's own: no invitations, members, costs or files.
type One struct {
	Version      int          `json:"parlor_chat"` // of this format: 1
	Title        string       `json:"title"`
	SystemPrompt string       `json:"system_prompt,omitempty"`
	ModelID      string       `json:"model_id,omitempty"`
	Created      string       `json:"created_timestamp"`
	Messages     []OneMessage `json:"messages"` // oldest first
}

// A OneMessage is a message of a [One]: of a person, or an answer.
type OneMessage struct {
	Role       chat.Role   `json:"role"`
	Author     string      `json:"author,omitempty"`
	AuthorName string      `json:"author_name,omitempty"`
	ModelID    string      `json:"model_id,omitempty"`
	Content    string      `json:"content"`
	Thought    string      `json:"thought,omitempty"`
	Error      string      `json:"error,omitempty"`
	Finish     chat.Finish `json:"finish,omitempty"`
	Stopped    bool        `json:"stopped,omitempty"`
	Created    string      `json:"created_timestamp,omitempty"`
}

const oneVersion = 1

// NewOne returns a chat without its messages.
func NewOne(c chat.Info) One {
	return One{
		Version: oneVersion, Title: c.Title, SystemPrompt: c.SystemPrompt, ModelID: string(c.ModelID),
		Created: c.Created.UTC().Format(time.RFC3339Nano), Messages: []OneMessage{},
	}
}

// Add adds a message.
func (o *One) Add(m chat.Message) {
	one := OneMessage{
		Role: m.Role, ModelID: string(m.ModelID), Content: m.Content, Thought: m.Thought, Finish: m.Finish,
		Stopped: m.State == chat.StateStopped, Created: m.Created.UTC().Format(time.RFC3339Nano),
	}
	if m.Author != nil && m.Role == chat.RoleUser {
		one.Author, one.AuthorName = string(m.Author.ID), m.Author.Name
	}
	if m.Error != nil {
		one.Error = m.Error.Message
	}
	o.Messages = append(o.Messages, one)
}

// importedPrefix begins the ids of people in a chat that somebody else has imported: what a
// file says of them they need not have said.
const importedPrefix = "imported:"

// ReadOne reads an export of one chat, which becomes a chat of owner with a new id.
func ReadOne(b []byte, owner chat.User, id chat.ID, now time.Time) (*Chat, error) {
	var o One
	if err := json.Unmarshal(b, &o); err != nil {
		return nil, fmt.Errorf("the file is not JSON of one chat: %w", err)
	}
	if o.Version != oneVersion {
		return nil, errors.New("the file is no export of one chat: parlor_chat is not 1")
	}
	created, err := timeOf(o.Created, now)
	if err != nil {
		return nil, fmt.Errorf("created_timestamp: %w", err)
	}
	c := &Chat{ID: string(id), Owner: string(owner.ID), OwnerName: owner.Name, Title: o.Title, SystemPrompt: o.SystemPrompt, ModelID: o.ModelID, Created: created}
	for i, m := range o.Messages {
		if m.Role != chat.RoleUser && m.Role != chat.RoleAssistant {
			return nil, fmt.Errorf("messages[%d]: role must be user or assistant", i)
		}
		at, err := timeOf(m.Created, created)
		if err != nil {
			return nil, fmt.Errorf("messages[%d]: created_timestamp: %w", i, err)
		}
		next := Message{
			ID: fmt.Sprintf("%s.%d", id, i+1), Role: m.Role, ModelID: m.ModelID, Content: m.Content, Thought: m.Thought,
			Error: m.Error, Finish: finishOf(m.Finish), Stopped: m.Stopped, At: at,
		}
		if i > 0 {
			next.Parent = c.Messages[i-1].ID
		}
		if m.Role == chat.RoleUser {
			next.Author, next.AuthorName = authorOf(m, owner)
		}
		c.Messages = append(c.Messages, next)
	}
	return c, nil
}

// authorOf returns the author of a message: the owner, or somebody who has a name alone.
func authorOf(m OneMessage, owner chat.User) (id, name string) {
	if m.Author == "" || m.Author == string(owner.ID) {
		return string(owner.ID), owner.Name
	}
	return importedPrefix + derived("author", m.Author)[:8], chat.OneLine(cmp.Or(m.AuthorName, m.Author))
}

func finishOf(f chat.Finish) chat.Finish {
	switch f {
	case chat.FinishLength, chat.FinishFilter, chat.FinishRefusal:
		return f
	}
	return ""
}

// timeOf reads a time, or returns other if there is none.
func timeOf(text string, other time.Time) (time.Time, error) {
	if text == "" {
		return other, nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, errors.New("is no time of RFC 3339")
	}
	return at, checkTime(at)
}
