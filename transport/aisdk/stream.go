package aisdk

import (
	"context"
	"net/http"
	"runtime/debug"
	"time"

	wire "parlor/protocol/aisdk"
	"parlor/protocol/chat"
	"parlor/transport/live"
)

// stream answers a request with a stream. What goes wrong once it has begun is told in the
// stream, or cuts the connection.
func (h *Handler) stream(out *live.Stream, r *http.Request, u chat.User, st stream) {
	defer h.cutOnPanic(r)
	for name, value := range wire.StreamHeaders {
		out.Header().Set(name, value)
	}
	out.Header().Set("Content-Type", wire.StreamType)
	out.WriteHeader(http.StatusOK)
	_ = out.FlushError() // a turn that waits says nothing for long
	stop := h.keepAlive(out)
	defer stop()
	err := h.run(out.Context(), u, st, tellTo(out))
	stop()
	end(out, err)
}

// tellTo returns what writes parts to the client.
func tellTo(out *live.Stream) func([]wire.Part, bool) error {
	var buffer []byte
	return func(parts []wire.Part, more bool) error {
		for _, p := range parts {
			buffer = wire.AppendEvent(buffer, p)
		}
		if len(buffer) == 0 || more && len(buffer) < maxBuffered {
			return nil
		}
		_, err := out.Write(buffer)
		if buffer = buffer[:0]; err != nil {
			return err
		}
		return out.FlushError()
	}
}

// maxBuffered is how many bytes of parts are written at once, about.
const maxBuffered = 32 << 10

// end ends the body of a stream as it should if the client knows how the answer has ended,
// and cuts it if the client has to ask again.
func end(out *live.Stream, err error) {
	if err != nil {
		part, told := lastWords(err, out.Context())
		if !told {
			panic(http.ErrAbortHandler)
		}
		_, _ = out.Write(wire.AppendEvent(nil, part)) // fails only when the client is gone
	}
	_, _ = out.Write(wire.Done)
}

// lastWords returns the part that tells a client why it gets no more. There is none if the
// client shall ask again: the server stops, or the text that was told does not stand.
func lastWords(err error, ctx context.Context) (wire.Part, bool) {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	refusal := chat.AsError(err)
	if err == error(live.ErrStopping) || refusal.Code == chat.CodeInternal {
		return nil, false
	}
	return wire.ErrorPart(refusal), true
}

// cutOnPanic cuts the connection if the handler panics: an answer that has begun cannot
// become an error.
func (h *Handler) cutOnPanic(r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if p != http.ErrAbortHandler {
		h.o.Logger.ErrorContext(r.Context(), "panic in a stream", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
	}
	panic(http.ErrAbortHandler)
}

// keepAlive writes comments until stop is called, which waits for the last of them and may
// be called again.
func (h *Handler) keepAlive(out *live.Stream) (stop func()) {
	ctx, cancel := context.WithCancel(out.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(h.o.KeepAlive)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				if _, err := out.Write(wire.KeepAlive); err == nil {
					_ = out.FlushError() // an error ends the stream
				}
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}
