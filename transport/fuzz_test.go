package transport

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/engineio"
)

// packetSeeds are bodies of POSTs; those of one packet are also texts.
var packetSeeds = []string{
	"", "4hello", "4a\x1e4b", "3", "2", "2probe", "1", "4a\x1e1\x1e4b", "5", "6", "0{}", "abc", "4a\x1eabc\x1e4b",
	"bAQIDBA==", "bAQID=", "b", "4\xff", "\x1e", "4\x1e", "4panic", "450-[\"e\"]", "42[{\"toString\":\"foo\"}]",
	"459999999-[\"e\"]", "1:21:21:2", "100000000:4aaa", strings.Repeat("3\x1e", 20), strings.Repeat("4\x1e", 20),
}

// model says what a connection receives of a body, and whether it lives on.
func model(body []byte, limit int) (received []engineio.Message, lives bool) {
	for p, err := range engineio.Packets(body, limit) {
		switch {
		case err != nil, p.Type == engineio.TypePing, p.Type == engineio.TypeClose:
			return received, false
		case p.Type == engineio.TypeMessage:
			received = append(received, engineio.Message{Data: p.Data, Binary: p.Binary})
			if string(p.Data) == "panic" && !p.Binary {
				return received, false
			}
		}
	}
	return received, true
}

// recording keeps what it receives, and panics when it is told to.
type recording struct {
	received []engineio.Message
	closed   chan string
}

func (r *recording) Receive(m engineio.Message) {
	r.received = append(r.received, m)
	if string(m.Data) == "panic" && !m.Binary {
		panic("as told")
	}
}

func (r *recording) Closed(reason string) { r.closed <- reason }

// FuzzPost posts two bodies to a connection, and compares what happens with
// what should.
func FuzzPost(f *testing.F) {
	for _, seed := range packetSeeds {
		f.Add([]byte(seed), []byte("4after"), false)
	}
	f.Add([]byte("4a"), []byte("4b"), true)
	f.Fuzz(func(t *testing.T, first, second []byte, octets bool) {
		const limit, bytes = 10, 1000
		app := &recording{closed: make(chan string, 1)}
		s := NewServer(Options{MaxPayload: bytes, MaxPayloadPackets: limit, Accept: func(*Conn) Receiver { return app }})
		defer s.Close()
		do := func(method, query string, body []byte) *httptest.ResponseRecorder {
			r := httptest.NewRequestWithContext(t.Context(), method, "/?EIO=4&transport=polling"+query, strings.NewReader(string(body)))
			if octets {
				r.Header.Set("Content-Type", "application/octet-stream")
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			return w
		}
		sid := "&sid=" + sidOf(t, do("GET", "", nil).Body.String())

		var want []engineio.Message
		lives := true
		for _, body := range [][]byte{first, second} {
			got := do("POST", sid, body).Code
			switch {
			case !lives:
				if got != http.StatusBadRequest {
					t.Fatalf("POST after the end: got status %d", got)
				}
			case !octets && len(body) > bytes:
				if got != http.StatusRequestEntityTooLarge {
					t.Fatalf("%d bytes: got status %d", len(body), got)
				}
			case octets:
				lives = false
			default:
				var more []engineio.Message
				more, lives = model(body, limit)
				want = append(want, more...)
			}
			if lives && got == http.StatusBadRequest {
				t.Fatalf("%q: got status %d", body, got)
			}
		}
		if got := len(app.closed) == 0; lives && !got {
			t.Fatal("the connection has ended")
		}
		if !lives { // without being told to
			app.closed <- <-app.closed
		}
		_ = s.Close()
		<-app.closed // once
		if diff := cmp.Diff(want, app.received); diff != "" {
			t.Errorf("received (-want +got):\n%s", diff)
		}
	})
}

// FuzzWebSocket writes bytes to a WebSocket, and to one that is to take over
// from polling: both end, and the server goes on.
func FuzzWebSocket(f *testing.F) {
	for _, seed := range packetSeeds {
		f.Add([]byte(frame(0x81, seed)), false)
		f.Add([]byte(frame(0x81, "2probe")+frame(0x81, "5")+frame(0x81, seed)), true)
		f.Add([]byte(frame(0x81, seed)+frame(0x82, seed)), true)
	}
	for _, seed := range []string{
		"test", "\x81\x024x", frame(0xc1, "4x"), frame(0x83, "4x"), frame(0x80, "4x"), frame(0x01, "4") + frame(0x00, "x"),
		frame(0x09, "x"), frame(0x88, "\x03\xe8"), frame(0x88, "\x03"), frame(0x89, "ping"), announced(1 << 62), announced(1 << 63),
	} {
		f.Add([]byte(seed), false)
		f.Add([]byte(frame(0x81, "2probe")+seed), true)
	}
	f.Fuzz(func(t *testing.T, bytes []byte, upgrade bool) {
		synctest.Test(t, func(t *testing.T) {
			s := listenPipe(t, Options{MaxPayload: 1000})
			sid := ""
			if upgrade {
				sid = s.poll(t).sid
			}
			r := s.connectOrUpgrade(t, sid)
			r.upgraded(t)
			go func() { _, _ = io.Copy(io.Discard, r.in) }()
			_, _ = r.Write(bytes)
			synctest.Wait()
			_ = r.Close()

			bystander := s.poll(t)
			bystander.stillPolls()
			_ = s.Server.Close()
			if got := s.size(); got != 0 {
				t.Errorf("%d connections are left", got)
			}
			for range len(s.opened) {
				<-s.closed // of each, once
			}
			if len(s.closed) != 0 {
				t.Error("Closed was called twice")
			}
		})
	})
}

// connectOrUpgrade asks for a WebSocket, for the sid if there is one.
func (s *site) connectOrUpgrade(t testing.TB, sid string) *raw {
	t.Helper()
	if sid == "" {
		return s.connectRaw(t, "", "")
	}
	return s.upgradeRaw(t, sid, "")
}
