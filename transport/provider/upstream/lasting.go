package upstream

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// retryableStatus reports whether a request that was answered with status may
// be repeated.
func retryableStatus(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500
}

// retryable does the same for a response. OpenAI and Anthropic know better in
// single cases, and say so. Gateways and templates answer 500 to what cannot
// succeed, and explain it in the body. OpenAI's 429 for an account without money
// is told from one for a busy one by its body alone.
func retryable(resp *http.Response, body []byte) bool {
	if should, err := strconv.ParseBool(resp.Header.Get("X-Should-Retry")); err == nil {
		return should
	}
	switch status := resp.StatusCode; {
	case slices.Contains(kinds(body), any(misread)):
		return true
	case status >= 500:
		return retryableReport(body)
	default:
		return retryableStatus(status) && !slices.Contains(kinds(body), any(noMoney))
	}
}

// lasting are the types and codes of errors that would come again.
var lasting = map[string]bool{
	"invalid_request_error":      true,
	"invalid_argument":           true,
	"badrequesterror":            true,
	"invalid_prompt":             true,
	"authentication_error":       true,
	"invalid_api_key":            true,
	"billing_error":              true,
	"permission_error":           true,
	"not_found_error":            true,
	"model_not_found":            true,
	"request_too_large":          true,
	"content_filter":             true,
	"content_policy_violation":   true,
	"context_length_exceeded":    true,
	"context_window_exceeded":    true,
	"exceed_context_size_error":  true,
	"string_above_max_length":    true,
	"contextwindowexceedederror": true,
	"unsupported_parameter":      true,
	"unsupported_value":          true,
	noMoney:                      true,
}

const noMoney = "insufficient_quota"

// misread is Groq's code for a call that the model wrote and its server could not read.
// The same request may succeed.
const misread = "tool_use_failed"

// tooLong matches what is said of a prompt that does not fit the model.
var tooLong = regexp.MustCompile(`(?i)(context|prompt|input)[ _-]?(length|window|size|limit)|maximum context|` +
	`\b(prompt|input|request|conversation|messages?) (is|are|was) too (long|large)|too many (input|prompt) tokens|` +
	`reduce the (length|size)|longer than the (maximum|model)|exceeds? the (model|context|maximum number of tokens)`)

// busyKinds are the types, codes and statuses, in lower case, with which a provider
// says that it is busy.
var busyKinds = map[string]bool{
	"rate_limit_error": true, "rate_limit_exceeded": true, "too_many_requests": true, "resource_exhausted": true, "429": true,
	"overloaded_error": true, "529": true,
}

// busyWords match what servers say of themselves in an error when they are busy,
// without a type or a code of their own for that: Gemini, Ollama and vLLM in a 503.
var busyWords = regexp.MustCompile(`(?i)overload|\b(server|model|engine|currently|temporarily|too) busy\b|maximum pending requests|at (full |maximum )?capacity|no (free |available )?slots?\b`)

// busyReport reports whether what the provider says, which may pass, means that it is busy.
func busyReport(data []byte) bool { return busyKind(data) || busyWords.Match(data) }

func busyKind(data []byte) bool {
	return slices.ContainsFunc(kinds(data), func(kind any) bool { return busyKinds[strings.ToLower(fmt.Sprint(kind))] })
}

// busy reports whether a response that may be asked for again means that the provider
// is busy. A 503 alone may also come from a proxy whose server is down; when it names
// a time, the server is expected back.
func busy(resp *http.Response, body []byte, after time.Duration) bool {
	switch resp.StatusCode {
	case http.StatusTooManyRequests, statusOverloaded:
		return true
	case http.StatusServiceUnavailable:
		return after > 0 || busyReport(body)
	}
	return busyReport(body)
}

// statusOverloaded is Anthropic's own status.
const statusOverloaded = 529

// retryableReport reports whether what the provider says may pass. If it began to
// answer it does, unless it says why not.
func retryableReport(data []byte) bool {
	if busyKind(data) || slices.Contains(kinds(data), any(misread)) {
		return true
	}
	for _, v := range kinds(data) {
		switch v := v.(type) {
		case string:
			if lasting[strings.ToLower(v)] {
				return false
			}
			if status, err := strconv.Atoi(v); err == nil && isFailure(status) {
				return retryableStatus(status)
			}
		case float64:
			if isFailure(int(v)) {
				return retryableStatus(int(v))
			}
		}
	}
	return !tooLong.Match(data)
}

func isFailure(status int) bool { return status >= 400 && status < 600 }

// kinds are the types, codes and statuses that the provider gives for an error.
func kinds(data []byte) []any {
	type kind struct {
		Type, Code, Status any
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
	return []any{report.Type, report.Code, report.Status, inner.Type, inner.Code, inner.Status}
}
