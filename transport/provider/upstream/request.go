package upstream

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"time"

	"parlor/transport/traceparent"
)

// How much of a refusal is read, and for how long.
const (
	maxRefusal  = 8 << 10
	refusalTime = 5 * time.Second
)

// A requestOf makes the request that leads to an answer.
type requestOf func(ctx context.Context) (*http.Request, error)

// ask sends a request and returns the body of the answer, and in which form it is. The
// caller closes the response.
func (c *Client) ask(w *watchdog, request requestOf) (*body, form, error) {
	req, err := request(w.ctx)
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

// post asks with a body.
func (c *Client) post(body []byte) requestOf {
	return func(ctx context.Context) (*http.Request, error) {
		req, err := c.newRequest(ctx, http.MethodPost, "", body)
		if err == nil {
			// Asking has no effect at the provider, so the transport may ask again
			// when a kept connection turns out to be closed. The empty value says so
			// to the transport and is not sent.
			req.Header["Idempotency-Key"] = nil
		}
		return req, err
	}
}

// get reads what is at a path behind the API's own.
func (c *Client) get(path string) requestOf {
	return func(ctx context.Context) (*http.Request, error) {
		return c.newRequest(ctx, http.MethodGet, path, nil)
	}
}

// Post sends a request without a body to a path behind the API's own, and reports whether
// it was taken.
func (c *Client) Post(ctx context.Context, path string) error {
	req, err := c.newRequest(ctx, http.MethodPost, path, nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.Unreachable(err)
	}
	defer resp.Body.Close()
	if !answers(resp.StatusCode) {
		return c.Refused(resp, newBody(resp).said())
	}
	return nil
}

func (c *Client) newRequest(ctx context.Context, method, path string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.endpoint+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	maps.Copy(req.Header, c.header)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("User-Agent", "parlor")
	traceparent.Set(ctx, req.Header)
	return req, nil
}

func mediaType(h http.Header) string {
	t, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}
