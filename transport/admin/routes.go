package admin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/tmaxmax/go-sse"

	"parlor/protocol/admin"
	"parlor/protocol/chat"
	"parlor/transport/api"
	"parlor/transport/live"
)

// maxBody limits the body of a request, in bytes.
const maxBody = 8 << 10

var errNotAdmin = chat.Refuse(chat.CodeForbidden, "this is for administrators")

// Routes are what administrators ask for, by "METHOD /path". Everybody else is refused.
func (s *Service) Routes() map[string]api.Handler {
	routes := map[string]api.Handler{
		"GET /admin/runtime": func(w http.ResponseWriter, _ *http.Request, _ chat.SignIn) error {
			return api.Answer(w, s.Overview())
		},
		"GET /admin/runtime/actors":                 s.actors,
		"GET /admin/runtime/find":                   s.find,
		"GET /admin/runtime/audit":                  s.audit,
		"GET /admin/runtime/rooms/{room_id}":        s.room,
		"GET /admin/runtime/rooms/{room_id}/events": s.events,
		"GET /admin/runtime/users/{user_id}/export": s.export,
		"POST /admin/runtime/actions":               s.act,
	}
	for name, h := range routes {
		routes[name] = onlyAdmins(h)
	}
	return routes
}

func onlyAdmins(h api.Handler) api.Handler {
	return func(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
		if !in.Admin {
			return errNotAdmin
		}
		return h(w, r, in)
	}
}

func by(r *http.Request, in chat.SignIn) admin.By { return admin.By{User: in.User, From: r.RemoteAddr} }

func (s *Service) actors(w http.ResponseWriter, r *http.Request, _ chat.SignIn) error {
	limit, err := number(r, "limit")
	offset, offsetErr := number(r, "offset")
	if err = cmp.Or(err, offsetErr); err != nil {
		return err
	}
	q := r.URL.Query()
	page, err := s.Actors(admin.Query{
		Kind: q.Get("kind"), Text: q.Get("q"), Parent: q.Get("parent"), Sort: admin.Sort(q.Get("sort")), Offset: int(offset), Limit: int(limit),
	})
	if err != nil {
		return err
	}
	return api.Answer(w, page)
}

func (s *Service) find(w http.ResponseWriter, r *http.Request, _ chat.SignIn) error {
	f, err := s.Find(r.URL.Query().Get("q"))
	if err != nil {
		return err
	}
	return api.Answer(w, f)
}

func (s *Service) audit(w http.ResponseWriter, r *http.Request, _ chat.SignIn) error {
	before, err := number(r, "before")
	limit, limitErr := number(r, "limit")
	if err = cmp.Or(err, limitErr); err != nil {
		return err
	}
	page, err := s.Audit(before, int(cmp.Or(limit, defaultPage)))
	if err != nil {
		return err
	}
	return api.Answer(w, page)
}

func (s *Service) room(w http.ResponseWriter, r *http.Request, _ chat.SignIn) error {
	page, err := s.Room(chat.RoomID(r.PathValue("room_id")))
	if err != nil {
		return err
	}
	return api.Answer(w, page)
}

func (s *Service) act(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	var a admin.Action
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return chat.Refuse(chat.CodeInvalid, "the request body must be an action, such as {\"action\": \"restart_room\", \"room_id\": \"…\"}")
	}
	e, err := s.Do(r.Context(), by(r, in), a)
	if err != nil {
		return err
	}
	return api.Answer(w, e)
}

// export writes what is kept of a user as JSON Lines. An answer without a last line "end" was
// cut off.
func (s *Service) export(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	stream, err := s.Streams.Begin(w, r, in)
	if err != nil {
		return err
	}
	defer stream.Close()
	lines := &download{Stream: stream}
	err = s.Export(stream.Context(), lines, by(r, in), chat.UserID(r.PathValue("user_id")))
	if lines.begun {
		return nil // the answer has begun: nothing can be said any more
	}
	return err
}

// A download says what it is before its first byte.
type download struct {
	*live.Stream
	begun bool
}

func (d *download) Write(b []byte) (int, error) {
	if !d.begun {
		d.begun = true
		h := d.Header()
		h.Set("Content-Type", "application/jsonl")
		h.Set("Content-Disposition", `attachment; filename="user.jsonl"`)
		h.Set("Cache-Control", "no-store")
	}
	return d.Stream.Write(b)
}

// events tells what happens in a room as server-sent events, until the client is gone.
func (s *Service) events(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	stream, err := s.Streams.Begin(w, r, in)
	if err != nil {
		return err
	}
	defer stream.Close()
	begun, done := false, make(chan struct{})
	var comments sync.WaitGroup
	err = s.Follow(stream.Context(), by(r, in), chat.RoomID(r.PathValue("room_id")), func(e admin.Event) error {
		if !begun {
			begun = true
			h := stream.Header()
			h.Set("Content-Type", "text/event-stream")
			h.Set("Cache-Control", "no-store")
			h.Set("X-Accel-Buffering", "no")
			comments.Go(func() { s.keepAlive(stream, done) })
		}
		data, err := json.Marshal(e)
		if err != nil {
			return err
		}
		m := sse.Message{Type: sse.Type(e.Event)}
		m.AppendData(string(data))
		return send(stream, m)
	})
	close(done)
	comments.Wait()
	if begun {
		return nil // the answer has begun: nothing can be said any more
	}
	return err
}

// keepAlive sends comments, by which a proxy sees that the stream goes on.
func (s *Service) keepAlive(stream *live.Stream, done <-chan struct{}) {
	tick := time.NewTicker(s.KeepAlive)
	defer tick.Stop()
	var comment sse.Message
	comment.AppendComment("still here")
	for {
		select {
		case <-tick.C:
			_ = send(stream, comment) // a write that fails ends the stream
		case <-done:
			return
		}
	}
}

func send(stream *live.Stream, m sse.Message) error {
	var b bytes.Buffer
	if _, err := m.WriteTo(&b); err != nil {
		return err
	}
	if _, err := stream.Write(b.Bytes()); err != nil {
		return err
	}
	return stream.FlushError()
}

// number reads a number from the query, or 0.
func number(r *http.Request, name string) (uint64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 62)
	if err != nil {
		return 0, chat.Refuse(chat.CodeInvalid, name+" must be a number, not "+strconv.Quote(text))
	}
	return n, nil
}
