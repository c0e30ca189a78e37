package rooms

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
	"parlor/actors/room"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// Refusals of what concerns files.
var (
	ErrNoFile    = chat.Refuse(chat.CodeNotFound, "the chat has no such file")
	errOtherFile = chat.Refuse(chat.CodeConflict, "this Idempotency-Key came before with another file")
)

// Upload keeps a file of a chat. It reads the body piece by piece, and waits for the disk
// behind each. A file that came before under the same key is not kept again.
func (r *Rooms) Upload(ctx context.Context, u chat.User, id chat.ID, up chat.Upload) (chat.File, error) {
	info, err := r.mayDo(u, id, access.Attach)
	if err != nil {
		return chat.File{}, err
	}
	w := &upload{r: r, ctx: ctx, room: info.Room, flow: string(info.Owner), by: u.ID, blob: strings.ToLower(rand.Text())}
	kept, err := w.copy(up)
	if err == nil {
		kept.By, kept.Created = u.ID, time.Now().UTC().Truncate(time.Millisecond)
		kept.ID = fileID(u.ID, up.Key)
		_, err = r.mayDo(u, id, access.Attach) // not any more, perhaps
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
func (r *Rooms) mayDo(u chat.User, id chat.ID, a access.Action) (chat.Info, error) {
	info, err := r.info(u, id.Room())
	if err != nil {
		return info, err
	}
	if refusal := r.options.Access.Check(info, u, a); refusal != nil {
		return info, refusal
	}
	return info, nil
}

// keptRow is the row of a file, with where its bytes are.
type keptRow struct {
	room.KeptFile
	row persistence.File
}

func (r *Rooms) fileRow(id chat.RoomID, file chat.FileID) (keptRow, error) {
	if !file.Valid() {
		return keptRow{}, ErrNoFile
	}
	row, err := r.log.File(string(id), string(file))
	if errors.Is(err, persistence.ErrNotFound) {
		return keptRow{}, ErrNoFile
	}
	kept, readErr := room.ReadFile(row)
	if err := cmp.Or(err, readErr); err != nil {
		return keptRow{}, r.unreadable(err)
	}
	return keptRow{kept, row}, nil
}

// Files returns the files of a chat, oldest first.
func (r *Rooms) Files(ctx context.Context, u chat.User, id chat.ID) (files []chat.File, err error) {
	info, err := r.mayDo(u, id, access.Read)
	if err != nil {
		return nil, err
	}
	err = r.query(ctx, u, func(*read) error {
		rows, err := r.log.Files(string(info.Room))
		for _, row := range rows {
			kept, readErr := room.ReadFile(row)
			if readErr != nil {
				r.options.Logger.Error("a file cannot be read", "room", info.Room, "file", row.ID, "err", readErr)
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
func (r *Rooms) Download(_ context.Context, u chat.User, id chat.ID, file chat.FileID) (chat.File, iter.Seq2[[]byte, error], error) {
	info, err := r.mayDo(u, id, access.Read)
	if err != nil {
		return chat.File{}, nil, err
	}
	kept, err := r.fileRow(info.Room, file)
	if err != nil {
		return chat.File{}, nil, err
	}
	return kept.File, upTo(kept.Size, r.log.Chunks(string(info.Room), kept.row, 0)), nil
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
func (r *Rooms) RemoveFile(ctx context.Context, u chat.User, id chat.ID, file chat.FileID) error {
	info, err := r.mayDo(u, id, access.Attach)
	if err != nil {
		return err
	}
	kept, err := r.fileRow(info.Room, file)
	switch {
	case err == ErrNoFile:
		return nil
	case err != nil:
		return err
	case kept.By != u.ID:
		if _, err := r.mayDo(u, id, access.Manage); err != nil {
			return err
		}
	}
	done := make(chan error, 1)
	r.log.DeleteFile(string(info.Room), string(info.Owner), string(file), func(err error) { done <- err })
	if err := await(ctx, done); err != nil {
		return r.unwritable(err)
	}
	return nil
}
