package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/requests"
)

// statusOf returns the HTTP status for a refusal.
func statusOf(code chat.Code) int {
	switch code {
	case chat.CodeInvalid, chat.CodeToolChoice:
		return http.StatusBadRequest
	case chat.CodeUnauthenticated:
		return http.StatusUnauthorized
	case chat.CodeForbidden:
		return http.StatusForbidden
	case chat.CodeExpired:
		return http.StatusGone
	case chat.CodeNotFound:
		return http.StatusNotFound
	case chat.CodeConflict:
		return http.StatusConflict
	case chat.CodeGone:
		return http.StatusGone
	case chat.CodeUnsupportedType:
		return http.StatusUnsupportedMediaType
	case chat.CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case chat.CodeRateLimited, chat.CodeBudgetExceeded, chat.CodeQuotaExceeded:
		return http.StatusTooManyRequests
	case chat.CodeProviderError:
		return http.StatusBadGateway
	case chat.CodeBusy, chat.CodeStorageUnavailable:
		return http.StatusServiceUnavailable
	case chat.CodeProviderTimeout, chat.CodeTimeout:
		return http.StatusGatewayTimeout
	}
	return http.StatusInternalServerError
}

// An array is an answer that is encoded while it is read, since it may be
// large and its client slow.
type array iter.Seq2[any, error]

func (a *API) answer(w http.ResponseWriter, r *http.Request, answer any) {
	if items, ok := answer.(array); ok {
		a.answerArray(w, r, items)
		return
	}
	if f, ok := answer.(file); ok {
		a.answerFile(w, r, f)
		return
	}
	if e, ok := answer.(encoded); ok {
		writeJSON(w, http.StatusOK, e.body)
		_ = http.NewResponseController(w).Flush() // fails only when the client is gone
		e.sent()
		return
	}
	status := http.StatusOK
	if m, ok := answer.(made); ok {
		status, answer = m.status(), m.body
	}
	body, err := json.Marshal(answer)
	if err != nil {
		a.refuse(w, r, fmt.Errorf("encode answer: %w", err))
		return
	}
	writeJSON(w, status, body)
}

// answerArray answers with an error if the first item is one. If a later item
// is an error, if reading it panics, or if the client is gone, it cuts the
// connection: half an array must not look whole.
func (a *API) answerArray(w http.ResponseWriter, r *http.Request, items array) {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	separator := "["
	defer func() {
		if separator == "[" {
			return // nothing is written yet: recovered can still answer
		}
		if p := recover(); p != nil {
			a.logPanic(r, p)
			panic(http.ErrAbortHandler)
		}
	}()
	for item, err := range items {
		switch {
		case err != nil && separator == "[":
			a.refuse(w, r, err)
			return
		case err != nil:
			a.log.ErrorContext(r.Context(), "answer broken off", "path", loggedPath(r), "err", err)
			panic(http.ErrAbortHandler)
		case separator == "[":
			setHeader(w.Header(), "application/json")
		}
		if _, err := io.WriteString(w, separator); err != nil {
			panic(http.ErrAbortHandler)
		}
		if err := encoder.Encode(item); err != nil {
			panic(http.ErrAbortHandler)
		}
		separator = ","
	}
	if separator == "[" {
		writeJSON(w, http.StatusOK, []byte("[]"))
		return
	}
	_, _ = io.WriteString(w, "]")
}

// refuse answers with the part of err that clients may see.
func (a *API) refuse(w http.ResponseWriter, r *http.Request, err error) {
	shown := chat.AsError(err)
	// If the client has gone away everything fails, which is not worth a record.
	if shown.Code == chat.CodeInternal && r.Context().Err() == nil {
		a.log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", loggedPath(r), "err", err)
	}
	if shown.Code == chat.CodeUnauthenticated {
		w.Header().Set("WWW-Authenticate", "Bearer") // RFC 9110 §11.6.1
	}
	writeError(w, statusOf(shown.Code), shown)
}

func writeError(w http.ResponseWriter, status int, e *chat.Error) {
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(e.RetryAfter))
	}
	problem := wireError{
		Type: problemType + string(e.Code), Title: strings.ReplaceAll(string(e.Code), "_", " "), Status: status,
		Detail: e.Message, Code: e.Code, RetryAfter: e.RetryAfter,
	}
	if e.Code.Fault() {
		problem.RequestID = w.Header().Get(requests.Header)
	}
	body, _ := json.Marshal(problem) // strings and numbers always marshal
	write(w, status, "application/problem+json", body)
}

// Answer answers a request with v as JSON, for a handler that [API.Mount] has mounted.
func Answer(w http.ResponseWriter, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	writeJSON(w, http.StatusOK, body)
	return nil
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	write(w, status, "application/json", body)
}

