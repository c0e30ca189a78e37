package upstream

import (
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"
)

// Gemini says it in the body, which counts if no header says it.
func TestRetryAfterInTheBody(t *testing.T) {
	body := []byte(`[{"error":{"code":429,"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.5s"}]}}]`)
	for header, want := range map[string]time.Duration{"": 34500 * time.Millisecond, "2": 2 * time.Second} {
		got, _ := retryAfter(&http.Response{StatusCode: 429, Header: http.Header{"Retry-After": {header}}}, body)
		if got != want {
			t.Errorf("with the header %q: %v, want %v", header, got, want)
		}
	}
	if got, _ := retryAfter(&http.Response{StatusCode: 500}, body); got != 0 {
		t.Errorf("of another failure: %v", got)
	}
}

// Providers say in many ways how long they want to be left alone.
func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // at a known time
		date := func(d time.Duration, layout string) string { return time.Now().Add(d).UTC().Format(layout) }
		for _, test := range []struct {
			name   string
			status int
			header map[string]string
			want   time.Duration
			words  string
		}{
			{"nothing", 429, nil, 0, ""},
			{"seconds", 429, map[string]string{"Retry-After": "20"}, 20 * time.Second, " (retry after 20 s)"},
			{"none", 429, map[string]string{"Retry-After": "0"}, 0, " (retry after 0 s)"},
			{"a fraction", 503, map[string]string{"Retry-After": "1.5"}, 1500 * time.Millisecond, " (retry after 1.5 s)"},
			{"milliseconds", 429, map[string]string{"Retry-After-Ms": "750", "Retry-After": "1"}, 750 * time.Millisecond, " (retry after 0.75 s)"},
			{"a fraction of them", 429, map[string]string{"Retry-After-Ms": "1.5"}, 1500 * time.Microsecond, " (retry after 0.0015 s)"},
			{"milliseconds that are none", 429, map[string]string{"Retry-After-Ms": "soon", "Retry-After": "1"}, time.Second, " (retry after 1 s)"},
			{"a date", 503, map[string]string{"Retry-After": date(time.Minute, http.TimeFormat)}, time.Minute, " (retry after 2000-01-01T00:01:00Z)"},
			{"a date of RFC 850", 503, map[string]string{"Retry-After": date(time.Minute, time.RFC850)}, time.Minute, ""},
			{"a date of asctime", 503, map[string]string{"Retry-After": date(time.Minute, time.ANSIC)}, time.Minute, " (retry after 2000-01-01T00:01:00Z)"},
			{"a date of RFC 3339", 503, map[string]string{"Retry-After": date(time.Minute, time.RFC3339)}, time.Minute, " (retry after 2000-01-01T00:01:00Z)"},
			{"a date that is past", 503, map[string]string{"Retry-After": date(-time.Minute, http.TimeFormat)}, 0, " (retry after 1999-12-31T23:59:00Z)"},
			{"spaces", 429, map[string]string{"Retry-After": " 2 "}, 2 * time.Second, " (retry after 2 s)"},
			{"less than nothing", 429, map[string]string{"Retry-After": "-1"}, 0, ""},
			{"no number", 429, map[string]string{"Retry-After": "NaN"}, 0, ""},
			{"for ever", 429, map[string]string{"Retry-After": "Inf"}, 0, ""},
			{"very long", 429, map[string]string{"Retry-After": "1e300"}, maxRetryAfter, " (retry after 6307200000 s)"},
			{"OpenAI's requests", 429, map[string]string{
				"X-Ratelimit-Remaining-Requests": "0", "X-Ratelimit-Reset-Requests": "8.64s",
				"X-Ratelimit-Remaining-Tokens": "149000", "X-Ratelimit-Reset-Tokens": "6m0s",
			}, 8640 * time.Millisecond, " (retry after 8.64 s)"},
			{"of both", 429, map[string]string{
				"X-Ratelimit-Remaining-Requests": "0", "X-Ratelimit-Reset-Requests": "8.64s",
				"X-Ratelimit-Remaining-Tokens": "0", "X-Ratelimit-Reset-Tokens": "17ms",
			}, 8640 * time.Millisecond, " (retry after 8.64 s)"},
			{"it is not said which", 429, map[string]string{"X-Ratelimit-Reset-Requests": "1s", "X-Ratelimit-Reset-Tokens": "3s"}, 3 * time.Second, " (retry after 3 s)"},
			{"seconds of a gateway", 429, map[string]string{"X-Ratelimit-Reset": "2"}, 2 * time.Second, " (retry after 2 s)"},
			{"seconds since 1970", 429, map[string]string{"X-Ratelimit-Reset": "1946684805"}, 1000000005 * time.Second, ""},
			{"milliseconds since 1970", 429, map[string]string{"X-Ratelimit-Reset": "1946684805000"}, 1000000005 * time.Second, ""},
			{"Anthropic's", 429, map[string]string{"Anthropic-Ratelimit-Tokens-Remaining": "0", "Anthropic-Ratelimit-Tokens-Reset": date(9*time.Second, time.RFC3339)}, 9 * time.Second, " (retry after 9 s)"},
			{"the standard's", 429, map[string]string{"Ratelimit-Reset": "5"}, 5 * time.Second, " (retry after 5 s)"},
			{"Retry-After counts first", 429, map[string]string{"Retry-After": "1", "X-Ratelimit-Reset-Requests": "8.64s"}, time.Second, " (retry after 1 s)"},
			{"of another failure", 500, map[string]string{"X-Ratelimit-Reset-Requests": "8.64s"}, 0, ""},
			{"nonsense", 429, map[string]string{"X-Ratelimit-Reset-Requests": "tomorrow", "X-Ratelimit-Reset-Tokens": "-3s"}, 0, ""},
		} {
			h := make(http.Header)
			for name, v := range test.header {
				h.Set(name, v)
			}
			got, words := retryAfter(&http.Response{StatusCode: test.status, Header: h}, nil)
			if got != test.want || test.words != "" && words != test.words {
				t.Errorf("%s: got %v%s, want %v%s", test.name, got, words, test.want, test.words)
			}
		}
	})
}

