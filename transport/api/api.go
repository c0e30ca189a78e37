// Package api serves the HTTP half of what the assistant SPA and scripts use:
// who am I, signing in and out, which models are there, my chats and their history.
//
//	request → recover → CORS → cross-origin check → Authenticator → endpoint → Chats, Models
//	                                                                    ↓
//	                          JSON answer, or problem details ← chat.Error
//
// An endpoint returns a value or an error and never touches the response. One
// place writes what all answers have in common.
//
// # Whose chat
//
// To a user, somebody else's chat does not exist: [Chats] refuses both with
// [chat.CodeNotFound], and the answer has the same words, so that nobody learns
// which ids are in use.
package api

import (
	"cmp"
	_ "embed" // openapi.json
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/rs/cors"

	"parlor/protocol/chat"
)

// Limits of what a request may ask for or bring.
const (
	DefaultChatsLimit    = 20
	MaxChatsLimit        = 100
	DefaultSearchLimit   = 20
	MaxSearchLimit       = 100
	DefaultMessagesLimit = 1_000
	MaxMessagesLimit     = 10_000

	// MaxBodyBytes limits the body of a request.
	MaxBodyBytes = 64 << 10
)

// preflightSeconds is how long a browser may remember a CORS preflight.
const preflightSeconds = 600

// An API serves the endpoints. It may be registered under several prefixes.
type API struct {
	auth   Authenticator
	limits Limiter // or nil
	guests Guests  // nil: there are none
	files  *fileArea
	signIn *signInArea
	behind Backends

	maxSay    int
	maxImport int

	log  *slog.Logger
	cors *cors.Cors
	csrf *http.CrossOriginProtection

	origins       []string
	originRefused func(*http.Request)

	handlers map[string]map[string]http.HandlerFunc // by path and method
}

// New returns an API. It fails if an allowed origin is not an origin, and names
// that one.
func New(chats Chats, members Members, models Models, auth Authenticator, o Options) (*API, error) {
	a := &API{
		auth: auth, limits: o.Limits, behind: o.Backends, guests: o.Guests,
		files:  &fileArea{chats, cmp.Or(o.MaxFileBytes, 10<<20), cmp.Or(o.MaxImageBytes, 4<<20), cmp.Or(o.MaxUploads, 10), cmp.Or(o.MaxMessageBytes, 64<<10)},
		maxSay: cmp.Or(o.MaxSayBytes, MaxBodyBytes), maxImport: cmp.Or(o.MaxImportBytes, 16<<20), log: cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
		origins: slices.Clone(o.AllowedOrigins), originRefused: o.OriginRefused, handlers: make(map[string]map[string]http.HandlerFunc),
	}
	a.signIn = &signInArea{o.SignIn, o.Guests != nil, a.allows}
	if a.originRefused == nil {
		a.originRefused = func(*http.Request) {}
	}
	if err := a.protectOrigins(); err != nil {
		return nil, err
	}
	c := &chatArea{chats: chats, models: models}
	m := &memberArea{c, members, o.Guests}
	areas := []map[string]endpoint{c.routes(), m.routes(), (&talkArea{chats}).routes(), a.files.routes()}
	if o.SignIn != nil {
		areas = append(areas, a.signIn.routes())
	}
	for _, routes := range areas {
		for name, e := range routes {
			a.add(name, a.serve(name, e))
		}
	}
	a.add(lookName, a.forGuests(lookName, m.lookAtInvite, m.lookAsGuest))
	a.add(acceptName, a.forGuests(acceptName, m.acceptInvite, m.acceptAsGuest))
	return a, nil
}

// add adds what answers requests of the given name, "METHOD /path".
func (a *API) add(name string, h http.HandlerFunc) {
	method, path := splitRoute(name)
	if a.handlers[path] == nil {
		a.handlers[path] = make(map[string]http.HandlerFunc)
	}
	a.handlers[path][method] = h
}

// splitRoute splits "METHOD /path".
func splitRoute(text string) (method, path string) {
	method, path, _ = strings.Cut(text, " ")
	return method, path
}

// Description is the API in OpenAPI 3.1. It has the routes of the whole server below
// "/api", also those that other packages serve there; tests compare it with both the routes
// and the answers.
//
//go:embed openapi.json
var Description []byte

func describe(*http.Request) (any, error) { return json.RawMessage(Description), nil }

// Register adds the API to mux below prefix, for example "/api/v1". A path below
// prefix that nothing in mux serves is answered with a JSON 404.
func (a *API) Register(mux *http.ServeMux, prefix string) {
	for path, handlers := range a.handlers {
		a.register(mux, prefix+path, handlers)
	}
	mux.Handle("GET "+prefix+"/openapi.json", a.protect(a.open("GET /openapi.json", describe)))
	a.registerSignIn(mux, prefix)
	a.registerBackends(mux, prefix)
	mux.Handle(prefix+"/", a.protect(http.HandlerFunc(a.notFound)))
}

