package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"

	"parlor/actors/conversation"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// secrets are fields of accounts that let somebody in, or reach a browser.
var secrets = []string{"hash", "secret", "digest", "keys", "endpoint", "outside"}

// A userExport writes what is kept of a user as JSON Lines (docs/operations.md).
type userExport struct {
	ctx    context.Context
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
	e := &userExport{ctx: ctx, reader: r, users: users, w: json.NewEncoder(out)}
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
	if told {
		if err := e.begin(info, role); err != nil {
			return err
		}
	}
	theirs := make(map[chat.MessageID]bool)
	for record, err := range conversation.Records(e.ctx, e.reader.Read(room, 0)) {
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
			if err := e.begin(info, role); err != nil {
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

// begin tells that messages of a chat follow.
func (e *userExport) begin(info chat.Info, role chat.MemberRole) error {
	e.sum.Chats++
	if info.Owner != e.users[0] {
		info.Members = nil // who they are is not the user's affair
	}
	return e.w.Encode(map[string]any{"chat": info, "role": role})
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
