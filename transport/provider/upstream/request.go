package upstream

import (
	"bytes"
	"context"
	"fmt"
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

// ask sends body and returns that of the answer, and in which form it is. The
// caller closes the response.
func (c *Client) ask(w *watchdog, prompt []byte) (*body, form, error) {
	req, err := c.newRequest(w.ctx, prompt)
	if err != nil {
		return nil, other, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, other, w.explain(c.Unreachable(err))
	}
	b := newBody(resp)
	if answers(resp.StatusCode) {
		alive := func() { w.extend(c.opts.FirstToken, c.opts.KeptAlive) }
		if form := b.form(alive); form != other {
			return b, form, nil
		}
	}
	defer resp.Body.Close()
	w.allow(refusalTime)
	said := b.said()
	if w.parent.Err() != nil {
		return nil, other, context.Cause(w.parent)
	}
	return nil, other, c.Refused(resp, said)
}

// answers reports whether a response with status may be an answer.
func answers(status int) bool {
	return status >= 200 && status < 300 && status != http.StatusNoContent && status != http.StatusResetContent
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

func mediaType(h http.Header) string {
	t, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}
