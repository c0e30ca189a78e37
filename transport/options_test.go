package transport

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"parlor/protocol/engineio"
)

// corsHeaders returns the headers of got that CORS knows.
func corsHeaders(got reply) map[string]string {
	headers := make(map[string]string)
	for name := range got.header {
		if short, ok := strings.CutPrefix(name, "Access-Control-"); ok {
			headers[short] = got.header.Get(name)
		}
	}
	return headers
}

func TestCORS(t *testing.T) {
	const ours, foreign = "https://app.example", "https://evil.example"
	closed := listen(t, Options{})
	list := listen(t, Options{AllowedOrigins: []string{ours}, CORS: CORS{
		Credentials: true, ExposedHeaders: []string{"X-Seen"}, MaxAge: time.Hour,
	}})
	strict := listen(t, Options{AllowedOrigins: []string{ours}, CORS: CORS{AllowedHeaders: []string{"X-Set"}}})
	all := listen(t, Options{AllowedOrigins: []string{"*"}})

	const handshake, bad = "?EIO=4&transport=polling", "?EIO=4&transport=abc"
	preflight := []string{"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "x-set"}
	for _, test := range []struct {
		name                  string
		site                  *site
		method, query, origin string
		headers               []string
		status                int
		want                  map[string]string
	}{
		{"closed, no origin", closed, "GET", handshake, "", nil, 200, nil},
		{"closed, foreign", closed, "GET", handshake, foreign, nil, 403, nil},
		{"closed, preflight", closed, "OPTIONS", handshake, foreign, preflight, 403, nil},
		{"listed", list, "GET", handshake, ours, nil, 200,
			map[string]string{"Allow-Origin": ours, "Allow-Credentials": "true", "Expose-Headers": "X-Seen"}},
		{"listed, error", list, "GET", bad, ours, nil, 400,
			map[string]string{"Allow-Origin": ours, "Allow-Credentials": "true", "Expose-Headers": "X-Seen"}},
		{"listed, preflight", list, "OPTIONS", handshake, ours, preflight, 204, map[string]string{
			"Allow-Origin": ours, "Allow-Credentials": "true", "Allow-Methods": "POST", "Allow-Headers": "x-set", "Max-Age": "3600"}},
		{"not listed", list, "GET", handshake, foreign, nil, 403, nil},
		{"not listed, preflight", list, "OPTIONS", handshake, foreign, preflight, 204, nil},
		{"header listed", strict, "OPTIONS", handshake, ours, preflight, 204,
			map[string]string{"Allow-Origin": ours, "Allow-Methods": "POST", "Allow-Headers": "x-set"}},
		{"header not listed", strict, "OPTIONS", handshake, ours,
			[]string{"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "x-other"}, 204, nil},
		{"all", all, "GET", handshake, foreign, nil, 200, map[string]string{"Allow-Origin": "*"}},
		{"all, no preflight", all, "OPTIONS", handshake, foreign, nil, 400, map[string]string{"Allow-Origin": "*"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			headers := test.headers
			if test.origin != "" {
				headers = append([]string{"Origin", test.origin}, headers...)
			}
			got := test.site.newPoller(t).do(test.method, test.query, nil, headers...)
			if got.status != test.status {
				t.Errorf("got status %d, want %d", got.status, test.status)
			}
			if test.want == nil {
				test.want = map[string]string{}
			}
			if diff := cmp.Diff(test.want, corsHeaders(got)); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
		})
	}
}

// TestOptionsWithoutCORS is refused as any other method.
func TestOptionsWithoutCORS(t *testing.T) {
	p := listen(t, Options{}).newPoller(t)
	p.refused(p.do("OPTIONS", "?EIO=4&transport=polling", nil), 2)
}

// TestOriginWithControlBytes calls the handler itself: net/http lets no such
// header through.
func TestOriginWithControlBytes(t *testing.T) {
	s := NewServer(Options{AllowedOrigins: []string{"*"}})
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/engine.io/?EIO=4&transport=polling", nil)
	r.Header.Set("Origin", "http://a\x01b")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != 400 || !strings.Contains(w.Body.String(), `"code":3`) {
		t.Errorf("got %d %s, want code 3", w.Code, w.Body)
	}
}

// TestOriginOfEachRequest checks it for polls and upgrades as for handshakes.
func TestOriginOfEachRequest(t *testing.T) {
	s := listen(t, Options{})
	p := s.poll(t)
	for _, method := range []string{"GET", "POST"} {
		if got := p.do(method, p.query(), strings.NewReader("4x"), "Origin", "https://evil.example"); got.status != http.StatusForbidden {
			t.Errorf("%s: got status %d, want 403", method, got.status)
		}
	}
	header := http.Header{"Origin": {"https://evil.example"}}
	if _, _, err := websocket.DefaultDialer.Dial(strings.Replace(s.url, "http", "ws", 1)+query+"&sid="+p.sid, header); err == nil {
		t.Error("a foreign upgrade was let in")
	}
	p.send("4hello")
	if got := p.get("Origin", s.url); got.body != "4hello" {
		t.Errorf("own origin: got %d %q", got.status, got.body)
	}
}

func TestAllowRequest(t *testing.T) {
	s := listen(t, Options{AllowRequest: func(r *http.Request) error {
		if r.Header.Get("X-Let-Me") == "in" {
			return nil
		}
		return errors.New("not you")
	}})
	p := s.newPoller(t)
	got := p.do("GET", "?EIO=4&transport=polling", nil)
	if want := `{"code":4,"message":"not you"}`; got.status != 403 || got.body != want {
		t.Errorf("got %d %s, want 403 %s", got.status, got.body, want)
	}
	r := s.connectRaw(t, "", "")
	if got := r.response(t); got.status != 400 || got.body != "not you" {
		t.Errorf("WebSocket: got %d %s, want 400 not you", got.status, got.body)
	}
	p.sid = sidOf(t, p.do("GET", "?EIO=4&transport=polling", nil, "X-Let-Me", "in").body)
	p.stillPolls() // it is asked once a connection
}

func TestCookie(t *testing.T) {
	custom := NewCookie()
	custom.Name, custom.Path, custom.SameSite, custom.HttpOnly = "sid", "", http.SameSiteStrictMode, false
	injected := NewCookie()
	injected.Path = "/; Domain=evil.example"
	invalid := NewCookie()
	invalid.Name = "a=b; c"
	for _, test := range []struct {
		name   string
		cookie *http.Cookie
		want   string
	}{
		{"none", nil, ""},
		{"default", NewCookie(), "io=SID; Path=/; HttpOnly; SameSite=Lax"},
		{"custom", custom, "sid=SID; SameSite=Strict"},
		{"path injected", injected, "io=SID; Path=/ Domain=evil.example; HttpOnly; SameSite=Lax"},
		{"invalid name", invalid, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := listen(t, Options{Cookie: test.cookie})
			p := s.newPoller(t)
			open := p.do("GET", "?EIO=4&transport=polling", nil)
			p.sid = sidOf(t, open.body)
			want := strings.Replace(test.want, "SID", p.sid, 1)
			if got := open.header.Get("Set-Cookie"); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if _, got := open.header["Set-Cookie"]; got != (want != "") {
				t.Errorf("got the header set %t", got)
			}
			if got := p.post("4x").header.Get("Set-Cookie") + p.get().header.Get("Set-Cookie"); got != "" {
				t.Errorf("set again: %q", got)
			}

			r := s.connectRaw(t, "", "")
			resp, err := http.ReadResponse(r.in, nil)
			if err != nil {
				t.Fatal(err)
			}
			within(t, s.opened) // the poller
			want = strings.Replace(test.want, "SID", within(t, s.opened).ID(), 1)
			if got := resp.Header.Get("Set-Cookie"); got != want {
				t.Errorf("WebSocket: got %q, want %q", got, want)
			}
		})
	}
}

// TestPerMessageDeflate checks that it is off unless it is asked for, that it
// works, and that what is inflated is limited, too.
func TestPerMessageDeflate(t *testing.T) {
	dial := func(s *site) (*client, bool) {
		d := websocket.Dialer{EnableCompression: true}
		ws, resp, err := d.Dial(strings.Replace(s.url, "http", "ws", 1)+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = ws.Close() })
		c := &client{ws, t}
		c.read()
		return c, resp.Header.Get("Sec-Websocket-Extensions") != ""
	}
	if _, on := dial(listen(t, Options{})); on {
		t.Error("compression is on by default")
	}
	s := listen(t, Options{PerMessageDeflate: true, MaxPayload: 100_000})
	c, on := dial(s)
	if !on {
		t.Fatal("compression was not negotiated")
	}
	for _, size := range []int{1, 1000, 99_999} {
		message := "4" + strings.Repeat("x", size)
		c.send(message)
		if got := c.read(); got != message {
			t.Errorf("got %.40q, want the echo", got)
		}
	}
	c.send("4" + strings.Repeat("x", 100_000)) // a few hundred bytes on the wire
	if got := c.end(); got != websocket.CloseMessageTooBig {
		t.Errorf("got close code %d, want %d", got, websocket.CloseMessageTooBig)
	}
}

// TestKeepHeaders checks what connections remember of their first request.
func TestKeepHeaders(t *testing.T) {
	const headers = "Cookie: a=b\r\nCookie: c=d\r\nAuthorization: Bearer x\r\nUser-Agent: test\r\n"
	for _, test := range []struct {
		name string
		keep []string
		want http.Header
	}{
		{"some", []string{"cookie", "X-Absent", "Authorization"}, http.Header{"Cookie": {"a=b", "c=d"}, "Authorization": {"Bearer x"}}},
		{"absent", []string{"X-Absent"}, nil},
		{"none", []string{}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := listen(t, Options{KeepHeaders: test.keep})
			s.connectRaw(t, headers, "").upgraded(t)
			if diff := cmp.Diff(test.want, within(t, s.opened).Header()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("all", func(t *testing.T) {
		s := listen(t, Options{})
		s.connectRaw(t, headers, "").upgraded(t)
		if got := within(t, s.opened).Header().Get("User-Agent"); got != "test" {
			t.Errorf("got User-Agent %q", got)
		}
	})
}

// TestRefused checks that the server's owner hears of what is refused.
func TestRefused(t *testing.T) {
	refused := make(chan string, 10)
	s := listen(t, Options{
		Refused:      func(r *http.Request, err *engineio.Error) { refused <- r.Method + " " + err.Message },
		AllowRequest: func(*http.Request) error { return errors.New("not you") },
	})
	p := s.newPoller(t)
	for query, want := range map[string]string{
		"?EIO=4&transport=abc":             "GET Transport unknown",
		"?EIO=3&transport=polling":         "GET Unsupported protocol version",
		"?EIO=4&transport=polling&sid=abc": "GET Session ID unknown",
		"?EIO=4&transport=polling":         "GET not you",
	} {
		p.do("GET", query, nil)
		if got := within(t, refused); got != want {
			t.Errorf("%s: heard %q, want %q", query, got, want)
		}
	}
}

// TestPlainFramesAreNotCompressed checks it for both transports. A poll is
// compressed if anything in it is worth it.
func TestPlainFramesAreNotCompressed(t *testing.T) {
	s := listen(t, Options{PerMessageDeflate: true})
	long := engineio.Frame{Data: []byte("4" + strings.Repeat("x", 5000))}
	plain := engineio.Frame{Data: long.Data, Plain: true}
	p := s.poll(t)
	c := within(t, s.opened)
	for _, test := range []struct {
		frames []engineio.Frame
		want   string
	}{
		{[]engineio.Frame{plain}, ""}, {[]engineio.Frame{plain, long}, "gzip"}, {[]engineio.Frame{long}, "gzip"},
	} {
		if err := c.Send(test.frames...); err != nil {
			t.Fatal(err)
		}
		if got := p.get("Accept-Encoding", "gzip").header.Get("Content-Encoding"); got != test.want {
			t.Errorf("poll of %d: got coding %q, want %q", len(test.frames), got, test.want)
		}
	}

	r := s.connectRaw(t, "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n", "")
	r.upgraded(t)
	c = within(t, s.opened)
	if err := c.Send(plain, long); err != nil {
		t.Fatal(err)
	}
	const fin, compressed, text = 0x80, 0x40, 0x1                                  // RFC 6455, section 5.2, and RFC 7692, section 6
	for _, want := range []byte{fin | text, fin | text, fin | compressed | text} { // the open packet is first
		head, _, err := readFrame(r)
		if err != nil {
			t.Fatal(err)
		}
		if head != want {
			t.Errorf("got a frame that begins %#x, want %#x", head, want)
		}
	}
}
