package persistence

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"

	bolt "go.etcd.io/bbolt"
)

// Limits of files.
const (
	// FileChunk is the greatest length of a piece of a file, in bytes.
	FileChunk = 64 << 10

	// MaxFileIDLen is the greatest length of the name of a file or of its bytes.
	MaxFileIDLen = 64
)

// A File is a file of a room. Its bytes lie under Blob, apart from the row, so that nobody
// sees a file before it is whole.
type File struct {
	ID   string `json:"-"`
	Blob string `json:"blob"`
	Size int64  `json:"size"`
	Info []byte `json:"info"` // the caller's own encoding, at most MaxSessionLen bytes
}

// addFiles leads from version 8 to 9. Until then rooms had no files.
func addFiles(tx *bolt.Tx) error { return createBuckets(tx, bucketFiles, bucketBlobs, bucketUploads) }

func blobKey(room, blob string, n int) []byte {
	return binary.BigEndian.AppendUint32(prefix(room+"\x00"+blob), uint32(n))
}

// PutChunk queues piece n of the bytes under blob, counted from 0, which have to follow each
// other. They count for the owner of the room's chat at once: done gets [ErrByteQuota] if
// they are too many, and [ErrNotFound] if there is no such chat, or not the pieces before.
// Pieces that [Store.PutFile] gives no row are removed by [Store.DropBlob], or by the next
// start. Flow is as in a [Commit].
func (s *Writes) PutChunk(room, flow, blob string, n int, data []byte, done func(error)) {
	c := &putChunk{room, blob, n, data, s.quota.Bytes}
	s.enqueue(&request{room: room, flow: flow, change: c, size: requestOverhead + len(data), err: c.check(), done: done})
}

func (c *putChunk) check() error {
	if len(c.data) == 0 || len(c.data) > FileChunk {
		return fmt.Errorf("%w: a piece of a file of %d bytes", ErrInvalid, len(c.data))
	}
	return checkFileID(c.room, c.blob)
}

func (c *putChunk) apply(tx *bolt.Tx) error {
	room, blob, n, data := c.room, c.blob, c.n, c.data
	chat, err := getChat(tx, room)
	blobs, key := tx.Bucket(bucketBlobs), blobKey(room, blob, n)
	switch {
	case err != nil:
		return err
	case n > 0 && !has(blobs, blobKey(room, blob, n-1)):
		return fmt.Errorf("%w: the beginning of a file of room %q", ErrNotFound, room)
	}
	size := int64(len(key) + len(data) + sealLen)
	if share, _ := shareOf(tx, chat.Owner); chat.Owner != "" && c.quota > 0 && share.Bytes+size > c.quota {
		return fmt.Errorf("%w: %d and %d more", ErrByteQuota, share.Bytes, size)
	}
	if n == 0 {
		if err := tx.Bucket(bucketUploads).Put(nameKey(room, blob), nil); err != nil {
			return err
		}
	}
	if err := replaceValue(tx, bucketBlobs, key, data); err != nil {
		return err
	}
	return addToShare(tx, chat.Owner, Share{0, size})
}

// PutFile queues the row of a file whose pieces are there. Without any it is empty. done
// gets [ErrConflict] if the room has a file with the id already, and [ErrNotFound] if the
// pieces are gone, or the chat.
func (s *Writes) PutFile(room, flow string, f File, done func(error)) {
	c := &putFile{room, f}
	s.enqueue(&request{room: room, flow: flow, change: c, size: requestOverhead + len(f.Info), err: c.check(), done: done})
}

func (c *putFile) check() error {
	if len(c.file.Info) > MaxSessionLen {
		return fmt.Errorf("%w: a file's row of %d bytes", ErrTooLarge, len(c.file.Info))
	}
	if err := checkFileID(c.room, c.file.Blob); err != nil {
		return err
	}
	return checkFileID(c.room, c.file.ID)
}

