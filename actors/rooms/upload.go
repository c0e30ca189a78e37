package rooms

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"parlor/actors/access"
	"parlor/actors/room"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// upload is a file whose bytes are coming.
type upload struct {
	r      *Rooms
	ctx    context.Context
	room   chat.RoomID
	flow   string
	blob   string
	pieces int // on disk that belong to no file
}

// copy writes the bytes to the disk, and finds out what they are.
func (w *upload) copy(up chat.Upload) (kept room.KeptFile, err error) {
	var check chat.FileCheck
	o, sum, piece := w.r.options, sha256.New(), make([]byte, persistence.FileChunk)
	files, err := w.r.log.Files(string(w.room))
	switch {
	case err != nil:
		return kept, w.r.unreadable(err)
	case len(files) >= o.MaxFiles:
		return kept, chat.Refuse(chat.CodeQuotaExceeded, fmt.Sprintf("the chat has %d files, as many as it may", len(files)))
	}
	for {
		n, end := fill(up.Body, piece)
		check.Write(piece[:n])
		sum.Write(piece[:n])
		if refusal := w.refusal(&check); refusal != nil {
			return kept, refusal
		}
		if n > 0 {
			if err := w.keep(bytes.Clone(piece[:n])); err != nil {
				return kept, err
			}
		}
		switch {
		case end == io.EOF:
			f, refusal := check.File(up.Name)
			switch {
			case refusal != nil:
				return kept, refusal
			case f.Image() && f.Size > o.MaxImageBytes:
				return kept, chat.Refuse(chat.CodeTooLarge, fmt.Sprintf("an image may have %d bytes", o.MaxImageBytes))
			}
			return room.KeptFile{File: f, Digest: hex.EncodeToString(sum.Sum(nil))}, nil
		case end != nil:
			return kept, end
		}
	}
}

// refusal says why the file cannot be kept, whatever follows.
func (w *upload) refusal(check *chat.FileCheck) *chat.Error {
	if limit := w.r.options.MaxFileBytes; check.Size > limit {
		return chat.Refuse(chat.CodeTooLarge, fmt.Sprintf("a file may have %d bytes", limit))
	}
	return check.Hopeless()
}

// fill reads until p is full. An [io.EOF] is the end of the body, also behind some bytes; any
// other error means that it was cut.
func fill(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var more int
		more, err = r.Read(p[n:])
		n += more
	}
	return n, err
}

// keep writes a piece to the disk.
func (w *upload) keep(piece []byte) error {
	done := make(chan error, 1)
	w.r.log.PutChunk(string(w.room), w.flow, w.blob, w.pieces, piece, func(err error) { done <- err })
	w.pieces++
	if err := await(w.ctx, done); err != nil {
		return w.failed(err)
	}
	return nil
}

// finish makes the bytes a file. If there is one with its id, which has to be the same, that
// is it.
func (w *upload) finish(kept room.KeptFile) (room.KeptFile, error) {
	text, err := json.Marshal(kept)
	if err != nil {
		return kept, err
	}
	row := persistence.File{ID: string(kept.ID), Blob: w.blob, Size: kept.Size, Info: text}
	err = w.put(row)
	if err == nil {
		w.pieces = 0
		return kept, nil
	}
	if !errors.Is(err, persistence.ErrConflict) {
		return kept, w.failed(err)
	}
	first, err := w.r.fileRow(w.room, kept.ID)
	switch {
	case err != nil:
		return kept, err
	case first.Digest != kept.Digest || first.Name != kept.Name:
		return kept, errOtherFile
	}
	return first.KeptFile, nil
}

func (w *upload) put(row persistence.File) error {
	done := make(chan error, 1)
	w.r.log.PutFile(string(w.room), w.flow, row, func(err error) { done <- err })
	return await(w.ctx, done)
}

// drop removes bytes that belong to no file.
func (w *upload) drop() { w.r.log.DropBlob(string(w.room), w.flow, w.blob, nil) }

func await(ctx context.Context, done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *upload) failed(err error) error {
	switch {
	case w.ctx.Err() != nil:
		return w.ctx.Err()
	case errors.Is(err, persistence.ErrNotFound):
		return access.ErrNoChat
	}
	return room.RefusalOf(err)
}
