package resume

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"hash/crc32"
	"strconv"
	"strings"

	"parlor/protocol/chat"
)

// An offset says how far a client is in all of its rooms. It is part of each event that
// tells of a record, or that the client has joined or left. A client that comes back
// sends the last one that it got.
//
//	offset = seat "." mark "." vector [ "." positions ] [ "." place "." digest ]
//	       | "-" "." seat "." positions
//
// Seat is a tag of the file's epoch and the private id. A client that begins anew keeps
// its old offset until it gets another, and the old one must mean nothing in the new
// seat. Mark is the number of a mark in base 36, and the vector says how far each place
// has moved since. Together with the seat on disk an offset is complete.
//
// A record may be several frames, and the connection may end between two of them. The
// offset of each frame but the last is the one before the record, with a digest of the
// frame. It says that the client has the next record, at the place with this number, up
// to this frame.
//
// The positions say the same of a few rooms without the seat: see [position]. If the seat
// on disk lacks a place, the offset holds nothing else: its client begins anew.
type offset struct {
	seat      string
	mark      uint64 // 0 if there are only positions
	vector    []byte
	positions []position
	part      part
}

// part says how much a client has of the next record at a place. The zero part says
// that it has nothing of it.
type part struct {
	place  int
	digest string
}

// broken begins the offset of a client whose seat on disk lacks a place. A client that
// sends it begins anew. If there are no positions it is all of the offset.
const broken = "-"

// The lengths of tags and digests.
const (
	seatTagLen  = 6
	placeTagLen = 8
	digestLen   = 6
)

// softLimit is the length of a vector, in bytes, past which the seat gets a new mark. An
// offset is shorter than 200 bytes if its vector has at most 126. Vectors go on growing
// until the new mark is on disk.
const softLimit = 100

var encoding = base64.RawURLEncoding

// tag returns a hash of the text, of n letters.
func tag(text string, n int) string {
	sum := sha256.Sum256([]byte(text))
	return encoding.EncodeToString(sum[:])[:n]
}

// seatTag names a seat in a file.
func seatTag(epoch, pid string) string { return tag(epoch+"\x00"+pid, seatTagLen) }

// placeTag names a room's log. A chat that was deleted and created again under the same
// id has another epoch, and other records.
func placeTag(room chat.RoomID, epoch string) string {
	return tag(string(room)+"\x00"+epoch, placeTagLen)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// digest tells the frames of one record apart.
func digest(frame []byte) string {
	sum := crc32.Checksum(frame, castagnoli)
	return encoding.EncodeToString([]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
}

// appendOffset appends an offset without part and without the quotes of JSON.
func appendOffset(b []byte, seat string, mark uint64, vector []byte) []byte {
	b = append(append(b, seat...), '.')
	b = append(strconv.AppendUint(b, mark, 36), '.')
	return encoding.AppendEncode(b, vector)
}

// parseOffset reads an offset that a client has sent.
func parseOffset(s string) (o offset, ok bool) {
	parts := strings.Split(s, ".")
	switch {
	case len(parts) < 3 || len(parts) > 6:
		return offset{}, false
	case parts[0] == broken:
		o.seat = parts[1]
		o.positions, ok = parsePositions(parts[2])
		return o, ok && len(parts) == 3 && len(o.seat) == seatTagLen
	case len(parts[0]) != seatTagLen:
		return offset{}, false
	}
	var err error
	o.seat = parts[0]
	if o.mark, err = strconv.ParseUint(parts[1], 36, 63); err != nil {
		return offset{}, false
	}
	if o.vector, err = encoding.DecodeString(parts[2]); err != nil {
		return offset{}, false
	}
	parts = parts[3:]
	if len(parts)%2 > 0 { // the version before had no positions
		if o.positions, ok = parsePositions(parts[0]); !ok {
			return offset{}, false
		}
		parts = parts[1:]
	}
	if len(parts) == 0 {
		return o, true
	}
	place, err := strconv.ParseUint(parts[0], 36, 31)
	o.part = part{int(place), parts[1]}
	return o, err == nil && len(parts[1]) == digestLen
}

// Offsets go with the frames of one record.
type Offsets struct {
	whole json.RawMessage
	part  []byte // the beginning of the offsets of the other frames
}

// Last returns the offset of the record's last frame. It is nil if the client cannot
// come back.
func (o Offsets) Last() json.RawMessage { return o.whole }

// Of returns the offset of another frame of the record. The frame has none yet.
func (o Offsets) Of(frame []byte) json.RawMessage {
	if o.part == nil {
		return o.whole
	}
	b := append(make([]byte, 0, len(o.part)+digestLen+1), o.part...)
	return append(append(b, digest(frame)...), '"')
}
