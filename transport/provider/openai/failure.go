package openai

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"parlor/protocol/chat"
)

// maxMessage limits, in runes, what a client is shown of the provider's words.
const maxMessage = 300

var errTimeout = chat.Refuse(chat.CodeProviderTimeout, "the provider did not answer in time")

// failure is what the provider did wrong, with its cause for the log.
func failure(cause error, message string) error {
	e := chat.Refuse(chat.CodeProviderError, message)
	if cause == nil {
		return e
	}
	return fmt.Errorf("%w (%w)", e, cause)
}

// unreachable is the failure of a request that got no response. The client is
// told the kind of trouble; addresses, and what came instead of HTTP, are only
// in the cause.
func (c *Client) unreachable(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // without the URL, whose query may hold a key
	}
	cause := errors.New(c.clean(err.Error()))
	var (
		timeout net.Error
		dns     *net.DNSError
		cert    *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &dns):
		return failure(cause, "the provider's host was not found")
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("%w (%w)", errTimeout, cause)
	case errors.Is(err, syscall.ECONNREFUSED):
		return failure(cause, "the provider cannot be reached: connection refused")
	case errors.As(err, &cert):
		return failure(cause, "the provider's certificate is not trusted")
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return failure(cause, "the provider closed the connection without an answer")
	}
	return failure(cause, "the provider cannot be reached")
}

// refused is the failure that a response without an event stream stands for.
func (c *Client) refused(resp *http.Response, body []byte) error {
	text := fmt.Sprintf("the provider answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	if resp.StatusCode == http.StatusOK {
		text = fmt.Sprintf("the provider answered with %s instead of an event stream", c.clean(mediaType(resp.Header)))
	}
	text = strings.TrimSpace(text)
	if said := c.clean(explanation(body)); said != "" {
		text += ": " + said
	}
	return failure(nil, text+retryAfter(resp.Header))
}

// reported is the failure that the provider itself reports with 200 OK.
func (c *Client) reported(data []byte) error {
	text := "the provider failed"
	if said := c.clean(explanation(data)); said != "" {
		text += ": " + said
	}
	return failure(nil, text)
}

// explanation is what the provider says in a body of any type: the message in
// JSON, or plain text. Pages for browsers explain nothing.
func explanation(body []byte) string {
	if json.Valid(body) {
		return jsonMessage(body)
	}
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) {
		return ""
	}
	return string(body)
}

// isError reports whether the member "error" holds one.
func isError(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

// messageDepth is how deep servers wrap an explanation.
const messageDepth = 4

// jsonMessage finds the explanation in the shapes in which servers wrap it:
// {"error":{"message":…}}, {"error":"…"}, {"message":…}, {"detail":…}, {"msg":…},
// or a list that begins with one of these. It returns "" for anything else.
func jsonMessage(data []byte) string { return findMessage(data, messageDepth) }

func findMessage(data []byte, depth int) string {
	var said string
	if json.Unmarshal(data, &said) == nil || depth == 0 {
		return said
	}
	var list []json.RawMessage
	if json.Unmarshal(data, &list) == nil && len(list) > 0 {
		return findMessage(list[0], depth-1)
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(data, &object) != nil {
		return ""
	}
	for _, name := range []string{"error", "message", "detail", "msg", "type", "code"} {
		if said := findMessage(object[name], depth-1); said != "" {
			return said
		}
	}
	return ""
}

// retryAfter says what the header Retry-After says, RFC 9110 §10.2.3.
func retryAfter(h http.Header) string {
	v := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(v, 10, 32); err == nil {
		return fmt.Sprintf(" (retry after %d s)", seconds)
	}
	if at, err := http.ParseTime(v); err == nil {
		return " (retry after " + at.UTC().Format(time.RFC3339) + ")"
	}
	return ""
}

// clean makes the provider's words fit for a client: without anything that
// looks like a key, on one line, not long.
func (c *Client) clean(said string) string {
	said = c.secret.ReplaceAllString(strings.ToValidUTF8(said, "?"), "[redacted]")
	said = strings.Join(strings.Fields(said), " ")
	if runes := []rune(said); len(runes) > maxMessage {
		return string(runes[:maxMessage]) + "…"
	}
	return said
}

// keyLike matches keys of well-known providers, and what is left of one that
// was masked: OpenAI repeats the first and the last letters of a wrong key.
const keyLike = `(?i:bearer\s+\S{8,})|\b(?:sk|pk|rk|gsk|xai|hf)[-_][\w*.-]{6,}|\bAIza[\w-]{20,}|\S*\*{3,}\S*`

// prefixLen is how many letters of our key give it away.
const prefixLen = 8

// secretPattern matches key, what begins like it, and what looks like a key.
func secretPattern(key string) *regexp.Regexp {
	pattern := keyLike
	if key != "" {
		pattern = regexp.QuoteMeta(key) + "|" + pattern
	}
	if len(key) > prefixLen {
		pattern += "|" + regexp.QuoteMeta(key[:prefixLen]) + `\S*`
	}
	return regexp.MustCompile(pattern)
}
