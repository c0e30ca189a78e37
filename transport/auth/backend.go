package auth

import (
	"net/http"

	"parlor/protocol/chat"
	"parlor/transport/requests"
)

var (
	errEmitOnly   = chat.Refuse(chat.CodeForbidden, "this API key may only send events to clients")
	errNotBackend = chat.Refuse(chat.CodeForbidden, "events are sent by administrators, and with an API key of the scope emit")
)

// Backend returns the user behind an HTTP request that sends events to clients: an
// administrator, or that of an API key of the scope [ScopeEmit]. Its errors are those of
// [Verifier.Socket], and [chat.CodeForbidden].
func (v *Verifier) Backend(r *http.Request) (chat.User, error) {
	if u, ok := v.emitter(r); ok {
		return u, nil
	}
	u, err := v.Request(r)
	if err == nil && !u.Admin {
		return chat.User{}, errNotBackend
	}
	return u, err
}

// emitter returns the user of an API key that may do nothing but emit.
func (v *Verifier) emitter(r *http.Request) (chat.User, bool) {
	values := authorization(r.Header)
	if v.Development() || len(values) == 0 {
		return chat.User{}, false
	}
	token, err := bearer(values)
	if err != nil {
		return chat.User{}, false
	}
	in, err := v.verifyAny("Authorization header", token)
	if err != nil || !in.EmitOnly {
		return chat.User{}, false
	}
	requests.Note(r.Context(), "user", string(in.ID))
	return in.User, true
}
