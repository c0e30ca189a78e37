package persistence

import (
	"context"
	"errors"
)

// Settled returns a done function for a caller that has nothing to do until the outcome of its
// write is known. It passes on all answers but [ErrUnknown].
func Settled(done func(error)) func(error) {
	return func(err error) {
		if !errors.Is(err, ErrUnknown) {
			done(err)
		}
	}
}

// Wait begins a write, and waits until its outcome is known or until ctx ends. Then the write
// may still be made.
func Wait(ctx context.Context, write func(done func(error))) error {
	known := make(chan error, 1)
	write(Settled(func(err error) { known <- err }))
	select {
	case err := <-known:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
