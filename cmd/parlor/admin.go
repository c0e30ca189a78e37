package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"parlor/actors/door"
	"parlor/actors/observe"
	"parlor/persistence"
	"parlor/protocol/admin"
	"parlor/protocol/chat"
	adminapi "parlor/transport/admin"
	"parlor/transport/auth"
	"parlor/transport/metrics"
)

// openAdmin opens what administrators see of the server, and do about it.
func (s *server) openAdmin() error {
	s.history = metrics.NewHistory(s.numbers, s.state())
	s.parts.add("history", func(context.Context) error { s.history.Close(); return nil })
	s.observer = observe.New(s.actors, s.rooms)
	s.admin = adminapi.New(adminapi.Options{
		Tree: s.observer, Rooms: s.rooms, Users: users{s.accounts, s.devices, s.store, s.isAdmin, s.Development()}, Store: s.store, Streams: s.streams,
		History: s.history.Show, Providers: s.guards.Providers, Ready: s.health.unready,
		Version: version(), Development: s.Development(), MaxEntries: s.MaxAuditEntries, KeepAlive: s.PingInterval, Logger: s.log,
	})
	return nil
}

func (s *server) isAdmin(u chat.UserID) bool { return slices.Contains(s.Admins, string(u)) }

// users are those with an account or a connection.
type users struct {
	accounts *auth.Accounts
	devices  *door.Devices
	store    *persistence.Store
	isAdmin  func(chat.UserID) bool
	trusting bool // in development mode nobody is shut out
}

var errTrusting = chat.Refuse(chat.CodeConflict, "in development mode everybody is who they say they are, so nobody can be shut out")

// Find finds users by a part of their id, name or address of mail.
func (u users) Find(text string, limit int) (found []admin.User) {
	connected := u.devices.Find(text, limit)
	for _, known := range u.accounts.Find(text, limit) {
		if _, ok := connected[known.ID]; !ok {
			connected[known.ID] = u.devices.Of(known.ID)
		}
	}
	for id, connections := range connected {
		known := u.accounts.User(id)
		found = append(found, admin.User{
			ID: id, Name: known.Name, Known: !known.Created.IsZero(), Revoked: known.Disabled, Admin: known.Admin || u.isAdmin(id), Connections: connections,
		})
	}
	slices.SortFunc(found, func(a, b admin.User) int {
		return cmp.Or(cmp.Compare(b.Connections, a.Connections), strings.Compare(string(a.ID), string(b.ID)))
	})
	return found[:min(len(found), limit)]
}

// Count returns how many users have a connection.
func (u users) Count() int {
	_, n := u.devices.Count()
	return n
}

// Delete shuts a user out, and notes that the next start is to take the user out of the file.
func (u users) Delete(ctx context.Context, id chat.UserID) error {
	if u.trusting {
		return errTrusting
	}
	if err := u.Revoke(ctx, id, true); err != nil { // one who is not shut out must not be deleted
		return err
	}
	return deleteLater(ctx, u.store, u.accounts.Person(id))
}

// Export writes what is kept of a user.
func (u users) Export(ctx context.Context, w io.Writer, id chat.UserID) error {
	return exportUser(ctx, &u.store.Reader, w, id)
}

// Revoke shuts a user out, or lets the user in again.
func (u users) Revoke(ctx context.Context, id chat.UserID, revoked bool) error {
	if u.trusting {
		return errTrusting
	}
	action := "user enable"
	if revoked {
		action = "user disable"
	}
	_, err := doCommand(ctx, u.accounts, u.store, auth.Command{Action: action, User: id})
	if _, said := errors.AsType[*chat.Error](err); err != nil && !said {
		err = chat.Refuse(chat.CodeConflict, err.Error())
	}
	return err
}
