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
	"context"
	_ "embed" // openapi.json
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/rs/cors"

	"parlor/protocol/chat"
	"parlor/transport/origin"
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

// Chats is the part of the server that keeps chats. Many goroutines may call its
// methods at once. The client is shown errors that are a [*chat.Error]; for any
// other error it is told only that something went wrong.
type Chats interface {
	// Create makes a chat that u owns, under an id that it chooses.
	Create(ctx context.Context, u chat.User, model chat.ModelID) (chat.Info, error)

	// Listed returns u's own chats that the view shows, the pinned ones first, then newest
	// first, and how many there are in all.
	Listed(ctx context.Context, u chat.User, v chat.View, offset, limit int) ([]chat.Listed, int, error)

	// Mark changes what u has noted of a chat, with the errors of Get, [chat.CodeInvalid],
	// [chat.CodeTooLarge] and [chat.CodeQuotaExceeded]. MarkOf returns it. Folders returns
	// u's folders.
	Mark(ctx context.Context, u chat.User, id chat.ID, c chat.MarkChanges) (chat.Mark, error)
	MarkOf(ctx context.Context, u chat.User, info chat.Info) (chat.Mark, error)
	Folders(ctx context.Context, u chat.User) ([]chat.Folder, error)

	// Used returns the models of u's newest chats, of each the ID and the APISource
	// alone. It is asked often, so it should know them without reading the chats.
	Used(ctx context.Context, u chat.User) ([]chat.Model, error)

	// Search looks through u's chats, or returns [chat.CodeInvalid].
	Search(ctx context.Context, u chat.User, q chat.SearchQuery) (chat.SearchPage, error)

	// Unread returns what u has not read of each of the chats.
	Unread(ctx context.Context, u chat.User, chats []chat.Info) ([]chat.Unread, error)

	Talk
	Files

	// Get returns a chat, or [chat.CodeNotFound] if u may not read it. Another method
	// may refuse a user who may read the chat with [chat.CodeForbidden].
	Get(ctx context.Context, u chat.User, id chat.ID) (chat.Info, error)

	// Configure changes a chat's settings, with the errors of Get, and
	// [chat.CodeInvalid] or [chat.CodeTooLarge].
	Configure(ctx context.Context, u chat.User, id chat.ID, c chat.Changes) (chat.Info, error)

	// Usage sums up what u's own turns have used, or [chat.CodeInvalid].
	Usage(ctx context.Context, u chat.User, q chat.UsageQuery) (chat.UsageReport, error)

	// Delete removes a chat and its history, with the errors of Get.
	Delete(ctx context.Context, u chat.User, id chat.ID) error

	// MessagesOf takes the messages of the branch that leads through a message, or of the
	// current one if that is empty, whose sequence number is below before, or all if before
	// is 0, and yields the newest limit of them in ascending order. It ends after the first
	// error. The errors of Get, and that there is no such message, come before any message.
	MessagesOf(ctx context.Context, u chat.User, id chat.ID, branch chat.MessageID, before uint64, limit int) iter.Seq2[chat.Message, error]
}

// Models knows the assistants that can be talked with.
type Models interface {
	// List returns the models in the order in which clients should offer them.
	// The SPA needs at least one.
	List() []chat.Model

	// Model returns the model with the id, which need not be in the list.
	Model(chat.ModelID) (chat.Model, bool)

	// Refusal says why the model with the id cannot be asked. It is nil if the
	// model can be asked.
	Refusal(chat.ModelID) *chat.Error
}

// An Authenticator says who sent a request. Its errors are a [*chat.Error].
type Authenticator interface {
	Request(*http.Request) (chat.User, error)
	SignIn(*http.Request) (chat.SignIn, error) // the same, and until when it holds
}

// A Limiter says how often users may ask for something.
type Limiter interface {
	// Take counts a request with a body of so many bytes, of a user, or of an address if
	// the user is unknown, or returns why it is too much.
	Take(user chat.UserID, address, request string, bytes int) *chat.Error
}

// Options configure an [API]. The zero value is ready to use.
type Options struct {
	// AllowedOrigins are the origins, as "scheme://host[:port]", whose pages
	// may use the API with the user's cookies. None by default; the server's
	// own origin needs no mention.
	AllowedOrigins []string

	// SignIn keeps sessions. Nil means that nobody signs in here.
	SignIn SignIn

	// OriginRefused is called when a page of another origin may not change or read
	// anything, by many goroutines at once. It may be nil.
	OriginRefused func(*http.Request)

	// Guests let people without an account in. Nil means that there are none.
	Guests Guests

	// Limits limits requests, if it is not nil.
	Limits Limiter

	// Backends send events to clients. The zero value lets none do that.
	Backends Backends

	// MaxSayBytes limits the body of a request that says something. Zero means
	// [MaxBodyBytes].
	MaxSayBytes int

	// MaxFileBytes and MaxUploads limit the files of a request, and how many it brings.
	// Zero means 10 MiB and 10.
	MaxFileBytes int64
	MaxUploads   int

	// Logger receives panics and the causes of internal errors. Nil discards
	// them.
	Logger *slog.Logger
}

