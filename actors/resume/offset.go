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

// An offset says how far a client is in all of its rooms. It goes with each
// event that tells of a record, or of having joined or left, and comes back with
// a client that wants its connection state recovered.
//
//	offset = seat "." mark "." vector [ "." place "." digest ]
//
// A client keeps only the newest one. It is complete together with the seat on
// disk: the vector says how far each place of the seat has moved since the mark,
// a number in base 36. Seat is a tag of the file's epoch and the private id: a
// client that begins anew keeps the offset that it had until it gets another, and
// that means nothing in its new seat.
//
// A record may be several frames, between which the connection may end. With
// every frame but the last goes the offset ahead of the record, and a digest of
// that frame: the client has got, of the record that is next at the place with
// that number, all frames up to it.
type offset struct {
	seat   string
	mark   uint64
	vector []byte
	part   part
}

// part is how much of the next record at a place a client has got. The zero
// part is nothing.
type part struct {
	place  int
	digest string
}

// brokenOffset is what clients get while the disk does not have what they have
// joined. A client that sends it back begins anew.
const brokenOffset = `"-"`

// The lengths of the parts that have one.
const (
	seatTagLen  = 6
	placeTagLen = 8
	digestLen   = 6
)

// softLimit is how many bytes a vector may have until the mark is renewed. An
// offset is shorter than 200 bytes if its vector has no more than 126; it grows on
// until the new mark is on disk.
const softLimit = 100

var encoding = base64.RawURLEncoding

// tag returns n letters that stand for the text.
func tag(text string, n int) string {
	sum := sha256.Sum256([]byte(text))
	return encoding.EncodeToString(sum[:])[:n]
}

// seatTag names a seat in a file.
func seatTag(epoch, pid string) string { return tag(epoch+"\x00"+pid, seatTagLen) }

// placeTag names a room's log. A chat that was deleted and made again under the
// same id has another epoch, and its records are others.
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
	if len(parts) != 3 && len(parts) != 5 || len(parts[0]) != seatTagLen {
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
	if len(parts) == 3 {
		return o, true
	}
	place, err := strconv.ParseUint(parts[3], 36, 31)
	o.part = part{int(place), parts[4]}
	return o, err == nil && len(parts[4]) == digestLen
}

// Offsets go with the frames of one record.
type Offsets struct {
	whole json.RawMessage
	part  []byte // what the offsets of all frames but the last begin with
}

// Last is the offset of the record's last frame. It is nil if the client cannot
// come back.
func (o Offsets) Last() json.RawMessage { return o.whole }

// Of is the offset of any other frame of the record, which is given without it.
func (o Offsets) Of(frame []byte) json.RawMessage {
	if o.part == nil {
		return o.whole
	}
	b := append(make([]byte, 0, len(o.part)+digestLen+1), o.part...)
	return append(append(b, digest(frame)...), '"')
}
