package transport

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"parlor/protocol/engineio"
)

// The sizes of a WebSocket's buffers. An idle connection keeps its read buffer,
// so that is small; longer messages are read past it. The upgrader does not
// accept one of 256 bytes or less from a hijacker. A write takes its buffer from
// a pool, and bytes that do not fit follow without being copied.
const (
	readBufferBytes  = 288
	writeBufferBytes = 1024
)

// past is a deadline that ends reads or writes at once.
var past = time.Unix(1, 0)

// A socket carries a Conn over a WebSocket. One goroutine runs wait or run, each
// of which starts the other. While frames are queued, another one runs write.
type socket struct {
	wire wire          // in reads from it
	in   *bufio.Reader // ws reads from it
	ws   *websocket.Conn
	conn *Conn

	// Guarded by the Conn's mutex.
	pong    []byte // answers the client's last WebSocket ping, nil if none is due
	writing bool   // a goroutine runs write

	wakes uint8     // of write; it overflows
	woken time.Time // write was woken then, if that is to be measured
}

func newUpgrader(opts Options) websocket.Upgrader {
	return websocket.Upgrader{
		HandshakeTimeout:  opts.WriteTimeout,
		WriteBufferSize:   writeBufferBytes,
		WriteBufferPool:   new(sync.Pool),
		EnableCompression: opts.PerMessageDeflate,
		CheckOrigin:       func(*http.Request) bool { return true }, // verify has
		Error: func(w http.ResponseWriter, r *http.Request, _ int, _ error) {
			w.Header().Set("Sec-WebSocket-Version", "13")
			refuse(w, r, engineio.ErrBadRequest)
		},
	}
}

// openWebSocket opens a connection that a WebSocket carries from the start.
func (s *Server) openWebSocket(w http.ResponseWriter, r *http.Request) {
	c := newConn(s, r)
	sock, err := s.upgrade(w, r, c, s.cookie(c))
	if err != nil {
		s.remove(c)
		return
	}
	c.open(sock)
	s.register(c)
	c.enqueue(c.handshake(nil))
	c.receiver = s.opts.Accept(c)
	go sock.wait()
}

// upgrade turns the request into a WebSocket for c. If it fails, it has answered
// the request or closed its network connection.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, c *Conn, header http.Header) (*socket, error) {
	header, ok := withSubprotocol(r, header)
	if !ok {
		refuse(w, r, engineio.ErrBadRequest)
		return nil, errSubprotocol
	}
	sock := &socket{conn: c, wire: wire{timeout: s.opts.WriteTimeout}}
	ws, err := s.upgrader.Upgrade(hijacker{w, sock}, r, header)
	if err != nil {
		s.opts.Logger.Debug("upgrade failed", "remote", r.RemoteAddr, "err", err)
		return nil, err
	}
	ws.SetPingHandler(sock.answerPing)
	ws.SetCloseHandler(func(int, string) error { return nil }) // the writer answers, see farewell
	sock.ws = ws
	return sock, nil
}

var errSubprotocol = errors.New("transport: malformed Sec-WebSocket-Protocol")

// withSubprotocol adds the subprotocol that is chosen to the header of the answer, as
// the reference implementation does: the first that the client offers. A browser fails
// a WebSocket whose subprotocols the server ignores. It reports false if what the client
// offers is malformed (RFC 6455, section 4.1).
func withSubprotocol(r *http.Request, header http.Header) (http.Header, bool) {
	const name = "Sec-Websocket-Protocol"
	offered := r.Header.Values(name)
	if len(offered) == 0 {
		return header, true
	}
	first, _, _ := strings.Cut(offered[0], ",")
	first = strings.Trim(first, " \t")
	if first == "" || strings.ContainsFunc(first, noTokenChar) {
		return nil, false
	}
	header = header.Clone()
	if header == nil {
		header = make(http.Header)
	}
	header.Set(name, first)
	return header, true
}

// noTokenChar reports whether a token cannot contain c (RFC 9110, section 5.6.2).
func noTokenChar(c rune) bool {
	alphanumeric := '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
	return !alphanumeric && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
}

// wait waits for the first byte and then starts run. An idle connection has no
// other goroutine. It does not belong to run, whose stack has grown to 8 KiB to
// read a message: waiting takes a stack of 2 KiB.
func (s *socket) wait() {
	_, _ = s.in.Peek(1) // run gets the error again
	go s.run()
}

// run handles the packets that have arrived. If the connection has to end, run
// ends it.
func (s *socket) run() {
	growStack(0)
	end, over := s.read()
	if !over {
		go s.wait()
		return
	}
	s.conn.shut(end)
	s.conn.finish()
}

// readyLocked implements [carrier]. A writer that runs may be blocked by the
// client.
func (s *socket) readyLocked() bool { return !s.writing }

// endLocked implements [carrier]: the writer says farewell, and the reader
// stops reading.
func (s *socket) endLocked() {
	_ = s.wire.SetReadDeadline(past)
	s.wakeLocked()
}

// cut implements [carrier].
func (s *socket) cut() { _ = s.wire.Close() }

// linger waits until the farewell is written and the client has closed, then
// closes the network connection. If it closed earlier, with bytes of the client
// unread, the kernel would drop frames that are still on their way to the client.
func (s *socket) linger(end ending) {
	<-s.conn.farewellDone
	if !end.abrupt && !end.clientLeft {
		_ = s.wire.SetReadDeadline(time.Time{})
		_, _ = io.Copy(io.Discard, s.wire.Conn) // ended by the client, or by tick
	}
	_ = s.wire.Close()
}

// hijacker makes the upgrader use a socket's wire and read buffer instead of the
// network connection and the HTTP server's buffer.
type hijacker struct {
	http.ResponseWriter
	socket *socket
}

// Hijack implements [http.Hijacker].
func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	s := h.socket
	s.wire.Conn = conn
	if rw.Reader.Buffered() > 0 {
		return &s.wire, rw, nil // the upgrader refuses a client that did not wait
	}
	s.in = bufio.NewReaderSize(&s.wire, readBufferBytes)
	return &s.wire, bufio.NewReadWriter(s.in, rw.Writer), nil
}
