package openai

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"parlor/protocol/chat"
)

// Limits of metadata, which are OpenAI's.
const (
	maxMetadata      = 16
	maxMetadataKey   = 64
	maxMetadataValue = 512 // characters
)

// A CompletionRequest is a POST to /chat/completions.
type CompletionRequest struct {
	Model        chat.ModelID
	Messages     []chat.PromptMessage
	MaxTokens    int // of the answer; 0: as the model likes
	Stream       bool
	IncludeUsage bool
	Tools        []chat.Tool // of the caller
	Choosing
}

// DecodeCompletion reads a request. What only tunes how a model writes is ignored, and what
// would change what the answer is gets refused. [DecodeResponse] does the same.
func DecodeCompletion(body []byte) (c CompletionRequest, refusal *Error) {
	var w struct {
		Model               chat.ModelID    `json:"model"`
		Messages            json.RawMessage `json:"messages"`
		N                   *int            `json:"n"`
		MaxTokens           *int            `json:"max_tokens"`
		MaxCompletionTokens *int            `json:"max_completion_tokens"`
		Stream              bool            `json:"stream"`
		StreamOptions       struct {
			IncludeUsage bool `json:"include_usage"`
		} `json:"stream_options"`
		ResponseFormat format `json:"response_format"`
		toolbox
	}
	if refusal := decode(body, &w); refusal != nil {
		return c, refusal
	}
	if w.Model == "" {
		return c, Invalid("model", "model is missing")
	}
	switch {
	case w.N != nil && *w.N != 1:
		return c, Invalid("n", "n must be 1: parlor gives one answer")
	case !w.ResponseFormat.text():
		return c, Invalid("response_format", noFormat)
	}
	c = CompletionRequest{Model: w.Model, Stream: w.Stream, IncludeUsage: w.StreamOptions.IncludeUsage}
	if c.MaxTokens, refusal = tokens(w.MaxTokens, "max_tokens"); refusal != nil {
		return c, refusal
	}
	if w.MaxCompletionTokens != nil {
		if c.MaxTokens, refusal = tokens(w.MaxCompletionTokens, "max_completion_tokens"); refusal != nil {
			return c, refusal
		}
	}
	if c.Tools, c.Choosing, refusal = w.read(); refusal != nil {
		return c, refusal
	}
	c.Messages, refusal = messages(w.Messages, "messages")
	return c, refusal
}

func tokens(n *int, param string) (int, *Error) {
	switch {
	case n == nil:
		return 0, nil
	case *n <= 0:
		return 0, Invalid(param, param+" must be more than 0")
	}
	return *n, nil
}

// Alone returns the tools that the model of a completion is offered that belongs to no chat.
func (c CompletionRequest) Alone() ([]chat.Tool, *Error) { return c.alone(c.Tools) }

// Results returns the results of calls with which the request ends, if it does.
func (c CompletionRequest) Results() (all []Answer) {
	for i, m := range slices.Backward(c.Messages) {
		if m.ResultOf == nil {
			break
		}
		a := Answer{Param: fmt.Sprintf("messages[%d].tool_call_id", i), ID: m.ResultOf.Given, Output: m.Content}
		a.Call, a.Seq, _ = parseCallID(callPrefix, a.ID)
		all = append(all, a)
	}
	slices.Reverse(all)
	return all
}

// Last returns the last message of the user, which is what is said in a room.
func (c CompletionRequest) Last() (string, *Error) {
	for i := len(c.Messages) - 1; i >= 0; i-- {
		if m := c.Messages[i]; m.Role == chat.RoleUser {
			return said(m.Content, fmt.Sprintf("messages[%d].content", i))
		}
	}
	return "", Invalid("messages", "there is no message of the user")
}

// said refuses a message without words.
func said(text, param string) (string, *Error) {
	if strings.TrimSpace(text) == "" {
		return "", Invalid(param, param+" must not be empty")
	}
	return text, nil
}

// A ResponseRequest is a POST to /responses.
type ResponseRequest struct {
	Model        chat.ModelID // empty: the chat's
	Input        []chat.PromptMessage
	Instructions string
	MaxTokens    int // of the answer; 0: as the model likes
	Stream       bool
	Background   bool
	Store        bool
	Tools        []chat.Tool // of the caller
	Choosing
	RawTools json.RawMessage

	// Answers are what the caller brings for the calls with which a response has ended, which
	// goes on with them. Then there is no Input.
	Answers []Answer

	// Chat is the conversation that it belongs to, and Previous the response that it
	// follows. At most one of them is there.
	Chat     chat.ID
	Previous ResponseID
}

