package chat

import "errors"

// A Code is the stable, machine-readable part of a refusal.
type Code string

// The codes that clients can rely on.
const (
	CodeUnauthenticated    Code = "unauthenticated"         // no credential, or not a valid one
	CodeForbidden          Code = "forbidden"               // known, but not a member
	CodeNotFound           Code = "not_found"               // no such chat, room, turn or model
	CodeInvalid            Code = "invalid"                 // the command cannot be understood
	CodeTooLarge           Code = "too_large"               // over a named limit
	CodeUnsupportedType    Code = "unsupported_type"        // a file of a kind that nobody can read here
	CodeRateLimited        Code = "rate_limited"            // too many commands
	CodeBusy               Code = "busy"                    // a bounded queue is full
	CodeBudgetExceeded     Code = "budget_exceeded"         // no tokens are left for this period
	CodeQuotaExceeded      Code = "quota_exceeded"          // no more chats or bytes may be kept for this user
	CodeExpired            Code = "expired"                 // the invitation or the token was good once
	CodeGone               Code = "gone"                    // it was there once, and has ended
	CodeToolChoice         Code = "tool_choice_unsupported" // the model cannot be made to call tools so
	CodeConflict           Code = "conflict"                // the same client id came before with other content
	CodeProviderError      Code = "provider_error"          // the assistant's provider failed
	CodeProviderTimeout    Code = "provider_timeout"        // the assistant's provider did not answer in time
	CodeTimeout            Code = "timeout"                 // nobody acknowledged in time
	CodeStorageUnavailable Code = "storage_unavailable"     // the disk refused; nothing was recorded
	CodeQuarantined        Code = "quarantined"             // the room has failed too often and waits for an operator
	CodeInternal           Code = "internal"                // our fault
)

// Fault reports whether a refusal of the code is a failure of the server, or of what it
// needs: somebody may complain of it, and an operator look for the reason.
func (c Code) Fault() bool {
	switch c {
	case CodeInternal, CodeStorageUnavailable, CodeQuarantined, CodeProviderError, CodeProviderTimeout:
		return true
	}
	return false
}

// An Error is a refusal or a failure as a client is told it. Message is for
// people and never carries a stack, a path or a key.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`

	// RetryAfter is after how many seconds a command that was [CodeRateLimited] may
	// be sent again.
	RetryAfter int `json:"retry_after,omitempty"`

	// RequestID is what the server's log calls the request that has failed. It is set where a
	// client is told of a [Code.Fault], and never recorded.
	RequestID string `json:"request_id,omitempty"`
}

// Error implements error.
func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// Of returns the error as that of a request.
func (e *Error) Of(request string) *Error {
	of := *e
	of.RequestID = request
	return &of
}

// Refuse returns an [*Error].
func Refuse(code Code, message string) *Error { return &Error{Code: code, Message: message} }

// AsError returns the *Error in err's chain. Any other error becomes
// [CodeInternal] without its text, which may name paths or keys; nil stays nil.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return Refuse(CodeInternal, "something went wrong in the server")
}
