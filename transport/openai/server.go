// Package openai serves OpenAI's HTTP API: models, chat completions, responses and
// conversations, for its official clients.
//
//	request → recover → Protect → Authenticator → Limiter → endpoint ┬ Rooms: said in a chat, as a member
//	                                                                 └ Completer: nothing of it is kept
//	answer  ← JSON, or events ← protocol/openai.Stream ← Follower ← room
//
// # Repeats
//
// The official client repeats a POST by itself when the answer was lost, and says nothing by
// which the two belong together. What the first one said must not be said twice: see [posts].
// A connection that ends before the answer does is reset, so that no part of an answer looks whole.
package openai

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"parlor/protocol/chat"
	wire "parlor/protocol/openai"
	"parlor/transport/live"
)

// Rooms are the part of the server that keeps chats. Many goroutines may call the methods at
// once. Errors that are a [*chat.Error] are shown to the client.
type Rooms interface {
	CreateAs(ctx context.Context, u chat.User, id chat.ID, model chat.ModelID) (chat.Info, error)
	Get(ctx context.Context, u chat.User, id chat.ID) (chat.Info, error)
	List(ctx context.Context, u chat.User, offset, limit int) ([]chat.Info, int, error)
	Configure(ctx context.Context, u chat.User, id chat.ID, c chat.Changes) (chat.Info, error)
	Delete(ctx context.Context, u chat.User, id chat.ID) error

	// Messages yields up to limit messages before a number, or the newest if that is 0, oldest first.
	Messages(ctx context.Context, u chat.User, id chat.ID, before uint64, limit int) iter.Seq2[chat.Message, error]

	// Records yields the records that follow after. It does not ask whether u may read them.
	Records(ctx context.Context, u chat.User, id chat.RoomID, after uint64) iter.Seq2[chat.Record, error]

	Say(ctx context.Context, u chat.User, id chat.ID, m chat.Say) (chat.Said, error)
	Stop(ctx context.Context, u chat.User, id chat.ID, s chat.Stop) (chat.Stopped, error)
	Offer(ctx context.Context, u chat.User, id chat.ID, tools []chat.Tool) error
	AnswerCall(ctx context.Context, u chat.User, id chat.ID, a chat.AnswerCall) error
	Decide(ctx context.Context, u chat.User, id chat.ID, d chat.Decide) (chat.Decided, error)
}

// A Follower tells a room to one who reads it.
type Follower interface {
	Follow(ctx context.Context, u chat.User, id chat.ID, from chat.Place, encoder string, tell func(chat.Told) error) error
}

// A Completer asks models outside of any chat.
type Completer interface {
	Complete(ctx context.Context, u chat.User, p chat.Prompt, tell func(text string) error) (chat.Completed, error)
}

// Models knows the assistants that can be asked.
type Models interface {
	List() []chat.Model
	Model(chat.ModelID) (chat.Model, bool)
	Refusal(chat.ModelID) *chat.Error
}

// A Limiter says how often users may ask for something.
type Limiter interface {
	// Take counts a request, or returns why it is too much.
	Take(user chat.UserID, address, request string, bytes int) *chat.Error

	// Wait waits until it is the turn of a user for a request of so many bytes. The
	// request ends with ctx.
	Wait(ctx context.Context, user chat.UserID, bytes int)
}

// Options configure a [Server]. The fields without a default are those whose comment names none.
type Options struct {
	Rooms     Rooms
	Follower  Follower
	Completer Completer
	Models    Models
	Streams   *live.Streams

	// SignIn says who sent a request.
	SignIn func(*http.Request) (chat.SignIn, error)

	// Protect wraps what answers in the checks that all requests of browsers pass. Nil checks
	// nothing.
	Protect func(http.Handler) http.Handler

	Limits Limiter // nil limits nothing

	MaxBytes   int           // of a request. Zero means 1 MiB
	TurnPolicy chat.Policy   // of chats that have none
	KeepAlive  time.Duration // between signs of life in a stream that tells nothing. Zero means 15 seconds
	Logger     *slog.Logger  // nil discards
}

// A Server serves the API. It may be registered under several prefixes.
type Server struct {
	Options
	posts *posts
}

// New returns a Server.
func New(o Options) *Server {
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.MaxBytes = cmp.Or(o.MaxBytes, 1<<20)
	o.KeepAlive = cmp.Or(o.KeepAlive, 15*time.Second)
	if o.Protect == nil {
		o.Protect = func(h http.Handler) http.Handler { return h }
	}
	return &Server{Options: o, posts: newPosts(o.Rooms)}
}

