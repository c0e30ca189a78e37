package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"parlor/actors/conversation"
	"parlor/persistence"
	"parlor/protocol/admin"
	"parlor/protocol/chat"
	"parlor/transport/durable"
)

// An erasure takes a user out of a data file. It can be cut at any moment: each room is
// rewritten in one transaction, and one that was rewritten does not name the user any more.
type erasure struct {
	ctx   context.Context
	store *persistence.Store
	users []chat.UserID

	rewritten, deleted, passed int
}

// eraseUser takes all of a user out of the data file, and notes that in the audit log.
func eraseUser(ctx context.Context, store *persistence.Store, user chat.UserID) (*erasure, error) {
	users, err := identities(&store.Reader, user)
	if err != nil {
		return nil, err
	}
	e := &erasure{ctx: ctx, store: store, users: users}
	note := admin.Entry{At: time.Now().UTC(), Action: admin.Action{Action: "user delete", User: user}, Outcome: admin.OutcomeBegun}
	if err := e.note(&note); err != nil {
		return e, err
	}
	for _, id := range users {
		if err := e.rooms(id); err != nil {
			return e, err
		}
	}
	if err := e.accounts(); err != nil {
		return e, err
	}
	note.Outcome, note.Detail = admin.OutcomeDone, e.outcome()
	return e, e.note(&note)
}

func (e *erasure) outcome() string {
	return fmt.Sprintf("%d chats rewritten, %d of them passed on, %d deleted", e.rewritten, e.passed, e.deleted)
}

// rooms takes a user out of all rooms, and then forgets what the user has cost: a room that
// still names the user has to be paid by somebody.
func (e *erasure) rooms(user chat.UserID) error {
	as := chat.UserID(conversation.ErasedPrefix + uuid.NewString()[:8])
	var faults []error
	err := eachRoom(e.ctx, &e.store.Reader, func(room string) error {
		err := e.room(room, user, as)
		if err == nil || e.ctx.Err() != nil {
			return err
		}
		faults = append(faults, fmt.Errorf("room %s: %w", room, err))
		if errors.Is(err, persistence.ErrUnavailable) {
			return errors.New("the disk refuses writes")
		}
		return nil
	})
	if err = errors.Join(append(faults, err)...); err != nil {
		return err
	}
	return e.wait(func(done func(error)) { e.store.ForgetUser(string(user), done) })
}

func (e *erasure) wait(change func(done func(error))) error { return durable.Wait(e.ctx, change) }

// note adds an entry to the audit log, or changes the one with its number.
func (e *erasure) note(entry *admin.Entry) error {
	value, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	return e.wait(func(done func(error)) {
		if entry.Seq > 0 {
			e.store.SetAudit(entry.Seq, value, done)
			return
		}
		e.store.AddAudit(value, keptAudit, func(seq uint64, err error) {
			entry.Seq = seq
			done(err)
		})
	})
}

// keptAudit is how many entries of the audit log a command leaves. The server keeps to its
// setting.
const keptAudit = 1 << 20

// room takes a user out of a room, or deletes the chat if it can pass to nobody.
func (e *erasure) room(room string, user, as chat.UserID) error {
	eraser := conversation.Eraser{User: user, As: as}
	var records []chat.Record
	for record, err := range conversation.Records(e.ctx, e.store.Read(room, 0)) {
		if err != nil {
			return err
		}
		records = append(records, eraser.Erase(record))
	}
	if !eraser.Found || len(records) == 0 {
		return nil
	}
	var log newLog
	for _, record := range records {
		if err := log.add(record); err != nil {
			return err
		}
	}
	info, err := conversation.ReadRow(log.fold.Row())
	if err != nil {
		return err
	}
	events, passes := eraser.Leave(info)
	if !passes {
		e.deleted++
		return e.wait(func(done func(error)) { e.store.Delete(room, done) })
	}
	for _, event := range events {
		if err := log.add(chat.Record{Seq: uint64(len(log.entries)) + 1, At: time.Now().UTC(), Event: event}); err != nil {
			return err
		}
	}
	files, err := e.filesOf(room, user)
	if err != nil {
		return err
	}
	fold := &log.fold
	row, open := fold.Row(), fold.Open()
	if e.rewritten++; info.Owner == as {
		e.passed++
	}
	return e.wait(func(done func(error)) {
		e.store.Rewrite(persistence.Commit{
			Room: room, Entries: log.entries, Keys: fold.Keys(), Messages: fold.Messages(), Chat: &row, Turn: &open, Charges: fold.Charges(),
		}, string(user), files, done)
	})
}

// filesOf returns the files that the user has sent to a room.
func (e *erasure) filesOf(room string, user chat.UserID) (ids []string, err error) {
	files, err := e.store.Files(room)
	for _, f := range files {
		var info chat.File
		if json.Unmarshal(f.Info, &info) == nil && info.By == user {
			ids = append(ids, f.ID)
		}
	}
	return ids, err
}

// A newLog is the log of a room as it will be.
type newLog struct {
	fold    conversation.Fold
	entries [][]byte
}

func (l *newLog) add(r chat.Record) error {
	data, err := r.Encode()
	if err == nil {
		err = l.fold.Add(persistence.Entry{Seq: r.Seq, Data: data})
	}
	l.entries = append(l.entries, data)
	return err
}

// accounts removes how the user signs in, and the seats of clients, which come back as new
// ones.
func (e *erasure) accounts() error {
	var keys, links, notes, seats []string
	err := e.store.EachAccount(func(key string, value []byte) {
		switch _, is := isAbout(key, value, e.users); {
		case is && strings.HasPrefix(key, keyErasures):
			notes = append(notes, key)
		case is && strings.HasPrefix(key, "link/"):
			links = append(links, key)
		case is:
			keys = append(keys, key)
		}
	})
	if err != nil {
		return err
	}
	for seat, err := range e.store.Sessions() {
		if err != nil {
			return err
		}
		seats = append(seats, seat.Key)
	}
	for part := range slices.Chunk(seats, 1000) {
		if err := e.wait(func(done func(error)) { e.store.DeleteSessions(part, done) }); err != nil {
			return err
		}
	}
	for _, key := range slices.Concat(keys, links, notes) { // after a crash the links still say who else the user is
		if err := e.wait(func(done func(error)) { e.store.DeleteAccount(key, done) }); err != nil {
			return err
		}
	}
	return nil
}