// An API serves the endpoints. It may be registered under several prefixes.
type API struct {
	listing  listing
	listings listings

	chats   Chats
	members Members
	models  Models
	auth    Authenticator
	limits  Limiter // or nil
	signIn  SignIn  // nil: nobody signs in here
	guests  Guests  // nil: there are none
	behind  Backends
	maxSay  int

	maxFile    int64
	maxUploads int

	log  *slog.Logger
	cors *cors.Cors
	csrf *http.CrossOriginProtection

	origins       []string
	originRefused func(*http.Request)

	mounted map[string]map[string]http.HandlerFunc // by path and method, see Mount
}

// New returns an API. It fails if an allowed origin is not an origin, and names
// that one.
func New(chats Chats, members Members, models Models, auth Authenticator, o Options) (*API, error) {
	a := &API{
		chats: chats, members: members, models: models, auth: auth, signIn: o.SignIn, limits: o.Limits, behind: o.Backends, guests: o.Guests,
		maxFile: cmp.Or(o.MaxFileBytes, 10<<20), maxUploads: cmp.Or(o.MaxUploads, 10),
		maxSay: cmp.Or(o.MaxSayBytes, MaxBodyBytes), log: cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
		origins: slices.Clone(o.AllowedOrigins), originRefused: o.OriginRefused, mounted: make(map[string]map[string]http.HandlerFunc),
	}
	if a.originRefused == nil {
		a.originRefused = func(*http.Request) {}
	}
	if err := a.protectOrigins(); err != nil {
		return nil, err
	}
	return a, nil
}

// openAIHeaders are those of requests to OpenAI's API, as its client for browsers sends them.
var openAIHeaders = []string{
	"x-parlor-chat", "openai-organization", "openai-project", "x-stainless-arch", "x-stainless-helper-method", "x-stainless-lang", "x-stainless-os",
	"x-stainless-package-version", "x-stainless-retry-count", "x-stainless-runtime", "x-stainless-runtime-version", "x-stainless-timeout",
}

// mcpHeaders are those of requests of MCP's clients for browsers.
var mcpHeaders = []string{"mcp-protocol-version", "mcp-session-id", "mcp-method", "mcp-name"}

// protectOrigins sets up what browsers are told about the origins (CORS), and which of
// their requests are refused. CORS alone does not protect: a browser sends some
// requests with cookies without asking first, so those that change something are
// checked here too.
func (a *API) protectOrigins() error {
	a.csrf = http.NewCrossOriginProtection()
	a.csrf.SetDenyHandler(http.HandlerFunc(a.refuseCrossOrigin))
	for _, allowed := range a.origins {
		if strings.Contains(allowed, "*") {
			return fmt.Errorf("api: allowed origin %q: wildcards are not supported", allowed)
		}
		if err := a.csrf.AddTrustedOrigin(allowed); err != nil {
			return fmt.Errorf("api: allowed origin: %w", err)
		}
	}
	a.cors = cors.New(cors.Options{
		// A function, because cors takes an empty list for "all".
		AllowOriginVaryRequestFunc: a.allows,
		AllowedMethods:             []string{"GET", "POST", "DELETE", "PUT", "PATCH"},
		AllowedHeaders:             slices.Concat([]string{"content-type", "x-csrf-token", "cf-access-token", "authorization", "x-parlor-user", "last-event-id", "idempotency-key"}, openAIHeaders, mcpHeaders),
		AllowCredentials:           true,
		MaxAge:                     preflightSeconds,
	})
	return nil
}

// allows reports whether browsers let a page of that origin read answers. A request
// without an Origin comes from no page of another one.
func (a *API) allows(r *http.Request, page string) (allowed bool, vary []string) {
	allowed = origin.Listed(a.origins, page)
	if !allowed && page != "" && !origin.Same(r) {
		a.originRefused(r)
	}
	return allowed, nil
}

