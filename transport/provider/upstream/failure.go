package upstream

import (
	"math/rand/v2"
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

	// Status is that of a response that is no answer; 0 if there was none. Reported means
	// that the provider has said it in place of the rest of an answer.
	Status   int
	Reported bool

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
