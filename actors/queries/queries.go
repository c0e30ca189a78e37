// Package queries answers what users ask about chats from the event log, read only.
//
//	query → access → gate → log → answer
//
// It knows no room and no actor: it reads what is on disk, and a room that is in memory
// neither waits for a query nor is woken by one. Queries that may read much wait for each
// other (see [Reads]); commands never wait for them.
package queries

import (
	"context"
	"errors"
	"iter"
	"log/slog"

	"parlor/actors/access"
	"parlor/actors/conversation"
	"parlor/actors/ledger"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// A Log is the part of the event log that queries read. See [persistence.Store].
type Log interface {
	Epoch() string
	Read(room string, after uint64) iter.Seq2[persistence.Entry, error]
	ReadBack(room string, before uint64) iter.Seq2[persistence.Entry, error]
	Last(room string) (seq uint64, err error)
	Message(room, id string) (seq uint64, ok bool, err error)
	Snapshot(room string) (seq uint64, state []byte, err error)

	Chat(room string) (persistence.Chat, error)
	Chats(owner string, offset, limit int) ([]persistence.Chat, int, error)
	ChatsFrom(list, place string, limit int) ([]persistence.Placed, error)

	ReadUpTo(room, user string) (seq uint64, err error)
	MarkOf(room, user string) (persistence.Mark, error)
	MarkedChats(list, user string, v persistence.View, offset, limit int) (page []persistence.Marked, total int, err error)
	Folders(list, user string) (map[string]int, error)

	Charges(from, to persistence.Hour) iter.Seq2[persistence.Charge, error]
	ChargesOf(user string, from, to persistence.Hour) iter.Seq2[persistence.Charge, error]
}

// Options configure [Queries]. Log, Models and Logger have no default.
type Options struct {
	Log      Log
	Access   access.Policy
	Models   conversation.Models // whose prices usage is told in
	Ledger   *ledger.Ledger      // knows what is left of budgets. Nil knows no limits
	Currency string              // of prices
	Logger   *slog.Logger
	Reads    Reads
}

// Queries answers. Its methods may be called from any goroutine. The errors that they return
// may be shown to clients.
type Queries struct {
	Options
	reads *gate
	trees trees
	tails memo[Tail]
	used  used
}

// New returns Queries, which are closed by Close.
func New(o Options) *Queries {
	return &Queries{Options: o, reads: newGate(o.Reads), trees: trees{log: o.Log}}
}

// Close refuses the queries that wait, and all that come later. The channel it returns is
// closed when none runs any more.
func (q *Queries) Close() (idle <-chan struct{}) { return q.reads.close() }

// Get returns a chat that the user may read, or [access.ErrNoChat].
func (q *Queries) Get(_ context.Context, u chat.User, id chat.ID) (chat.Info, error) {
	return q.Info(u, id.Room())
}

// Info is Get by the room of the chat.
func (q *Queries) Info(u chat.User, id chat.RoomID) (chat.Info, error) {
	row, err := q.Log.Chat(string(id))
	switch {
	case !id.Valid(), errors.Is(err, persistence.ErrNotFound):
		return chat.Info{}, access.ErrNoChat
	case err != nil:
		return chat.Info{}, q.Unreadable(err)
	}
	info, err := conversation.ReadRow(row)
	if err != nil {
		return chat.Info{}, q.Unreadable(err)
	}
	if refusal := q.Access.Check(info, u, access.Read); refusal != nil {
		return chat.Info{}, refusal
	}
	return info, nil
}

// Members returns the owner and the members of a chat that the user may read.
func (q *Queries) Members(_ context.Context, u chat.User, id chat.RoomID) ([]chat.Member, error) {
	info, err := q.Info(u, id)
	return info.Everybody(), err
}

// Query runs f as a read of the user, when the gate lets it.
func (q *Queries) Query(ctx context.Context, u chat.User, f func() error) error {
	return q.query(ctx, u, func(*read) error { return f() })
}

func (q *Queries) query(ctx context.Context, u chat.User, f func(*read) error) error {
	read, err := q.reads.enter(ctx, u.ID)
	if err == nil {
		defer read.leave()
		err = f(read)
	}
	return q.failed(ctx, err)
}

// failed turns the error of a query into one that may be shown to the client. It
// logs the error, unless ctx has ended or the query was refused.
func (q *Queries) failed(ctx context.Context, err error) error {
	_, refused := errors.AsType[*chat.Error](err)
	switch {
	case err == nil, refused:
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return q.Unreadable(err)
}

// Unreadable logs an error of the disk, and returns what the client is told of it.
func (q *Queries) Unreadable(err error) error {
	q.Logger.Error("query failed", "err", err)
	return chat.Refuse(chat.CodeStorageUnavailable, "the server cannot read its disk")
}

// Unwritable does the same for an error of a write, unless ctx has ended.
func (q *Queries) Unwritable(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, persistence.ErrNotFound):
		return access.ErrNoChat
	}
	q.Logger.Error("write failed", "err", err)
	return chat.Refuse(chat.CodeStorageUnavailable, "the server cannot write to its disk; nothing was recorded")
}
