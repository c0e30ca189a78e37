package engineio

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDecode(t *testing.T) {
	for _, test := range []struct {
		name   string
		data   string
		binary bool
		want   Packet
	}{
		{"open", "0", false, Packet{Type: TypeOpen, Data: []byte{}}},
		{"close", "1", false, Packet{Type: TypeClose, Data: []byte{}}},
		{"probe", "2probe", false, Packet{Type: TypePing, Data: []byte("probe")}},
		{"pong", "3", false, Packet{Type: TypePong, Data: []byte{}}},
		{"message", "4héllo", false, Packet{Type: TypeMessage, Data: []byte("héllo")}},
		{"upgrade", "5", false, Packet{Type: TypeUpgrade, Data: []byte{}}},
		{"noop", "6", false, Packet{Type: TypeNoop, Data: []byte{}}},
		{"base64", "bAQIDBA==", false, Packet{Type: TypeMessage, Data: []byte{1, 2, 3, 4}, Binary: true}},
		{"binary", "\x00abc", true, Packet{Type: TypeMessage, Data: []byte("\x00abc"), Binary: true}},
		{"empty binary", "", true, Packet{Type: TypeMessage, Data: []byte{}, Binary: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := Decode([]byte(test.data), test.binary)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("Decode(%q) (-want +got):\n%s", test.data, diff)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, test := range []struct {
		data string
		want error
	}{
		{"", ErrUnknownType},
		{"abc", ErrUnknownType},
		{"7", ErrUnknownType},
		{"/", ErrUnknownType},
		{"4\xff", ErrEncoding},
		{"3\xc0\x80", ErrEncoding},
		{"bAQID=", ErrEncoding},
		{"b!", ErrEncoding},
	} {
		if _, err := Decode([]byte(test.data), false); !errors.Is(err, test.want) {
			t.Errorf("Decode(%q): got error %v, want %v", test.data, err, test.want)
		}
	}
}

func TestPacketFrame(t *testing.T) {
	for _, test := range []struct {
		packet Packet
		want   Frame
	}{
		{Packet{Type: TypePing}, Frame{Data: []byte("2")}},
		{Packet{Type: TypePong, Data: []byte("probe")}, Frame{Data: []byte("3probe")}},
		{Packet{Type: TypeMessage, Data: []byte("hello")}, Frame{Data: []byte("4hello")}},
		{Packet{Type: TypeMessage, Data: []byte{0}, Binary: true}, Frame{Data: []byte{0}, Binary: true}},
	} {
		if diff := cmp.Diff(test.want, test.packet.Frame()); diff != "" {
			t.Errorf("frame of %v (-want +got):\n%s", test.packet, diff)
		}
	}
}

func TestHandshakeFrame(t *testing.T) {
	h := Handshake{SID: "abc", PingInterval: 300 * time.Millisecond, PingTimeout: 200 * time.Millisecond, MaxPayload: 1e6}
	want := `0{"sid":"abc","upgrades":[],"pingInterval":300,"pingTimeout":200,"maxPayload":1000000}`
	if got := string(h.Frame().Data); got != want {
		t.Errorf("without upgrades: got %s, want %s", got, want)
	}

	h.Upgrades = []string{"websocket"}
	want = `0{"sid":"abc","upgrades":["websocket"],"pingInterval":300,"pingTimeout":200,"maxPayload":1000000}`
	if got := string(h.Frame().Data); got != want {
		t.Errorf("with upgrades: got %s, want %s", got, want)
	}
}

func TestErrorJSON(t *testing.T) {
	for err, want := range map[*Error]string{
		ErrUnknownTransport:    `{"code":0,"message":"Transport unknown"}`,
		ErrUnknownSID:          `{"code":1,"message":"Session ID unknown"}`,
		ErrBadHandshakeMethod:  `{"code":2,"message":"Bad handshake method"}`,
		ErrBadRequest:          `{"code":3,"message":"Bad request"}`,
		ErrForbidden:           `{"code":4,"message":"Forbidden"}`,
		ErrUnsupportedProtocol: `{"code":5,"message":"Unsupported protocol version"}`,
	} {
		got, _ := json.Marshal(err)
		if string(got) != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// FuzzDecode checks that whatever decodes can be encoded, and means the same
// again.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"", "0{}", "1", "2", "2probe", "3", "4hello", "4\xff", "5", "6", "7", "abc", "bAQIDBA==", "b=", "4\x1e4"} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, binary bool) {
		packet, err := Decode(data, binary)
		if err != nil {
			return
		}
		if len(packet.Data) > len(data) {
			t.Fatalf("%d bytes became %d", len(data), len(packet.Data))
		}
		frame := packet.Frame()
		again, err := Decode(frame.Data, frame.Binary)
		if err != nil {
			t.Fatalf("decode %v again: %v", frame, err)
		}
		if diff := cmp.Diff(packet, again); diff != "" {
			t.Errorf("decoded again (-want +got):\n%s", diff)
		}
	})
}
