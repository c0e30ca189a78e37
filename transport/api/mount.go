package api

import (
	"cmp"
	"net/http"

	"parlor/protocol/chat"
)

// A Handler answers requests of a user whose identity is proved, and writes the answer
// itself. An error that it returns before it has written anything is answered as that of an
// endpoint, and so is a panic: later the handler has to cut the connection itself. It reads
// bodies of any size, unless it limits them.
type Handler func(w http.ResponseWriter, r *http.Request, in chat.SignIn) error

// Mount adds what other packages serve, by "METHOD /path" below the prefixes of the API. It
// is protected as the endpoints are. Mount must be called before Register.
func (a *API) Mount(routes map[string]Handler) {
	for name, h := range routes {
		a.add(name, a.signedIn(name, h))
	}
}

// An OpenHandler answers requests of anybody, as a [Handler] does those of users.
type OpenHandler func(w http.ResponseWriter, r *http.Request) error

// MountOpen is Mount for what answers anybody, signed in or not.
func (a *API) MountOpen(routes map[string]OpenHandler) {
	for name, h := range routes {
		a.add(name, func(w http.ResponseWriter, r *http.Request) {
			if refusal := a.limit(chat.User{}, r, name); refusal != nil {
				a.refuse(w, r, refusal)
			} else if err := h(w, r); err != nil {
				a.refuse(w, r, err)
			}
		})
	}
}

// RegisterAt adds to mux what other packages serve, protected like the API. It is for paths
// below another prefix than that of the API, and for paths of which one names what another one
// has a wildcard for. Browsers ask by OPTIONS what a page of another origin may do.
func (a *API) RegisterAt(mux *http.ServeMux, prefix string, routes map[string]Handler) {
	paths := make(map[string][]string) // the methods of each
	for name, h := range routes {
		method, path := splitRoute(name)
		pattern := method + " " + prefix + path
		mux.Handle(pattern, a.protect(a.signedIn(pattern, h)))
		paths[path] = append(paths[path], method)
	}
	for path, methods := range paths {
		mux.Handle("OPTIONS "+prefix+path, a.protect(methodNotAllowed(methods)))
	}
}

// RegisterPost adds to mux a path at which only POST is answered, protected like the rest.
// The name is that of its requests. signIn says who sends one: it may let somebody in who may
// only read, since h decides what a request may change.
func (a *API) RegisterPost(mux *http.ServeMux, path, name string, signIn func(*http.Request) (chat.SignIn, error), h Handler) {
	a.register(mux, path, map[string]http.HandlerFunc{"POST": a.signedInBy(signIn, name, h)})
}

// signedIn answers requests of the given name with h, if their user is known and may ask
// for that.
func (a *API) signedIn(name string, h Handler) http.HandlerFunc {
	return a.signedInBy(a.auth.SignIn, name, h)
}

func (a *API) signedInBy(signIn func(*http.Request) (chat.SignIn, error), name string, h Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		in, err := signIn(r)
		if refusal := a.limit(in.User, r, name); refusal != nil {
			err = refusal
		}
		if err = cmp.Or(err, admit(in.User, name)); err == nil {
			err = h(w, r, in)
		}
		if err != nil {
			a.refuse(w, r, err)
		}
	}
}
