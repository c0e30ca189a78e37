package exports

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"parlor/protocol/chat"
)

// gptChat is a conversation of ChatGPT's conversations.json.
type gptChat struct {
	ID       text                `json:"id"`
	OtherID  text                `json:"conversation_id"`
	Title    text                `json:"title"`
	Created  moment              `json:"create_time"`
	Current  text                `json:"current_node"`
	Model    text                `json:"default_model_slug"`
	Archived truth               `json:"is_archived"`
	Starred  truth               `json:"is_starred"`
	Mapping  map[string]*gptNode `json:"mapping"`
}

type gptNode struct {
	Parent   text        `json:"parent"`
	Children []text      `json:"children"`
	Message  *gptMessage `json:"message"`
}

type gptMessage struct {
	Author struct {
		Role text `json:"role"`
		Name text `json:"name"`
	} `json:"author"`
	Created   moment     `json:"create_time"`
	Content   gptContent `json:"content"`
	Status    text       `json:"status"`
	EndTurn   *bool      `json:"end_turn"`
	Weight    *float64   `json:"weight"`
	Recipient text       `json:"recipient"`
	Metadata  struct {
		Model       text  `json:"model_slug"`
		Hidden      truth `json:"is_visually_hidden_from_conversation"`
		Attachments []struct {
			ID       text   `json:"id"`
			Name     text   `json:"name"`
			Size     number `json:"size"`
			MimeType text   `json:"mimeType"`
			Mime     text   `json:"mime_type"`
		} `json:"attachments"`
		Finish *struct {
			Type text `json:"type"`
		} `json:"finish_details"`
	} `json:"metadata"`
}

type gptContent struct {
	Type     text              `json:"content_type"`
	Parts    []json.RawMessage `json:"parts"`
	Text     text              `json:"text"`
	Language text              `json:"language"`
	Result   text              `json:"result"`
	Thoughts []struct {
		Summary text `json:"summary"`
		Content text `json:"content"`
	} `json:"thoughts"`
}

// gptPart is a part of a message that is no text.
type gptPart struct {
	Type    text   `json:"content_type"`
	Pointer text   `json:"asset_pointer"`
	Size    number `json:"size_bytes"`
	Text    text   `json:"text"` // of what was spoken
}

// ChatGPT reads a conversation of ChatGPT's conversations.json.
func ChatGPT(b []byte, notes Notes) (*Chat, error) {
	var g gptChat
	if err := json.Unmarshal(b, &g); err != nil {
		return nil, err
	}
	c := &Chat{
		ID: string(cmp.Or(g.ID, g.OtherID)), Title: string(g.Title), ModelID: string(g.Model), Created: g.Created.Time,
		Current: string(g.Current), Archived: bool(g.Archived), Pinned: bool(g.Starred),
	}
	switch {
	case c.ID == "":
		return c, errors.New("it has no id")
	case len(g.Mapping) == 0:
		return c, errors.New("it has no mapping, in which the messages are")
	}
	orders := make(map[text]int)
	for _, node := range g.Mapping {
		if node == nil {
			continue
		}
		for i, child := range node.Children {
			orders[child] = i
		}
	}
	for _, id := range slices.Sorted(maps.Keys(g.Mapping)) {
		m := Message{ID: id, Order: orders[text(id)]}
		if node := g.Mapping[id]; node != nil {
			m.Parent = string(node.Parent)
			if node.Message != nil {
				if err := node.Message.into(&m, notes); err != nil {
					return c, fmt.Errorf("message %.100q: %w", id, err)
				}
			}
		}
		c.Messages = append(c.Messages, m)
	}
	c.answerCalls(g.results())
	return c, nil
}

