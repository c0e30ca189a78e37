package providertest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"os"
	"strings"
	"testing"

	"parlor/protocol/chat"
	"parlor/transport/provider/providertest"
	"parlor/transport/provider/upstream"
)

// A Custom asks models behind an API that was made up for docs/providers.md.
type Custom struct{ api *upstream.Client }

// NewCustom returns a client of the API at baseURL.
func NewCustom(baseURL, key string, o upstream.Options) (*Custom, error) {
	header := http.Header{"Custom-Key": {key}}
	api, err := upstream.New(upstream.API{BaseURL: baseURL, Path: "generate", Header: header, Key: key}, o)
	if err != nil {
		return nil, err
	}
	return &Custom{api}, nil
}

// Stream implements room.Provider.
func (c *Custom) Stream(ctx context.Context, p chat.Prompt) iter.Seq2[chat.Delta, error] {
	return c.api.Stream(ctx, p, customRequest, func() upstream.Decoder { return customDecoder{} })
}

func customRequest(p chat.Prompt, _ upstream.Dialect) any {
	return map[string]any{"model": p.Model, "conversation": p.Messages, "limit": p.MaxTokens}
}

// Close closes the connections that no stream uses.
func (c *Custom) Close() error { return c.api.Close() }

type customDecoder struct{}

// Event reads {"text":…}, {"thought":…}, {"why":…}, {"error":…} or {"done":true,"in":…,"out":…}.
func (customDecoder) Event(_ string, data []byte) (upstream.Piece, error) {
	var e struct {
		Text    upstream.Text
		Thought upstream.Text
		Error   string
		Why     string // the answer ends
		Done    bool
		In, Out int
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return upstream.Piece{}, err
	}
	switch {
	case e.Error != "":
		return upstream.Piece{Report: data}, nil
	case e.Done:
		usage := &chat.Usage{PromptTokens: e.In, CompletionTokens: e.Out, TotalTokens: e.In + e.Out}
		return upstream.Piece{Usage: usage, Last: true}, nil
	}
	return upstream.Piece{Text: []upstream.Text{e.Text}, Thought: []upstream.Text{e.Thought}, Finish: upstream.FinishOf(e.Why)}, nil
}

func TestCustom(t *testing.T) {
	providertest.Run(t, providertest.Harness{
		New: func(t testing.TB, baseURL string, o upstream.Options) providertest.Provider {
			c, err := NewCustom(baseURL, providertest.Key, o)
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
		Wire: &providertest.Wire{
			Text:    func(inner string) string { return `data: {"text":"` + inner + `"}` + "\n\n" },
			Thought: func(inner string) string { return `data: {"thought":"` + inner + `"}` + "\n\n" },
			Ping:    "data: {}\n\n",
			Claim:   func(why chat.Finish) string { return `data: {"why":"` + string(why) + `"}` + "\n\n" },
			Last:    `data: {"done":true,"in":3,"out":5}` + "\n\n",
			Usage:   chat.Usage{PromptTokens: 3, CompletionTokens: 5, TotalTokens: 8},
			Error:   func(words string) string { return fmt.Sprintf("data: {\"error\":%q}\n\n", words) },
			Whole:   func(text string) string { return fmt.Sprintf(`{"text":%q,"why":"stop"}`, text) },
			Asked: func(body []byte) (chat.Prompt, error) {
				var r struct {
					Model        chat.ModelID
					Conversation []chat.PromptMessage
					Limit        int
				}
				err := json.Unmarshal(body, &r)
				return chat.Prompt{Model: r.Model, Messages: r.Conversation, MaxTokens: r.Limit}, err
			},
		},
	})
}

// TestPageShowsThisFile checks that the code of docs/providers.md is this.
func TestPageShowsThisFile(t *testing.T) {
	page, err := os.ReadFile("../../../docs/providers.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("custom_test.go")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```go\n")[1:]
	for _, block := range blocks {
		shown, _, _ := strings.Cut(block, "```")
		for part := range strings.SplitSeq(shown, "\n\n") {
			if !strings.Contains(string(code), strings.TrimSpace(part)) {
				t.Errorf("the page shows what is not in custom_test.go:\n%s", part)
			}
		}
	}
	if len(blocks) == 0 {
		t.Error("the page shows no code")
	}
}
