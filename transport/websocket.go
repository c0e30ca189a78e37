package transport

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"parlor/protocol/engineio"
)

// The buffers of a WebSocket. The small read buffer is what an idle connection
// keeps; a message that is longer is read past it. A write takes its buffer
// from a pool, and what does not fit follows without being copied.
const (
	readBufferBytes  = 512
	writeBufferBytes = 1024
)

// past is a deadline that ends whatever it is set for.
var past = time.Unix(1, 0)

// A socket carries a Conn over a WebSocket. One goroutine runs read, and while
// something is queued another runs write.
type socket struct {
	wire wire // below ws
	ws   *websocket.Conn
	conn *Conn

	// Guarded by the Conn's mutex.
	pong    []byte // answers the client's last WebSocket ping, nil if none is due
	writing bool   // a goroutine runs write
}

func newUpgrader(opts Options) websocket.Upgrader {
	return websocket.Upgrader{
		HandshakeTimeout:  opts.WriteTimeout,
		ReadBufferSize:    readBufferBytes,
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
		s.release(&s.open)
		return
	}
	c.open(sock)
	s.register(c)
	c.enqueue(c.handshake(nil))
	c.receiver = s.opts.Accept(c)
	go sock.run()
}

// upgrade turns the request into a WebSocket for c. If it cannot, it has
// answered the request or closed its connection.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, c *Conn, header http.Header) (*socket, error) {
	sock := &socket{conn: c, wire: wire{timeout: s.opts.WriteTimeout}}
	ws, err := s.upgrader.Upgrade(hijacker{w, &sock.wire}, r, header)
	if err != nil {
		s.opts.Logger.Debug("upgrade failed", "remote", r.RemoteAddr, "error", err)
		return nil, err
	}
	ws.SetReadLimit(int64(s.opts.MaxPayload))
	ws.SetPingHandler(sock.answerPing)
	ws.SetCloseHandler(func(int, string) error { return nil }) // the writer answers, see farewell
	sock.ws = ws
	return sock, nil
}

// run reads until the connection ends, and sees to its end.
func (s *socket) run() {
	s.conn.shut(s.read())
	s.conn.finish()
}

// readyLocked implements [carrier]. A writer that runs may be waiting for the
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
// closes the network connection. To close it before, with bytes of the client
// unread, would make the kernel drop what is still on its way to the client.
func (s *socket) linger(end ending) {
	<-s.conn.flushed
	if !end.cut && !end.left {
		_ = s.wire.SetReadDeadline(time.Time{})
		_, _ = io.Copy(io.Discard, s.wire.Conn) // ended by the client, or by tick
	}
	_ = s.wire.Close()
}

// hijacker puts a wire between a WebSocket and its network connection.
type hijacker struct {
	http.ResponseWriter
	wire *wire
}

// Hijack implements [http.Hijacker].
func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.wire.Conn = conn
	return h.wire, rw, nil
}