// An endpoint answers one kind of request. An error that it returns is the answer.
type endpoint func(*call) error

// Register adds the API to mux below prefix, for example "/v1".
func (s *Server) Register(mux *http.ServeMux, prefix string) {
	for path, endpoints := range map[string]map[string]endpoint{
		"/models":                                    {"GET": s.listModels},
		"/models/{model...}":                         {"GET": s.getModel},
		"/chat/completions":                          {"POST": s.complete},
		"/responses":                                 {"POST": s.respond},
		"/responses/{response}":                      {"GET": s.getResponse, "DELETE": s.deleteResponse},
		"/responses/{response}/cancel":               {"POST": s.cancelResponse},
		"/responses/{response}/input_items":          {"GET": s.listInput},
		"/conversations":                             {"POST": s.createConversation},
		"/conversations/{conversation}":              {"GET": s.getConversation, "POST": s.updateConversation, "DELETE": s.deleteConversation},
		"/conversations/{conversation}/items":        {"GET": s.listItems, "POST": s.addItems},
		"/conversations/{conversation}/items/{item}": {"GET": s.getItem, "DELETE": s.deleteItem},
	} {
		var methods []string
		for method, e := range endpoints {
			methods = append(methods, method)
			mux.Handle(method+" "+prefix+path, s.protect(s.serve(method+" /v1"+path, e)))
		}
		slices.Sort(methods)
		mux.Handle(prefix+path, s.protect(notAllowed(strings.Join(methods, ", "))))
	}
	mux.Handle(prefix+"/", s.protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeError(w, &wire.Error{Status: http.StatusNotFound, Type: "invalid_request_error", Message: "no such endpoint: " + r.URL.Path})
	})))
}

func notAllowed(methods string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", methods)
		writeError(w, &wire.Error{Status: http.StatusMethodNotAllowed, Type: "invalid_request_error", Message: r.Method + " is not possible here, only " + methods})
	})
}

func (s *Server) protect(h http.Handler) http.Handler { return s.recovered(s.Protect(h)) }

// recovered answers 500 for a panic in h, or resets the connection if an answer has begun.
func (s *Server) recovered(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &watched{ResponseWriter: w}
		defer func() {
			p := recover()
			switch {
			case p == nil:
				return
			case p == http.ErrAbortHandler:
				panic(p)
			}
			s.Logger.Error("panic in a request", "method", r.Method, "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			if c.begun {
				panic(http.ErrAbortHandler)
			}
			writeError(w, wire.ErrorOf(chat.AsError(errors.New("panic"))))
		}()
		h.ServeHTTP(c, r)
	})
}

// A watched notes whether an answer has begun.
type watched struct {
	http.ResponseWriter
	begun bool
}

func (w *watched) WriteHeader(status int) {
	w.begun = true
	w.ResponseWriter.WriteHeader(status)
}

func (w *watched) Write(b []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(b)
}

// Unwrap is for [http.ResponseController].
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// serve answers requests of the given name with e.
func (s *Server) serve(name string, e endpoint) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if w.Header().Get("X-Request-Id") == "" { // it has one in the whole server
			w.Header().Set("X-Request-Id", requestID())
		}
		in, err := s.SignIn(r)
		if s.Limits != nil {
			bytes := s.MaxBytes // of a body whose length is not stated
			if r.ContentLength >= 0 {
				bytes = int(min(r.ContentLength, int64(s.MaxBytes)))
			}
			if refusal := s.Limits.Take(in.ID, r.RemoteAddr, name, bytes); refusal != nil {
				err = refusal
			} else {
				s.Limits.Wait(r.Context(), in.ID, bytes)
			}
		}
		c := &call{Server: s, w: w, r: r, in: in}
		if err == nil {
			r.Body = http.MaxBytesReader(w, r.Body, int64(s.MaxBytes))
			err = e(c)
		}
		if err != nil {
			c.refuse(err)
		}
	}
}

func (s *Server) listModels(c *call) error { return c.answer(wire.ModelsOf(s.Models.List())) }

func (s *Server) getModel(c *call) error {
	model, err := s.model(chat.ModelID(c.r.PathValue("model")))
	if err != nil {
		return err
	}
	return c.answer(wire.ModelOf(model))
}

// model returns a model that can be asked.
func (s *Server) model(id chat.ModelID) (chat.Model, error) {
	model, ok := s.Models.Model(id)
	if !ok {
		return model, wire.NoModel(cmp.Or(s.Models.Refusal(id), chat.Refuse(chat.CodeNotFound, "there is no such model")))
	}
	return model, nil
}
