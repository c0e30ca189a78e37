package openai

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	api "github.com/sashabaranov/go-openai"

	"parlor/protocol/chat"
)

// How much of a refusal is read, and for how long.
const (
	maxRefusal  = 8 << 10
	refusalTime = 5 * time.Second
)

// ask sends the prompt and returns the body of the event stream that answers
// it, which the caller closes.
func (c *Client) ask(w *watchdog, p chat.Prompt) (io.ReadCloser, error) {
	req, err := c.newRequest(w.ctx, p)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, w.explain(c.unreachable(err))
	}
	if resp.StatusCode == http.StatusOK && isEventStream(resp.Header) {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	w.allow(refusalTime)
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal)) // whatever came explains more than why it stopped
	if err := w.parent.Err(); err != nil {
		return nil, context.Cause(w.parent)
	}
	return nil, c.refused(resp, body)
}

func (c *Client) newRequest(ctx context.Context, p chat.Prompt) (*http.Request, error) {
	body, err := json.Marshal(completion(p))
	if err != nil {
		return nil, fmt.Errorf("encode the prompt: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("User-Agent", "parlor")
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	// Asking has no effect at the provider, so the transport may ask again
	// when a kept connection turns out to be closed. The empty value says so
	// to the transport and is not sent.
	req.Header["Idempotency-Key"] = nil
	return req, nil
}

// completion is the request for p. Messages without content (a turn that was
// stopped before its first word) are left out: the API refuses them.
func completion(p chat.Prompt) api.ChatCompletionRequest {
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
	return r
}

// isEventStream reports whether a body can be read as events. Some servers
// forget the type or call it plain text; none of those sends HTML or JSON.
func isEventStream(h http.Header) bool {
	switch mediaType(h) {
	case "text/event-stream", "text/plain", "":
		return true
	}
	return false
}

func mediaType(h http.Header) string {
	t, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}
