// Package requests gives each HTTP request an id that its client sees too, and logs a line
// for each if the operator wants that.
//
//	request → Handler: X-Request-Id → … → Routed → mux → …
//	              │                          └ route, chat      Note ← whoever knows more
//	              └ when the answer has ended: one line of the log
//
// A line has ids and numbers. It has no path, query or header, since these may hold tokens
// or what somebody searches for.
package requests

import (
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"parlor/protocol/chat"
)

// Header names the id of a request, in the request and in its answer.
const Header = "X-Request-Id"

// maxID is the length of the longest id that is taken from a client.
const maxID = 128

// unmatched is the route of a request that none serves.
const unmatched = "none"

// A line is what is known of a request so far.
type line struct {
	id string

	mu    sync.Mutex
	route string
	notes []slog.Attr
}

type lineKey struct{}

func of(ctx context.Context) *line {
	l, _ := ctx.Value(lineKey{}).(*line)
	return l
}

// ID returns the id of the request that the context belongs to, or "".
func ID(ctx context.Context) string {
	if l := of(ctx); l != nil {
		return l.id
	}
	return ""
}

// Note adds an id to the line of the request that the context belongs to, if there is one.
// An empty value adds nothing, and another value of a key takes the place of the one before.
func Note(ctx context.Context, key, value string) {
	l := of(ctx)
	if l == nil || value == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.notes {
		if l.notes[i].Key == key {
			l.notes[i].Value = slog.StringValue(value)
			return
		}
	}
	l.notes = append(l.notes, slog.String(key, value))
}

// Handler gives each request an id: the one that its client has sent, if that is well
// formed. It logs a line for each when its answer has ended. A nil Logger logs nothing.
func Handler(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l := &line{id: cmp.Or(wellFormed(r.Header.Get(Header)), newID())}
		w.Header().Set(Header, l.id)
		r = r.WithContext(context.WithValue(r.Context(), lineKey{}, l))
		if log == nil {
			next.ServeHTTP(w, r)
			return
		}
		rec := &recorder{ResponseWriter: w}
		began := time.Now()
		whole := false
		defer func() { l.write(log, r, rec, time.Since(began), whole) }()
		next.ServeHTTP(rec, r)
		whole = true
	})
}

// write logs the line. An answer that is not whole was cut: its handler has panicked, which
// is how one cuts a connection.
func (l *line) write(log *slog.Logger, r *http.Request, rec *recorder, took time.Duration, whole bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	attrs := append([]slog.Attr{
		slog.String("request", l.id), slog.String("method", method(r)), slog.String("route", cmp.Or(l.route, unmatched)),
		slog.Int("status", rec.answered(whole)), slog.Int64("bytes", rec.bytes.Load()), slog.Duration("duration", took),
	}, l.notes...)
	if !whole {
		attrs = append(attrs, slog.Bool("cut", true))
	}
	log.LogAttrs(context.Background(), slog.LevelInfo, "request", attrs...)
}

// methods are those that a line names. Others are words of the client.
var methods = map[string]bool{"GET": true, "HEAD": true, "POST": true, "PUT": true, "PATCH": true, "DELETE": true, "OPTIONS": true}

func method(r *http.Request) string {
	if methods[r.Method] {
		return r.Method
	}
	return "other"
}

// Routed is the mux, and notes which of its patterns has answered a request, and the ids
// that the path names.
func Routed(mux http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l := of(r.Context()); l != nil {
			defer l.routed(r)
		}
		mux.ServeHTTP(w, r)
	})
}

func (l *line) routed(r *http.Request) {
	_, route, found := strings.Cut(r.Pattern, " ")
	if !found {
		route = r.Pattern
	}
	l.mu.Lock()
	l.route = route
	l.mu.Unlock()
	if id := chat.ID(r.PathValue("chat_id")); id.Valid() {
		NoteChat(r.Context(), id)
	}
	Note(r.Context(), "message", wellFormed(r.PathValue("message_id")))
}

// NoteChat notes the chat that the request is about. An id that could be words is left out;
// that of the room follows from it.
func NoteChat(ctx context.Context, id chat.ID) {
	Note(ctx, "chat", wellFormed(string(id)))
	Note(ctx, "room", string(id.Room()))
}

// wellFormed returns an id that a client has sent, or "" if it is none.
func wellFormed(id string) string {
	odd := func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_.:", r))
	}
	if len(id) > maxID || strings.ContainsFunc(id, odd) {
		return ""
	}
	return id
}

// newID returns an id like those of OpenAI's API, whose clients show it.
func newID() string { return "req_" + strings.ToLower(rand.Text()) }

// Logs adds the id of the request to each record that is logged with its context.
func Logs(h slog.Handler) slog.Handler { return withID{h} }

type withID struct{ slog.Handler }

// Handle implements [slog.Handler].
func (h withID) Handle(ctx context.Context, r slog.Record) error {
	if id := ID(ctx); id != "" {
		r = r.Clone()
		r.AddAttrs(slog.String("request", id))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (h withID) WithAttrs(attrs []slog.Attr) slog.Handler { return withID{h.Handler.WithAttrs(attrs)} }

// WithGroup implements [slog.Handler].
func (h withID) WithGroup(name string) slog.Handler { return withID{h.Handler.WithGroup(name)} }
