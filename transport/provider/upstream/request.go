package upstream

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"time"
)

// How much of a refusal is read, and for how long.
const (
	maxRefusal  = 8 << 10
	refusalTime = 5 * time.Second
)

// ask sends body and returns the response whose body is an event stream. The
// caller closes that.
func (c *Client) ask(w *watchdog, body []byte) (*http.Response, error) {
	req, err := c.newRequest(w.ctx, body)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, w.explain(c.Unreachable(err))
	}
	if resp.StatusCode == http.StatusOK && isEventStream(resp.Header) {
		return resp, nil
	}
	defer resp.Body.Close()
	w.allow(refusalTime)
	said, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal)) // whatever came explains more than why it stopped
	if w.parent.Err() != nil {
		return nil, context.Cause(w.parent)
	}
	return nil, c.Refused(resp, said)
}

func (c *Client) newRequest(ctx context.Context, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	maps.Copy(req.Header, c.header)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("User-Agent", "parlor")
	// Asking has no effect at the provider, so the transport may ask again
	// when a kept connection turns out to be closed. The empty value says so
	// to the transport and is not sent.
	req.Header["Idempotency-Key"] = nil
	return req, nil
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
