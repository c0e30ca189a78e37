package assistant

import (
	"context"
	"encoding/json"
	"net/http"

	"parlor/actors/session"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// An Authenticator says who opened a connection. Its errors are *chat.Errors.
type Authenticator interface {
	Socket(remote string, header http.Header, auth json.RawMessage) (chat.SignIn, error)

	// Token says whose a token is that comes on an open connection. It returns the zero
	// SignIn if nobody needs one.
	Token(remote, token string) (chat.SignIn, error)

	// Watch calls ended, on any goroutine, if the sign-in ends before stop is called.
	Watch(in chat.SignIn, ended func()) (stop func())
}

// watch closes the connection when the sign-in ends: an official client then comes back,
// with a new token if it has one, and has missed nothing. A DISCONNECT would keep it away.
func (c *client) watch(in chat.SignIn) {
	c.readOnly = in.ReadOnly
	socket := c.socket
	c.unwatch = c.Auth.Watch(in, func() { socket.Do(socket.CloseConnection) })
}

// renew takes a new token in the place of the one that the client has signed in with. If
// it is refused the old one goes on for as long as it is good.
func (c *client) renew(e *session.Event, r wire.Renew) {
	remote := c.socket.RemoteAddr()
	c.socket.Go(func(context.Context) func() {
		in, err := c.Auth.Token(remote, r.Token)
		return func() { c.renewed(e, r, in, err) }
	})
}

func (c *client) renewed(e *session.Event, r wire.Renew, in chat.SignIn, err error) {
	switch {
	case err != nil:
		c.refuse(e, r, chat.AsError(err))
		return
	case in.ID == "": // whoever the client is, it needs no token
		c.ok(e, wire.Renewed{})
		return
	case in.ID != c.user.ID:
		c.refuse(e, r, chat.Refuse(chat.CodeForbidden, "the token is another user's: connect anew with it"))
		return
	}
	c.unwatch()
	c.watch(in)
	c.user = in.User
	var answer wire.Renewed
	if !in.Expires.IsZero() {
		at := chat.Timestamp(in.Expires)
		answer.Expires = &at
	}
	c.ok(e, answer)
}

var errReadOnly = chat.Refuse(chat.CodeForbidden, "this API key may only read")

// reads reports whether a request changes nothing for others.
func reads(r wire.Request) bool {
	switch r.(type) {
	case wire.FindChat, wire.JoinRoom, wire.LeaveRoom, wire.History, wire.Usage, wire.ListMembers, wire.AskPresence, wire.Renew:
		return true
	}
	return false
}
