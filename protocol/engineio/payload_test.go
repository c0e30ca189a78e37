package engineio

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// collect returns what Packets yields.
func collect(payload string, limit int) (packets []Packet, err error) {
	for p, e := range Packets([]byte(payload), limit) {
		if e != nil {
			return packets, e
		}
		packets = append(packets, p)
	}
	return packets, nil
}

func TestPackets(t *testing.T) {
	got, err := collect("4hello\x1e2\x1ebAQIDBA==\x1e4", 4)
	if err != nil {
		t.Fatal(err)
	}
	want := []Packet{
		{Type: TypeMessage, Data: []byte("hello")},
		{Type: TypePing, Data: []byte{}},
		{Type: TypeMessage, Data: []byte{1, 2, 3, 4}, Binary: true},
		{Type: TypeMessage, Data: []byte{}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("packets (-want +got):\n%s", diff)
	}
}

// TestPacketsEnds checks that what comes before an error is yielded, and
// nothing after it.
func TestPacketsEnds(t *testing.T) {
	for _, test := range []struct {
		payload string
		packets int
		want    error
	}{
		{"", 0, ErrUnknownType},
		{"abc", 0, ErrUnknownType},
		{"\x1e4a", 0, ErrUnknownType},
		{"4a\x1e", 1, ErrUnknownType},
		{"4a\x1eabc\x1e4b", 1, ErrUnknownType},
		{"4a\x1e4b\x1e4\xff\x1e4c", 2, ErrEncoding},
		{"4a\x1eb?", 1, ErrEncoding},
		{"4a\x1e4b\x1e4c\x1e4d", 3, ErrTooManyPackets},
		{strings.Repeat("4\x1e", 1000), 3, ErrTooManyPackets},
	} {
		got, err := collect(test.payload, 3)
		if len(got) != test.packets || !errors.Is(err, test.want) {
			t.Errorf("%.20q: got %d packets and error %v, want %d and %v", test.payload, len(got), err, test.packets, test.want)
		}
	}
}

func TestPayload(t *testing.T) {
	long := bytes.Repeat([]byte("abc"), base64Piece)
	for _, frames := range [][]Frame{
		nil,
		{{Data: []byte("4hello")}},
		{{Data: []byte("4")}, {Data: []byte{}, Binary: true}, {Data: []byte("2")}},
		{{Data: long[:base64Piece-1], Binary: true}, {Data: long[:base64Piece+1], Binary: true}, {Data: long, Binary: true}},
	} {
		payload := bytes.Join(collectParts(frames), nil)
		if got, want := PayloadSize(frames), len(payload); got != want {
			t.Errorf("PayloadSize: got %d, want %d", got, want)
		}
		if len(frames) == 0 {
			continue
		}
		packets, err := collect(string(payload), len(frames))
		if err != nil {
			t.Fatal(err)
		}
		var again []Frame
		for _, p := range packets {
			again = append(again, p.Frame())
		}
		if diff := cmp.Diff(frames, again); diff != "" {
			t.Errorf("decoded (-want +got):\n%s", diff)
		}
	}
}

// TestPayloadStops checks that nothing is yielded to who wants no more: the
// iterator would panic.
func TestPayloadStops(t *testing.T) {
	frames := []Frame{{Data: bytes.Repeat([]byte("x"), 3*base64Piece), Binary: true}, {Data: []byte("4a")}}
	for parts := range 6 {
		n := 0
		for range Payload(frames) {
			if n++; n > parts {
				break
			}
		}
	}
}

func collectParts(frames []Frame) (parts [][]byte) {
	for part := range Payload(frames) {
		parts = append(parts, bytes.Clone(part))
	}
	return parts
}

// FuzzPackets checks that a payload means the same however it is cut up: what
// Packets yields, encoded and decoded again, is the same packets.
func FuzzPackets(f *testing.F) {
	for _, seed := range []string{
		"", "4hello", "4a\x1e4b", "2\x1e3", "bAQIDBA==\x1e4x", "4a\x1eabc\x1e4b", "\x1e", "4\x1e", "\x1e4", "4\xff",
		"b\x1eb=", "4héllo\x1e1\x1e4ignored", "1:21:21:2", "100000000:4aaa", "2probe\x1e5\x1e6",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		const limit = 100
		packets, err := collect(string(payload), limit)
		if want := bytes.Count(payload, []byte{separator}) + 1; err == nil && len(packets) != want || len(packets) > limit {
			t.Fatalf("got %d packets of %d", len(packets), want)
		}
		var frames []Frame
		for _, p := range packets {
			frames = append(frames, p.Frame())
		}
		if len(frames) == 0 {
			return
		}
		encoded := bytes.Join(collectParts(frames), nil)
		if len(encoded) != PayloadSize(frames) {
			t.Fatalf("got %d bytes, PayloadSize says %d", len(encoded), PayloadSize(frames))
		}
		again, err := collect(string(encoded), limit)
		if err != nil {
			t.Fatalf("decode %q again: %v", encoded, err)
		}
		if diff := cmp.Diff(packets, again); diff != "" {
			t.Errorf("decoded again (-want +got):\n%s", diff)
		}
	})
}