func (c *putFile) apply(tx *bolt.Tx) error {
	room, f := c.room, c.file
	chat, err := getChat(tx, room)
	if err != nil {
		return err
	}
	last := int((f.Size - 1) / FileChunk)
	files, key := tx.Bucket(bucketFiles), nameKey(room, f.ID)
	switch {
	case has(files, key):
		return fmt.Errorf("%w: room %q has a file %q already", ErrConflict, room, f.ID)
	case f.Size > 0 && !has(tx.Bucket(bucketBlobs), blobKey(room, f.Blob, last)):
		return fmt.Errorf("%w: the bytes of a file of room %q", ErrNotFound, room)
	}
	row, err := json.Marshal(f)
	if err != nil {
		return err
	}
	if err := putWords(tx, bucketFiles, key, row); err != nil {
		return err
	}
	if err := tx.Bucket(bucketUploads).Delete(nameKey(room, f.Blob)); err != nil {
		return err
	}
	return addToShare(tx, chat.Owner, Share{0, int64(len(key) + len(row) + sealLen)})
}

// DropBlob queues the removal of pieces that have no row, and DeleteFile that of a file,
// which need not be there.
func (s *Writes) DropBlob(room, flow, blob string, done func(error)) {
	s.enqueue(&request{room: room, flow: flow, change: &dropBlob{room, blob}, size: requestOverhead, err: checkFileID(room, blob), done: done})
}

func (c *dropBlob) apply(tx *bolt.Tx) error {
	if !has(tx.Bucket(bucketUploads), nameKey(c.room, c.blob)) {
		return nil
	}
	return removeBlob(tx, c.room, c.blob, 0)
}

// removeBlob removes pieces, and takes them and so many bytes more from the owner's share.
func removeBlob(tx *bolt.Tx, room, blob string, more int64) error {
	p := prefix(room + "\x00" + blob)
	size := more + bytesBelow(tx, bucketBlobs, p)
	if _, err := deleteValues(tx, bucketBlobs, p); err != nil {
		return err
	}
	if err := tx.Bucket(bucketUploads).Delete(nameKey(room, blob)); err != nil {
		return err
	}
	if owner, ok := ownerOf(tx, room); ok {
		return addToShare(tx, owner, Share{0, -size})
	}
	return nil
}

// DeleteFile is described with [Store.DropBlob].
func (s *Writes) DeleteFile(room, flow, id string, done func(error)) {
	s.enqueue(&request{room: room, flow: flow, change: &deleteFile{room, id}, size: requestOverhead, err: checkFileID(room, id), done: done})
}

func (c *deleteFile) apply(tx *bolt.Tx) error {
	room, id := c.room, c.id
	key := nameKey(room, id)
	row := tx.Bucket(bucketFiles).Get(key)
	if row == nil {
		return nil
	}
	size := int64(len(key) + countedLen(keysOf(tx), row))
	f, err := decodeFile(tx, room, id, row)
	if err != nil {
		return err
	}
	if err := tx.Bucket(bucketFiles).Delete(key); err != nil {
		return err
	}
	return removeBlob(tx, room, f.Blob, size)
}

// File returns a file of a room, or [ErrNotFound].
func (r *Reader) File(room, id string) (f File, err error) {
	if err := checkFileID(room, id); err != nil {
		return File{}, err
	}
	err = r.disk.view(func(tx *bolt.Tx) error {
		row := tx.Bucket(bucketFiles).Get(nameKey(room, id))
		if row == nil {
			return fmt.Errorf("%w: file %q of room %q", ErrNotFound, id, room)
		}
		f, err = decodeFile(tx, room, id, row)
		return err
	})
	return f, err
}

// Files returns the files of a room by their ids. There are few. A damaged row is left out
// and logged.
func (r *Reader) Files(room string) (files []File, err error) {
	if err := checkRoom(room); err != nil {
		return nil, err
	}
	err = r.disk.view(func(tx *bolt.Tx) error {
		p := prefix(room)
		c := tx.Bucket(bucketFiles).Cursor()
		for k, v := c.Seek(p); bytes.HasPrefix(k, p); k, v = c.Next() {
			f, err := decodeFile(tx, room, string(k[len(p):]), v)
			if err != nil {
				r.disk.log.Error("the row of a file cannot be read", "err", err)
				continue
			}
			files = append(files, f)
		}
		return nil
	})
	return files, err
}

