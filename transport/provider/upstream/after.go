package upstream

import (
	"cmp"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter is more than anybody waits; it keeps what providers say from
// overflowing.
const maxRetryAfter = 200 * 365 * 24 * time.Hour

// retryAfter reads how long the provider wants to be left alone, and puts it into
// words. It returns nothing if the provider does not say, or not so that it can be
// understood.
//
// Retry-After (RFC 9110 §10.2.3) is in seconds, of which some send fractions, or a
// date. OpenAI's and Azure's retry-after-ms is more precise. A 429 without either
// may say when its limits are reset.
func retryAfter(resp *http.Response, body []byte) (time.Duration, string) {
	h := resp.Header
	if d, ok := seconds(h.Get("Retry-After-Ms"), time.Millisecond); ok {
		return inWords(d)
	}
	said := h.Get("Retry-After")
	if d, ok := seconds(said, time.Second); ok {
		return inWords(d)
	}
	if at, ok := date(said); ok {
		return min(max(0, time.Until(at)), maxRetryAfter), " (retry after " + at.UTC().Format(time.RFC3339) + ")"
	}
	if resp.StatusCode != http.StatusTooManyRequests {
		return 0, ""
	}
	if d := reset(h); d > 0 {
		return inWords(d)
	}
	if m := retryDelay.FindSubmatch(body); m != nil {
		if d, ok := resetIn(string(m[1])); ok {
			return inWords(d)
		}
	}
	return 0, ""
}

// retryDelay is how Google's servers say it, in the body.
// https://cloud.google.com/apis/design/errors#retry_info
var retryDelay = regexp.MustCompile(`"retryDelay"\s*:\s*"([^"]+)"`)

func inWords(d time.Duration) (time.Duration, string) {
	return d, " (retry after " + strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s)"
}

// seconds reads a number of units, which may have a fraction.
func seconds(said string, unit time.Duration) (time.Duration, bool) {
	n, err := strconv.ParseFloat(strings.TrimSpace(said), 64)
	if err != nil || !(n >= 0) || math.IsInf(n, 0) {
		return 0, false
	}
	return time.Duration(min(n*float64(unit), float64(maxRetryAfter))), true
}

// date reads a time, in the forms of HTTP or in that of RFC 3339.
func date(said string) (time.Time, bool) {
	said = strings.TrimSpace(said)
	at, err := http.ParseTime(said)
	if err != nil {
		at, err = time.Parse(time.RFC3339, said)
	}
	return at, err == nil
}

// reset returns when the limits are reset that the response tells of: those of
// which nothing remains, or all if it does not say which. It is the last of them,
// since the request is under each. Zero means that there is none.
//
//	x-ratelimit-remaining-requests: 0      x-ratelimit-reset-requests: 8.64s
//	anthropic-ratelimit-tokens-remaining: 0     anthropic-ratelimit-tokens-reset: 2026-01-31T15:04:05Z
func reset(h http.Header) time.Duration {
	var spent, all time.Duration
	for name, values := range h {
		name = strings.ToLower(name)
		if !strings.Contains(name, "ratelimit") || !strings.Contains(name, "-reset") {
			continue
		}
		d, ok := resetIn(values[0])
		if !ok {
			continue
		}
		all = max(all, d)
		if left := h.Get(strings.Replace(name, "-reset", "-remaining", 1)); left == "0" {
			spent = max(spent, d)
		}
	}
	return cmp.Or(spent, all)
}

// Above these a number is no span but a time, in seconds or in milliseconds since 1970.
const (
	unixSeconds      = 1e9
	unixMilliseconds = 1e12
)

// resetIn reads one of the forms in which providers say when a limit is reset:
// "6m0s", "2.5", a time since 1970, a date. Each gateway has its own.
func resetIn(said string) (time.Duration, bool) {
	said = strings.TrimSpace(said)
	if d, err := time.ParseDuration(said); err == nil && d >= 0 {
		return min(d, maxRetryAfter), true
	}
	at, ok := date(said)
	if n, err := strconv.ParseFloat(said, 64); err == nil && n >= unixSeconds && n < math.MaxInt64 {
		if n < unixMilliseconds {
			n *= 1000
		}
		at, ok = time.UnixMilli(int64(n)), true
	}
	if ok {
		return min(max(0, time.Until(at)), maxRetryAfter), true
	}
	return seconds(said, time.Second)
}
