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
	r := api.ChatCompletionRequest{
		Model:         string(p.Model),
		Stream:        true,
		StreamOptions: &api.StreamOptions{IncludeUsage: true},
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

// isOpenAI reports whether baseURL is OpenAI's own. There max_tokens is out of
// date, and refused by newer models; elsewhere only max_tokens is known to all.
func isOpenAI(baseURL string) bool {
	u, err := url.Parse(baseURL)
	return err == nil && (u.Hostname() == "openai.com" || strings.HasSuffix(u.Hostname(), ".openai.com"))
}

// thinking are names of OpenAI's models that refuse max_tokens wherever they
// are served: at Azure, behind a gateway.
var thinking = regexp.MustCompile(`^(openai/)?(o[1-9]|gpt-[5-9])\b`)

func thinks(m chat.ModelID) bool { return thinking.MatchString(string(m)) }
