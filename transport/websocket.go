package transport

import (
	"bufio"
	"net"
	"net/http"
	"sync"

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

func newUpgrader(opts Options) websocket.Upgrader {
	return websocket.Upgrader{
		HandshakeTimeout: opts.WriteTimeout,
		ReadBufferSize:   readBufferBytes,
		WriteBufferSize:  writeBufferBytes,
		WriteBufferPool:  new(sync.Pool),
		CheckOrigin:      func(*http.Request) bool { return true }, // verify has
		Error: func(w http.ResponseWriter, r *http.Request, _ int, _ error) {
			w.Header().Set("Sec-WebSocket-Version", "13")
			refuse(w, r, engineio.ErrBadRequest)
		},
	}
}

// upgrade turns the request into a WebSocket. If it cannot, it has answered
// the request or closed its connection.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request) (*Conn, error) {
	below := &wire{timeout: s.opts.WriteTimeout}
	ws, err := s.upgrader.Upgrade(hijacker{w, below}, r, nil)
	if err != nil {
		return nil, err
	}
	return newConn(s, r, ws, below), nil
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