// crossOrigin refuses changes by pages of another origin, in requests that browsers send
// without asking first. [http.CrossOriginProtection] takes an origin with its default
// port and one without it for two.
func (a *API) crossOrigin(next http.Handler) http.Handler {
	protected := a.csrf.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		own := r.Header.Get("Sec-Fetch-Site") == "" && origin.Same(r)
		if own || origin.Listed(a.origins, r.Header.Get("Origin")) {
			next.ServeHTTP(w, r)
			return
		}
		protected.ServeHTTP(w, r)
	})
}

// A route is a path, and what answers there, by method.
type route struct {
	path      string
	endpoints map[string]endpoint
}

// splitRoute splits "METHOD /path".
func splitRoute(text string) (method, path string) {
	method, path, _ = strings.Cut(text, " ")
	return method, path
}

// Description is the API in OpenAPI 3.1. It has the routes of the whole server below
// "/api/v1", also those that other packages serve there; tests compare it with both the
// routes and the answers.
//
//go:embed openapi.json
var Description []byte

func describe(*http.Request) (any, error) { return json.RawMessage(Description), nil }

// Register adds the API to mux below prefix, for example "/api/v1". A path below
// prefix that nothing in mux serves is answered with a JSON 404.
func (a *API) Register(mux *http.ServeMux, prefix string) {
	routes := []route{
		{"/auth/me", map[string]endpoint{"GET": a.me}},
		{"/model", map[string]endpoint{"GET": a.listModels}},
		{"/chat", map[string]endpoint{"GET": a.listChats, "POST": a.createChat}},
		{"/chat/{chat_id}", map[string]endpoint{"GET": a.getChat, "DELETE": a.deleteChat, "PATCH": a.configureChat}},
		{"/chat/{chat_id}/mark", map[string]endpoint{"PATCH": a.mark}},
		{"/search", map[string]endpoint{"GET": a.search}},
		{"/folders", map[string]endpoint{"GET": a.listFolders}},
		{"/chat/{chat_id}/members", map[string]endpoint{"GET": a.listMembers}},
		{"/chat/{chat_id}/members/{user_id}", map[string]endpoint{"PUT": a.setMember, "DELETE": a.removeMember}},
		{"/chat/{chat_id}/invites", map[string]endpoint{"GET": a.listInvites, "POST": a.invite}},
		{"/chat/{chat_id}/invites/{invite_id}", map[string]endpoint{"DELETE": a.revokeInvite}},
		{"/usage", map[string]endpoint{"GET": a.usage}},
		{"/chat/{chat_id}/messages", map[string]endpoint{"GET": a.listMessages, "POST": a.say}},
		{"/chat/{chat_id}/messages/{message_id}", map[string]endpoint{"PATCH": a.edit}},
		{"/chat/{chat_id}/messages/{message_id}/regenerate", map[string]endpoint{"POST": a.regenerate}},
		{"/chat/{chat_id}/upload", map[string]endpoint{"POST": a.upload}},
		{"/chat/{chat_id}/files", map[string]endpoint{"GET": a.listFiles}},
		{"/chat/{chat_id}/files/{fileid}", map[string]endpoint{"GET": a.download, "DELETE": a.removeFile}},
		{"/chat/{chat_id}/calls/{call_id}", map[string]endpoint{"POST": a.decide}},
		{"/chat/{chat_id}/stop", map[string]endpoint{"POST": a.stop}},
	}
	if a.signIn != nil {
		routes = append(routes,
			route{"/auth/sessions", map[string]endpoint{"GET": a.listSessions, "DELETE": a.revokeSessions}},
			route{"/auth/sessions/{session_id}", map[string]endpoint{"DELETE": a.revokeSession}},
		)
	}
	for _, route := range routes {
		handlers := make(map[string]http.HandlerFunc)
		for method, e := range route.endpoints {
			handlers[method] = a.serve(method+" "+route.path, e)
		}
		a.register(mux, prefix+route.path, handlers)
	}
	a.register(mux, prefix+"/invites/{token}", map[string]http.HandlerFunc{"POST": a.accept()})
	for path, handlers := range a.mounted {
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

// RegisterHealth adds to mux the paths that load balancers ask: /healthz, and
// below base the one that deployments of the assistant SPA use.
func RegisterHealth(mux *http.ServeMux, base string) {
	answer := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, []byte(body)) }
	}
	mux.Handle("GET /healthz", answer(`{"status":"ok"}`))
	mux.Handle("GET "+base+"/internal/health", answer(`{"status":"healthy"}`))
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
	case uploadName:
		return int(a.maxFile)*a.maxUploads + uploadOverhead
	}
	return MaxBodyBytes
}

// limit counts a request, also of somebody who is not signed in.
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
	return a.limits.Take(u.ID, r.RemoteAddr, name, bytes)
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
