package openai

import (
	"net/url"
	"regexp"
	"strings"

	api "github.com/sashabaranov/go-openai"

	"parlor/protocol/chat"
)

// completion is the request for p. Messages without content (a turn that was
// stopped before its first word) are left out: the API refuses them.
func (c *Client) completion(p chat.Prompt) api.ChatCompletionRequest {
	r := api.ChatCompletionRequest{Model: string(p.Model), Stream: true}
	if !c.mistral {
		r.StreamOptions = &api.StreamOptions{IncludeUsage: true}
	}
	for _, m := range p.Messages {
		if m.Content == "" {
			continue
		}
		r.Messages = append(r.Messages, api.ChatCompletionMessage{Role: string(m.Role), Content: m.Content})
	}
	if c.openAI || thinks(p.Model) {
		r.MaxCompletionTokens = p.MaxTokens
	} else {
		//lint:ignore SA1019 out of date at OpenAI alone
		r.MaxTokens = p.MaxTokens
	}
	return r
}

// isAt reports whether baseURL is of the domain. What is not, is taken to know
// only what all servers do.
//
// At OpenAI max_tokens is out of date, and refused by newer models; elsewhere
// only max_tokens is known to all. Mistral tells the usage unasked, and refuses
// to be asked for it.
func isAt(baseURL, domain string) bool {
	u, err := url.Parse(baseURL)
	return err == nil && (u.Hostname() == domain || strings.HasSuffix(u.Hostname(), "."+domain))
}

// thinking are names of OpenAI's models that refuse max_tokens wherever they
// are served: at Azure, behind a gateway.
var thinking = regexp.MustCompile(`^(openai/)?(o[1-9]|gpt-[5-9])\b`)

func thinks(m chat.ModelID) bool { return thinking.MatchString(string(m)) }
