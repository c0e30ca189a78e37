// Package live keeps HTTP answers that go on for long: those that tell what happens as it
// happens.
//
//	request → Streams.Begin → Stream → Write, FlushError → … → Close
//	            ↓                ↑
//	        counted as a socket  ended: the client is gone or reads nothing, its sign-in
//	                             has ended, or the server stops
//
// A Stream outlives the timeouts of the HTTP server, since each write has a deadline of
// its own.
package live

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"parlor/protocol/chat"
)

// Options configure [Streams]. What is nil does nothing.
type Options struct {
	// Hold counts an answer as a connection until release is called, or says why its
	// client may have no more. It calls end when the server stops.
	Hold func(r *http.Request, end func()) (release func(), err error)

	// Enter counts an answer as a connection of its user, until Leave is called. It
	// reports false if the user may have no more.
	Enter func(chat.UserID) bool
	Leave func(chat.UserID)

	// Watch calls ended, on any goroutine, if the sign-in ends before stop is called.
	Watch func(in chat.SignIn, ended func()) (stop func())

	// WriteTimeout is how long a client may read nothing of what is being written to it.
	// Zero means 20 seconds.
	WriteTimeout time.Duration
}

// Streams are the answers of a server. Their methods may be called from any goroutine.
type Streams struct {
	o Options

	mu   sync.Mutex
	last uint64
	open map[string]*Stream // by id
}

// New returns Streams.
func New(o Options) *Streams {
	if o.Hold == nil {
		o.Hold = func(*http.Request, func()) (func(), error) { return func() {}, nil }
	}
	if o.Enter == nil {
		o.Enter = func(chat.UserID) bool { return true }
	}
	if o.Leave == nil {
		o.Leave = func(chat.UserID) {}
	}
	if o.Watch == nil {
		o.Watch = func(chat.SignIn, func()) func() { return func() {} }
	}
	o.WriteTimeout = cmp.Or(o.WriteTimeout, 20*time.Second)
	return &Streams{o: o, open: make(map[string]*Stream)}
}

// Why a stream ends, besides that its client is gone. A client that is told one of them
// may come back, and needs another token after ErrSignedOut.
var (
	ErrStopping  = chat.Refuse(chat.CodeBusy, "the server is stopping; come back in a moment")
	ErrCutOff    = chat.Refuse(chat.CodeBusy, "an administrator has closed this connection; come back in a moment")
	ErrSignedOut = chat.Refuse(chat.CodeUnauthenticated, "your token has expired or was revoked")
)

var errTooMany = chat.Refuse(chat.CodeBusy, "you have as many connections as one user may; close some")

// Begin begins an answer to a request of somebody who has signed in. The caller closes
// it. The error is a [*chat.Error], and nothing is written then.
func (s *Streams) Begin(w http.ResponseWriter, r *http.Request, in chat.SignIn) (*Stream, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	release, err := s.o.Hold(r, func() { cancel(ErrStopping) })
	if err != nil {
		cancel(nil)
		return nil, refusal(err)
	}
	if !s.o.Enter(in.ID) {
		release()
		cancel(nil)
		return nil, errTooMany
	}
	control := http.NewResponseController(w)
	// The server reads on to notice that the client is gone, which is no part of the request.
	_ = control.SetReadDeadline(time.Time{}) // a ResponseWriter without deadlines has none
	stop := s.o.Watch(in, func() { cancel(ErrSignedOut) })
	st := &Stream{
		w: w, control: control, timeout: s.o.WriteTimeout, ctx: ctx, cancel: cancel,
		user: in.ID, remote: r.RemoteAddr, request: r.Method + " " + r.URL.Path, since: time.Now(),
	}
	id := s.enter(st)
	st.close = func() {
		s.leave(id)
		stop()
		cancel(nil)
		s.o.Leave(in.ID)
		release()
	}
	return st, nil
}

func refusal(err error) error {
	if refused, ok := errors.AsType[*chat.Error](err); ok {
		return refused
	}
	return chat.Refuse(chat.CodeBusy, err.Error())
}

// A Stream is one answer. It is an [http.ResponseWriter] whose writes may come from any
// goroutine.
type Stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	ctx     context.Context
	cancel  context.CancelCauseFunc
	close   func()

	user    chat.UserID
	remote  string
	request string
	since   time.Time

	mu sync.Mutex // held while something is written
}

// Context ends with the stream. Its cause is a [*chat.Error] if the client may be told why.
func (s *Stream) Context() context.Context { return s.ctx }

// Header and WriteHeader implement [http.ResponseWriter]. They come before all writes.
func (s *Stream) Header() http.Header    { return s.w.Header() }
func (s *Stream) WriteHeader(status int) { s.w.WriteHeader(status) }

// Write implements [http.ResponseWriter]. A write that fails ends the stream.
func (s *Stream) Write(b []byte) (n int, err error) {
	err = s.do(func() error {
		n, err = s.w.Write(b)
		return err
	})
	return n, err
}

// FlushError sends what was written.
func (s *Stream) FlushError() error { return s.do(s.control.Flush) }

func (s *Stream) do(write func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.control.SetWriteDeadline(time.Now().Add(s.timeout)) // likewise
	err := write()
	if err != nil {
		s.cancel(err)
	}
	return err
}

// Close ends the stream, which must not be used any more. What is still to be sent has
// the time of one more write.
func (s *Stream) Close() {
	_ = s.control.SetWriteDeadline(time.Now().Add(s.timeout)) // likewise
	s.close()
}
