package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"parlor/actors/conversation"
	"parlor/persistence"
	"parlor/protocol/chat"
	"parlor/transport/durable"
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
	store, err := openForImport(s.Data)
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

// secrets are fields of accounts that let somebody in, or reach a browser.
var secrets = []string{"hash", "secret", "digest", "keys", "endpoint", "outside"}

// A userExport writes what is kept of a user as JSON Lines (docs/operations.md).
type userExport struct {
	reader *persistence.Reader
	users  []chat.UserID
	w      *json.Encoder
	sum    struct {
		Chats    int `json:"chats"`
		Messages int `json:"messages"`
	}
}

func exportUser(ctx context.Context, r *persistence.Reader, w io.Writer, user chat.UserID) error {
	users, err := identities(r, user)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	e := &userExport{reader: r, users: users, w: json.NewEncoder(out)}
	e.w.SetEscapeHTML(false)
	if err := e.w.Encode(map[string]any{"parlor_user_export": 1, "user_id": user, "identities": users}); err != nil {
		return err
	}
	if err := e.accounts(); err != nil {
		return err
	}
	if err := eachRoom(ctx, r, e.room); err != nil {
		return err
	}
	if err := e.usage(); err != nil {
		return err
	}
	return cmp.Or(e.w.Encode(map[string]any{"end": e.sum}), out.Flush())
}

func (e *userExport) accounts() (err error) {
	readErr := e.reader.EachAccount(func(key string, value []byte) {
		fields, is := isAbout(key, value, e.users)
		if !is || err != nil {
			return
		}
		for _, name := range secrets {
			delete(fields, name)
		}
		kind, _, _ := strings.Cut(key, "/")
		err = e.w.Encode(map[string]any{"account": kind, "value": fields})
	})
	return cmp.Or(readErr, err)
}

// room writes a chat in which the user has a role or has said something: all of one that is
// the user's own, and of others the user's words and the answers to them.
func (e *userExport) room(room string) error {
	row, err := e.reader.Chat(room)
	if errors.Is(err, persistence.ErrNotFound) {
		return nil // deleted meanwhile
	}
	if err != nil {
		return err
	}
	info, err := conversation.ReadRow(row)
	if err != nil {
		return err
	}
	role := e.roleIn(info)
	told := role != ""
	begin := func() error {
		e.sum.Chats++
		if info.Owner != e.users[0] {
			info.Members = nil // who they are is not the user's affair
		}
		return e.w.Encode(map[string]any{"chat": info, "role": role})
	}
	if told {
		if err := begin(); err != nil {
			return err
		}
	}
	theirs := make(map[chat.MessageID]bool)
	for entry, err := range e.reader.Read(room, 0) {
		if err != nil {
			return err
		}
		record, err := chat.DecodeRecord(entry.Seq, entry.Data)
		if err != nil {
			return err
		}
		m, says := record.Message()
		if !says {
			continue
		}
		mine := m.Author != nil && slices.Contains(e.users, m.Author.ID)
		if mine {
			theirs[m.ID] = true
		}
		if !mine && role != chat.RoleOwner && !theirs[m.Prompt] {
			continue
		}
		if !told {
			told = true
			if err := begin(); err != nil {
				return err
			}
		}
		e.sum.Messages++
		if err := e.w.Encode(map[string]any{"message": exportedMessage(info.ID, m)}); err != nil {
			return err
		}
	}
	return nil
}

func (e *userExport) roleIn(info chat.Info) chat.MemberRole {
	for _, id := range e.users {
		if role := info.RoleOf(id); role != "" {
			return role
		}
	}
	return ""
}

func exportedMessage(id chat.ID, m chat.Message) map[string]any {
	said := map[string]any{"chat_id": id, "seq": m.Seq, "message_id": m.ID, "role": m.Role, "created_at": m.Created, "content": m.Content}
	if m.Author != nil {
		said["user_id"] = m.Author.ID
	}
	if m.ModelID != "" {
		said["model_id"] = m.ModelID
	}
	if len(m.Files) > 0 {
		said["files"] = m.Files
	}
	return said
}

