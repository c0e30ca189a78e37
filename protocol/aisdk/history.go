package aisdk

import "parlor/protocol/chat"

// A UIMessage is a message as useChat keeps it. An app gives those of a chat to useChat
// when its page is loaded.
type UIMessage struct {
	ID       string    `json:"id"`
	Role     chat.Role `json:"role"`
	Parts    []uiPart  `json:"parts"`
	Metadata Metadata  `json:"metadata"`
}

type uiPart struct {
	Type  string  `json:"type"`
	Text  *string `json:"text,omitempty"`
	State string  `json:"state,omitempty"`

	// Of a file:
	URL       string `json:"url,omitempty"`
	MediaType string `json:"mediaType,omitempty"`
	Name      string `json:"filename,omitempty"`
}

// Show returns the message for the reader. An answer has the parts that its stream leads
// to. Files have addresses that begin with prefix.
func Show(m chat.Message, reader chat.UserID, prefix string) UIMessage {
	w := UIMessage{ID: IDOf(m, reader), Role: m.Role, Parts: []uiPart{}, Metadata: Metadata{
		Seq: m.Seq, Created: chat.Timestamp(m.Created), Author: m.Author, Siblings: m.Siblings,
	}}
	if m.Role != chat.RoleAssistant {
		for _, f := range m.Files {
			w.Parts = append(w.Parts, uiPart{Type: "file", URL: prefix + string(f.ID), MediaType: f.Type, Name: f.Name})
		}
		w.Parts = append(w.Parts, uiPart{Type: "text", Text: &m.Content})
		return w
	}
	w.Parts = append(w.Parts, uiPart{Type: "step-start"})
	for _, p := range []uiPart{{Type: "reasoning", Text: &m.Thought, State: "done"}, {Type: "text", Text: &m.Content, State: "done"}} {
		if *p.Text != "" {
			w.Parts = append(w.Parts, p)
		}
	}
	w.Metadata.State, w.Metadata.ModelID, w.Metadata.Name, w.Metadata.Prompt = m.State, m.ModelID, m.Name, m.Prompt
	w.Metadata.By, w.Metadata.Reason, w.Metadata.Error, w.Metadata.Usage = m.By, m.Reason, m.Error, usageOf(m.Usage)
	return w
}

// Append appends the message as JSON.
func (m UIMessage) Append(b []byte) []byte { return append(b, encode(m)...) }

// Whole returns the parts of the stream of an answer that has ended.
func Whole(m chat.Message) []Part {
	var a Answer
	var p parts
	a.text, a.thought = newTold("text"), newTold("reasoning")
	a.ended(&p, m.Seq, chat.TurnEnded{
		MessageID: m.ID, Prompt: m.Prompt, PromptSeq: m.PromptSeq, ModelID: m.ModelID, Name: m.Name, State: m.State, Finish: m.Finish,
		Content: m.Content, Thought: m.Thought, Usage: m.Usage, Error: m.Error, By: m.By, Reason: m.Reason,
	})
	return p
}
