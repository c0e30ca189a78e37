package transport

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"parlor/protocol/engineio"
)

// A raw client writes bytes where others write frames.
type raw struct {
	net.Conn
	in *bufio.Reader
}

// connectRaw upgrades, with additional headers, and sends after at once.
func (s *site) connectRaw(t testing.TB, headers, after string) *raw {
	t.Helper()
	conn, err := s.dial(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n%s", query, headers, after)
	if err != nil {
		t.Fatal(err)
	}
	return &raw{conn, bufio.NewReader(conn)}
}

// upgraded reads the answer to the upgrade.
func (r *raw) upgraded(t testing.TB) {
	t.Helper()
	resp, err := http.ReadResponse(r.in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got response %v, error %v", resp, err)
	}
}

// readFrame reads one short frame of the server's.
func readFrame(r *raw) (head byte, payload []byte, err error) {
	var b [4]byte
	if _, err := io.ReadFull(r.in, b[:2]); err != nil {
		return 0, nil, err
	}
	size := int(b[1])
	if size == 126 {
		if _, err := io.ReadFull(r.in, b[2:]); err != nil {
			return 0, nil, err
		}
		size = int(binary.BigEndian.Uint16(b[2:]))
	}
	payload = make([]byte, size)
	_, err = io.ReadFull(r.in, payload)
	return b[0], payload, err
}

// closeCode reads to the end, and returns the code of the close frame that is
// last; 1006 if there is none.
func (r *raw) closeCode() int {
	code := websocket.CloseAbnormalClosure
	for {
		head, payload, err := readFrame(r)
		if err != nil {
			return code
		}
		if head == 0x88 && len(payload) >= 2 {
			code = int(binary.BigEndian.Uint16(payload))
		}
	}
}

// frame returns a masked frame whose first byte is head.
func frame(head byte, payload string) string {
	b := []byte{head}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, 0, 0, 0, 0) // a mask that changes nothing
	return string(b) + payload
}

// announced returns the head of a masked frame of size bytes.
func announced(size uint64) string {
	return string(binary.BigEndian.AppendUint64([]byte{0x81, 0x80 | 127}, size)) + "\x00\x00\x00\x00"
}

func TestHostileBytes(t *testing.T) {
	const text, textPart, more, last, ping = 0x81, 0x01, 0x00, 0x80, 0x89
	s := listen(t, Options{MaxPayload: 1000})
	bystander := s.connect(t)
	within(t, s.opened)
	for _, test := range []struct {
		name, bytes string
		reason      string
		code        int
	}{
		{"garbage", "test", ReasonTransportError, 1002},
		{"unmasked", "\x81\x024x", ReasonTransportError, 1002},
		{"RSV1", frame(0xc1, "4x"), ReasonTransportError, 1002},
		{"reserved opcode", frame(0x83, "4x"), ReasonTransportError, 1002},
		{"continuation of nothing", frame(last, "4x"), ReasonTransportError, 1002},
		{"message inside message", frame(textPart, "4x") + frame(text, "4x"), ReasonTransportError, 1002},
		{"fragmented ping", frame(0x09, "x"), ReasonTransportError, 1002},
		{"long ping", frame(ping, strings.Repeat("x", 126)), ReasonTransportError, 1002},
		{"close code 1005", frame(0x88, "\x03\xed"), ReasonTransportError, 1002},
		{"close", frame(0x88, "\x03\xe9"), ReasonTransportClose, 1001},
		{"invalid UTF-8", frame(text, "4\xff"), ReasonTransportError, 1007},
		{"invalid base64", frame(text, "b?"), ReasonTransportError, 1007},
		{"too long", frame(text, "4"+strings.Repeat("x", 1000)), ReasonTransportError, 1009},
		{"too long in parts", frame(textPart, "4"+strings.Repeat("x", 900)) + frame(more, strings.Repeat("x", 100)), ReasonTransportError, 1009},
		{"2^62 bytes", announced(1 << 62), ReasonTransportError, 1009},
		{"2^63 bytes", announced(1 << 63), ReasonTransportError, 1009},
		{"no packet", frame(text, "abc"), ReasonParseError, 1002},
		{"empty packet", frame(text, ""), ReasonParseError, 1002},
		{"packet type 7", frame(text, "7"), ReasonParseError, 1002},
		{"ping", frame(text, "2"), ReasonTransportError, 1002},
		{"probe", frame(text, "2probe"), ReasonTransportError, 1002},
		{"close packet", frame(text, "1"), ReasonTransportClose, 1000},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := s.connectRaw(t, "", "")
			r.upgraded(t)
			within(t, s.opened)
			if _, err := io.WriteString(r, test.bytes); err != nil {
				t.Fatal(err)
			}
			if got := r.closeCode(); got != test.code {
				t.Errorf("got close code %d, want %d", got, test.code)
			}
			r.Close()
			if got := within(t, s.closed); got != test.reason {
				t.Errorf("got reason %q, want %q", got, test.reason)
			}
			bystander.send("4hello")
			if got := bystander.read(); got != "4hello" {
				t.Errorf("bystander: got %q", got)
			}
		})
	}
}

