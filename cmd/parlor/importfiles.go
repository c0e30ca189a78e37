package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	"parlor/actors/conversation"
	"parlor/actors/room"
	"parlor/persistence"
	"parlor/protocol/chat"
	"parlor/protocol/exports"
)

// attachments brings the bytes of attachments over. The chat is written first, with what is known
// of its files, so these are read twice: before, to find that out, and behind it.
//
//	archives → find → examine → the records of the chat
//	                → examine → pieces → the row of the file
type attachments struct {
	ctx      context.Context
	s        *Settings
	pdf      room.PDF
	archives []*archive
	store    *persistence.Store // nil: nothing is written
	told     func(where, title, file string, why error)

	kept, missing int
}

// opened reads the bytes of an attachment from their beginning.
type opened func() (io.ReadCloser, error)

// find looks for the attachments of a chat, and notes in it what their bytes are. It returns those
// that the chat does not have yet.
func (a *attachments) find(where string, c *exports.Chat) (map[chat.FileID]opened, error) {
	wanted, known := make(map[chat.FileID]opened), make(map[chat.FileID]*chat.File)
	for i := range c.Messages {
		m := &c.Messages[i]
		for n := range m.Files {
			if m.Role != chat.RoleUser {
				continue
			}
			file, id := &m.Files[n], c.FileID(*m, n)
			kept, again := known[id]
			if !again {
				kept = a.there(c.ChatID(), id)
			}
			if !again && kept == nil {
				kept, wanted[id] = a.findOne(where, c, file)
			}
			if a.ctx.Err() != nil {
				return nil, endOfImport{a.ctx.Err()}
			}
			file.Kept, known[id] = kept, kept
		}
	}
	maps.DeleteFunc(wanted, func(_ chat.FileID, open opened) bool { return open == nil })
	return wanted, nil
}

// there returns a file that the chat has already, or nil.
func (a *attachments) there(id chat.ID, file chat.FileID) *chat.File {
	if a.store == nil {
		return nil
	}
	row, err := a.store.File(string(id.Room()), string(file))
	kept, readErr := conversation.ReadFile(row)
	if err != nil || readErr != nil {
		return nil
	}
	return &kept.File
}

// findOne finds out what an attachment is. If its bytes cannot come, the report says why, unless
// nobody said where they could be.
func (a *attachments) findOne(where string, c *exports.Chat, file *exports.File) (*chat.File, opened) {
	open, err := a.look(file)
	var kept conversation.KeptFile
	if err == nil {
		kept, err = a.examine(open, file.Name, chat.UserID(c.Owner), io.Discard)
	}
	switch {
	case err == nil:
		return &kept.File, open
	case err != errNoBytes || len(a.archives) > 0:
		a.leaveOut(where, c, file.Name, err)
	}
	return nil, nil
}

var errNoBytes = errors.New("its bytes are not there")

// look returns where the bytes of an attachment are. One that has no name but its id gets that
// of the file.
func (a *attachments) look(f *exports.File) (opened, error) {
	if f.Data != "" {
		data, refusal := chat.FileIn(f.Data)
		if refusal != nil {
			return nil, refusal
		}
		return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }, nil
	}
	for _, in := range a.archives {
		if at := in.find(*f); at != nil {
			if f.Name == f.ID {
				f.Name = cmp.Or(in.titles[at.name], at.name)
			}
			return at.open, nil
		}
	}
	return nil, errNoBytes
}

// examine finds out what bytes are, within the limits of uploads, and writes them to w, with the
// text of a PDF behind them.
func (a *attachments) examine(open opened, name string, by chat.UserID, w io.Writer) (conversation.KeptFile, error) {
	in, err := open()
	if err != nil {
		return conversation.KeptFile{}, err
	}
	var check chat.FileCheck
	sum := sha256.New()
	err = errors.Join(a.copy(io.MultiWriter(&check, sum, w), &check, in), in.Close())
	if err != nil {
		return conversation.KeptFile{}, err
	}
	file, refusal := check.File(name)
	switch limit := int64(a.s.MaxImageBytes); {
	case refusal != nil:
		return conversation.KeptFile{}, refusal
	case file.Image() && file.Size > limit:
		return conversation.KeptFile{}, fmt.Errorf("it has %d bytes, an image may have %d (max-image-bytes)", file.Size, limit)
	case file.PDF():
		if file, err = a.readPDF(open, file, by, w); err != nil {
			return conversation.KeptFile{}, err
		}
	}
	return conversation.KeptFile{File: file, Digest: hex.EncodeToString(sum.Sum(nil))}, nil
}

func (a *attachments) copy(w io.Writer, check *chat.FileCheck, in io.Reader) error {
	limit, piece := int64(a.s.MaxFileBytes), make([]byte, persistence.FileChunk)
	for {
		n, end := io.ReadFull(in, piece)
		if _, err := w.Write(piece[:n]); err != nil {
			return err
		}
		switch refusal := check.Hopeless(); {
		case check.Size > limit:
			return fmt.Errorf("it has more than the %d bytes that a file may have (max-file-bytes)", limit)
		case check.PDF() && a.pdf == nil:
			return chat.ErrPDF
		case refusal != nil:
			return refusal
		case end == io.EOF || end == io.ErrUnexpectedEOF && n < len(piece):
			return a.ctx.Err()
		case end != nil:
			return end
		case a.ctx.Err() != nil:
			return a.ctx.Err()
		}
	}
}

