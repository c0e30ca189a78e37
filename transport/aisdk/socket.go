package aisdk

import (
	"context"
	"errors"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	wire "parlor/protocol/aisdk"
	"parlor/protocol/chat"
	"parlor/transport/live"
)

// socket serves one WebSocket until it ends.
func (h *Handler) socket(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	if !websocket.IsWebSocketUpgrade(r) {
		return chat.Refuse(chat.CodeInvalid, "this path is for WebSockets")
	}
	held, err := h.o.Streams.Begin(w, r, in)
	if err != nil {
		return err
	}
	defer held.Close()
	ws, err := h.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return nil // it is answered
	}
	ctx, cancel := context.WithCancelCause(held.Context())
	s := &socket{Handler: h, ws: ws, in: in, address: r.RemoteAddr, ctx: ctx, cancel: cancel, exchanges: make(map[string]*exchange)}
	s.serve()
	return nil
}

// A socket is one WebSocket. Requests on it are carried out at once, each on a goroutine.
type socket struct {
	*Handler
	ws      *websocket.Conn
	in      chat.SignIn
	address string
	ctx     context.Context // ends with the socket, for a cause
	cancel  context.CancelCauseFunc

	writing sync.Mutex
	running sync.WaitGroup

	mu        sync.Mutex
	exchanges map[string]*exchange // by the id of the request
}

// An exchange is a request and its stream.
type exchange struct {
	id      string
	ctx     context.Context
	cancel  context.CancelFunc
	stream  stream // once it is known
	aborted bool
}

// Why the server closes a socket, besides those of [live].
var (
	errSlow    = errors.New("aisdk: the client takes nothing")
	errGarbage = errors.New("aisdk: the frame cannot be understood")
)

func (s *socket) serve() {
	defer s.running.Wait()
	defer s.cancel(nil)
	context.AfterFunc(s.ctx, s.close)
	s.ws.SetReadLimit(int64(s.o.MaxBody))
	s.alive()
	s.ws.SetPongHandler(func(string) error { s.alive(); return nil })
	s.running.Go(s.ping)
	for {
		kind, frame, err := s.ws.ReadMessage()
		if err != nil {
			return
		}
		s.alive()
		if kind != websocket.TextMessage || !s.frame(frame) {
			s.cancel(errGarbage)
			return
		}
	}
}

// alive notes that something came from the client.
func (s *socket) alive() {
	_ = s.ws.SetReadDeadline(time.Now().Add(s.o.PingInterval + s.o.PingTimeout)) // fails only on a closed socket
}

func (s *socket) ping() {
	ticker := time.NewTicker(s.o.PingInterval)
	defer ticker.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
			if err := s.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(s.o.WriteTimeout)); err != nil {
				s.cancel(errSlow)
			}
		}
	}
}

// closeTimeout is how long the close frame of a socket may take to be written.
const closeTimeout = time.Second

// close closes the socket, and says why if that is no secret.
func (s *socket) close() {
	code, reason := websocket.CloseNormalClosure, ""
	switch cause := context.Cause(s.ctx); cause {
	case error(live.ErrStopping):
		code, reason = websocket.CloseGoingAway, live.ErrStopping.Message
	case error(live.ErrSignedOut):
		code, reason = websocket.ClosePolicyViolation, live.ErrSignedOut.Message
	case errGarbage:
		code = websocket.CloseUnsupportedData
	case errWrong:
		code, reason = websocket.CloseServiceRestart, "the answer begins anew"
	}
	_ = s.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(closeTimeout)) // it may be dead
	_ = s.ws.Close()
}

// frame carries out a frame. It reports false if nobody could be answered.
func (s *socket) frame(b []byte) bool {
	f, refusal := wire.DecodeFrame(b)
	switch {
	case f.Request == "":
		return false
	case refusal != nil:
		s.refuse(f.Request, refusal)
	case f.Type == wire.FrameAbort:
		s.abort(f.Request)
	default:
		s.begin(f, len(b))
	}
	return true
}

var (
	errReadOnly    = chat.Refuse(chat.CodeForbidden, "this API key may only read")
	errSameRequest = chat.Refuse(chat.CodeInvalid, "a request with this requestId goes on")
	errTooMany     = chat.Refuse(chat.CodeBusy, "too many requests go on on this connection")
)

// begin begins an exchange, or refuses it.
func (s *socket) begin(f wire.Frame, size int) {
	if refusal := s.mayBegin(f, size); refusal != nil {
		s.refuse(f.Request, refusal)
		return
	}
	ctx, cancel := context.WithCancel(s.ctx)
	e := &exchange{id: f.Request, ctx: ctx, cancel: cancel}
	s.mu.Lock()
	s.exchanges[f.Request] = e
	s.mu.Unlock()
	s.running.Go(func() {
		defer s.forget(e)
		defer s.cutOnPanic()
		if s.o.Limits != nil {
			s.o.Limits.Wait(e.ctx, s.in.ID, size)
		}
		s.exchange(e, f)
	})
}