type wireResponse struct {
	Model           chat.ModelID    `json:"model"`
	Input           json.RawMessage `json:"input"`
	Instructions    json.RawMessage `json:"instructions"`
	Stream          bool            `json:"stream"`
	Background      bool            `json:"background"`
	Store           *bool           `json:"store"`
	Conversation    json.RawMessage `json:"conversation"`
	Previous        string          `json:"previous_response_id"`
	Prompt          json.RawMessage `json:"prompt"`
	MaxOutputTokens *int            `json:"max_output_tokens"`
	Metadata        json.RawMessage `json:"metadata"`
	Text            struct {
		Format format `json:"format"`
	} `json:"text"`
	toolbox
}

// A format is what an answer is to be.
type format struct {
	Type string `json:"type"`
}

func (f format) text() bool { return f.Type == "" || f.Type == "text" }

const noFormat = "answers are text: parlor takes no other format here"

// DecodeResponse reads a request.
func DecodeResponse(body []byte) (r ResponseRequest, refusal *Error) {
	var w wireResponse
	if refusal := decode(body, &w); refusal != nil {
		return r, refusal
	}
	r = ResponseRequest{Model: w.Model, Stream: w.Stream, Background: w.Background, Store: w.Store == nil || *w.Store}
	if r.MaxTokens, refusal = tokens(w.MaxOutputTokens, "max_output_tokens"); refusal != nil {
		return r, refusal
	}
	if _, refusal = metadata(w.Metadata); refusal != nil {
		return r, refusal
	}
	if refusal = r.place(w); refusal != nil {
		return r, refusal
	}
	if given(w.Instructions) {
		if json.Unmarshal(w.Instructions, &r.Instructions) != nil {
			return r, Invalid("instructions", "instructions must be a text")
		}
	}
	if r.Tools, r.Choosing, refusal = w.read(); refusal != nil {
		return r, refusal
	}
	if len(r.Tools) > 0 {
		r.RawTools = w.Tools
	}
	if r.Store && !r.New() {
		if r.Answers, refusal = answers(w.Input); refusal != nil {
			return r, refusal
		}
		if r.Answers != nil {
			return r, r.fits(w)
		}
	}
	if r.Input, refusal = input(w.Input); refusal != nil {
		return r, refusal
	}
	return r, r.fits(w)
}

// place reads which conversation the request belongs to.
func (r *ResponseRequest) place(w wireResponse) *Error {
	if given(w.Conversation) {
		var of struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(w.Conversation, &of.ID) != nil && json.Unmarshal(w.Conversation, &of) != nil {
			return Invalid("conversation", "conversation must be an id, or an object with one")
		}
		var ok bool
		if r.Chat, ok = ParseConversationID(of.ID); !ok {
			return Invalid("conversation", fmt.Sprintf("%q is no id of a conversation: those begin with conv_", of.ID))
		}
	}
	if w.Previous == "" {
		return nil
	}
	if r.Chat != "" {
		return Invalid("previous_response_id", "conversation and previous_response_id exclude each other")
	}
	var ok bool
	if r.Previous, ok = ParseResponseID(w.Previous); !ok {
		return NoPrevious("there is no response " + w.Previous)
	}
	return nil
}

// Alone returns the tools that the model of a response is offered that belongs to no chat.
func (r ResponseRequest) Alone() ([]chat.Tool, *Error) { return r.alone(r.Tools) }

// New reports whether the response begins a conversation of its own.
func (r ResponseRequest) New() bool { return r.Chat == "" && r.Previous == (ResponseID{}) }

// fits refuses what parlor cannot do for the request.
func (r ResponseRequest) fits(w wireResponse) *Error {
	switch {
	case given(w.Prompt):
		return Invalid("prompt", "parlor keeps no prompts")
	case !w.Text.Format.text():
		return Invalid("text.format", noFormat)
	case r.Store:
		return r.fitsRoom()
	case !r.New():
		return Invalid("store", "store must not be false in a conversation, which keeps what is said")
	case r.Background:
		return Invalid("background", "background needs store: nothing is kept of this response")
	case r.Model == "":
		return Invalid("model", "model is missing")
	}
	return nil
}

