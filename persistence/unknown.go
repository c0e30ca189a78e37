package persistence

import "errors"

// Settled returns a done function for a caller that has nothing to do until the outcome of its
// write is known. It passes on all answers but [ErrUnknown].
func Settled(done func(error)) func(error) {
	return func(err error) {
		if !errors.Is(err, ErrUnknown) {
			done(err)
		}
	}
}