func (s *socket) mayBegin(f wire.Frame, size int) *chat.Error {
	s.mu.Lock()
	_, same := s.exchanges[f.Request]
	count := len(s.exchanges)
	s.mu.Unlock()
	switch {
	case same:
		return errSameRequest
	case count >= s.o.MaxRequests:
		return errTooMany
	case f.Type == wire.FrameSend && s.in.ReadOnly:
		return errReadOnly
	case s.o.Limits != nil:
		return s.o.Limits.Take(s.in.ID, s.address, "ui "+f.Type, size)
	}
	return nil
}

func (s *socket) forget(e *exchange) {
	e.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.exchanges, e.id)
}

// cutOnPanic closes the socket of an exchange that panics.
func (s *socket) cutOnPanic() {
	if p := recover(); p != nil {
		s.o.Logger.Error("panic in a stream", "panic", p, "stack", string(debug.Stack()))
		s.cancel(errWrong)
	}
}

// exchange answers a request. A request that was sent is carried out also if the client is
// gone meanwhile.
func (s *socket) exchange(e *exchange, f wire.Frame) {
	st, err := s.streamFor(e, f)
	switch {
	case err == errNoStream:
		s.signal(wire.Signal{Type: wire.SignalNoActive, Request: e.id})
		return
	case err != nil:
		s.refuse(e.id, chat.AsError(err))
		return
	case s.known(e, st):
		s.stopTurnOf(st)
		return
	}
	s.signal(wire.Signal{Type: wire.SignalStart, Request: e.id})
	err = s.run(e.ctx, s.in.User, st, s.tellTo(e))
	if err == nil || e.ctx.Err() == nil {
		s.finish(e, err)
	}
}

var errNoStream = errors.New("aisdk: there is nothing to wait for")

func (s *socket) streamFor(e *exchange, f wire.Frame) (stream, error) {
	if f.Type == wire.FrameSend {
		return s.ask(context.WithoutCancel(s.ctx), s.in.User, f.Send)
	}
	st, ok, err := s.resume(e.ctx, s.in.User, f.Chat)
	if isCode(err, chat.CodeNotFound) || err == nil && !ok {
		err = errNoStream
	}
	return st, err
}

// known notes the stream of an exchange, and reports whether the client has aborted that.
func (s *socket) known(e *exchange, st stream) (aborted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.stream = st
	return e.aborted
}

// abort ends an exchange, and the turn that it is about, if the user has asked for that. A
// page also aborts when it leaves, so others' turns go on.
func (s *socket) abort(id string) {
	s.mu.Lock()
	e := s.exchanges[id]
	if e == nil {
		s.mu.Unlock()
		return
	}
	e.aborted = true
	st := e.stream
	e.cancel()
	s.mu.Unlock()
	s.running.Go(func() { s.stopTurnOf(st) })
}

func (s *socket) stopTurnOf(st stream) {
	if st.turn != "" && !s.in.ReadOnly {
		_ = s.stopOwn(context.WithoutCancel(s.ctx), s.in.User, st.chat, st.turn) // nobody waits for more
	}
}

func (s *socket) tellTo(e *exchange) func([]wire.Part, bool) error {
	sequence := 0
	return func(parts []wire.Part, _ bool) error {
		for _, p := range parts {
			if e.ctx.Err() != nil {
				return e.ctx.Err()
			}
			if err := s.write(wire.AppendChunk(nil, e.id, sequence, p)); err != nil {
				return err
			}
			sequence++
		}
		return nil
	}
}

// finish ends a stream whose client waits. If the client has to ask again, the whole socket
// is closed: nothing less is a lost connection to useChat.
func (s *socket) finish(e *exchange, err error) {
	if err != nil {
		refusal := chat.AsError(err)
		if refusal.Code == chat.CodeInternal {
			s.cancel(errWrong)
			return
		}
		s.refuse(e.id, refusal)
		return
	}
	s.signal(wire.Signal{Type: wire.SignalEnd, Request: e.id})
}

func (s *socket) refuse(request string, refusal *chat.Error) {
	s.signal(wire.Signal{Type: wire.SignalError, Request: request, Error: wire.ErrorText(refusal)})
}

func (s *socket) signal(signal wire.Signal) { _ = s.write(signal.Encode()) } // an error ends the socket

// write sends a frame. It waits for a slow client, but not for long.
func (s *socket) write(frame []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	_ = s.ws.SetWriteDeadline(time.Now().Add(s.o.WriteTimeout)) // it is only noted
	err := s.ws.WriteMessage(websocket.TextMessage, frame)
	if err != nil {
		s.cancel(errSlow)
	}
	return err
}