// Follows refuses instructions that are not those of the conversation, which has them for all
// that is said in it.
func (r ResponseRequest) Follows(c chat.Info) *Error {
	if r.Instructions == "" || r.Instructions == c.SystemPrompt {
		return nil
	}
	return Invalid("instructions", "instructions belong to the conversation, which has begun with others")
}

// fitsRoom refuses what a room cannot do: it has the conversation, and one message is said in it.
func (r ResponseRequest) fitsRoom() *Error {
	switch {
	case r.MaxTokens > 0:
		return Invalid("max_output_tokens", "max_output_tokens needs store: false; in a conversation the model's own limit holds")
	case r.Answers != nil:
		return r.fitsAnswers()
	case len(r.Input) > 1:
		return Invalid("input[0]", "input must be one message of the user, since the conversation keeps the others; with store: false it may be all of them")
	case r.Input[0].Role != chat.RoleUser:
		return Invalid("input[0].role", "input must be a message of the user")
	case len(r.Instructions) > chat.MaxSystemPromptBytes:
		return Invalid("instructions", fmt.Sprintf("instructions must have at most %d bytes", chat.MaxSystemPromptBytes))
	}
	_, refusal := said(r.Input[0].Content, "input")
	return refusal
}

// input reads what is said: a text, or a list of messages.
func input(raw json.RawMessage) ([]chat.PromptMessage, *Error) {
	if !given(raw) {
		return nil, Invalid("input", "input is missing")
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		text, refusal := said(text, "input")
		return []chat.PromptMessage{{Role: chat.RoleUser, Content: text}}, refusal
	}
	return messages(raw, "input")
}

// A ConversationRequest is a POST to /conversations, or to one of them.
type ConversationRequest struct {
	Model chat.ModelID // of a new one; empty: the default
	Title *string
	Items []string // messages of the user, that want no answer

	// Lost names a field of metadata that would be lost; empty: none would. A chat keeps its
	// model, with which it begins, and its title.
	Lost string
}

// DecodeConversation reads a request.
func DecodeConversation(body []byte) (c ConversationRequest, refusal *Error) {
	var w struct {
		Metadata json.RawMessage `json:"metadata"`
		Items    json.RawMessage `json:"items"`
	}
	if len(body) > 0 {
		if refusal := decode(body, &w); refusal != nil {
			return c, refusal
		}
	}
	fields, refusal := metadata(w.Metadata)
	if refusal != nil {
		return c, refusal
	}
	for name, value := range fields {
		switch name {
		case "model":
			c.Model = chat.ModelID(value)
		case "title":
			c.Title = &value
		default:
			c.Lost = name
		}
	}
	if some(w.Items) {
		c.Items, refusal = items(w.Items)
	}
	return c, refusal
}

// DecodeItems reads a POST to the items of a conversation.
func DecodeItems(body []byte) ([]string, *Error) {
	var w struct {
		Items json.RawMessage `json:"items"`
	}
	if refusal := decode(body, &w); refusal != nil {
		return nil, refusal
	}
	return items(w.Items)
}

func items(raw json.RawMessage) (all []string, refusal *Error) {
	list, refusal := messages(raw, "items")
	for i, m := range list {
		if m.Role != chat.RoleUser {
			return nil, Invalid(fmt.Sprintf("items[%d].role", i), "only messages of the user can be added; answers come from a model")
		}
		text, refusal := said(m.Content, fmt.Sprintf("items[%d].content", i))
		if refusal != nil {
			return nil, refusal
		}
		all = append(all, text)
	}
	return all, refusal
}

// metadata reads pairs of texts, within OpenAI's limits.
func metadata(raw json.RawMessage) (map[string]string, *Error) {
	if !given(raw) {
		return nil, nil
	}
	var fields map[string]string
	if json.Unmarshal(raw, &fields) != nil {
		return nil, Invalid("metadata", "metadata must be an object of texts")
	}
	if len(fields) > maxMetadata {
		return nil, Invalid("metadata", fmt.Sprintf("metadata must have at most %d fields", maxMetadata))
	}
	for name, value := range fields {
		if utf8.RuneCountInString(name) > maxMetadataKey || utf8.RuneCountInString(value) > maxMetadataValue {
			return nil, Invalid("metadata", fmt.Sprintf("names in metadata must have at most %d characters, and values %d", maxMetadataKey, maxMetadataValue))
		}
	}
	return fields, nil
}
