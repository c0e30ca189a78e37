package openai

import (
	"encoding/json"

	"parlor/protocol/chat"
)

// An Error is a refusal as OpenAI words it.
type Error struct {
	Status  int
	Type    string
	Code    string // empty: none
	Param   string // the field that is wrong; empty: none
	Message string

	RetryAfter int  // seconds; 0: not known
	Final      bool // the client should not try again by itself
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// The types of errors.
const (
	typeInvalid = "invalid_request_error"
	typeServer  = "server_error"
	typeRate    = "rate_limit_exceeded"
	typeQuota   = "insufficient_quota"
)

// Invalid refuses a request for the value of a field.
func Invalid(param, message string) *Error {
	return &Error{Status: 400, Type: typeInvalid, Param: param, Message: message}
}

// NotFound says that there is nothing of that id.
func NotFound(id string) *Error {
	return &Error{Status: 404, Type: typeInvalid, Message: "there is no " + id + ", or it is not for you"}
}

// NoModel says that a model cannot be asked.
func NoModel(why *chat.Error) *Error {
	return &Error{Status: 404, Type: typeInvalid, Code: "model_not_found", Param: "model", Message: why.Message}
}

// NoPrevious refuses to go on from a response.
func NoPrevious(message string) *Error {
	return &Error{Status: 400, Type: typeInvalid, Code: "previous_response_not_found", Param: "previous_response_id", Message: message}
}

// ErrorOf returns the form of a refusal. The client repeats requests by itself that are
// answered with 409, 429 or 5xx, which is of no use where only people can help.
func ErrorOf(refusal *chat.Error) *Error {
	e := &Error{Status: 500, Type: typeServer, Code: string(refusal.Code), Message: refusal.Message, RetryAfter: refusal.RetryAfter}
	switch refusal.Code {
	case chat.CodeUnauthenticated:
		e.Status, e.Type, e.Code = 401, typeInvalid, "invalid_api_key"
	case chat.CodeForbidden:
		e.Status, e.Type, e.Code = 403, typeInvalid, ""
	case chat.CodeNotFound:
		e.Status, e.Type, e.Code = 404, typeInvalid, ""
	case chat.CodeInvalid, chat.CodeExpired:
		e.Status, e.Type, e.Code = 400, typeInvalid, ""
	case chat.CodeToolChoice:
		e.Status, e.Type, e.Param = 400, typeInvalid, "tool_choice"
	case chat.CodeTooLarge:
		e.Status, e.Type, e.Code = 413, typeInvalid, ""
	case chat.CodeBusy, chat.CodeConflict, chat.CodeGone:
		e.Status, e.Type, e.Final = 409, typeInvalid, true
	case chat.CodeRateLimited:
		e.Status, e.Type, e.Code = 429, typeRate, typeRate
	case chat.CodeBudgetExceeded, chat.CodeQuotaExceeded:
		e.Status, e.Type, e.Code, e.Final = 429, typeQuota, typeQuota, true
	case chat.CodeProviderError:
		e.Status = 502
	case chat.CodeProviderTimeout:
		e.Status = 504
	case chat.CodeStorageUnavailable:
		e.Status = 503
	case chat.CodeQuarantined:
		e.Status, e.Final = 503, true
	}
	return e
}

type errorBody struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

// Body returns the body of the answer.
func (e *Error) Body() []byte {
	return encode(map[string]errorBody{"error": {e.Message, e.Type, orNull(e.Param), orNull(e.Code)}})
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Encoded returns the body of an answer.
func Encoded(v any) []byte { return encode(v) }

// encode returns v as JSON. All that this package encodes has a form in JSON.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("openai: encode: " + err.Error())
	}
	return b
}
