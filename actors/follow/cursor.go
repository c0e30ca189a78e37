package follow

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	"parlor/protocol/chat"
)

// A cursor says where somebody is who follows all chats. It begins with a time: the
// follower has all records that were made before. Of the chats that have newer ones, or
// may have, it says how far the follower is there. So it is short: it names the chats of
// the last minute.
//
//	cursor = base64url(version, milliseconds, { tag, seq }), the numbers in the form of [binary.AppendUvarint]
type cursor struct {
	from time.Time
	seqs map[tag]uint64
}

// A tag names a chat's log.
type tag [6]byte

func tagOf(id chat.RoomID, epoch string) (t tag) {
	sum := sha256.Sum256([]byte(string(id) + "\x00" + epoch))
	copy(t[:], sum[:])
	return t
}

// cursorVersion is the first byte of a cursor.
const cursorVersion = 1

// margin is how long it may take from the moment at which a record is made until those who
// follow all chats know of it.
const margin = time.Minute

// fromBeginning is what a follower may send in place of a cursor to be told everything.
const fromBeginning = "0"

func (c cursor) String() string {
	b := binary.AppendUvarint([]byte{cursorVersion}, uint64(max(0, c.from.UnixMilli())))
	for t, seq := range c.seqs {
		b = binary.AppendUvarint(append(b, t[:]...), seq)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

var errBadCursor = chat.Refuse(chat.CodeInvalid, "that is no cursor of this feed; 0 means from the beginning")

func parseCursor(text string) (cursor, error) {
	switch text {
	case "":
		return cursor{}, nil
	case fromBeginning:
		return cursor{from: time.UnixMilli(0)}, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) == 0 || b[0] != cursorVersion {
		return cursor{}, errBadCursor
	}
	ms, n := binary.Uvarint(b[1:])
	if n <= 0 || ms > 1<<48 {
		return cursor{}, errBadCursor
	}
	c := cursor{time.UnixMilli(int64(ms)), make(map[tag]uint64)}
	for b = b[1+n:]; len(b) > 0; {
		var t tag
		rest := b[min(len(b), copy(t[:], b)):]
		seq, n := binary.Uvarint(rest)
		if n <= 0 {
			return cursor{}, errBadCursor
		}
		c.seqs[t], b = seq, rest[n:]
	}
	return c, nil
}

// record moves the cursor past a record.
func (a *all) record(c *followed, r chat.Record, t *chat.Told) {
	a.name(c)
	t.Before = a.cursor().String()
	c.seq, c.at, c.last = r.Seq, r.At, max(c.last, r.Seq)
	if _, ended := r.Event.(chat.TurnEnded); ended {
		c.running = false // or the next activity says otherwise
	}
	t.Cursor = a.cursor().String()
}

// name has cursors name the chat. If they name too many, they do not name the one any more
// of which something was told longest ago, among those of which all was told.
func (a *all) name(c *followed) {
	if c.unnamed {
		c.unnamed = false
		a.backlog--
	}
	for len(a.recent)-a.backlog > maxNamed {
		var oldest *followed
		for _, other := range a.recent {
			if other.settled() && (oldest == nil || other.told.Before(oldest.told)) {
				oldest = other
			}
		}
		if oldest == nil {
			return
		}
		delete(a.recent, oldest.id)
	}
}

// settled reports whether all of a chat was told, as far as is known.
func (c *followed) settled() bool { return c.stop == nil && !c.waits && c.seq >= c.last }

// cursor returns where the user is.
func (a *all) cursor() cursor {
	now := cursor{from: a.start.from, seqs: make(map[tag]uint64, len(a.recent)-a.backlog)}
	if from := time.Now().Add(-margin); a.backlog == 0 && from.After(now.from) {
		now.from = from
	}
	for _, c := range a.recent {
		if !c.unnamed {
			now.seqs[tagOf(c.id.Room(), c.epoch)] = c.seq
		}
	}
	return now
}
