package upstream

import (
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

	// RetryAfter is how long the provider wants to be left alone. Zero means
	// that it did not say.
	RetryAfter time.Duration

	Cause error // for the log, without keys; may be nil
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