func (a *attachments) readPDF(open opened, file chat.File, by chat.UserID, w io.Writer) (chat.File, error) {
	in, err := open()
	if err != nil {
		return file, err
	}
	text, err := a.pdf.Text(a.ctx, by, in, int64(a.s.MaxFileBytes))
	if err := errors.Join(err, in.Close()); err != nil {
		return file, err
	}
	read, refusal := file.Read(text)
	if refusal != nil {
		return file, refusal
	}
	_, err = w.Write(text)
	return read, err
}

// keep writes those of the files that have been found. The records of their chat are on disk.
func (a *attachments) keep(where string, c *exports.Chat, records []chat.Record, files map[chat.FileID]opened) error {
	for _, r := range records {
		said, is := r.Event.(chat.MessageAdded)
		for n := 0; is && n < len(said.Files); n++ {
			file := said.Files[n]
			from, wanted := files[file.ID]
			if !wanted {
				continue
			}
			delete(files, file.ID) // a later message may bring it again
			refusal, err := a.write(c, file, from)
			switch {
			case err != nil:
				return err
			case refusal != nil:
				a.leaveOut(where, c, file.Name, refusal)
			default:
				a.kept++
			}
		}
	}
	return nil
}

// write writes one file. An error concerns all that would follow.
func (a *attachments) write(c *exports.Chat, file chat.File, from opened) (refusal, err error) {
	id := string(c.ChatID().Room())
	there, err := a.store.Files(id)
	switch {
	case err != nil:
		return nil, err
	case len(there) >= a.s.MaxFilesPerChat:
		return fmt.Errorf("the chat has %d files, as many as it may (max-files-per-chat)", len(there)), nil
	}
	w := &blobWriter{store: a.store, room: id, flow: c.Owner, blob: strings.ToLower(rand.Text())}
	kept, refusal := a.examine(from, file.Name, file.By, w)
	if refusal == nil {
		refusal = w.flush()
	}
	if refusal == nil && (kept.Type != file.Type || kept.Size != file.Size || kept.TextSize != file.TextSize) {
		refusal = errors.New("it changed while it was read")
	}
	if refusal == nil {
		kept.File = file
		return nil, w.finish(kept)
	}
	switch err := w.drop(); {
	case err != nil:
		return nil, err
	case errors.Is(w.err, persistence.ErrByteQuota):
		return fmt.Errorf("the chats of %q take as much space as they may (max-bytes-per-user)", c.Owner), nil
	case w.err != nil:
		return nil, w.err
	case a.ctx.Err() != nil:
		return nil, a.ctx.Err()
	}
	return refusal, nil
}

func (a *attachments) leaveOut(where string, c *exports.Chat, file string, why error) {
	a.missing++
	a.told(where, cmp.Or(c.Title, c.ID), file, why)
}

// A blobWriter writes bytes in pieces. Several wait at once for the disk, so that they share a
// transaction.
type blobWriter struct {
	store            *persistence.Store
	room, flow, blob string
	rest             []byte
	pieces           int
	waiting          []<-chan error
	err              error // of the first piece that could not be written
}

const maxWaitingPieces = 16

func (w *blobWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for len(w.rest) >= persistence.FileChunk && w.err == nil {
		w.put(bytes.Clone(w.rest[:persistence.FileChunk]))
		w.rest = w.rest[persistence.FileChunk:]
	}
	return len(p), w.err
}

func (w *blobWriter) put(piece []byte) {
	if len(w.waiting) == maxWaitingPieces {
		w.await(1)
	}
	done := make(chan error, 1)
	w.store.PutChunk(w.room, w.flow, w.blob, w.pieces, piece, func(err error) { done <- err })
	w.waiting, w.pieces = append(w.waiting, done), w.pieces+1
}

// await waits for so many pieces.
func (w *blobWriter) await(n int) {
	for _, done := range w.waiting[:n] {
		if err := <-done; w.err == nil {
			w.err = err
		}
	}
	w.waiting = w.waiting[n:]
}

// flush writes what is left, and waits for all of it.
func (w *blobWriter) flush() error {
	if len(w.rest) > 0 {
		w.put(w.rest)
	}
	w.await(len(w.waiting))
	return w.err
}

// finish makes the bytes a file.
func (w *blobWriter) finish(kept conversation.KeptFile) error {
	text, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	row := persistence.File{ID: string(kept.ID), Blob: w.blob, Size: kept.Size + kept.TextSize, Info: text}
	w.store.PutFile(w.room, w.flow, row, func(err error) { done <- err })
	return <-done
}

// drop removes the bytes.
func (w *blobWriter) drop() error {
	w.await(len(w.waiting))
	done := make(chan error, 1)
	w.store.DropBlob(w.room, w.flow, w.blob, func(err error) { done <- err })
	return <-done
}
