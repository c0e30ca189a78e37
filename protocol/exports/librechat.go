package exports

import (
	"cmp"
	"encoding/json"
	"errors"
	"strings"

	"parlor/protocol/chat"
)

// libreChat is a conversation that LibreChat has exported as JSON. Its messages are a list, or
// a tree if it is recursive.
type libreChat struct {
	ID       text           `json:"conversationId"`
	Title    text           `json:"title"`
	Messages []libreMessage `json:"messages"`
	Tree     []libreMessage `json:"messagesTree"`
	Options  struct {
		Model  text `json:"model"`
		Prompt text `json:"promptPrefix"`
		System text `json:"system"`
	} `json:"options"`
	Created moment `json:"createdAt"`
}

type libreMessage struct {
	ID       text           `json:"messageId"`
	Parent   text           `json:"parentMessageId"`
	ByUser   truth          `json:"isCreatedByUser"`
	Sender   text           `json:"sender"`
	Text     text           `json:"text"`
	Content  []librePart    `json:"content"`
	Model    text           `json:"model"`
	Created  moment         `json:"createdAt"`
	Error    truth          `json:"error"`
	Cut      truth          `json:"unfinished"`
	Finish   text           `json:"finish_reason"`
	Files    []libreFile    `json:"files"`
	Attached []libreFile    `json:"attachments"`
	Children []libreMessage `json:"children"`
}

// librePart is a part of a message. Some have their text in an object.
type librePart struct {
	Type  text            `json:"type"`
	Text  json.RawMessage `json:"text"`
	Think json.RawMessage `json:"think"`
	Call  *struct {
		ID     text            `json:"id"`
		Name   text            `json:"name"`
		Args   json.RawMessage `json:"args"`
		Output *text           `json:"output"`
	} `json:"tool_call"`
	Error text `json:"error"`
}

type libreFile struct {
	ID      text   `json:"file_id"`
	Name    text   `json:"filename"`
	Path    text   `json:"filepath"`
	Type    text   `json:"type"`
	Bytes   number `json:"bytes"`
	Created moment `json:"createdAt"`
}

// noParent is what LibreChat writes for the parent of a first message.
const noParent = "00000000-0000-0000-0000-000000000000"

// LibreChat reads a conversation that LibreChat has exported as JSON.
func LibreChat(b []byte, _ Notes) (*Chat, error) {
	var l libreChat
	if err := json.Unmarshal(b, &l); err != nil {
		return nil, err
	}
	c := &Chat{
		ID: string(l.ID), Title: string(l.Title), ModelID: string(l.Options.Model), Created: l.Created.Time,
		SystemPrompt: string(cmp.Or(l.Options.Prompt, l.Options.System)),
	}
	messages := l.Messages
	if len(l.Tree) > 0 {
		messages = l.Tree
	}
	switch {
	case c.ID == "":
		return c, errors.New("it has no conversationId")
	case len(messages) == 0:
		return c, errors.New("it has no messages")
	}
	c.addLibre(messages)
	return c, nil
}

// addLibre adds messages with all that follows them in a tree.
func (c *Chat) addLibre(messages []libreMessage) {
	type follower struct {
		libreMessage
		parent text // in the tree
	}
	var queue []follower
	for _, m := range messages {
		queue = append(queue, follower{m, m.Parent})
	}
	for len(queue) > 0 {
		m := queue[0]
		queue = queue[1:]
		parent := string(m.parent)
		if parent == noParent {
			parent = ""
		}
		c.add(parent, m.steps(len(c.Messages)))
		for _, child := range m.Children {
			queue = append(queue, follower{child, m.ID})
		}
	}
}

// steps returns the message, with a part of its own for all that ends in calls.
func (l *libreMessage) steps(n int) []Message {
	m := Message{ID: string(l.ID), Role: chat.RoleAssistant, ModelID: string(l.Model), At: l.Created.Time, Order: n}
	if l.ByUser {
		m.Role, m.ModelID = chat.RoleUser, ""
	} else {
		m.Stopped = bool(l.Cut)
		switch chat.Finish(l.Finish) {
		case chat.FinishStop, chat.FinishLength, chat.FinishFilter:
			m.Finish = chat.Finish(l.Finish)
		}
	}
	for _, f := range append(l.Files, l.Attached...) {
		m.Files = append(m.Files, File{ID: string(f.ID), Name: string(f.Name), Type: string(f.Type), Size: int64(f.Bytes), At: f.Created.Time, Path: string(f.Path)})
	}
	if len(l.Content) == 0 || l.ByUser && l.Text != "" {
		m.Content = string(l.Text)
	}
	steps := []Message{m}
	for _, part := range l.Content {
		if l.ByUser && l.Text != "" {
			break
		}
		if last := &steps[len(steps)-1]; part.Call == nil && len(last.Calls) > 0 {
			steps = append(steps, m)
		}
		part.into(&steps[len(steps)-1])
	}
	if last := &steps[len(steps)-1]; bool(l.Error) {
		last.Error, last.Content = cmp.Or(last.Error, last.Content, "it failed"), ""
	}
	return steps
}

func (p *librePart) into(m *Message) {
	switch {
	case p.Call != nil:
		call := Call{ID: string(p.Call.ID), Name: string(p.Call.Name), Arguments: argsIn(p.Call.Args)}
		if p.Call.Output != nil {
			call.Result, call.Ended = string(*p.Call.Output), true
		}
		m.Calls = append(m.Calls, call)
	case p.Type == "think":
		m.Thought += chat.Between(m.Thought) + said(p.Think)
	case p.Type == "error":
		m.Error += chat.Between(m.Error) + string(p.Error)
	default:
		m.Content += chat.Between(m.Content) + said(p.Text)
	}
}

// said returns a text, or that of an object with a value, or what else it is as JSON.
func said(b json.RawMessage) string {
	var s string
	var object struct {
		Value *string `json:"value"`
	}
	switch {
	case len(b) == 0 || string(b) == "null":
		return ""
	case json.Unmarshal(b, &s) == nil:
		return s
	case json.Unmarshal(b, &object) == nil && object.Value != nil:
		return *object.Value
	}
	return strings.TrimSpace(string(b))
}
