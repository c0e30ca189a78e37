package openai

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"parlor/protocol/chat"
	wire "parlor/protocol/openai"
	"parlor/transport/live"
)

// A call is one request of somebody who has signed in, and its answer.
type call struct {
	*Server
	w  http.ResponseWriter
	r  *http.Request
	in chat.SignIn
}

func (c *call) user() chat.User { return c.in.User }

func (c *call) ctx() context.Context { return c.r.Context() }

// body reads the body of the request.
func (c *call) body() ([]byte, error) {
	body, err := io.ReadAll(c.r.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, chat.Refuse(chat.CodeTooLarge, fmt.Sprintf("the request is larger than %d bytes", tooLarge.Limit))
	case err != nil:
		return nil, wire.Invalid("", "the request cannot be read")
	}
	return body, nil
}

// answer answers with v as JSON.
func (c *call) answer(v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	writeJSON(c.w, http.StatusOK, body)
	return nil
}

// refuse answers with the part of err that clients may see.
func (c *call) refuse(err error) {
	shown, ok := errors.AsType[*wire.Error](err)
	if !ok {
		refusal := chat.AsError(err)
		// If the client has gone away everything fails, which is not worth a record.
		if refusal.Code == chat.CodeInternal && c.ctx().Err() == nil {
			c.Logger.Error("request failed", "method", c.r.Method, "path", c.r.URL.Path, "err", err)
		}
		shown = wire.ErrorOf(refusal)
	}
	if shown.Status == http.StatusUnauthorized {
		c.w.Header().Set("WWW-Authenticate", "Bearer") // RFC 9110 §11.6.1
	}
	writeError(c.w, shown)
}

func writeError(w http.ResponseWriter, e *wire.Error) {
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(e.RetryAfter))
		w.Header().Set("Retry-After-Ms", strconv.Itoa(e.RetryAfter*1000))
	}
	if e.Final {
		w.Header().Set("X-Should-Retry", "false")
	}
	writeJSON(w, e.Status, e.Body())
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if h.Get("X-Request-Id") == "" {
		h.Set("X-Request-Id", requestID())
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // fails only when the client is gone
}

func requestID() string { return "req_" + strings.ToLower(rand.Text()) }

// reset ends the connection, so that what was sent of an answer does not look whole.
func reset() { panic(http.ErrAbortHandler) }

// begin begins an answer that may take long. The caller closes it.
func (c *call) begin() (*live.Stream, error) { return c.Streams.Begin(c.w, c.r, c.in) }

// number reads a number from the query. It returns absent if there is none.
func (c *call) number(name string, absent, lowest, highest int64) (int64, error) {
	text := c.r.URL.Query().Get(name)
	if text == "" {
		return absent, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < lowest || n > highest {
		return 0, wire.Invalid(name, fmt.Sprintf("%s must be a number from %d to %d, not %q", name, lowest, highest, text))
	}
	return n, nil
}
