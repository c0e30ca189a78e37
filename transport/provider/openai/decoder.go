package openai

import (
	"encoding/json"

	api "github.com/sashabaranov/go-openai"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// done is the data of the event after which nothing follows.
const done = "[DONE]"

// finishError is the finish_reason with which OpenRouter ends what failed.
const finishError api.FinishReason = "error"

// A decoder reads the events of an answer; none of them depends on another.
type decoder struct{}

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
		Content parts         `json:"content"`
		Refusal upstream.Text `json:"refusal"`
	} `json:"delta"`
	FinishReason api.FinishReason `json:"finish_reason"`
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
func (decoder) Event(_ string, data []byte) (upstream.Piece, error) {
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
	return c.piece()
}

func (c chunk) piece() (upstream.Piece, error) {
	var p upstream.Piece
	var u *api.Usage
	if json.Unmarshal(c.Usage, &u) == nil && u != nil {
		p.Usage = &chat.Usage{PromptTokens: u.PromptTokens, CompletionTokens: u.CompletionTokens, TotalTokens: u.TotalTokens}
	}
	for _, choice := range c.Choices {
		if choice.Index != 0 { // only one was asked for
			continue
		}
		if choice.FinishReason == finishError {
			return p, &upstream.Failure{Err: chat.Refuse(chat.CodeProviderError, "the provider ended the answer with an error"), Retryable: true}
		}
		p.Whole = p.Whole || choice.FinishReason != ""
		// A refusal is an answer too; the model gives either one or the other.
		p.Text = append(append(p.Text, choice.Delta.Content...), choice.Delta.Refusal)
	}
	return p, nil
}