// TestHarmlessPackets sends what has no meaning on a WebSocket.
func TestHarmlessPackets(t *testing.T) {
	s := listen(t, Options{})
	c := s.connect(t)
	c.send("0", "5", "6", "3", "3probe", "4hello")
	if got := c.read(); got != "4hello" {
		t.Errorf("got %q, want the echo", got)
	}
}

func TestHostileHandshakes(t *testing.T) {
	s := listen(t, Options{})
	bystander := s.connect(t)
	for name, headers := range map[string]string{
		"extensions": "Sec-WebSocket-Extensions: constructor, permessage-deflate; a=\";\r\n",
		"protocols":  "Sec-WebSocket-Protocol: a," + strings.Repeat(" ", 50_000) + "b\r\n",
		"headers":    strings.Repeat("X-A: b\r\n", 3000),
		"control":    "Origin: http://a\x01b\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			r := s.connectRaw(t, headers, "")
			if _, err := http.ReadResponse(r.in, nil); err != nil {
				t.Errorf("no answer: %v", err)
			}
		})
	}
	t.Run("bytes before the answer", func(t *testing.T) {
		r := s.connectRaw(t, "", "test")
		_, _ = io.Copy(io.Discard, r.in) // ends
	})
	t.Run("reset before the answer", func(t *testing.T) {
		r := s.connectRaw(t, "", "")
		_ = r.Conn.(*net.TCPConn).SetLinger(0)
		_ = r.Close()
	})
	bystander.send("4hello")
	if got := bystander.read(); got != "4hello" {
		t.Errorf("bystander: got %q", got)
	}
}

// TestEndlessMessage trickles one message in tiny fragments, which is how
// CVE-2026-48779 exhausts memory. Its sender cannot answer the ping meanwhile.
func TestEndlessMessage(t *testing.T) {
	for name, fragment := range map[string]string{"one byte": frame(0x00, "x"), "empty": frame(0x00, "")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := listenPipe(t, Options{})
				r := s.connectRaw(t, "", "")
				r.upgraded(t)
				start := time.Now()
				go io.Copy(io.Discard, r.in)
				done := make(chan struct{})
				go func() {
					defer close(done)
					_, err := io.WriteString(r, frame(0x01, "4"))
					for err == nil {
						time.Sleep(10 * time.Millisecond)
						_, err = io.WriteString(r, fragment)
					}
					_ = r.Close()
				}()
				s.endsAt(t, start, ReasonPingTimeout, interval+timeout)
				<-done
			})
		})
	}
}

// TestMessagesDoNotShareMemory checks that a Receiver may keep what it gets.
func TestMessagesDoNotShareMemory(t *testing.T) {
	received := make(chan engineio.Message, 10)
	s := listen(t, Options{Accept: func(*Conn) Receiver { return receive(func(m engineio.Message) { received <- m }) }})
	c := s.connect(t)
	c.send("4aaaa", "4bbbb")
	first, second := within(t, received), within(t, received)
	if string(first.Data) != "aaaa" || string(second.Data) != "bbbb" {
		t.Errorf("got %q and %q", first.Data, second.Data)
	}
}
