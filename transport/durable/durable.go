// Package durable is how packages of transport keep small values on the disk: accounts,
// subscriptions, grants.
package durable

import (
	"context"
	"errors"

	"parlor/protocol/chat"
)

// A Store keeps values by key. Its methods may be called from any goroutine. done is called
// once the change is on the disk, or with the reason why it is not.
type Store interface {
	PutAccount(key string, value []byte, done func(error))
	DeleteAccount(key string, done func(error))
	EachAccount(yield func(key string, value []byte)) error
}

var errStorage = chat.Refuse(chat.CodeStorageUnavailable, "the server cannot write to its disk at the moment")

// Wait begins a change of a [Store], and waits until it is done or until ctx ends. Then the
// change may still be made. An error of the store is a [chat.CodeStorageUnavailable] too.
func Wait(ctx context.Context, change func(done func(error))) error {
	written := make(chan error, 1)
	change(func(err error) { written <- err })
	select {
	case err := <-written:
		if err != nil {
			return errors.Join(errStorage, err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
