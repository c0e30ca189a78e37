package upstream

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"

	"parlor/protocol/chat"
)

// A Failure is what a provider did wrong, and whether asking it again can help.
type Failure struct {
	Err *chat.Error // what clients are told

	// Retryable means that the same request may succeed later: the provider
	// was busy, broken or out of reach, and did not refuse what was asked. It
	// says nothing of text that came before; who asks again looks at that.
	Retryable bool

	// Busy means that the provider takes no more requests for now, though nothing
	// is wrong with it. It is Retryable then.
	Busy bool

	// Unanswered means that no response came, which proves nothing of the
	// provider if it is not Retryable: it may be our own network.
	Unanswered bool

	// RetryAfter is how long the provider wants to be left alone. Zero means
	// that it did not say.
	RetryAfter time.Duration

	Cause error // for the log, without keys; may be nil

	complaint complaint // what it refuses of the request
}

// Error implements error.
func (f *Failure) Error() string {
	if f.Cause == nil {
		return f.Err.Error()
	}
	return f.Err.Error() + " (" + f.Cause.Error() + ")"
}

// Unwrap leads [chat.AsError] to what clients are told, and others to the cause.
func (f *Failure) Unwrap() []error {
	if f.Cause == nil {
		return []error{f.Err}
	}
	return []error{f.Err, f.Cause}
}

// Pause returns how long to wait before the request is made again, when it has
// been so retries times: as long as the provider asked for, and then about base,
// which doubles with each retry, up to longest. Of that a random part, at most
// half, is left out: callers that were refused together must not come back
// together.
func (f *Failure) Pause(retries int, base, longest time.Duration) time.Duration {
	for range retries {
		base = min(2*base, longest)
	}
	return f.RetryAfter + base - rand.N(base/2+1)
}

// broken is a failure after which asking again can help.
func broken(message string, cause error) *Failure {
	return &Failure{Err: chat.Refuse(chat.CodeProviderError, message), Retryable: true, Cause: cause}
}

// wrong is a failure that would come again.
func wrong(message string, cause error) *Failure {
	return &Failure{Err: chat.Refuse(chat.CodeProviderError, message), Cause: cause}
}

// late is a provider that took too long.
func late(cause error) *Failure {
	return &Failure{Err: chat.Refuse(chat.CodeProviderTimeout, "the provider did not answer in time"), Cause: cause}
}

// retryableStatus reports whether a request that was answered with status may
// be repeated.
func retryableStatus(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500
}

// retryable does the same for a response. OpenAI and Anthropic know better in
// single cases, and say so; but OpenAI's 429 for an account without money,
// which is told from one for a busy one by its body alone, says nothing.
func retryable(resp *http.Response, body []byte) bool {
	if should, err := strconv.ParseBool(resp.Header.Get("X-Should-Retry")); err == nil {
		return should
	}
	return retryableStatus(resp.StatusCode) && !slices.Contains(kinds(body), any(noMoney))
}

// lasting are the types and codes of errors that would come again.
var lasting = map[string]bool{
	"invalid_request_error":   true,
	"authentication_error":    true,
	"billing_error":           true,
	"permission_error":        true,
	"not_found_error":         true,
	"request_too_large":       true,
	"content_filter":          true,
	"context_length_exceeded": true,
	noMoney:                   true,
}

const noMoney = "insufficient_quota"

// busyKinds are the types and codes with which a provider that is busy says so in
// a stream.
var busyKinds = []any{"rate_limit_error", "rate_limit_exceeded", "too_many_requests", "RESOURCE_EXHAUSTED", "429", float64(http.StatusTooManyRequests)}

// busyReport reports whether what the provider says in a stream means that it is busy.
func busyReport(data []byte) bool {
	return slices.ContainsFunc(kinds(data), func(kind any) bool { return slices.Contains(busyKinds, kind) })
}

// retryableReport reports whether what the provider says in a stream may pass.
// It began to answer, so it does unless it says why not.
func retryableReport(data []byte) bool {
	for _, v := range kinds(data) {
		switch v := v.(type) {
		case string:
			if lasting[v] {
				return false
			}
		case float64:
			if v >= 400 && v < 600 {
				return retryableStatus(int(v))
			}
		}
	}
	return true
}

// kinds are the types and codes that the provider gives for an error.
func kinds(data []byte) []any {
	type kind struct {
		Type, Code any
	}
	var report struct {
		Error json.RawMessage
		kind
	}
	if json.Unmarshal(data, &report) != nil {
		return nil
	}
	var inner kind
	_ = json.Unmarshal(report.Error, &inner) // it may be mere words
	return []any{report.Type, report.Code, inner.Type, inner.Code}
}