// register adds what answers at a path, by method.
func (a *API) register(mux *http.ServeMux, path string, handlers map[string]http.HandlerFunc) {
	methods := []string{"HEAD"} // which the mux answers with GET
	for method, h := range handlers {
		mux.Handle(method+" "+path, a.protect(h))
		methods = append(methods, method)
	}
	slices.Sort(methods)
	mux.Handle(path, a.protect(methodNotAllowed(methods)))
}

// RegisterHealth adds to mux the paths that load balancers ask: /healthz, which says that
// the server runs, /readyz, which says that it takes requests, and below base the one that
// deployments of the assistant SPA use. ready returns why the server does not take
// requests now, in a word, or nothing.
func RegisterHealth(mux *http.ServeMux, base string, ready func() (why string)) {
	answer := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, []byte(body)) }
	}
	mux.Handle("GET /healthz", answer(`{"status":"ok"}`))
	mux.Handle("GET "+base+"/internal/health", answer(`{"status":"healthy"}`))
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		status, code := "ready", http.StatusOK
		if why := ready(); why != "" {
			status, code = why, http.StatusServiceUnavailable
		}
		writeJSON(w, code, []byte(`{"status":"`+status+`"}`))
	})
}

// protect wraps h in the checks that every request passes through.
func (a *API) protect(h http.Handler) http.Handler {
	return a.recovered(a.Protect(h))
}

// Protect wraps what other packages serve in what protects the users of browsers.
func (a *API) Protect(h http.Handler) http.Handler { return a.cors.Handler(a.crossOrigin(h)) }

// An endpoint answers one kind of request of a user whose identity is proved.
type endpoint func(*http.Request, chat.User) (any, error)

// serve answers requests of the given name with e.
func (a *API) serve(name string, e endpoint) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		u, err := a.auth.Request(r)
		if refusal := a.limit(u, r, name); refusal != nil {
			err = refusal
		}
		if err = cmp.Or(err, admit(u, name)); err != nil {
			a.refuse(w, r, err)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, int64(a.maxBody(name)))
		if name == uploadName {
			r.Body = &paced{ReadCloser: r.Body, c: http.NewResponseController(w)}
		}
		a.finish(w, r)(e(r, u))
	}
}

// maxBody limits the body of a request of the given name.
func (a *API) maxBody(name string) int {
	switch name {
	case sayName, editName:
		return a.maxSay
	case importName:
		return a.maxImport
	case uploadName:
		return int(a.files.maxFile)*a.files.maxUploads + uploadOverhead
	}
	return MaxBodyBytes
}

// limit counts a request, also of somebody who is not signed in, and waits for its turn.
func (a *API) limit(u chat.User, r *http.Request, name string) *chat.Error {
	if a.limits == nil {
		return nil
	}
	bytes := a.maxBody(name) // of a body whose length is not stated
	if name == uploadName {
		bytes = MaxBodyBytes // its pieces wait for the disk, and count for the owner of the chat
	}
	if r.ContentLength >= 0 {
		bytes = int(min(r.ContentLength, int64(bytes)))
	}
	refusal := a.limits.Take(u.ID, r.RemoteAddr, name, bytes)
	if refusal == nil {
		a.limits.Wait(r.Context(), u.ID, bytes)
	}
	return refusal
}

func (a *API) notFound(w http.ResponseWriter, r *http.Request) {
	a.refuse(w, r, chat.Refuse(chat.CodeNotFound, "no such endpoint: "+r.URL.Path))
}

func methodNotAllowed(methods []string) http.HandlerFunc {
	allow := strings.Join(methods, ", ")
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allow)
		writeError(w, http.StatusMethodNotAllowed, chat.Refuse(chat.CodeInvalid, r.Method+" is not possible here, only "+allow))
	}
}

func (a *API) refuseCrossOrigin(w http.ResponseWriter, r *http.Request) {
	a.originRefused(r)
	a.refuse(w, r, chat.Refuse(chat.CodeForbidden, "changes from pages of another origin are refused unless it is among the server's cors-origins"))
}

// errNoChat is also the answer for somebody else's chat.
var errNoChat = chat.Refuse(chat.CodeNotFound, "Chat not found")

// worded gives "not_found" the words that the assistant SPA knows.
func worded(err error) error {
	if refusal, ok := errors.AsType[*chat.Error](err); ok && refusal.Code == chat.CodeNotFound {
		return errNoChat
	}
	return err
}
