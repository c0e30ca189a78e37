package openai

import (
	"cmp"
	"regexp"

	api "github.com/sashabaranov/go-openai"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// A request is that of the library, with messages that can also say what the library
// cannot: a content of null, and what providers want back.
type request struct {
	api.ChatCompletionRequest
	Messages []message `json:"messages"`
}

// completion is the request for p.
func completion(p chat.Prompt, d upstream.Dialect) any {
	r := request{ChatCompletionRequest: api.ChatCompletionRequest{Model: string(p.Model), Stream: true}}
	if !d.NoUsage {
		r.StreamOptions = &api.StreamOptions{IncludeUsage: true}
	}
	for _, t := range p.Tools {
		r.Tools = append(r.Tools, api.Tool{Type: api.ToolTypeFunction, Function: &api.FunctionDefinition{Name: t.Name, Description: t.Description, Parameters: t.Schema}})
	}
	switch c := p.Calling(); {
	case c.Name != "":
		r.ToolChoice = api.ToolChoice{Type: api.ToolTypeFunction, Function: api.ToolFunction{Name: c.Name}}
	case c.Mode != "":
		r.ToolChoice = string(c.Mode)
	}
	r.Messages = messages(p.Messages, d)
	if cmp.Or(d.MaxTokensField, maxTokensField(p.Model)) == upstream.MaxCompletionTokens {
		r.MaxCompletionTokens = p.MaxTokens
	} else {
		//lint:ignore SA1019 out of date at OpenAI alone
		r.MaxTokens = p.MaxTokens
	}
	return r
}

// thinking are names of OpenAI's models that refuse max_tokens wherever they
// are served: at Azure, behind a gateway.
var thinking = regexp.MustCompile(`^(openai/)?(o[1-9]|gpt-[5-9])\b`)

// maxTokensField is the name of the limit for a model of which nothing else is
// known. Only max_tokens is known to all servers.
func maxTokensField(m chat.ModelID) string {
	if thinking.MatchString(string(m)) {
		return upstream.MaxCompletionTokens
	}
	return upstream.MaxTokens
}
