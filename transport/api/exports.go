package api

import (
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"time"

	"parlor/protocol/chat"
	"parlor/protocol/exports"
)

// importName is the request that imports a chat.
const importName = "POST /import"

// maxExportedMessages limits an export, of which the newest messages are left.
const maxExportedMessages = 100_000

// exportChat answers with the current branch of a chat.
func (a *chatArea) exportChat(r *http.Request, u chat.User) (any, error) {
	c, err := a.chat(r, u)
	if err != nil {
		return nil, err
	}
	one := exports.NewOne(c)
	for m, err := range a.chats.MessagesOf(r.Context(), u, c.ID, "", 0, maxExportedMessages) {
		if err != nil {
			return nil, worded(err)
		}
		one.Add(m)
	}
	return one, nil
}

// importChat makes a chat of the user's out of what exportChat has answered, here or elsewhere.
func (a *chatArea) importChat(r *http.Request, u chat.User) (any, error) {
	body, err := io.ReadAll(r.Body)
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return nil, chat.Refuse(chat.CodeTooLarge, "the file is too large to be imported")
	}
	if err != nil {
		return nil, chat.Refuse(chat.CodeInvalid, "the file could not be read")
	}
	var random [8]byte
	rand.Read(random[:])
	found, err := exports.ReadOne(body, u, chat.MakeID(u.ID, random), time.Now())
	var records []chat.Record
	if err == nil {
		if list := a.models.List(); len(list) > 0 && a.models.Refusal(chat.ModelID(found.ModelID)) != nil {
			found.ModelID, found.APISource = string(list[0].ID), list[0].APISource // one that answers here
		}
		records, err = found.Records(make(exports.Notes))
	}
	if err != nil {
		return nil, chat.Refuse(chat.CodeInvalid, err.Error())
	}
	c, err := a.chats.Import(r.Context(), u, records)
	if err != nil {
		return nil, err
	}
	return map[string]any{"chat_id": c.ID, "title": c.Title}, nil
}
