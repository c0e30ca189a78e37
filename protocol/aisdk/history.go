package aisdk

import (
	"slices"

	"parlor/protocol/chat"
)

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

	// Of a tool:
	Tool     string    `json:"toolName,omitempty"`
	Call     string    `json:"toolCallId,omitempty"`
	Input    any       `json:"input,omitempty"`
	Output   *string   `json:"output,omitempty"`
	Error    string    `json:"errorText,omitempty"`
	Approval *approval `json:"approval,omitempty"`

	// Of a file:
	URL       string `json:"url,omitempty"`
	MediaType string `json:"mediaType,omitempty"`
	Name      string `json:"filename,omitempty"`
}

// Show returns the message for the reader. An answer has the parts that its stream leads
// to. Files have addresses that begin with prefix. Old is for version 5, see [Answer.Old].
func Show(m chat.Message, reader chat.UserID, prefix string, old bool) UIMessage {
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
	w.Parts = append(w.Parts, answerParts(m, old)...)
	w.Metadata.State, w.Metadata.ModelID, w.Metadata.Name, w.Metadata.Prompt = m.State, m.ModelID, m.Name, m.Prompt
	w.Metadata.By, w.Metadata.Reason, w.Metadata.Error, w.Metadata.Usage = m.By, m.Reason, m.Error, usageOf(m.Usage)
	return w
}

// approval is what is known of the decision about a call. Approved is nil while it waits.
type approval struct {
	ID       string `json:"id"`
	Approved *bool  `json:"approved,omitempty"`
}

// answerParts returns the parts of an answer.
func answerParts(m chat.Message, old bool) []uiPart {
	parts := []uiPart{{Type: "step-start"}}
	if m.Thought != "" {
		parts = append(parts, uiPart{Type: "reasoning", Text: &m.Thought, State: "done"})
	}
	for i, s := range sections(m) {
		if i > 0 {
			parts = append(parts, uiPart{Type: "step-start"})
		}
		if s.text != "" {
			parts = append(parts, uiPart{Type: "text", Text: &s.text, State: "done"})
		}
		for _, c := range s.calls {
			parts = append(parts, showCall(c, old))
		}
	}
	return parts
}

func showCall(c chat.Called, old bool) uiPart {
	part := uiPart{Type: "dynamic-tool", Tool: c.Name, Call: c.ID, Input: input(c.Arguments), State: stateError, Error: c.Result}
	switch {
	case c.State == chat.ToolCompleted:
		part.State, part.Output, part.Error = stateOutput, &c.Result, ""
	case c.State == chat.ToolDenied && !old:
		part.State, part.Error, part.Approval = stateDenied, "", &approval{c.ID, new(false)}
	case c.State == "":
		part.State = stateInput
	}
	return part
}

// ShowWaiting returns the answer of a room whose turn waits for a member to approve calls,
// and false if it does not.
func ShowWaiting(now chat.Entered, old bool) (UIMessage, bool) {
	t := now.Turn
	if t == nil || len(now.Pending) == 0 {
		return UIMessage{}, false
	}
	w := Show(chat.Message{
		ID: t.MessageID, Seq: now.Seq, Role: chat.RoleAssistant, Content: now.Text, ModelID: t.ModelID, Prompt: t.Prompt, State: chat.StateWaiting, Calls: now.Calls,
	}, "", "", old)
	w.Metadata.Created, w.Metadata.TurnID = "", t.ID
	for i := range w.Parts {
		for _, c := range now.Pending {
			if part := &w.Parts[i]; part.Call == c.Call.ID && !old && !c.Running {
				part.State, part.Approval = stateAsked, &approval{ID: c.Call.ID}
			}
		}
	}
	return w, true
}

// Append appends the message as JSON.
func (m UIMessage) Append(b []byte) []byte { return append(b, encode(m)...) }

// Whole returns the parts of the stream of an answer that has ended, behind those that the
// client has if known is not nil.
func Whole(m chat.Message, known map[string]Known, old bool) []Part {
	a := AnswerTo(m.Prompt)
	a.old, a.known, a.goesOn = old, known, known != nil
	var p parts
	a.begin(&p, m.ID, 1, &Metadata{Seq: m.Seq, ModelID: m.ModelID, Name: m.Name})
	if a.goesOn {
		a.thought.skip(m.Thought)
	}
	a.rest(&p, &a.thought, m.Thought)
	said := ""
	for _, s := range sections(m) {
		if said += s.text; slices.ContainsFunc(s.calls, func(c chat.Called) bool { return known[c.ID].State != "" }) {
			a.text.skip(said)
		}
		a.rest(&p, &a.text, said)
		a.close(&p)
		for _, c := range s.calls {
			a.begun(&p, call{ToolCall: chat.ToolCall{ID: c.ID, Name: c.Name, Arguments: c.Arguments}})
			a.outcome(&p, a.find(c.ID), c.State, c.Result)
		}
		a.stepEnded = len(s.calls) > 0
	}
	a.ended(&p, m.Seq, chat.TurnEnded{
		MessageID: m.ID, Prompt: m.Prompt, PromptSeq: m.PromptSeq, ModelID: m.ModelID, Name: m.Name, State: m.State, Finish: m.Finish,
		Content: m.Content, Thought: m.Thought, Usage: m.Usage, Error: m.Error, By: m.By, Reason: m.Reason,
	})
	return p
}
