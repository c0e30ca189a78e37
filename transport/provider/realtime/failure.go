package realtime

import (
	"cmp"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gorilla/websocket"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

var (
	errTimeout   = &upstream.Failure{Err: chat.Refuse(chat.CodeProviderTimeout, "the provider did not answer in time"), Retryable: true}
	errSlow      = failure("the answer came faster than it could be passed on", nil)
	errBusy      = failure("too many answers are wanted of the provider at once", nil)
	errUnheard   = failure("what was said did not reach the provider", nil)
	errUnwritten = failure("the provider did not say what it heard", nil)
	errCancelled = chat.Refuse(chat.CodeProviderError, "the provider cancelled the answer")
)

// failure is what the provider did wrong, with its cause for the log.
func failure(message string, cause error) *upstream.Failure {
	return &upstream.Failure{Err: chat.Refuse(chat.CodeProviderError, message), Cause: cause}
}

// retryable marks a failure after which the same may succeed.
func retryable(f *upstream.Failure) *upstream.Failure {
	f.Retryable = true
	return f
}

// A cleaner makes the provider's words fit for clients.
type cleaner struct{ secret *regexp.Regexp }

// keyLike matches keys of well-known providers, and what is left of one that
// was masked.
const keyLike = `(?i:bearer\s+\S{8,})|\b(?:sk|pk|rk|ek)[-_][\w*.-]{6,}|\S*\*{3,}\S*`

// prefixLen is how many letters of a key give it away.
const prefixLen = 8

// maxMessage limits, in runes, what a client is shown of the provider's words.
const maxMessage = 300

func newCleaner(key string) cleaner {
	pattern := keyLike
	if key != "" {
		pattern = regexp.QuoteMeta(key) + "|" + pattern
	}
	if len(key) > prefixLen {
		pattern += "|" + regexp.QuoteMeta(key[:prefixLen]) + `\S*`
	}
	return cleaner{regexp.MustCompile(pattern)}
}

// words returns what was said without anything that looks like a key, on one
// line, not long.
func (c cleaner) words(said string) string {
	said = c.secret.ReplaceAllString(strings.ToValidUTF8(said, "?"), "[redacted]")
	said = strings.Join(strings.Fields(said), " ")
	if runes := []rune(said); len(runes) > maxMessage {
		return string(runes[:maxMessage]) + "…"
	}
	return said
}

// said appends the provider's words to ours.
func (c cleaner) said(text, words string) string {
	if words = c.words(words); words != "" {
		return text + ": " + words
	}
	return text
}

// refused is the failure of a handshake that got a response.
func (c cleaner) refused(resp *http.Response, body []byte) *upstream.Failure {
	var told struct {
		Error serverError `json:"error"`
	}
	words := ""
	if json.Unmarshal(body, &told) == nil {
		words = told.Error.Message
	}
	text := strings.TrimSpace(fmt.Sprintf("the provider answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode)))
	f := failure(c.said(text, words), nil)
	f.Retryable = resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= http.StatusInternalServerError
	if seconds, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 32); err == nil {
		f.RetryAfter = time.Duration(seconds) * time.Second
	}
	return f
}

// unreachable is the failure of a handshake that got no response. Addresses are
// only in its cause.
func (c cleaner) unreachable(err error) *upstream.Failure {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	cause := errors.New(c.words(err.Error()))
	var (
		timeout net.Error
		dns     *net.DNSError
		cert    *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &dns):
		return retryable(failure("the provider's host was not found", cause))
	case errors.As(err, &timeout) && timeout.Timeout():
		return &upstream.Failure{Err: errTimeout.Err, Retryable: true, Cause: cause}
	case errors.Is(err, syscall.ECONNREFUSED):
		return retryable(failure("the provider cannot be reached: connection refused", cause))
	case errors.As(err, &cert):
		return failure("the provider's certificate is not trusted", cause)
	}
	return retryable(failure("the provider cannot be reached", cause))
}

// reported is the failure that the provider tells of.
func (c cleaner) reported(e *serverError) *upstream.Failure {
	return failure(c.said("the provider failed", cmp.Or(e.Message, e.Code, e.Type)), nil)
}

// lost is the end of a connection, after an error of which the provider told
// last, if it did.
func (c cleaner) lost(err error, last *serverError) *upstream.Failure {
	var closed *websocket.CloseError
	switch {
	case last != nil:
		return c.reported(last)
	case errors.Is(err, websocket.ErrReadLimit):
		return failure("the provider sent an event that is too long", err)
	case errors.As(err, &closed) && closed.Text != "":
		return retryable(failure(c.said("the provider closed the connection", closed.Text), nil))
	}
	return retryable(failure("the connection to the provider broke", errors.New(c.words(err.Error()))))
}

// unfinished is why an answer that the provider ended is not complete.
func (c cleaner) unfinished(r *response) *upstream.Failure {
	if e := r.Details.Error; e != nil {
		return c.reported(e)
	}
	return failure(c.said("the provider ended the answer as "+c.words(r.Status), r.Details.Reason), nil)
}
