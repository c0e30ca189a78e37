package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"parlor/protocol/chat"
)

// An Emitter sends the events of other backends to clients. The errors of its methods are
// shown as those of [Chats].
type Emitter interface {
	// Emit returns how many connections were told.
	Emit(ctx context.Context, e chat.Emission) (connections int, err error)

	// Call returns what a client has acknowledged the event with, or [chat.CodeTimeout].
	Call(ctx context.Context, c chat.Call) (chat.Acknowledgement, error)
}

// Backends are what other backends need. Emitter nil means that there are none. Then the
// other fields have no default.
type Backends struct {
	Emitter Emitter

	// Backend says who sent a request, and refuses everybody who may not emit.
	Backend func(*http.Request) (chat.User, error)

	Limits     Limiter       // of these requests; nil limits nothing
	MaxBytes   int           // of the arguments
	MaxTimeout time.Duration // of calls
}

// maxHeadBytes is how long a request may be besides its arguments.
const maxHeadBytes = 32 << 10

// DefaultCallTimeout is how long a call waits that does not say so.
const DefaultCallTimeout = 30 * time.Second

// slack is how long a request may take besides the time that a call waits.
const slack = 30 * time.Second

func (a *API) registerBackends(mux *http.ServeMux, prefix string) {
	if a.behind.Emitter == nil {
		return
	}
	for path, e := range map[string]endpoint{"/emit": a.behind.emit, "/call": a.behind.call} {
		mux.Handle("POST "+prefix+path, a.protect(a.serveBackend("POST "+path, e)))
		mux.Handle(prefix+path, a.protect(methodNotAllowed([]string{"POST"})))
	}
}

// serveBackend answers requests of other backends, whose rate has a limit of its own.
func (a *API) serveBackend(name string, e endpoint) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		u, err := a.behind.Backend(r)
		if a.behind.Limits != nil {
			if refusal := a.behind.Limits.Take(u.ID, r.RemoteAddr, name, 0); refusal != nil {
				err = refusal
			}
		}
		if err != nil {
			a.refuse(w, r, err)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, int64(a.behind.MaxBytes)+maxHeadBytes)
		// A call may wait for longer than other requests take.
		deadline, control := time.Now().Add(a.behind.MaxTimeout+slack), http.NewResponseController(w)
		_, _ = control.SetReadDeadline(deadline), control.SetWriteDeadline(deadline)
		a.finish(w, r)(e(r, u))
	}
}

func (b *Backends) emit(r *http.Request, _ chat.User) (any, error) {
	var e chat.Emission
	if err := decodeBody(r, &e); err != nil {
		return nil, err
	}
	n, err := b.Emitter.Emit(r.Context(), e)
	if err != nil {
		return nil, err
	}
	return map[string]int{"connections": n}, nil
}

func (b *Backends) call(r *http.Request, _ chat.User) (any, error) {
	var body struct {
		chat.Emission
		Timeout *float64 `json:"timeout"` // seconds
	}
	if err := decodeBody(r, &body); err != nil {
		return nil, err
	}
	c := chat.Call{Emission: body.Emission, Timeout: min(DefaultCallTimeout, b.MaxTimeout)}
	if body.Timeout != nil {
		c.Timeout = seconds(*body.Timeout)
	}
	answer, err := b.Emitter.Call(r.Context(), c)
	if err != nil {
		return nil, err
	}
	if answer.Args == nil {
		answer.Args = []json.RawMessage{}
	}
	return answer, nil
}

// seconds returns a duration that is too long for every limit if s is.
func seconds(s float64) time.Duration {
	if limit := float64(1 << 30); s > limit {
		s = limit
	}
	return time.Duration(s * float64(time.Second))
}