// into says what the message is. It leaves those alone that nobody has seen.
func (g *gptMessage) into(m *Message, notes Notes) error {
	m.At = g.Created.Time
	if g.Metadata.Hidden || g.Weight != nil && *g.Weight == 0 {
		return nil
	}
	body, err := g.body(m, notes)
	if err != nil {
		return err
	}
	for _, a := range g.Metadata.Attachments {
		m.Files = append(m.Files, File{ID: string(a.ID), Name: string(a.Name), Size: int64(a.Size), Type: string(cmp.Or(a.MimeType, a.Mime))})
	}
	switch g.Author.Role {
	case "user":
		if g.Content.Type == "user_editable_context" {
			notes.Add("custom instructions: they belong to the person, and are left out")
			return nil
		}
		m.Role, m.Content = chat.RoleUser, body
	case "assistant":
		m.Role, m.ModelID = chat.RoleAssistant, string(g.Metadata.Model)
		g.answer(m, body)
	case "system", "tool": // what a tool has returned belongs to its call
	default:
		return fmt.Errorf("the role %.100q is none of user, assistant, system and tool", g.Author.Role)
	}
	return nil
}

// answer sorts out what a message of the assistant is: text, a thought or a call.
func (g *gptMessage) answer(m *Message, body string) {
	m.Unfinished = g.EndTurn == nil || !*g.EndTurn
	m.Stopped = g.Status == "in_progress"
	if f := g.Metadata.Finish; f != nil {
		switch f.Type {
		case "stop":
			m.Finish = chat.FinishStop
		case "max_tokens":
			m.Finish = chat.FinishLength
		case "interrupted":
			m.Stopped = true
		}
	}
	switch {
	case g.Content.Type == "thoughts":
		for _, t := range g.Content.Thoughts {
			m.Thought += chat.Between(m.Thought) + strings.TrimSpace(string(t.Summary)+"\n"+string(t.Content))
		}
		m.Unfinished = true
	case g.Content.Type == "reasoning_recap": // how long it took
		m.Unfinished = true
	case g.Recipient != "" && g.Recipient != "all":
		m.Calls, m.Unfinished = []Call{{ID: m.ID, Name: string(g.Recipient), Arguments: body}}, true
	case g.Content.Type == "code":
		m.Content = "```" + strings.TrimPrefix(string(g.Content.Language), "unknown") + "\n" + body + "\n```"
	default:
		m.Content = body
	}
}

// body returns the text, and adds the images to the files of the message.
func (g *gptMessage) body(m *Message, notes Notes) (string, error) {
	texts := []string{string(g.Content.Text + g.Content.Result)}
	for _, raw := range g.Content.Parts {
		var said string
		if json.Unmarshal(raw, &said) == nil {
			texts = append(texts, said)
			continue
		}
		var part gptPart
		if err := json.Unmarshal(raw, &part); err != nil {
			return "", fmt.Errorf("a part of it: %w", err)
		}
		switch id := string(part.Pointer[strings.LastIndexByte(string(part.Pointer), '/')+1:]); {
		case part.Text != "":
			texts = append(texts, string(part.Text))
			m.Modality = chat.ModalityAudio
		case part.Type == "image_asset_pointer" && !g.attached(id):
			m.Files = append(m.Files, File{ID: id, Name: id, Type: "image/*", Size: int64(part.Size)})
		case part.Type != "image_asset_pointer":
			notes.Add(fmt.Sprintf("parts of the type %.50q: they are left out", part.Type))
		}
	}
	texts = slices.DeleteFunc(texts, func(s string) bool { return s == "" })
	return strings.Join(texts, "\n"), nil
}

func (g *gptMessage) attached(id string) bool {
	for _, a := range g.Metadata.Attachments {
		if string(a.ID) == id {
			return true
		}
	}
	return false
}

// results returns what tools have returned, by the messages that say so.
func (g *gptChat) results() map[string]string {
	results := make(map[string]string)
	for id, node := range g.Mapping {
		if node != nil && node.Message != nil && node.Message.Author.Role == "tool" {
			results[id], _ = node.Message.body(new(Message), make(Notes))
		}
	}
	return results
}

// answerCalls gives the calls of messages the results that follow these.
func (c *Chat) answerCalls(results map[string]string) {
	at := make(map[string]*Message, len(c.Messages))
	for i := range c.Messages {
		at[c.Messages[i].ID] = &c.Messages[i]
	}
	for i := range c.Messages { // in the order of their ids, so that the same export gives the same chat
		m := &c.Messages[i]
		result, is := results[m.ID]
		caller := at[m.Parent]
		if is && caller != nil && len(caller.Calls) > 0 && !caller.Calls[0].Ended {
			caller.Calls[0].Result, caller.Calls[0].Ended = result, true
		}
	}
}
