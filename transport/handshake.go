package transport

import (
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"parlor/protocol/engineio"
)

// refusedBodyTimeout is how long the client of a refused request may take to
// send the rest of its body.
const refusedBodyTimeout = time.Second

// verify decides whether r is accepted. If r belongs to a connection, verify
// returns what serves it there; if not, r may open one. The order of the checks is
// the reference implementation's, so a request with several faults gets the same
// code.
func (s *Server) verify(r *http.Request) (http.HandlerFunc, *engineio.Error) {
	query := r.URL.Query()
	transport := query.Get("transport")
	if !s.opts.allows(transport) {
		return nil, engineio.ErrUnknownTransport
	}
	if refusal := s.verifyOrigin(r); refusal != nil {
		return nil, refusal
	}
	upgrade := websocket.IsWebSocketUpgrade(r)
	matches := upgrade == (transport == TransportWebSocket)
	if sid := query.Get("sid"); sid != "" {
		return s.verifySID(sid, upgrade, matches)
	}
	switch {
	case r.Method != http.MethodGet:
		return nil, engineio.ErrBadHandshakeMethod
	case !matches:
		return nil, engineio.ErrBadRequest
	case query.Get("EIO") != engineio.Protocol:
		return nil, engineio.ErrUnsupportedProtocol
	}
	if err := s.opts.AllowRequest(r); err != nil {
		return nil, &engineio.Error{Code: engineio.ErrForbidden.Code, Message: err.Error()}
	}
	return nil, nil
}

// verifySID finds the connection that a request belongs to, and returns what serves
// it. A connection that a WebSocket carries accepts no requests. It answers another
// WebSocket as the reference implementation does, see [Conn.turnAway].
func (s *Server) verifySID(sid string, upgrade, matches bool) (http.HandlerFunc, *engineio.Error) {
	c := s.find(sid)
	if c == nil {
		return nil, engineio.ErrUnknownSID
	}
	c.tick() // its timer may be late
	c.mu.Lock()
	defer c.mu.Unlock()
	p, polls := c.carrier.(*polling)
	switch {
	case !matches, upgrade && s.opts.DisableUpgrades:
		return nil, engineio.ErrBadRequest
	case upgrade && polls:
		return p.serveProbe, nil
	case upgrade:
		return c.turnAway, nil
	case !polls:
		return nil, engineio.ErrBadRequest
	}
	return p.serve, p.refusalLocked()
}

// cookie returns the header that sets the cookie of c, nil if there is none.
func (s *Server) cookie(c *Conn) http.Header {
	if s.opts.Cookie == nil {
		return nil
	}
	cookie := *s.opts.Cookie
	cookie.Value = c.id
	line := cookie.String()
	if line == "" { // invalid, see [NewCookie]
		return nil
	}
	return http.Header{"Set-Cookie": {line}}
}

// refuse answers a request that is refused with the error as JSON. WebSocket
// clients show that to nobody, so they get plain text and status 400.
func refuse(w http.ResponseWriter, r *http.Request, refusal *engineio.Error) {
	if r.ContentLength != 0 {
		ignoreBody(w)
	}
	if websocket.IsWebSocketUpgrade(r) {
		w.Header().Set("Connection", "close")
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, refusal.Message)
		return
	}
	body, err := json.Marshal(refusal)
	if err != nil {
		panic(err) // a number and a string always encode
	}
	status := http.StatusBadRequest
	if refusal.Code == engineio.ErrForbidden.Code {
		status = http.StatusForbidden
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// ignoreBody closes the connection after the answer, so that the rest of the
// body is not read.
func ignoreBody(w http.ResponseWriter) {
	w.Header().Set("Connection", "close")
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(refusedBodyTimeout))
}

// unavailable answers a request that would open a connection or a WebSocket, when
// the server is full or closes, or the client has too many.
func unavailable(w http.ResponseWriter, why error) {
	status := http.StatusServiceUnavailable
	if why == errCrowded {
		status = http.StatusTooManyRequests
	}
	w.Header().Set("Connection", "close")
	http.Error(w, why.Error(), status)
}
