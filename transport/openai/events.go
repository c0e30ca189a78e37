package openai

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"parlor/protocol/chat"
	wire "parlor/protocol/openai"
	"parlor/transport/live"
)

// events writes a stream of events to a client.
type events struct {
	to    *live.Stream
	every time.Duration // between comments, if nothing else is written

	mu    sync.Mutex
	begun bool
	ended bool // nothing more may be written
	timer *time.Timer
}

var errEnded = errors.New("openai: the stream of events has ended")

// newEvents begins an answer with events. The caller ends it.
func (c *call) newEvents(to *live.Stream) *events { return &events{to: to, every: c.KeepAlive} }

// comment is what a client ignores, and a proxy takes for a sign of life.
const comment = ": parlor\n\n"

// write sends events at once, unless more follow.
func (e *events) write(frames []byte, more bool) error {
	if len(frames) == 0 && more {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		return errEnded
	}
	e.begin()
	e.timer.Reset(e.every)
	if _, err := e.to.Write(frames); err != nil {
		return err
	}
	if more {
		return nil
	}
	return e.to.FlushError()
}

func (e *events) begin() {
	if e.begun {
		return
	}
	e.begun = true
	h := e.to.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx keeps events back otherwise
	e.to.WriteHeader(http.StatusOK)
	e.timer = time.AfterFunc(e.every, e.keepAlive)
}

func (e *events) keepAlive() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended || e.to.Context().Err() != nil {
		return
	}
	e.timer.Reset(e.every)
	if _, err := io.WriteString(e.to, comment); err == nil {
		_ = e.to.FlushError() // an error has ended the stream
	}
}

// end ends the stream. No comment follows.
func (e *events) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
	if e.begun {
		e.timer.Stop()
	}
}

// errDone ends a Follow whose caller knows enough.
var errDone = errors.New("openai: done")

// follow follows a room until tell returns errDone. It returns what the client is to be told
// otherwise: nothing, if the stream itself has ended.
func (c *call) follow(ctx context.Context, id chat.ID, from chat.Place, tell func(chat.Told) error) error {
	err := c.Follower.Follow(ctx, c.user(), id, from, wire.Encoder, tell)
	if errors.Is(err, errDone) {
		return nil
	}
	return err
}

// withdraw ends a stream that has not begun. It reports false if it has.
func (e *events) withdraw() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = e.ended || !e.begun
	return !e.begun
}

// failed ends a stream that cannot go on. If the client is still there it is told why.
func (e *events) failed(err error, frame func(*wire.Error) []byte) error {
	if e.to.Context().Err() != nil {
		reset()
	}
	if e.withdraw() {
		return err
	}
	shown, ok := errors.AsType[*wire.Error](err)
	if !ok {
		shown = wire.ErrorOf(chat.AsError(err))
	}
	if e.write(frame(shown), false) != nil {
		reset()
	}
	return nil
}

// failure returns why a room is out of service, if a notice says so.
func failure(n chat.Notice) error {
	if f, ok := n.(chat.Failure); ok {
		return chat.AsError(f.Error)
	}
	return nil
}
