package transport

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gorilla/websocket"

	"parlor/protocol/engineio"
)

// transportWebSocket is the name by which clients ask for a WebSocket.
const transportWebSocket = "websocket"

// transports are the names that a client may ask for.
var transports = []string{transportWebSocket}

// verify decides whether r may open a connection, or may go on with one. The
// order of the checks is the reference implementation's, so clients are told
// the same code when several things are wrong.
func (s *Server) verify(r *http.Request) *engineio.Error {
	query := r.URL.Query()
	if !slices.Contains(transports, query.Get("transport")) {
		return engineio.ErrUnknownTransport
	}
	if refusal := s.verifyOrigin(r); refusal != nil {
		return refusal
	}
	sid := query.Get("sid")
	switch {
	case sid != "" && !s.known(sid):
		return engineio.ErrUnknownSID
	case sid != "": // a WebSocket has nothing to upgrade to
		return engineio.ErrBadRequest
	case r.Method != http.MethodGet:
		return engineio.ErrBadHandshakeMethod
	case !websocket.IsWebSocketUpgrade(r):
		return engineio.ErrBadRequest
	case query.Get("EIO") != engineio.Protocol:
		return engineio.ErrUnsupportedProtocol
	}
	return nil
}

// verifyOrigin keeps foreign pages from using the cookies that their visitors
// have for this host (CVE-2019-13611).
func (s *Server) verifyOrigin(r *http.Request) *engineio.Error {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	u, err := url.Parse(origin)
	if err != nil {
		return engineio.ErrBadRequest
	}
	sameHost := u.Host != "" && strings.EqualFold(u.Host, r.Host)
	listed := slices.ContainsFunc(s.opts.AllowedOrigins, func(allowed string) bool {
		return allowed == "*" || strings.EqualFold(allowed, origin)
	})
	if !sameHost && !listed {
		return engineio.ErrForbidden
	}
	return nil
}

// refuse answers a request that verify refused: with the error as JSON or, as
// no WebSocket client shows that to anyone, with a bare 400.
func refuse(w http.ResponseWriter, r *http.Request, refusal *engineio.Error) {
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
	if refusal == engineio.ErrForbidden {
		status = http.StatusForbidden
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
