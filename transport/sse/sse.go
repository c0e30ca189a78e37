// Package sse serves server-sent events: what is said in a chat, or in all chats of a
// user, for curl, scripts and EventSource.
//
//	GET …/events, Last-Event-ID → Follower → chat.Told → events, as the room encoded them → live.Stream
//
// The events are those of the documented dialect of the assistant namespace. The last
// event of each record has an id, with which a client comes back and misses nothing,
// however old the id is.
package sse

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/tmaxmax/go-sse"

	"parlor/protocol/chat"
	"parlor/transport/live"
)

// A Follower tells what happens, until ctx ends. See [follow.Follower].
type Follower interface {
	// Follow tells what a room says behind a place.
	Follow(ctx context.Context, u chat.User, id chat.ID, from chat.Place, encoder string, tell func(chat.Told) error) error

	// FollowAll tells what all rooms of the user say behind a cursor.
	FollowAll(ctx context.Context, u chat.User, from, encoder string, tell func(chat.Told) error) error
}

// Options configure a [Server]. Follower and Streams have no default.
type Options struct {
	Follower  Follower
	Streams   *live.Streams
	KeepAlive time.Duration // between comments in a stream that is silent. Zero means 25 seconds
}

// A Server answers with server-sent events. Its methods may be called from any goroutine.
type Server struct{ o Options }

// New returns a Server.
func New(o Options) *Server {
	o.KeepAlive = cmp.Or(o.KeepAlive, 25*time.Second)
	return &Server{o}
}

// Room tells what is said in the chat that the path names as chat_id, until the request ends
// or the user may not listen any more. If it returns an error nothing is written.
func (s *Server) Room(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	id := chat.ID(r.PathValue("chat_id"))
	m, err := parseMark(lastID(r))
	if err != nil {
		return err
	}
	return s.serve(w, r, in, func(p *provider) error {
		p.mark = m
		return s.o.Follower.Follow(p.ctx, in.User, id, m.from(), OneChat, p.tell)
	})
}

// All tells what is said in all chats of the user, in the same way.
func (s *Server) All(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	m, err := parseFeedMark(lastID(r))
	if err != nil {
		return err
	}
	return s.serve(w, r, in, func(p *provider) error {
		p.mark, p.all = m, true
		return s.o.Follower.FollowAll(p.ctx, in.User, m.cursor, AllChats, p.tell)
	})
}

// serve answers with what follow tells the provider.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, in chat.SignIn, follow func(*provider) error) error {
	stream, err := s.o.Streams.Begin(w, r, in)
	if err != nil {
		return err
	}
	defer stream.Close()
	h := stream.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would wait until it has more
	h.Set("X-Content-Type-Options", "nosniff")
	p := &provider{follow: follow, every: s.o.KeepAlive, once: r.Method == http.MethodHead}
	(&sse.Server{Provider: p}).ServeHTTP(&buffered{Stream: stream}, r.WithContext(stream.Context()))
	return p.refusal
}

// buffered collects an event, which go-sse writes in pieces, and sends it in one.
type buffered struct {
	*live.Stream
	waiting []byte
}

// maxWaiting is about how many bytes are sent at once.
const maxWaiting = 16 << 10

// Write implements [http.ResponseWriter].
func (b *buffered) Write(p []byte) (int, error) {
	b.waiting = append(b.waiting, p...)
	if len(b.waiting) < maxWaiting {
		return len(p), nil
	}
	return len(p), b.send()
}

func (b *buffered) send() error {
	waiting := b.waiting
	b.waiting = b.waiting[:0]
	if cap(waiting) > 4*maxWaiting {
		b.waiting = nil
	}
	_, err := b.Stream.Write(waiting)
	return err
}

// FlushError sends what was written.
func (b *buffered) FlushError() error {
	if len(b.waiting) > 0 {
		if err := b.send(); err != nil {
			return err
		}
	}
	return b.Stream.FlushError()
}
