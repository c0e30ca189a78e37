package upstream

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
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

// tooLong matches what is said of a prompt that does not fit the model.
var tooLong = regexp.MustCompile(`(?i)(context|prompt|input)[ _-]?(length|window|size|limit)|maximum context|` +
	`\b(prompt|input|request|conversation|messages?) (is|are|was) too (long|large)|too many (input|prompt) tokens|` +
	`reduce the (length|size)|longer than the (maximum|model)|exceeds? the (model|context|maximum number of tokens)`)

// busyKinds are the types and codes with which a provider that is busy says so in
// a stream.
var busyKinds = []any{"rate_limit_error", "rate_limit_exceeded", "too_many_requests", "RESOURCE_EXHAUSTED", "429", float64(http.StatusTooManyRequests)}

// busyReport reports whether what the provider says in a stream means that it is busy.
func busyReport(data []byte) bool {
	return slices.ContainsFunc(kinds(data), func(kind any) bool { return slices.Contains(busyKinds, kind) })
}

// retryableReport reports whether what the provider says may pass. If it began to
// answer it does, unless it says why not.
func retryableReport(data []byte) bool {
	if busyReport(data) {
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