// A provider that is busy says so with a status or within a stream; one without money,
// or that is broken, is not busy.
func TestBusy(t *testing.T) {
	x := NewExplainer(new(url.URL), "")
	for _, test := range []struct {
		status int
		header http.Header
		body   string
		want   bool
	}{
		{429, nil, `{"error":{"message":"slow down"}}`, true},
		{429, nil, `{"error":{"code":"insufficient_quota"}}`, false},
		{429, http.Header{"X-Should-Retry": {"false"}}, ``, false},
		{503, nil, `{"error":{"message":"slow down"}}`, false},
		{0, nil, `{"error":{"type":"rate_limit_error","message":"slow down"}}`, true},
		{0, nil, `{"error":{"code":429,"message":"slow down"}}`, true},
		{0, nil, `{"error":{"code":"rate_limit_exceeded"}}`, true},
		{0, nil, `{"error":{"code":"insufficient_quota"}}`, false},
		{503, http.Header{"Retry-After": {"2"}}, `maintenance`, true},
		{503, nil, `{"error":"server busy, please try again.  maximum pending requests exceeded"}`, true},
		{503, nil, `{"error":{"code":503,"message":"The model is overloaded. Please try again later.","status":"UNAVAILABLE"}}`, true},
		{503, nil, `{"error":{"type":"invalid_request_error","message":"overloaded operator"}}`, false},
		{503, nil, `no healthy upstream`, false},
		{502, nil, `<html>Bad gateway</html>`, false},
		{529, nil, ``, true},
		{500, nil, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`, true},
		{0, nil, `{"error":{"type":"overloaded_error"}}`, true},
		{0, nil, `{"error":{"type":"server_error","message":"That model is currently overloaded with other requests."}}`, true},
		{0, nil, `{"error":{"status":"resource_exhausted"}}`, true},
		{0, nil, `{"error":{"code":500}}`, false},
	} {
		f := x.Reported([]byte(test.body))
		if test.status > 0 {
			f = x.Refused(&http.Response{StatusCode: test.status, Header: test.header}, []byte(test.body))
		}
		if f.Busy != test.want {
			t.Errorf("%d %s: busy is %v, want %v", test.status, test.body, f.Busy, test.want)
		}
	}
}
