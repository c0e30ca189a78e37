package openai

import "parlor/protocol/chat"

// A Completion is the answer to a [CompletionRequest], whole or in chunks.
type Completion struct {
	ID      string
	Created int64 // in Unix seconds
	Model   chat.ModelID
}

type (
	wireCompletion struct {
		ID      string           `json:"id"`
		Object  string           `json:"object"`
		Created int64            `json:"created"`
		Model   chat.ModelID     `json:"model"`
		Choices []any            `json:"choices"`
		Usage   *completionUsage `json:"usage"`
	}
	completionUsage struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
		Total      int `json:"total_tokens"`
	}
	wholeChoice struct {
		Index    int           `json:"index"`
		Message  answerMessage `json:"message"`
		Logprobs *struct{}     `json:"logprobs"`
		Finish   string        `json:"finish_reason"`
	}
	answerMessage struct {
		Role      string         `json:"role"`
		Content   *string        `json:"content"` // null for calls alone
		Refusal   *string        `json:"refusal"`
		ToolCalls []functionCall `json:"tool_calls,omitempty"`
	}
	functionCall struct {
		Index    *int   `json:"index,omitempty"` // in chunks
		ID       string `json:"id"`
		Type     string `json:"type"`
		Function struct {
			Name      string `json:"name"`
			Arguments string `json:"arguments"`
		} `json:"function"`
	}
	chunkChoice struct {
		Index  int     `json:"index"`
		Delta  any     `json:"delta"`
		Finish *string `json:"finish_reason"`
	}
	firstDelta struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	}
	nextDelta struct {
		Content string `json:"content"`
	}
	callsDelta struct {
		ToolCalls []functionCall `json:"tool_calls"`
	}
)

// Whole returns the body of an answer that is not streamed.
func (c Completion) Whole(text string, why chat.Finish, u *chat.Usage, calls ...chat.ToolCall) []byte {
	message := answerMessage{Role: string(chat.RoleAssistant), Content: &text}
	for _, call := range calls {
		message.ToolCalls = append(message.ToolCalls, functionCallOf(call))
	}
	if text == "" && len(calls) > 0 {
		message.Content = nil
	}
	return encode(wireCompletion{c.ID, "chat.completion", c.Created, c.Model, []any{
		wholeChoice{Message: message, Finish: finishReason(why, calls)},
	}, completionUsageOf(u)})
}

func functionCallOf(c chat.ToolCall) (f functionCall) {
	f.ID, f.Type = CallID(c), "function"
	f.Function.Name, f.Function.Arguments = c.Name, c.Arguments
	return f
}

// Calls returns the chunk with the calls of an answer.
func (c Completion) Calls(calls []chat.ToolCall) []byte {
	var delta callsDelta
	for i, call := range calls {
		f := functionCallOf(call)
		f.Index = &i
		delta.ToolCalls = append(delta.ToolCalls, f)
	}
	return c.chunk(chunkChoice{Delta: delta})
}

// First, Next and Last return the chunks of an answer that is streamed: its beginning, a piece
// of its text, and its end.
func (c Completion) First() []byte {
	return c.chunk(chunkChoice{Delta: firstDelta{Role: string(chat.RoleAssistant)}})
}
func (c Completion) Next(text string) []byte { return c.chunk(chunkChoice{Delta: nextDelta{text}}) }
func (c Completion) Last(why chat.Finish, calls ...chat.ToolCall) []byte {
	reason := finishReason(why, calls)
	return c.chunk(chunkChoice{Delta: struct{}{}, Finish: &reason})
}

// Usage returns the chunk that follows the last one for a client that wants to know what was used.
func (c Completion) Usage(u *chat.Usage) []byte {
	return data(wireCompletion{c.ID, "chat.completion.chunk", c.Created, c.Model, []any{}, completionUsageOf(u)})
}

func (c Completion) chunk(choice chunkChoice) []byte {
	return data(wireCompletion{c.ID, "chat.completion.chunk", c.Created, c.Model, []any{choice}, nil})
}

// Done ends a stream of chunks.
const Done = "data: [DONE]\n\n"

// ChunkOf returns the chunk that ends a stream with an error.
func ChunkOf(e *Error) []byte { return append(append([]byte("data: "), e.Body()...), "\n\n"...) }

func data(v any) []byte { return append(append([]byte("data: "), encode(v)...), "\n\n"...) }

// finishReason returns OpenAI's word for why an answer ended.
func finishReason(f chat.Finish, calls []chat.ToolCall) string {
	switch f {
	case chat.FinishLength, chat.FinishContext:
		return "length"
	case chat.FinishFilter:
		return "content_filter"
	}
	if len(calls) > 0 {
		return "tool_calls"
	}
	return "stop"
}

func completionUsageOf(u *chat.Usage) *completionUsage {
	if u == nil {
		return nil
	}
	return &completionUsage{u.PromptTokens, u.CompletionTokens, u.TotalTokens}
}