// Chunks yields the bytes of a file from one of them on, piece by piece, each read in a
// transaction of its own. The pieces are the callee's to keep. If the file is deleted
// meanwhile it ends with [ErrNotFound].
func (r *Reader) Chunks(room string, f File, from int64) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for from < f.Size {
			var piece []byte
			err := r.disk.view(func(tx *bolt.Tx) (err error) {
				if piece, err = getChunk(tx, room, f, int(from/FileChunk)); err == nil {
					piece = bytes.Clone(piece[from%FileChunk:])
				}
				return err
			})
			if !yield(piece, err) || err != nil {
				return
			}
			from += int64(len(piece))
		}
	}
}

func getChunk(tx *bolt.Tx, room string, f File, n int) ([]byte, error) {
	key := blobKey(room, f.Blob, n)
	v := tx.Bucket(bucketBlobs).Get(key)
	if v == nil {
		return nil, fmt.Errorf("%w: piece %d of file %q of room %q", ErrNotFound, n, f.ID, room)
	}
	piece, err := valueIn(tx, bucketBlobs, key, v)
	if want := min(FileChunk, f.Size-int64(n)*FileChunk); err == nil && int64(len(piece)) != want {
		err = fmt.Errorf("%w: piece %d of file %q of room %q has %d bytes, want %d", ErrCorrupt, n, f.ID, room, len(piece), want)
	}
	return piece, err
}

func decodeFile(tx *bolt.Tx, room, id string, row []byte) (f File, err error) {
	v, err := unsealWords(tx, bucketFiles, nameKey(room, id), row)
	if err == nil {
		if json.Unmarshal(v, &f) != nil {
			err = fmt.Errorf("%w: the row of file %q of room %q", ErrCorrupt, id, room)
		}
	}
	f.ID = id
	return f, err
}

func checkFileID(room, id string) error {
	if len(id) > MaxFileIDLen {
		return fmt.Errorf("%w: the name of a file has %d bytes, want at most %d", ErrInvalid, len(id), MaxFileIDLen)
	}
	if err := checkRoom(id); err != nil { // the same letters, so no name is a prefix of another one's keys
		return err
	}
	return checkRoom(room)
}

// dropUploads queues the removal of what uploads have left that the end of the server has
// cut.
func (s *Store) dropUploads() error {
	if s.options.Replicated {
		return nil // the other stores would not do it
	}
	return s.disk.view(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketUploads).Cursor()
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			room, blob, _ := bytes.Cut(bytes.Clone(k), []byte{0})
			s.DropBlob(string(room), "", string(blob), nil)
		}
		return nil
	})
}

// deleteFiles removes all files of a room. Their bytes are no part of its owner's share any
// more.
func deleteFiles(tx *bolt.Tx, room string) error {
	for _, bucket := range [][]byte{bucketFiles, bucketBlobs, bucketUploads} {
		if _, err := deleteValues(tx, bucket, prefix(room)); err != nil {
			return err
		}
	}
	return nil
}

// files reports what is wrong with the files of a room, and returns how many bytes they take.
func (k *checker) files(tx *bolt.Tx, room string) int64 {
	p := prefix(room)
	files, blobs := tx.Bucket(bucketFiles), tx.Bucket(bucketBlobs)
	known := make(map[string]bool) // blobs
	c := files.Cursor()
	for key, v := c.Seek(p); bytes.HasPrefix(key, p); key, v = c.Next() {
		f, err := decodeFile(tx, room, string(key[len(p):]), v)
		known[f.Blob] = true
		for n := 0; err == nil && int64(n)*FileChunk < f.Size; n++ {
			_, err = getChunk(tx, room, f, n)
		}
		if err != nil {
			k.fault(room, 0, "a file: %v", err)
		}
	}
	c = blobs.Cursor()
	for key, _ := c.Seek(p); bytes.HasPrefix(key, p); key, _ = c.Next() {
		blob, _, _ := bytes.Cut(key[len(p):], []byte{0})
		if !known[string(blob)] && !has(tx.Bucket(bucketUploads), nameKey(room, string(blob))) {
			k.fault(room, 0, "bytes that belong to no file")
		}
		known[string(blob)] = true
	}
	return bytesBelow(tx, bucketFiles, p) + bytesBelow(tx, bucketBlobs, p)
}
