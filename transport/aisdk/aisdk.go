// Package aisdk serves the AI SDK's useChat, over HTTP and over its WebSocket.
//
//	POST /ui/chat             → request → room command → stream of the answer
//	GET  /ui/chat/{id}/stream → the answer that the user waits for, from its beginning
//	POST /ui/chat/{id}/stop   → the turn is stopped
//	GET  /ui/chat/{id}        → the history, for the app to load
//	     /ui/ws               → the same over one WebSocket, but for the history
//
// # A connection that ends
//
// An answer goes on when its client is gone. A stream ends with the last chunk of its body
// only if the client has got all of it. Else the connection is cut: to useChat a body that
// ends well in the middle of an answer is a whole answer.
//
// # Repetitions
//
// Browsers send a POST again by themselves if a connection that was kept alive ends before
// there is an answer. What was recorded under the id of a message is not recorded again:
// the repetition gets the stream of the answer that there is.
package aisdk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	wire "parlor/protocol/aisdk"
	"parlor/protocol/chat"
	"parlor/transport/api"
	"parlor/transport/live"
	"parlor/transport/origin"
)

// Rooms is the part of the server that keeps chats. Its errors are [*chat.Error]s, as far
// as a client may be told them.
type Rooms interface {
	CreateAs(ctx context.Context, u chat.User, id chat.ID, model chat.ModelID) (chat.Info, error)
	Upload(ctx context.Context, u chat.User, id chat.ID, up chat.Upload) (chat.File, error)
	Say(ctx context.Context, u chat.User, id chat.ID, m chat.Say) (chat.Said, error)
	Edit(ctx context.Context, u chat.User, id chat.ID, m chat.Edit) (chat.Said, error)
	Regenerate(ctx context.Context, u chat.User, id chat.ID, a chat.Again) (chat.Queued, error)
	Stop(ctx context.Context, u chat.User, id chat.ID, s chat.Stop) (chat.Stopped, error)
	Decide(ctx context.Context, u chat.User, id chat.ID, d chat.Decide) (chat.Decided, error)
	Offer(ctx context.Context, u chat.User, id chat.ID, tools []chat.Tool) error
	AnswerCall(ctx context.Context, u chat.User, id chat.ID, a chat.AnswerCall) error

	// History returns messages before a record, or the newest, oldest first, and whether
	// there are more. Messages yields them while it reads.
	History(ctx context.Context, u chat.User, id chat.RoomID, before uint64, limit int) ([]chat.Message, bool, error)
	Messages(ctx context.Context, u chat.User, id chat.ID, before uint64, limit int) iter.Seq2[chat.Message, error]

	// Follow tells what the room says behind a place, first how it stands.
	Follow(ctx context.Context, u chat.User, id chat.ID, from chat.Place, encoder string, tell func(chat.Told) error) error
}

// Models knows which models a new chat can have, the first one first.
type Models interface{ List() []chat.Model }

// A Limiter says how often users may ask for something.
type Limiter interface {
	// Take counts a request, or returns why it is too much.
	Take(user chat.UserID, address, request string, bytes int) *chat.Error

	// Wait waits until it is the turn of a user for a request of so many bytes. The
	// request ends with ctx.
	Wait(ctx context.Context, user chat.UserID, bytes int)
}

// Options configure a [Handler]. Rooms, Models and Streams have no default.
type Options struct {
	Rooms   Rooms
	Models  Models
	Streams *live.Streams // in which answers and sockets are counted

	// Limits limits what comes over a WebSocket. Nil limits nothing.
	Limits Limiter

	// AllowedOrigins are those whose pages may open a WebSocket, besides the server's own.
	// OriginRefused is called with requests of others. It may be nil.
	AllowedOrigins []string
	OriginRefused  func(*http.Request)

	MaxBody      int           // bytes of a request. Zero means 4 MiB
	MaxRequests  int           // that go on at once on one WebSocket. Zero means 16
	ReplayWindow time.Duration // for which the last answer is told again. Zero means 2 minutes, and less never
	KeepAlive    time.Duration // between signs of life in a stream that says nothing. Zero means 15 seconds
	WriteTimeout time.Duration // for a client of a WebSocket to take what is sent. Zero means 20 seconds

	// PingInterval is the time between signs of life on a WebSocket, and PingTimeout how
	// much later the client's may come. Zero means 25 and 20 seconds.
	PingInterval, PingTimeout time.Duration

	// Logger receives panics. Nil discards them.
	Logger *slog.Logger
}

// A Handler serves the paths. Its methods may be called from any goroutine.
type Handler struct {
	*service
	o        Options
	upgrader websocket.Upgrader
}

// New returns a Handler.
func New(o Options) *Handler {
	o.MaxBody = cmp.Or(o.MaxBody, 4<<20)
	o.MaxRequests = cmp.Or(o.MaxRequests, 16)
	o.ReplayWindow = cmp.Or(o.ReplayWindow, 2*time.Minute)
	o.KeepAlive = cmp.Or(o.KeepAlive, 15*time.Second)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, 20*time.Second)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.PingInterval = cmp.Or(o.PingInterval, 25*time.Second)
	o.PingTimeout = cmp.Or(o.PingTimeout, 20*time.Second)
	if o.OriginRefused == nil {
		o.OriginRefused = func(*http.Request) {}
	}
	return &Handler{
		service:  &service{rooms: o.Rooms, models: o.Models, replayWindow: o.ReplayWindow},
		o:        o,
		upgrader: websocket.Upgrader{CheckOrigin: o.checkOrigin, ReadBufferSize: bufferSize, WriteBufferSize: bufferSize},
	}
}

