package persistence

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// fields encode the fields of a [Command], or decode them: what visits them says their order
// once, for both. Encoding changes nothing. Each value has one encoding. After an error nothing
// more is decoded.
type fields struct {
	b       []byte // encoded so far, or what is left to decode
	reading bool
	err     error
}

func (f *fields) fail(what string) {
	if f.err == nil {
		f.err, f.b = fmt.Errorf("%w: a command with %s", ErrInvalid, what), nil
	}
}

func (f *fields) uint64(v *uint64) {
	if !f.reading {
		f.b = binary.AppendUvarint(f.b, *v)
		return
	}
	n, width := binary.Uvarint(f.b)
	if width <= 0 || width > 1 && f.b[width-1] == 0 {
		f.fail("a damaged number")
		return
	}
	*v, f.b = n, f.b[width:]
}

// number is uint64 for types whose values fit into T and are not negative.
func number[T ~int | ~int64 | ~uint16 | ~uint32](f *fields, v *T) {
	n := uint64(*v)
	if f.uint64(&n); !f.reading {
		return
	}
	if *v = T(n); uint64(*v) != n || *v < 0 {
		f.fail("a number that is too large")
		*v = 0
	}
}

func (f *fields) bool(v *bool) {
	n := 0
	if *v {
		n = 1
	}
	if number(f, &n); !f.reading {
		return
	}
	if *v = n == 1; n > 1 {
		f.fail("a truth that is neither")
	}
}

func (f *fields) time(v *time.Time) {
	var b [12]byte
	if !f.reading {
		binary.BigEndian.PutUint64(b[:], uint64(v.Unix()))
		binary.BigEndian.PutUint32(b[8:], uint32(v.Nanosecond()))
		f.b = append(f.b, b[:]...)
		return
	}
	if copy(b[:], f.b) < len(b) || binary.BigEndian.Uint32(b[8:]) >= uint32(time.Second) {
		f.fail("a damaged time")
		return
	}
	*v, f.b = time.Unix(int64(binary.BigEndian.Uint64(b[:])), int64(binary.BigEndian.Uint32(b[8:]))).UTC(), f.b[len(b):]
}

// length is that of bytes or of a list, or -1 if it is nil.
func (f *fields) length(n int) int {
	u := uint64(n + 1)
	f.uint64(&u)
	if f.reading && u > uint64(len(f.b))+1 {
		f.fail("a length that is too large")
		return -1
	}
	return int(min(u, math.MaxInt)) - 1
}

// bytes tells nil from what is empty. It decodes a copy.
func (f *fields) bytes(v *[]byte) {
	n := len(*v)
	if *v == nil {
		n = -1
	}
	n = f.length(n)
	switch {
	case !f.reading:
		f.b = append(f.b, *v...)
	case n < 0:
		*v = nil
	default:
		*v, f.b = append(make([]byte, 0, n), f.b[:n]...), f.b[n:]
	}
}

func (f *fields) string(v *string) {
	n := len(*v)
	number(f, &n)
	switch {
	case !f.reading:
		f.b = append(f.b, *v...)
	case n > len(f.b):
		f.fail("a length that is too large")
	default:
		*v, f.b = string(f.b[:n]), f.b[n:]
	}
}

// list visits the elements of a list, each of which is encoded as a byte or more. It tells nil
// from what is empty.
func list[T any](f *fields, v *[]T, visit func(*T)) {
	n := len(*v)
	if *v == nil {
		n = -1
	}
	n = f.length(n)
	if f.reading {
		*v = nil
		if n >= 0 {
			*v = []T{}
		}
		for range n {
			var zero T
			if *v = append(*v, zero); f.err != nil {
				return
			}
			visit(&(*v)[len(*v)-1])
		}
		return
	}
	for i := range *v {
		visit(&(*v)[i])
	}
}

// optional visits what v points to, unless v is nil.
func optional[T any](f *fields, v **T, visit func(*T)) {
	there := *v != nil
	f.bool(&there)
	if f.reading {
		if *v = nil; there {
			*v = new(T)
		}
	}
	if there {
		visit(*v)
	}
}

func (f *fields) chat(c *Chat) {
	f.string(&c.Room)
	f.string(&c.Owner)
	f.time(&c.Created)
	list(f, &c.Members, f.string)
	f.bytes(&c.Info)
}

func (f *fields) key(k *Key) {
	f.string(&k.Name)
	f.uint64(&k.Seq)
}

func (f *fields) charge(c *Charge) {
	f.string(&c.User)
	number(f, &c.Hour)
	f.string(&c.Room)
	f.string(&c.Model)
	for _, n := range []*uint64{&c.Turns, &c.Estimated, &c.Prompt, &c.Completion} {
		f.uint64(n)
	}
}

func (f *fields) quota(q *Quota) {
	number(f, &q.Chats)
	number(f, &q.Bytes)
	number(f, &q.Folders)
	number(f, &q.Pinned)
}

func (f *fields) commit(c *Commit) {
	f.string(&c.Room)
	f.uint64(&c.After)
	list(f, &c.Entries, f.bytes)
	list(f, &c.Keys, f.key)
	list(f, &c.Messages, f.key)
	optional(f, &c.Chat, f.chat)
	optional(f, &c.Turn, f.bool)
	f.bytes(&c.Text)
	number(f, &c.TextAt)
	f.bool(&c.DropText)
	f.bytes(&c.Snapshot)
	f.bool(&c.Limited)
	f.string(&c.Flow)
	list(f, &c.Charges, f.charge)
}
