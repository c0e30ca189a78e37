package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"

	"parlor/persistence"
	"parlor/protocol/chat"
	"parlor/transport/durable"
)

// A running server cannot take a user out of the data file: rooms in memory would go on with
// what they know. It shuts the user out and leaves a note, and the next start does it before
// anything else.

// keyErasures begins the keys of these notes among the accounts.
const keyErasures = "erasure/"

// A laterErasure is such a note.
type laterErasure struct {
	User chat.UserID `json:"user_id"`
}

func erasureKey(user chat.UserID) string {
	sum := sha256.Sum256([]byte(user))
	return keyErasures + base64.RawURLEncoding.EncodeToString(sum[:])
}

// deleteLater leaves a note, and keepUser takes it away.
func deleteLater(ctx context.Context, store *persistence.Store, user chat.UserID) error {
	note, err := json.Marshal(laterErasure{user})
	if err != nil {
		return err
	}
	return durable.Wait(ctx, func(done func(error)) { store.PutAccount(erasureKey(user), note, done) })
}

func keepUser(ctx context.Context, store *persistence.Store, user chat.UserID) error {
	return durable.Wait(ctx, func(done func(error)) { store.DeleteAccount(erasureKey(user), done) })
}

// deleteUsers takes those out of the file of whom there is a note. One who cannot be taken
// out stays shut out, and is tried again with the next start. So are all that are left when
// ctx ends.
func (s *server) deleteUsers(ctx context.Context) error {
	var users []chat.UserID
	err := s.store.EachAccount(func(key string, value []byte) {
		var note laterErasure
		if strings.HasPrefix(key, keyErasures) && json.Unmarshal(value, &note) == nil {
			users = append(users, note.User)
		}
	})
	if err != nil {
		return err
	}
	for _, user := range users {
		e, err := eraseUser(ctx, s.store, user)
		switch {
		case ctx.Err() != nil: // the server is to stop
			return nil
		case err != nil:
			s.log.Error("a user who is to be deleted is still in the file", "user", user, "err", err)
			continue
		}
		s.log.Info("a user is deleted", "user", user, "outcome", e.outcome())
	}
	return nil
}
