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
		Role    string  `json:"role"`
		Content string  `json:"content"`
		Refusal *string `json:"refusal"`
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
)

// Whole returns the body of an answer that is not streamed.
func (c Completion) Whole(text string, why chat.Finish, u *chat.Usage) []byte {
	return encode(wireCompletion{c.ID, "chat.completion", c.Created, c.Model, []any{
		wholeChoice{Message: answerMessage{Role: string(chat.RoleAssistant), Content: text}, Finish: finishReason(why)},
	}, completionUsageOf(u)})
}

// First, Next and Last return the chunks of an answer that is streamed: its beginning, a piece
// of its text, and its end.
func (c Completion) First() []byte {
	return c.chunk(chunkChoice{Delta: firstDelta{Role: string(chat.RoleAssistant)}})
}
func (c Completion) Next(text string) []byte { return c.chunk(chunkChoice{Delta: nextDelta{text}}) }
func (c Completion) Last(why chat.Finish) []byte {
	reason := finishReason(why)
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
func finishReason(f chat.Finish) string {
	switch f {
	case chat.FinishLength, chat.FinishContext:
		return "length"
	case chat.FinishFilter:
		return "content_filter"
	}
	return "stop"
}

func completionUsageOf(u *chat.Usage) *completionUsage {
	if u == nil {
		return nil
	}
	return &completionUsage{u.PromptTokens, u.CompletionTokens, u.TotalTokens}
}