// bufferSize is that of the buffers of a WebSocket, in bytes.
const bufferSize = 4 << 10

// checkOrigin refuses WebSockets of foreign pages: they come with the user's cookies.
func (o Options) checkOrigin(r *http.Request) bool {
	if origin.Admits(r, o.AllowedOrigins) {
		return true
	}
	o.OriginRefused(r)
	return false
}

// Routes returns what is served, by "METHOD /path".
func (h *Handler) Routes() map[string]api.Handler {
	return map[string]api.Handler{
		"POST /ui/chat":                 h.post,
		"GET /ui/chat/{chat_id}":        h.history,
		"GET /ui/chat/{chat_id}/stream": h.resumeStream,
		"POST /ui/chat/{chat_id}/stop":  h.stopTurn,
		"GET /ui/ws":                    h.socket,
	}
}

func (h *Handler) post(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	body, err := h.read(w, r)
	if err != nil {
		return err
	}
	request, refusal := wire.Decode(body)
	if refusal != nil {
		return refusal
	}
	out, err := h.o.Streams.Begin(w, r, in) // before anything is recorded, since it may refuse
	if err != nil {
		return err
	}
	defer out.Close()
	st, err := h.ask(r.Context(), in.User, request)
	if err != nil {
		return err
	}
	h.stream(out, r, in.User, st)
	return nil
}

// read reads a body of bounded size.
func (h *Handler) read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(h.o.MaxBody)))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, chat.Refuse(chat.CodeTooLarge, fmt.Sprintf("the request body is larger than %d bytes: send only the last message", h.o.MaxBody))
	}
	if err != nil {
		return nil, chat.Refuse(chat.CodeInvalid, "the request body cannot be read")
	}
	return body, nil
}

// resumeStream answers 204 if there is nothing to wait for. A chat that the user may not
// read is such a one: a page that is loaded for the first time has a chat that nobody has
// made, and useChat shows anything but 204 as an error.
func (h *Handler) resumeStream(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	id, err := chatID(r)
	if err != nil {
		return err
	}
	st, ok, err := h.resume(r.Context(), in.User, id)
	if isCode(err, chat.CodeNotFound) || err == nil && !ok {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if err != nil {
		return err
	}
	st.old = isOld(r)
	out, err := h.o.Streams.Begin(w, r, in)
	if err != nil {
		return err
	}
	defer out.Close()
	h.stream(out, r, in.User, st)
	return nil
}

// isOld reports whether a request without a body says that it comes from version 5.
func isOld(r *http.Request) bool {
	return r.URL.Query().Get("sdk_version") == strconv.Itoa(wire.OldVersion)
}

func chatID(r *http.Request) (chat.ID, error) {
	id := chat.ID(r.PathValue("chat_id"))
	if !id.Valid() {
		return "", chat.Refuse(chat.CodeInvalid, "the id of the chat must be 1 to 128 printable characters without spaces")
	}
	return id, nil
}

func (h *Handler) stopTurn(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	id, err := chatID(r)
	if err != nil {
		return err
	}
	body, err := h.read(w, r)
	if err != nil {
		return err
	}
	turn, refusal := wire.DecodeStop(body)
	if refusal != nil {
		return refusal
	}
	stopped, err := h.stop(r.Context(), in.User, id, turn)
	if err != nil {
		return err
	}
	setJSON(w)
	_, _ = w.Write(wire.Stopped(stopped)) // fails only when the client is gone
	return nil
}

func setJSON(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
}

// Limits of a history that is asked for.
const (
	defaultHistory = 1_000
	maxHistory     = 10_000
)

// history answers with the newest messages, oldest first. They are written while they are
// read. An answer that waits for a member to approve calls is one of them.
func (h *Handler) history(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	id, err := chatID(r)
	if err != nil {
		return err
	}
	limit, err := number(r, "limit", defaultHistory, 1, maxHistory)
	if err != nil {
		return err
	}
	before, err := number(r, "before", 0, 0, 1<<62)
	if err != nil {
		return err
	}
	files, old := filesOf(r, id), isOld(r)
	separator := "["
	for m, err := range h.rooms.Messages(r.Context(), in.User, id, uint64(before), limit) {
		switch {
		case err != nil && separator == "[":
			return err
		case err != nil:
			panic(http.ErrAbortHandler) // half an array must not look whole
		case separator == "[":
			setJSON(w)
		}
		if _, err := w.Write(wire.Show(m, in.ID, files, old).Append([]byte(separator))); err != nil {
			panic(http.ErrAbortHandler)
		}
		separator = ","
	}
	if before == 0 && separator == "," {
		if now, err := h.now(r.Context(), in.User, id); err == nil {
			if m, waits := wire.ShowWaiting(now, old); waits {
				_, _ = w.Write(m.Append([]byte(separator)))
			}
		}
	}
	if separator == "[" {
		setJSON(w)
		_, _ = io.WriteString(w, "[")
	}
	_, _ = io.WriteString(w, "]")
	return nil
}

// filesOf returns where the files of a chat are, as the client reaches this server. The page
// that shows them may be of another origin.
func filesOf(r *http.Request, id chat.ID) string {
	scheme := "http"
	if origin.Secure(r) {
		scheme = "https"
	}
	base, _, _ := strings.Cut(r.URL.Path, "/ui/chat/")
	return scheme + "://" + r.Host + base + "/chat/" + url.PathEscape(string(id)) + "/files/"
}

// number reads a number from the query.
func number(r *http.Request, name string, absent, lowest, highest int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return absent, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < lowest || n > highest {
		return 0, chat.Refuse(chat.CodeInvalid, fmt.Sprintf("%s must be a number from %d to %d", name, lowest, highest))
	}
	return n, nil
}
