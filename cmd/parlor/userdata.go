package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// export asks the running server, or reads the file if no server runs.
func (c *userCmd) export(ctx context.Context, s *Settings, out *streams) error {
	source, err := openSource(ctx, s)
	if err != nil {
		return err
	}
	defer source.close()
	if err := source.exportUser(ctx, out.stdout, c.ID); err != nil {
		return fmt.Errorf("user export: %w", err)
	}
	return nil
}

// delete works on the file itself: rooms in memory would go on with what they know.
func (c *userCmd) delete(ctx context.Context, s *Settings, out *streams) (err error) {
	if err := s.needData(); err != nil {
		return err
	}
	if !c.Yes {
		return fmt.Errorf("user delete: what %s has said, and the chats that nobody else is in, will be gone for good. Make a backup if they may be needed, and say --yes", cell(c.ID))
	}
	store, err := openForImport(s, persistence.Quota{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	e, err := eraseUser(ctx, store, chat.UserID(c.ID))
	if err != nil {
		return fmt.Errorf("user delete: %w; the same command goes on where this one has ended", err)
	}
	_, err = fmt.Fprintf(out.stdout, "%s\nThe space is used again. What was there can be found in it until then, and in older backups: parlor compact, and remove these.\n", e.outcome())
	return err
}

// eachRoom calls fn for every room of which there is a chat, in their order. It reads in short
// transactions.
func eachRoom(ctx context.Context, r *persistence.Reader, fn func(room string) error) error {
	for after := ""; ; {
		rooms, err := r.ChatsAfter(after, exportChats)
		if err != nil || len(rooms) == 0 {
			return err
		}
		for _, room := range rooms {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := fn(room); err != nil {
				return err
			}
		}
		after = rooms[len(rooms)-1]
	}
}

// identities returns the user, and the other ids under which the same person has signed in.
func identities(r *persistence.Reader, user chat.UserID) ([]chat.UserID, error) {
	ids := []chat.UserID{user}
	err := r.EachAccount(func(key string, value []byte) {
		var link struct {
			ID     chat.UserID `json:"user_id"`
			Person chat.UserID `json:"person"`
		}
		if strings.HasPrefix(key, "link/") && json.Unmarshal(value, &link) == nil && link.Person == user && !slices.Contains(ids, link.ID) {
			ids = append(ids, link.ID)
		}
	})
	return ids, err
}

// isAbout reports whether a value of the accounts belongs to one of the users, and returns its
// fields.
func isAbout(key string, value []byte, users []chat.UserID) (fields map[string]any, is bool) {
	if json.Unmarshal(value, &fields) != nil {
		return nil, false
	}
	for _, id := range users {
		owner, _ := fields["user"].(map[string]any)
		if key == "user/"+string(id) || fields["user_id"] == string(id) || fields["person"] == string(id) || owner["user_id"] == string(id) {
			return fields, true
		}
	}
	return nil, false
}
