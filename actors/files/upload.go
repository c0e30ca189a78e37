package files

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
	"parlor/actors/conversation"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// upload is a file whose bytes are coming.
type upload struct {
	Options
	ctx    context.Context
	room   chat.RoomID
	flow   string
	by     chat.UserID
	blob   string
	pieces int    // on disk that belong to no file
	rest   []byte // less than a piece, which is not on disk yet
}

// copy writes the bytes to the disk, and finds out what they are.
func (w *upload) copy(up chat.Upload) (kept conversation.KeptFile, err error) {
	var check chat.FileCheck
	sum, piece := sha256.New(), make([]byte, persistence.FileChunk)
	files, err := w.Log.Files(string(w.room))
	switch {
	case err != nil:
		return kept, w.Queries.Unreadable(err)
	case len(files) >= w.MaxFiles:
		return kept, chat.Refuse(chat.CodeQuotaExceeded, fmt.Sprintf("the chat has %d files, as many as it may", len(files)))
	}
	for {
		n, end := fill(up.Body, piece)
		check.Write(piece[:n])
		sum.Write(piece[:n])
		if refusal := w.refusal(&check); refusal != nil {
			return kept, refusal
		}
		if err := w.write(piece[:n]); err != nil {
			return kept, err
		}
		switch {
		case end == io.EOF:
			f, err := w.file(&check, up.Name)
			return conversation.KeptFile{File: f, Digest: hex.EncodeToString(sum.Sum(nil))}, err
		case end != nil:
			return kept, end
		}
	}
}

// refusal says why the file cannot be kept, whatever follows.
func (w *upload) refusal(check *chat.FileCheck) *chat.Error {
	switch limit := w.MaxFileBytes; {
	case check.Size > limit:
		return chat.Refuse(chat.CodeTooLarge, fmt.Sprintf("a file may have %d bytes", limit))
	case check.PDF() && w.PDF == nil:
		return chat.ErrPDF
	}
	return check.Hopeless()
}

// file is what the bytes are, all of which have come. The text of a PDF is written behind them.
func (w *upload) file(check *chat.FileCheck, name string) (chat.File, error) {
	f, refusal := check.File(name)
	switch limit := w.MaxImageBytes; {
	case refusal != nil:
		return f, refusal
	case f.Image() && f.Size > limit:
		return f, chat.Refuse(chat.CodeTooLarge, fmt.Sprintf("an image may have %d bytes", limit))
	case f.PDF():
		text, err := w.PDF.Text(w.ctx, w.by, w.written(), w.MaxFileBytes)
		if err != nil {
			return f, w.unread(err)
		}
		if f, refusal = f.Read(text); refusal != nil {
			return f, refusal
		}
		if err := w.write(text); err != nil {
			return f, err
		}
	}
	return f, w.flush()
}

// unread is the error of a PDF that could not be read.
func (w *upload) unread(err error) error {
	if refused, ok := errors.AsType[*chat.Error](err); ok {
		w.Queries.Logger.Info("a PDF file is refused", "room", w.room, "err", err)
		return refused
	}
	return err
}

// written reads the bytes that have come.
func (w *upload) written() io.Reader {
	whole := persistence.File{Blob: w.blob, Size: int64(w.pieces) * persistence.FileChunk}
	return io.MultiReader(&pieces{room: string(w.room), file: whole, log: w.Log}, bytes.NewReader(w.rest))
}

// pieces reads the bytes of a file.
type pieces struct {
	log   Log
	room  string
	file  persistence.File
	at    int64
	piece []byte
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.piece) == 0 {
		if p.at == p.file.Size {
			return 0, io.EOF
		}
		for piece, err := range p.log.Chunks(p.room, p.file, p.at) {
			if err != nil {
				return 0, err
			}
			p.piece = piece
			break
		}
		p.at += int64(len(p.piece))
	}
	n := copy(b, p.piece)
	p.piece = p.piece[n:]
	return n, nil
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

// write writes bytes to the disk, all but the last ones that fill no piece.
func (w *upload) write(p []byte) error {
	w.rest = append(w.rest, p...)
	for len(w.rest) >= persistence.FileChunk {
		if err := w.keep(bytes.Clone(w.rest[:persistence.FileChunk])); err != nil {
			return err
		}
		w.rest = w.rest[persistence.FileChunk:]
	}
	return nil
}

// flush writes the last bytes.
func (w *upload) flush() error {
	if len(w.rest) == 0 {
		return nil
	}
	return w.keep(w.rest)
}

// keep writes a piece to the disk.
func (w *upload) keep(piece []byte) error {
	n := w.pieces
	w.pieces++
	err := persistence.Wait(w.ctx, func(done func(error)) { w.Log.PutChunk(string(w.room), w.flow, w.blob, n, piece, done) })
	if err != nil {
		return w.failed(err)
	}
	return nil
}

// finish makes the bytes a file. If there is one with its id, which has to be the same, that
// is it.
func (w *upload) finish(kept conversation.KeptFile) (conversation.KeptFile, error) {
	text, err := json.Marshal(kept)
	if err != nil {
		return kept, err
	}
	row := persistence.File{ID: string(kept.ID), Blob: w.blob, Size: kept.Size + kept.TextSize, Info: text}
	err = persistence.Wait(w.ctx, func(done func(error)) { w.Log.PutFile(string(w.room), w.flow, row, done) })
	if err == nil {
		w.pieces = 0
		return kept, nil
	}
	if !errors.Is(err, persistence.ErrConflict) {
		return kept, w.failed(err)
	}
	first, err := w.row(w.room, kept.ID)
	switch {
	case err != nil:
		return kept, err
	case first.Digest != kept.Digest || first.Name != kept.Name:
		return kept, errOtherFile
	}
	return first.KeptFile, nil
}

// drop removes bytes that belong to no file.
func (w *upload) drop() { w.Log.DropBlob(string(w.room), w.flow, w.blob, nil) }

func (w *upload) failed(err error) error {
	switch {
	case w.ctx.Err() != nil:
		return w.ctx.Err()
	case errors.Is(err, persistence.ErrNotFound):
		return access.ErrNoChat
	}
	return conversation.RefusalOf(err)
}