func (e *userExport) usage() error {
	for _, id := range e.users {
		for c, err := range e.reader.ChargesOf(string(id), 0, persistence.EndOfHours) {
			if err == nil {
				err = e.w.Encode(map[string]any{"usage": map[string]any{
					"user_id": c.User, "hour": c.Hour.Time(), "room_id": c.Room, "model_id": c.Model, "turns": c.Turns,
					"prompt_tokens": c.Prompt, "completion_tokens": c.Completion,
				}})
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

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
	note, err := e.note(0, user, "begun", "")
	if err != nil {
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
	_, err = e.note(note, user, "done", e.outcome())
	return e, err
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

// note writes an entry of the audit log, or changes that with the number.
func (e *erasure) note(seq uint64, user chat.UserID, outcome, detail string) (uint64, error) {
	value, err := json.Marshal(map[string]any{
		"seq": seq, "at": time.Now().UTC(), "by": "", "what": map[string]any{"action": "user delete", "user_id": user}, "outcome": outcome, "detail": detail,
	})
	if err != nil {
		return 0, err
	}
	err = e.wait(func(done func(error)) {
		if seq > 0 {
			e.store.SetAudit(seq, value, done)
			return
		}
		e.store.AddAudit(value, keptAudit, func(n uint64, err error) {
			seq = n
			done(err)
		})
	})
	return seq, err
}

// keptAudit is how many entries of the audit log a command leaves. The server keeps to its
// setting.
const keptAudit = 1 << 20

// room takes a user out of a room, or deletes the chat if it can pass to nobody.
func (e *erasure) room(room string, user, as chat.UserID) error {
	eraser := conversation.Eraser{User: user, As: as}
	var records []chat.Record
	for entry, err := range e.store.Read(room, 0) {
		if err != nil {
			return err
		}
		record, err := chat.DecodeRecord(entry.Seq, entry.Data)
		if err != nil {
			return err
		}
		records = append(records, eraser.Erase(record))
	}
	if !eraser.Found || len(records) == 0 {
		return nil
	}
	fold, entries, err := folded(records)
	if err != nil {
		return err
	}
	info, err := conversation.ReadRow(fold.Row())
	if err != nil {
		return err
	}
	events, passes := eraser.Leave(info)
	if !passes {
		e.deleted++
		return e.wait(func(done func(error)) { e.store.Delete(room, done) })
	}
	for _, event := range events {
		record := chat.Record{Seq: uint64(len(entries)) + 1, At: time.Now().UTC(), Event: event}
		data, err := record.Encode()
		if err == nil {
			err = fold.Add(persistence.Entry{Seq: record.Seq, Data: data})
		}
		if err != nil {
			return err
		}
		entries = append(entries, data)
	}
	files, err := e.filesOf(room, user)
	if err != nil {
		return err
	}
	row, open := fold.Row(), fold.Open()
	if e.rewritten++; info.Owner == as {
		e.passed++
	}
	return e.wait(func(done func(error)) {
		e.store.Rewrite(persistence.Commit{
			Room: room, Entries: entries, Keys: fold.Keys(), Messages: fold.Messages(), Chat: &row, Turn: &open, Charges: fold.Charges(),
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

func folded(records []chat.Record) (*conversation.Fold, [][]byte, error) {
	fold := new(conversation.Fold)
	var entries [][]byte
	for _, r := range records {
		data, err := r.Encode()
		if err == nil {
			err = fold.Add(persistence.Entry{Seq: r.Seq, Data: data})
		}
		if err != nil {
			return nil, nil, err
		}
		entries = append(entries, data)
	}
	return fold, entries, nil
}

// accounts removes how the user signs in, and the seats of clients, which come back as new
// ones.
func (e *erasure) accounts() error {
	var keys, seats []string
	err := e.store.EachAccount(func(key string, value []byte) {
		if _, is := isAbout(key, value, e.users); is {
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
	for _, key := range keys { // the last, since the links among them say who else the user is
		if err := e.wait(func(done func(error)) { e.store.DeleteAccount(key, done) }); err != nil {
			return err
		}
	}
	return nil
}
