package room

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"parlor/actors/conversation"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// A PDF reads PDF files.
type PDF interface {
	// Text returns the text of a file, at most limit bytes, with form feeds between its
	// pages. What is wrong with the file is a *chat.Error.
	Text(ctx context.Context, by chat.UserID, file io.Reader, limit int64) ([]byte, error)
}

var errNoFile = chat.Refuse(chat.CodeNotFound, "the chat has no such file")

// files returns the files that a message brings.
func (r *recorder) files(ids []chat.FileID) (files []chat.File, refusal *chat.Error) {
	if len(ids) > r.MaxMessageFiles {
		return nil, chat.Refuse(chat.CodeInvalid, fmt.Sprintf("a message brings at most %d files", r.MaxMessageFiles))
	}
	for i, id := range ids {
		if slices.Contains(ids[:i], id) || !id.Valid() {
			return nil, chat.Refuse(chat.CodeInvalid, "files must be a list of different fileids")
		}
		row, err := r.Log.File(string(r.id), string(id))
		f, readErr := conversation.ReadFile(row)
		switch {
		case errors.Is(err, persistence.ErrNotFound):
			return nil, errNoFile
		case err != nil || readErr != nil:
			r.room.log().Error("look up a file", "file", id, "err", errors.Join(err, readErr))
			return nil, errUnreadable
		}
		files = append(files, f.File)
	}
	return files, nil
}

func fileTokens(files []chat.File) (n int) {
	for _, f := range files {
		n += f.Tokens
	}
	return n
}
