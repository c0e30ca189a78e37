package providertest

import (
	"cmp"
	"errors"
	"iter"
	"net/http"
	"strings"
	"testing"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// An Outcome is all that an answer yielded.
type Outcome struct {
	Text    string
	Thought string
	Pieces  int // that had text
	Finish  chat.Finish
	Calls   []chat.ToolCall
	Back    string
	Usage   *chat.Usage
	Err     error
}

// Collect reads an answer to its end and checks what holds for every one:
// usage comes at most once and after all text, an error once, alone and as the
// last.
func Collect(t testing.TB, answer iter.Seq2[chat.Delta, error]) Outcome {
	t.Helper()
	var o Outcome
	for d, err := range answer {
		switch {
		case o.Err != nil:
			t.Fatalf("yielded %+v, %v after the error %v", d, err, o.Err)
		case err != nil && d != (chat.Delta{}):
			t.Fatalf("yielded %+v together with %v", d, err)
		case o.Usage != nil:
			t.Fatalf("yielded %+v, %v after the usage", d, err)
		}
		o.Text, o.Thought = o.Text+d.Text, o.Thought+d.Thought
		if d.Text != "" {
			o.Pieces++
		}
		if d.Calls != nil {
			o.Calls, o.Back = append(o.Calls, d.Calls.List...), string(d.Calls.Back)
		}
		o.Usage, o.Err, o.Finish = d.Usage, err, cmp.Or(d.Finish, o.Finish)
	}
	return o
}

// Check compares an outcome: the text, and the code of its error and some of
// its words; no code is no error. No error may show [Key].
func (o Outcome) Check(t testing.TB, text string, code chat.Code, words string) {
	t.Helper()
	if o.Text != text {
		t.Errorf("text is %q, want %q", o.Text, text)
	}
	var e *chat.Error
	switch {
	case code == "" && o.Err != nil:
		t.Errorf("error %v, want none", o.Err)
	case code == "":
	case !errors.As(o.Err, &e):
		t.Errorf("error %v, want code %s", o.Err, code)
	case e.Code != code || !strings.Contains(e.Message, words):
		t.Errorf("error %v, want code %s and %q in it", e, code, words)
	}
	if o.Err != nil && strings.Contains(o.Err.Error(), Key) {
		t.Errorf("the key is in the error %q", o.Err)
	}
}

// refusalWords are what every one of the refusals says.
const refusalWords = "no such luck today"

const refusalBody = `{"error":{"message":"` + refusalWords + `, ` + Key + `","type":"some_error"}}`

// refusalAfter is how long a provider asks to be left alone.
const refusalAfter = 20 * time.Second

// refusals are what providers answer instead of an answer.
var refusals = []Refusal{
	{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"20"}}, Body: refusalBody},
	{Status: http.StatusRequestTimeout, Body: refusalBody},
	{Status: http.StatusInternalServerError, Body: refusalBody},
	{Status: statusOverloaded, Header: http.Header{"Retry-After": {"20"}}, Body: refusalBody},
	{Status: http.StatusBadRequest, Body: refusalBody},
	{Status: http.StatusUnauthorized, Body: refusalBody},
	{Status: http.StatusForbidden, Body: refusalBody},
	{Status: http.StatusNotFound, Body: refusalBody},
}

// statusOverloaded is what providers made up for it.
const statusOverloaded = 529

// checkRetryable checks that err says whether, and when, to ask again after r.
func checkRetryable(t testing.TB, err error, r Refusal) {
	t.Helper()
	f, ok := errors.AsType[*upstream.Failure](err)
	if !ok {
		t.Fatalf("error %v is no upstream.Failure", err)
	}
	want := r.Status >= 500 || r.Status == http.StatusTooManyRequests || r.Status == http.StatusRequestTimeout
	if f.Retryable != want {
		t.Errorf("retryable is %v after %d", f.Retryable, r.Status)
	}
	if r.Header != nil && f.RetryAfter != refusalAfter {
		t.Errorf("to be asked again after %v, want %v", f.RetryAfter, refusalAfter)
	}
}
