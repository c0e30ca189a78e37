package openai

import (
	"encoding/json"
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
	Index int `json:"index"`
	Delta struct {
		Content   parts             `json:"content"`
		Refusal   upstream.Text     `json:"refusal"`
		ToolCalls []json.RawMessage `json:"tool_calls"`
	} `json:"delta"`
	FinishReason reason `json:"finish_reason"`
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

// parts are what a piece adds to the answer: text, or, of those models of
// Mistral that think, a list of parts, of which some are text.
// https://docs.mistral.ai/capabilities/reasoning
type parts []upstream.Text

// UnmarshalJSON implements [json.Unmarshaler].
func (p *parts) UnmarshalJSON(raw []byte) error {
	if raw[0] != '[' {
		*p = make(parts, 1)
		return json.Unmarshal(raw, &(*p)[0])
	}
	var list []struct {
		Type string        `json:"type"`
		Text upstream.Text `json:"text"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return err
	}
	for _, part := range list {
		if part.Type == "text" {
			*p = append(*p, part.Text)
		}
	}
	return nil
}

// Event implements [upstream.Decoder].
func (d *decoder) Event(_ string, data []byte) (upstream.Piece, error) {
	if string(data) == done {
		return upstream.Piece{Last: true}, nil
	}
	var c chunk
	if err := json.Unmarshal(data, &c); err != nil {
		return upstream.Piece{}, err
	}
	if len(c.Error) > 0 && string(c.Error) != "null" || c.Object == "error" {
		return upstream.Piece{Report: data}, nil
	}
	return d.piece(c)
}

func (d *decoder) piece(c chunk) (upstream.Piece, error) {
	var p upstream.Piece
	var u *api.Usage
	if json.Unmarshal(c.Usage, &u) == nil && u != nil {
		p.Usage = &chat.Usage{PromptTokens: u.PromptTokens, CompletionTokens: u.CompletionTokens, TotalTokens: u.TotalTokens}
	}
	for _, choice := range c.Choices {
		if choice.Index != 0 { // only one was asked for
			continue
		}
		// A refusal is an answer too; the model gives either one or the other.
		d.refused = d.refused || choice.Delta.Refusal != (upstream.Text{})
		p.Text = append(append(p.Text, choice.Delta.Content...), choice.Delta.Refusal)
		p.Calls = len(choice.Delta.ToolCalls) > 0
		p.Finish = upstream.FinishOf(string(choice.FinishReason))
		if d.refused && p.Finish == chat.FinishStop {
			p.Finish = chat.FinishRefusal
		}
		if failures[choice.FinishReason] {
			return p, &upstream.Failure{Err: chat.Refuse(chat.CodeProviderError, "the provider ended the answer with an error"), Retryable: true}
		}
	}
	return p, nil
}
