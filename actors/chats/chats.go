// Package chats joins all that takes care of chats, so that others can be given the part of
// it that they need.
//
//	command → Commands → Rooms → room → log → Feed → watchers
//	query   → Queries → log
//	file    → Files → log
//
// Commands are told to the one room of a chat, wherever it is. Queries and files know no room:
// they need the log alone.
package chats

import (
	"context"
	"fmt"

	"parlor/actors/access"
	"parlor/actors/commands"
	"parlor/actors/feed"
	"parlor/actors/files"
	"parlor/actors/queries"
	"parlor/actors/room"
	"parlor/actors/rooms"
	"parlor/actors/system"
	"parlor/persistence"
)

// A Log is the event log. See [persistence.Store].
type Log interface {
	rooms.Log
	queries.Log
	feed.Log
	files.Log
}

// Chats takes commands to rooms, and answers queries. Its methods may be called from any
// goroutine.
type Chats struct {
	*rooms.Rooms
	*commands.Commands
	*queries.Queries
	*feed.Feed
	*files.Store

	log             Log
	access          access.Policy
	maxMessageBytes int
	maxAnswerBytes  int
}

// Start starts all, and wakes the rooms that have an open turn. Of the options, the caller
// sets Models, Provider and the limits; see [rooms.Start].
func Start(sys *system.System, log Log, o room.Options, reads queries.Reads) (*Chats, error) {
	o = o.WithDefaults()
	q := queries.New(queries.Options{Log: log, Access: o.Access, Models: o.Models, Ledger: o.Ledger, Currency: o.Currency, Logger: o.Logger, Reads: reads})
	f, err := feed.Start(log, q)
	if err != nil {
		return nil, err
	}
	activity := o.Activity
	o.Activity = func(a room.Activity) {
		f.Note(a)
		activity(a)
	}
	written := writes{log, q}
	r, err := rooms.Start(sys, written, o)
	if err != nil {
		f.Close()
		return nil, err
	}
	return &Chats{
		Rooms: r, Commands: commands.New(r, q), Queries: q, Feed: f,
		Store: files.New(files.Options{Log: log, Queries: q, PDF: o.PDF, MaxFileBytes: o.MaxFileBytes, MaxImageBytes: o.MaxImageBytes, MaxFiles: o.MaxFiles}),
		log:   written, access: o.Access, maxMessageBytes: o.MaxMessageBytes, maxAnswerBytes: o.MaxAnswerBytes,
	}, nil
}

// Close refuses queries from then on, and stops all rooms and their turns. It waits for both,
// or until ctx ends.
func (c *Chats) Close(ctx context.Context) error {
	idle := c.Queries.Close()
	defer c.Feed.Close()
	if err := c.Rooms.Close(ctx); err != nil {
		return err
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for queries to end: %w", ctx.Err())
	}
}

// writes tell the queries of the chats' rows that are written.
type writes struct {
	Log
	queries *queries.Queries
}

// Append implements [room.Log].
func (w writes) Append(c persistence.Commit, done func(error)) {
	if c.Chat != nil {
		w.queries.Wrote(*c.Chat)
	}
	w.Log.Append(c, done)
}
