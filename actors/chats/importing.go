package chats

import (
	"context"
	"errors"
	"fmt"

	"parlor/actors/access"
	"parlor/actors/conversation"
	"parlor/actors/room"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// Import makes a chat of the user out of records, which nothing but the server has made. No
// room works with it before it is on disk: its id is new. The quotas of the user hold.
func (c *Chats) Import(ctx context.Context, u chat.User, records []chat.Record) (chat.Info, error) {
	info := records[0].Event.(chat.Created).Chat
	if refusal := c.access.Check(chat.Info{ID: info.ID}, u, access.Create); refusal != nil {
		return chat.Info{}, refusal
	}
	if info.Owner != u.ID {
		return chat.Info{}, chat.Refuse(chat.CodeForbidden, "a chat is imported for oneself")
	}
	commit, err := c.importing(records)
	if err != nil {
		return chat.Info{}, err
	}
	switch _, err := c.log.Chat(commit.Room); {
	case err == nil:
		return chat.Info{}, chat.Refuse(chat.CodeConflict, "there is such a chat already")
	case !errors.Is(err, persistence.ErrNotFound):
		return chat.Info{}, c.Unreadable(err)
	}
	err = persistence.Wait(ctx, func(done func(error)) { c.log.Append(commit, done) })
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return chat.Info{}, ctx.Err()
	default:
		return chat.Info{}, conversation.RefusalOf(err)
	}
	info, err = conversation.ReadRow(*commit.Chat)
	if err == nil {
		c.Note(room.Activity{Chat: info})
	}
	return info, err
}

// importing returns the commit that writes the records.
func (c *Chats) importing(records []chat.Record) (persistence.Commit, error) {
	var fold conversation.Fold
	var entries [][]byte
	for _, record := range records {
		if refusal := c.tooLong(record.Event); refusal != nil {
			return persistence.Commit{}, refusal
		}
		data, err := record.Encode()
		if err == nil {
			err = fold.Add(persistence.Entry{Seq: record.Seq, Data: data})
		}
		if err != nil {
			return persistence.Commit{}, chat.Refuse(chat.CodeInvalid, fmt.Sprintf("the chat cannot be imported: %v", err))
		}
		entries = append(entries, data)
	}
	row, open := fold.Row(), fold.Open()
	return persistence.Commit{
		Room: row.Room, Entries: entries, Keys: fold.Keys(), Messages: fold.Messages(), Chat: &row, Turn: &open, Charges: fold.Charges(), Limited: true,
	}, nil
}

// tooLong refuses what nobody could have said, or no model have answered, here.
func (c *Chats) tooLong(e chat.Event) *chat.Error {
	limit, text := 0, ""
	switch e := e.(type) {
	case chat.MessageAdded:
		limit, text = c.maxMessageBytes, e.Content
	case chat.TurnEnded:
		limit, text = c.maxAnswerBytes, e.Content+e.Thought
	}
	if limit > 0 && len(text) > limit {
		return chat.Refuse(chat.CodeTooLarge, fmt.Sprintf("a message in the file has %d bytes; at most %d are possible", len(text), limit))
	}
	return nil
}
