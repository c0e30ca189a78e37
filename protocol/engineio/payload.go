package engineio

import (
	"bytes"
	"encoding/base64"
	"errors"
	"iter"
)

// separator stands between the packets of a polling payload (protocol 4,
// "HTTP long-polling"). No JSON and no base64 contains it.
const separator = 0x1e

// base64Piece is how much binary data is encoded at a time: a multiple of
// three, so that pieces can be joined.
const base64Piece = 3 << 10

// ErrTooManyPackets is returned by [Packets] for a payload with more packets
// than its reader allows.
var ErrTooManyPackets = errors.New("engineio: too many packets in a payload")

// Packets decodes the packets of a polling payload in order, up to limit of
// them. It ends after the first error, which is one of those of [Decode], or
// [ErrTooManyPackets]. The packets' data is part of payload unless that was
// base64. Nothing but the current packet is kept, so a payload of many tiny
// packets costs no more than a long one (CVE-2020-36048).
func Packets(payload []byte, limit int) iter.Seq2[Packet, error] {
	return func(yield func(Packet, error) bool) {
		for n, more := 0, true; more; n++ {
			if n == limit {
				yield(Packet{}, ErrTooManyPackets)
				return
			}
			var one []byte
			one, payload, more = bytes.Cut(payload, []byte{separator})
			p, err := Decode(one, false)
			if !yield(p, err) || err != nil {
				return
			}
		}
	}
}

// PayloadSize returns the number of bytes of the payload that [Payload]
// yields.
func PayloadSize(frames []Frame) int {
	size := max(len(frames)-1, 0)
	for _, f := range frames {
		if f.Binary {
			size += 1 + base64.StdEncoding.EncodedLen(len(f.Data))
		} else {
			size += len(f.Data)
		}
	}
	return size
}

// Payload yields the polling payload that holds the frames in order, in parts
// that are valid until the next one is asked for. Text is not copied, since
// many clients may be sent the same.
func Payload(frames []Frame) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i, f := range frames {
			if i > 0 && !yield([]byte{separator}) {
				return
			}
			if !f.Binary && !yield(f.Data) {
				return
			}
			if f.Binary && !yieldBase64(f.Data, yield) {
				return
			}
		}
	}
}

// yieldBase64 yields data as text. It reports whether more is wanted.
func yieldBase64(data []byte, yield func([]byte) bool) bool {
	if !yield([]byte{base64Prefix}) {
		return false
	}
	buf := make([]byte, 0, base64.StdEncoding.EncodedLen(min(len(data), base64Piece)))
	for len(data) > 0 {
		piece := data[:min(len(data), base64Piece)]
		data = data[len(piece):]
		if !yield(base64.StdEncoding.AppendEncode(buf, piece)) {
			return false
		}
	}
	return true
}
