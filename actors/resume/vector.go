package resume

import "encoding/binary"

// A vector says for each place of a mark, in order, how it has changed since. A place
// that has moved by less than 125 records takes one byte; places that have not moved
// take hardly any. A vector is a sequence of numbers, in the form of
// [binary.AppendUvarint]:
//
//	0 n    the next n places have not moved
//	1      the client has left the room
//	2 n    it has moved back, by n records
//	3+n    it has moved on, by n records
type vector struct {
	bytes []byte
	still uint64 // last places that have not moved, and are not in bytes yet
}

const (
	codeStill = iota
	codeLeft
	codeBack
	codeOn
)

// A step is how one place has changed.
type step struct {
	left     bool
	from, to uint64 // records; only the difference counts
}

func (v *vector) add(s step) {
	switch {
	case s.left:
		v.flush()
		v.bytes = append(v.bytes, codeLeft)
	case s.to == s.from:
		v.still++
	case s.to < s.from:
		v.flush()
		v.bytes = binary.AppendUvarint(append(v.bytes, codeBack), s.from-s.to)
	default:
		v.flush()
		v.bytes = binary.AppendUvarint(v.bytes, codeOn+(s.to-s.from))
	}
}

func (v *vector) flush() {
	switch v.still {
	case 0:
	case 1:
		v.bytes = append(v.bytes, codeOn)
	default:
		v.bytes = binary.AppendUvarint(append(v.bytes, codeStill), v.still)
	}
	v.still = 0
}

// encoded returns the vector's bytes.
func (v *vector) encoded() []byte {
	v.flush()
	return v.bytes
}

// maxMove is further than any place can have moved: no log has so many records.
const maxMove = 1 << 62

// decodeVector reads a vector of at most max places, and reports false if it is none.
// In each step from is 0 if the place has moved on, and to is 0 if it has moved back.
func decodeVector(b []byte, max int) (steps []step, ok bool) {
	for len(b) > 0 && len(steps) <= max {
		var code, n uint64
		if code, b, ok = number(b); !ok {
			return nil, false
		}
		if code == codeStill || code == codeBack {
			if n, b, ok = number(b); !ok {
				return nil, false
			}
		}
		switch {
		case code == codeStill && n > uint64(max-len(steps)):
			return nil, false
		case code == codeStill:
			steps = append(steps, make([]step, n)...)
		case code == codeLeft:
			steps = append(steps, step{left: true})
		case code == codeBack:
			steps = append(steps, step{from: n})
		default:
			steps = append(steps, step{to: code - codeOn})
		}
	}
	return steps, len(steps) <= max
}

func number(b []byte) (n uint64, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > maxMove {
		return 0, nil, false
	}
	return n, b[size:], true
}

// after returns where a place is after the step, if it was at seq before. before
// returns where it was, if it is at seq now. They report false for a negative number.
func (s step) after(seq uint64) (uint64, bool)  { return seq + s.to - s.from, seq+s.to >= s.from }
func (s step) before(seq uint64) (uint64, bool) { return seq + s.from - s.to, seq+s.from >= s.to }
