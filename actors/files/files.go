// Package files keeps the files of chats. Their bytes come and go past the rooms, piece by piece.
//
//	Upload → what the bytes are → pieces on disk → the file's row, in the end
package files

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"parlor/actors/access"
	"parlor/actors/conversation"
	"parlor/actors/queries"
	"parlor/actors/room"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// Refusals of what concerns files.
var (
	ErrNoFile    = chat.Refuse(chat.CodeNotFound, "the chat has no such file")
	errOtherFile = chat.Refuse(chat.CodeConflict, "this Idempotency-Key came before with another file")
)

// A Log is the part of the event log that files need. See [persistence.Store].
type Log interface {
	File(room, id string) (persistence.File, error)
	Files(room string) ([]persistence.File, error)
	Chunks(room string, f persistence.File, from int64) iter.Seq2[[]byte, error]
	PutChunk(room, flow, blob string, n int, data []byte, done func(error))
	PutFile(room, flow string, f persistence.File, done func(error))
	DropBlob(room, flow, blob string, done func(error))
	DeleteFile(room, flow, id string, done func(error))
}

// Options configure a [Store]. Log, Queries and the limits have no default.
type Options struct {
	Log     Log
	Queries *queries.Queries
	PDF     room.PDF // nil reads none, and they are refused

	MaxFileBytes  int64 // of a file
	MaxImageBytes int64 // of an image
	MaxFiles      int   // of a chat
}

// A Store keeps files. Its methods may be called from any goroutine.
type Store struct{ o Options }

// New returns a Store.
func New(o Options) *Store { return &Store{o} }

// Upload keeps a file of a chat. It reads the body piece by piece, and waits for the disk
// behind each. A file that came before under the same key is not kept again.
func (s *Store) Upload(ctx context.Context, u chat.User, id chat.ID, up chat.Upload) (chat.File, error) {
	info, err := s.mayDo(ctx, u, id, access.Attach)
	if err != nil {
		return chat.File{}, err
	}
	w := &upload{Options: s.o, ctx: ctx, room: info.Room, flow: string(info.Owner), by: u.ID, blob: strings.ToLower(rand.Text())}
	kept, err := w.copy(up)
	if err == nil {
		kept.By, kept.Created = u.ID, time.Now().UTC().Truncate(time.Millisecond)
		kept.ID = fileID(u.ID, up.Key)
		_, err = s.mayDo(ctx, u, id, access.Attach) // not any more, perhaps
	}
	if err == nil {
		kept, err = w.finish(kept)
	}
	if w.pieces > 0 {
		w.drop()
	}
	return kept.File, err
}

// fileID is a new id, or the one that a key of the user leads to.
func fileID(u chat.UserID, key string) chat.FileID {
	if key == "" {
		return chat.FileID(strings.ToLower(rand.Text()))
	}
	sum := sha256.Sum256([]byte(string(u) + "\x00" + key))
	return chat.FileID(hex.EncodeToString(sum[:16]))
}

// mayDo returns the chat, if the user may do that with it.
func (s *Store) mayDo(ctx context.Context, u chat.User, id chat.ID, a access.Action) (chat.Info, error) {
	info, err := s.o.Queries.Get(ctx, u, id)
	if err != nil {
		return info, err
	}
	if refusal := s.o.Queries.Access.Check(info, u, a); refusal != nil {
		return info, refusal
	}
	return info, nil
}

// keptRow is the row of a file, with where its bytes are.
type keptRow struct {
	conversation.KeptFile
	row persistence.File
}

func (o *Options) row(id chat.RoomID, file chat.FileID) (keptRow, error) {
	if !file.Valid() {
		return keptRow{}, ErrNoFile
	}
	row, err := o.Log.File(string(id), string(file))
	if errors.Is(err, persistence.ErrNotFound) {
		return keptRow{}, ErrNoFile
	}
	kept, readErr := conversation.ReadFile(row)
	if err := cmp.Or(err, readErr); err != nil {
		return keptRow{}, o.Queries.Unreadable(err)
	}
	return keptRow{kept, row}, nil
}

// Files returns the files of a chat, oldest first.
func (s *Store) Files(ctx context.Context, u chat.User, id chat.ID) (files []chat.File, err error) {
	info, err := s.mayDo(ctx, u, id, access.Read)
	if err != nil {
		return nil, err
	}
	err = s.o.Queries.Query(ctx, u, func() error {
		rows, err := s.o.Log.Files(string(info.Room))
		for _, row := range rows {
			kept, readErr := conversation.ReadFile(row)
			if readErr != nil {
				s.o.Queries.Logger.Error("a file cannot be read", "room", info.Room, "file", row.ID, "err", readErr)
				continue
			}
			files = append(files, kept.File)
		}
		return err
	})
	slices.SortFunc(files, func(a, b chat.File) int { return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID)) })
	return files, err
}

// Download returns a file and its bytes, piece by piece.
func (s *Store) Download(ctx context.Context, u chat.User, id chat.ID, file chat.FileID) (chat.File, iter.Seq2[[]byte, error], error) {
	info, err := s.mayDo(ctx, u, id, access.Read)
	if err != nil {
		return chat.File{}, nil, err
	}
	kept, err := s.o.row(info.Room, file)
	if err != nil {
		return chat.File{}, nil, err
	}
	return kept.File, upTo(kept.Size, s.o.Log.Chunks(string(info.Room), kept.row, 0)), nil
}

// upTo yields so many bytes of the pieces. Behind those of a PDF lies its text.
func upTo(size int64, pieces iter.Seq2[[]byte, error]) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for piece, err := range pieces {
			piece = piece[:min(int64(len(piece)), size)]
			size -= int64(len(piece))
			if !yield(piece, err) || size == 0 {
				return
			}
		}
	}
}

// RemoveFile removes a file, which need not be there. Members may remove their own files, and
// the owner of the chat all of them.
func (s *Store) RemoveFile(ctx context.Context, u chat.User, id chat.ID, file chat.FileID) error {
	info, err := s.mayDo(ctx, u, id, access.Attach)
	if err != nil {
		return err
	}
	kept, err := s.o.row(info.Room, file)
	switch {
	case err == ErrNoFile:
		return nil
	case err != nil:
		return err
	case kept.By != u.ID:
		if _, err := s.mayDo(ctx, u, id, access.Manage); err != nil {
			return err
		}
	}
	err = persistence.Wait(ctx, func(done func(error)) { s.o.Log.DeleteFile(string(info.Room), string(info.Owner), string(file), done) })
	if err != nil {
		return s.o.Queries.Unwritable(ctx, err)
	}
	return nil
}
