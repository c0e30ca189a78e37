package recovery

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// A Seat is what a client gets back when it comes back.
type Seat struct {
	SID   string
	User  chat.UserID
	Guest bool // see [chat.User]

	// Places are the rooms that the client has joined, and how far the client was in
	// each of them when the seat was saved. Mark is the number of this state, and Past
	// leads back to older ones: see package resume.
	Places []Place
	Mark   uint64
	Past   [][]byte
}

// A Place is a room in a seat.
type Place struct {
	Room    chat.RoomID
	Encoder string // that the client uses there
	Tag     string // names the room's log
	Seq     uint64
}

// stored is the form of a seat in the store. It is short, for a thousand places.
type stored struct {
	SID      string      `json:"sid"`
	User     chat.UserID `json:"user"`
	Guest    bool        `json:"guest,omitempty"`
	Mark     uint64      `json:"mark,omitempty"`
	Encoders []string    `json:"encoders,omitempty"`
	Places   []string    `json:"places,omitempty"` // tag, seq in base 36, number of the encoder, room
	Past     [][]byte    `json:"past,omitempty"`
}

// encode returns the seat in the form of the store. If that would be too long it leaves
// out the oldest marks.
func (s Seat) encode() []byte {
	to := s.stored()
	for {
		b, err := json.Marshal(to)
		if err != nil {
			panic("recovery: encode a seat: " + err.Error())
		}
		if len(b) <= persistence.MaxSessionLen || len(to.Past) == 0 {
			return b
		}
		to.Past = to.Past[(len(to.Past)+1)/2:]
	}
}

// userOf returns the user of a seat in the form of the store. It reads no more than
// that, since a start does so for all seats. A seat that cannot be read is nobody's.
func userOf(b []byte) chat.UserID {
	var from struct {
		User chat.UserID `json:"user"`
	}
	_ = json.Unmarshal(b, &from)
	return from.User
}

func (s Seat) stored() stored {
	to := stored{SID: s.SID, User: s.User, Guest: s.Guest, Mark: s.Mark, Past: s.Past}
	to.Places = make([]string, 0, len(s.Places))
	var b []byte
	for _, p := range s.Places {
		i := slices.Index(to.Encoders, p.Encoder)
		if i < 0 {
			i = len(to.Encoders)
			to.Encoders = append(to.Encoders, p.Encoder)
		}
		b = append(append(b[:0], p.Tag...), ' ')
		b = append(strconv.AppendUint(b, p.Seq, 36), ' ')
		b = append(strconv.AppendInt(b, int64(i), 10), ' ')
		to.Places = append(to.Places, string(append(b, p.Room...)))
	}
	return to
}

var errPlace = errors.New("recovery: a place in a seat cannot be read")

// UnmarshalJSON implements json.Unmarshaler. It reads what the previous version has
// saved as a seat without places.
func (s *Seat) UnmarshalJSON(b []byte) error {
	var from stored
	if err := json.Unmarshal(b, &from); err != nil {
		return err
	}
	*s = Seat{SID: from.SID, User: from.User, Guest: from.Guest, Mark: from.Mark, Past: from.Past}
	for _, text := range from.Places {
		parts := strings.SplitN(text, " ", 4)
		if len(parts) < 4 {
			return errPlace
		}
		seq, err := strconv.ParseUint(parts[1], 36, 64)
		i, err2 := strconv.ParseUint(parts[2], 10, 31)
		if err != nil || err2 != nil || i >= uint64(len(from.Encoders)) {
			return errPlace
		}
		s.Places = append(s.Places, Place{chat.RoomID(parts[3]), from.Encoders[i], parts[0], seq})
	}
	return nil
}