func write(w http.ResponseWriter, status int, mediaType string, body []byte) {
	setHeader(w.Header(), mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // fails only when the client is gone
}

// setHeader sets what all answers have in common.
func setHeader(h http.Header, mediaType string) {
	h.Set("Content-Type", mediaType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
}

// recovered answers 500 for a panic in h. Nothing has been written by then:
// endpoints do not write, and answerArray handles its own panics.
func (a *API) recovered(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			switch p {
			case nil:
				return
			case http.ErrAbortHandler: // how a handler asks for the connection to be cut
				panic(p)
			}
			a.logPanic(r, p)
			e := chat.AsError(errors.New("panic"))
			writeError(w, statusOf(e.Code), e)
		}()
		h.ServeHTTP(w, r)
	})
}

// loggedPath is the path of the request, without the token of an invitation.
func loggedPath(r *http.Request) string {
	if token := r.PathValue("token"); token != "" {
		return strings.TrimSuffix(r.URL.Path, token) + "{token}"
	}
	return r.URL.Path
}

// logPanic must be called by the deferred function that recovered p: it logs
// the stack. [http.ErrAbortHandler] is no bug and is not logged.
func (a *API) logPanic(r *http.Request, p any) {
	if p == http.ErrAbortHandler {
		return
	}
	a.log.ErrorContext(r.Context(), "panic in a request", "method", r.Method, "path", loggedPath(r), "panic", p, "stack", string(debug.Stack()))
}

// decodeBody reads one JSON value, and nothing else, into v.
func decodeBody(r *http.Request, v any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return bodyError(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return bodyError(err)
	}
	return nil
}

var errNoBody = chat.Refuse(chat.CodeInvalid, "the request body is empty, it must be a JSON object")

// bodyError says what is wrong with a body. A nil err means that something
// follows the first value.
func bodyError(err error) error {
	var (
		tooLarge  *http.MaxBytesError
		wrongType *json.UnmarshalTypeError
	)
	switch {
	case errors.As(err, &tooLarge):
		return chat.Refuse(chat.CodeTooLarge, fmt.Sprintf("the request body is larger than %d bytes", tooLarge.Limit))
	case errors.As(err, &wrongType) && wrongType.Field != "":
		return chat.Refuse(chat.CodeInvalid, wrongType.Field+" cannot be a JSON "+wrongType.Value)
	case errors.As(err, &wrongType):
		return chat.Refuse(chat.CodeInvalid, "the request body must be a JSON object, not a JSON "+wrongType.Value)
	case errors.Is(err, io.EOF):
		return errNoBody
	case err == nil:
		return chat.Refuse(chat.CodeInvalid, "the request body must be one JSON object and nothing else")
	}
	return chat.Refuse(chat.CodeInvalid, "the request body is not what was expected: "+strings.TrimPrefix(err.Error(), "json: "))
}

// intParam reads a number from the query. It returns absent if there is none.
func intParam(r *http.Request, name string, absent, lowest, highest int) (int, error) {
	q := r.URL.Query()
	if !q.Has(name) {
		return absent, nil
	}
	n, err := strconv.Atoi(q.Get(name))
	if err != nil || n < lowest || n > highest {
		return 0, chat.Refuse(chat.CodeInvalid, fmt.Sprintf("%s must be a number from %d to %d, not %q", name, lowest, highest, q.Get(name)))
	}
	return n, nil
}

// boolParam reads true or false from the query. It returns false if there is neither.
func boolParam(r *http.Request, name string) (bool, error) {
	switch text := r.URL.Query().Get(name); text {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, chat.Refuse(chat.CodeInvalid, fmt.Sprintf("%s must be true or false, not %q", name, text))
	}
}

// timeParam reads a time from the query: as in RFC 3339, or a day, which begins
// in UTC. It returns the zero time if the parameter is absent.
func timeParam(r *http.Request, name string) (time.Time, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, chat.Refuse(chat.CodeInvalid, fmt.Sprintf("%s must be a time such as 2026-01-31T15:04:05Z, or a day such as 2026-01-31, not %q", name, text))
}

// seqParam reads a sequence number from the query. It returns 0, which is not
// one, if the parameter is absent.
func seqParam(r *http.Request, name string) (uint64, error) {
	q := r.URL.Query()
	if !q.Has(name) {
		return 0, nil
	}
	n, err := strconv.ParseUint(q.Get(name), 10, 64)
	if err != nil || n == 0 {
		return 0, chat.Refuse(chat.CodeInvalid, fmt.Sprintf("%s must be a sequence number, not %q", name, q.Get(name)))
	}
	return n, nil
}
