package openai

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	api "github.com/sashabaranov/go-openai"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// done is the data of the event after which nothing follows.
const done = "[DONE]"

// failures are the finish_reason with which gateways end what failed: OpenRouter,
// vLLM and SGLang, DeepSeek, Zhipu, Gemini.
var failures = map[reason]bool{
	"error": true, "abort": true, "insufficient_system_resource": true, "network_error": true, "malformed_function_call": true,
}

// A decoder reads the events of one answer. Its zero value has read none.
type decoder struct {
	refused bool // the text is a refusal
	pieces  bool // it comes in pieces
	details []json.RawMessage
}

// chunk is what we need of the data of one event, and no more: servers differ
// in the rest. Error has many shapes; instead of it, Object is "error" where
// the event itself is one, at Mistral and older vLLM. Usage has some shapes that
// are not to cost an answer.
type chunk struct {
	Object  any             `json:"object"`
	Choices []choice        `json:"choices"`
	Usage   json.RawMessage `json:"usage"`
	Error   json.RawMessage `json:"error"`
}

type choice struct {
	Index        int             `json:"index"`
	Delta        words           `json:"delta"`
	Message      *words          `json:"message"` // of an answer as a whole, and of servers that confuse the two
	Text         loose           `json:"text"`    // of the old completions
	Error        json.RawMessage `json:"error"`
	FinishReason reason          `json:"finish_reason"`
}

// says returns what the choice adds. A whole answer behind its pieces adds nothing.
func (d *decoder) says(c choice) words {
	switch {
	case !c.Delta.empty():
		d.pieces = true
	case d.pieces:
	case c.Message != nil:
		return *c.Message
	case upstream.Text(c.Text) != (upstream.Text{}):
		return words{Content: parts{text: []upstream.Text{upstream.Text(c.Text)}}}
	}
	return c.Delta
}

// words are what a piece adds to the answer, or an answer as a whole. Servers
// have several names for what their models think, and some have two at once.
type words struct {
	Content   parts         `json:"content"`
	Refusal   upstream.Text `json:"refusal"`
	ToolCalls callPieces    `json:"tool_calls"`

	ReasoningContent loose `json:"reasoning_content"` // DeepSeek, vLLM, llama.cpp, xAI
	Reasoning        loose `json:"reasoning"`         // OpenRouter, Groq, Ollama
	ReasoningText    loose `json:"reasoning_text"`    // GitHub
	Thinking         loose `json:"thinking"`

	Details details `json:"reasoning_details"` // OpenRouter
}

// thought is what w adds to what the model thinks.
func (w *words) thought() []upstream.Text {
	for _, name := range []loose{w.ReasoningContent, w.Reasoning, w.ReasoningText, w.Thinking} {
		if upstream.Text(name) != (upstream.Text{}) {
			return append(w.Content.thought, upstream.Text(name))
		}
	}
	thought := w.Content.thought
	for _, d := range w.Details.list {
		thought = append(thought, upstream.Text(d.Text), upstream.Text(d.Summary))
	}
	return thought
}

func (w *words) empty() bool {
	said := append(append(w.thought(), w.Content.text...), w.Refusal)
	return len(w.ToolCalls) == 0 && !slices.ContainsFunc(said, func(t upstream.Text) bool { return t != (upstream.Text{}) })
}

// loose is text that may be something else, which then is none.
type loose upstream.Text

// UnmarshalJSON implements [json.Unmarshaler].
func (l *loose) UnmarshalJSON(raw []byte) error {
	var t upstream.Text
	if json.Unmarshal(raw, &t) == nil {
		*l = loose(t)
	}
	return nil
}

// A reason is one for the end. What is no text is none.
type reason string

// UnmarshalJSON implements [json.Unmarshaler].
func (r *reason) UnmarshalJSON(raw []byte) error {
	var s string
	_ = json.Unmarshal(raw, &s)
	*r = reason(strings.ToLower(s))
	return nil
}

// parts are the content of a piece: text, or, of those models of Mistral that
// think, a list of parts, some of which are text and some thought, in parts itself.
// https://docs.mistral.ai/capabilities/reasoning
type parts struct{ text, thought []upstream.Text }

// UnmarshalJSON implements [json.Unmarshaler].
func (p *parts) UnmarshalJSON(raw []byte) error {
	if raw[0] != '[' {
		p.text = make([]upstream.Text, 1)
		return json.Unmarshal(raw, &p.text[0])
	}
	var list []struct {
		Type     string        `json:"type"`
		Text     upstream.Text `json:"text"`
		Thinking parts         `json:"thinking"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return err
	}
	for _, part := range list {
		switch part.Type {
		case "text", "output_text":
			p.text = append(p.text, part.Text)
		case "thinking", "reasoning":
			p.thought = append(append(p.thought, part.Text), part.Thinking.text...)
		}
	}
	return nil
}

// Event implements [upstream.Decoder].
func (d *decoder) Event(_ string, data []byte) (upstream.Piece, error) {
	if strings.EqualFold(strings.Trim(string(data), `" `), done) {
		return upstream.Piece{Last: true}, nil
	}
	var c chunk
	if err := json.Unmarshal(data, &c); err != nil {
		return upstream.Piece{}, err
	}
	if isError(c.Error) || c.Object == "error" {
		return upstream.Piece{Report: data}, nil
	}
	var p upstream.Piece
	var u *api.Usage
	if json.Unmarshal(c.Usage, &u) == nil && u != nil {
		p.Usage = &chat.Usage{PromptTokens: u.PromptTokens, CompletionTokens: u.CompletionTokens, TotalTokens: cmp.Or(u.TotalTokens, u.PromptTokens+u.CompletionTokens)}
	}
	for _, choice := range c.Choices {
		if choice.Index != 0 { // only one was asked for
			continue
		}
		if err := d.add(&p, choice); err != nil {
			return p, err
		}
		p.Last = c.Object == "chat.completion" && choice.Message != nil && p.Finish != ""
	}
	return p, nil
}

// add adds a choice to p.
func (d *decoder) add(p *upstream.Piece, c choice) error {
	if isError(c.Error) {
		p.Report = c.Error
		return nil
	}
	// A refusal is an answer too; the model gives either one or the other.
	w := d.says(c)
	d.refused = d.refused || w.Refusal != (upstream.Text{})
	p.Text = append(append(p.Text, w.Content.text...), w.Refusal)
	p.Thought = w.thought()
	for _, call := range w.ToolCalls {
		p.Calls = append(p.Calls, call.piece())
	}
	if d.details = append(d.details, w.Details.raw...); len(w.Details.raw) > 0 {
		p.Back, _ = json.Marshal(d.details) // JSON always marshals
	}
	p.Finish = upstream.FinishOf(string(c.FinishReason))
	if d.refused && p.Finish == chat.FinishStop {
		p.Finish = chat.FinishRefusal
	}
	if failures[c.FinishReason] {
		return &upstream.Failure{Err: chat.Refuse(chat.CodeProviderError, "the provider ended the answer with an error"), Retryable: true}
	}
	return nil
}

// isError reports whether a member error holds one: some servers always have it.
func isError(raw json.RawMessage) bool {
	switch string(raw) {
	case "", "null", "false", `""`, "[]":
		return false
	}
	return true
}
