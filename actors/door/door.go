// Package door lets clients into a namespace, and ends what they have there in time.
//
//	CONNECT → Door.Enter → Authenticator → devices of the user → Visit
//	end of the sign-in → the connection is closed
//
// Every namespace that asks who its clients are has a Door. Those that share
// [Devices] count the connections of a user together.
package door

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"parlor/actors/session"
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

// A Limiter says how often users may ask for something.
type Limiter interface {
	// Take counts an event of so many bytes, of a user whose client has the address, or
	// returns why it is too much. Events are those that the wire knows, or "".
	Take(user chat.UserID, address, event string, bytes int) *chat.Error
}

// A Door admits users. Auth and Devices have no default.
type Door struct {
	Auth       Authenticator
	Limits     Limiter // nil limits nothing
	Devices    *Devices
	MaxDevices int // connections of one user. Zero means any number
}

var errTooManyConnections = chat.Refuse(chat.CodeBusy, "you have as many connections as one user may; close some")

// Enter admits the client of a socket. The Authenticator alone decides who it is.
func (d Door) Enter(s *session.Socket, auth json.RawMessage) (*Visit, *chat.Error) {
	in, err := d.Auth.Socket(s.RemoteAddr(), s.Header(), auth)
	if refusal := d.take(in.User.ID, s, "connect", len(auth)); refusal != nil {
		err = refusal
	}
	if err == nil && !d.Devices.Add(in.User.ID, d.MaxDevices) {
		err = errTooManyConnections
	}
	if err != nil {
		return nil, chat.AsError(err)
	}
	v := &Visit{door: d, socket: s, SignedIn: in.User}
	v.watch(in)
	return v, nil
}

// take counts an event. A CONNECT is one too.
func (d Door) take(user chat.UserID, s *session.Socket, name string, bytes int) *chat.Error {
	if d.Limits == nil {
		return nil
	}
	return d.Limits.Take(user, s.RemoteAddr(), name, bytes)
}

// A Visit is the time that a client spends in a namespace. It may only be used on the
// goroutine of its socket's session.
type Visit struct {
	SignedIn chat.User // whose connection it is
	ReadOnly bool      // the user may only read this way

	door   Door
	socket *session.Socket
	stop   func() // stops waiting for the end of the sign-in
}

// watch closes the connection when the sign-in ends: an official client then comes back,
// with a new token if it has one, and has missed nothing. A DISCONNECT would keep it away.
func (v *Visit) watch(in chat.SignIn) {
	v.ReadOnly = in.ReadOnly
	socket := v.socket
	v.stop = v.door.Auth.Watch(in, func() { socket.Do(socket.CloseConnection) })
}

// Leave ends the visit.
func (v *Visit) Leave() {
	v.stop()
	v.door.Devices.Remove(v.SignedIn.ID)
}

// Devices returns how many connections the user has.
func (v *Visit) Devices() int { return v.door.Devices.Of(v.SignedIn.ID) }

// Take counts an event of the client, whether it is understood or not, or returns why it
// is too much. The wire knows the event by name.
func (v *Visit) Take(user chat.UserID, name string, e *session.Event) *chat.Error {
	bytes := 0
	for _, arg := range e.Args {
		bytes += len(arg)
	}
	for _, attachment := range e.Attachments {
		bytes += len(attachment)
	}
	return v.door.take(user, v.socket, name, bytes)
}

// Renew takes a new token in the place of the one that the client has signed in with, and
// calls done with it, or with the zero SignIn if the client needs none. A token that is
// refused, or is not user's, changes nothing.
func (v *Visit) Renew(user chat.UserID, token string, done func(chat.SignIn, *chat.Error)) {
	remote := v.socket.RemoteAddr()
	v.socket.Go(func(context.Context) func() {
		in, err := v.door.Auth.Token(remote, token)
		return func() {
			refusal := chat.AsError(err)
			switch {
			case refusal != nil, in.ID == "":
			case in.ID != user:
				refusal = chat.Refuse(chat.CodeForbidden, "the token is another user's: connect anew with it")
			default:
				v.stop()
				v.watch(in)
			}
			done(in, refusal)
		}
	})
}

// refusalPause is how long a client waits until it is told that it asks too often. The
// event keeps its place in the window meanwhile. So a client that does not listen can only
// be refused some hundred times in a second, which costs others less than its events would.
const refusalPause = 100 * time.Millisecond

// Later calls refuse after a pause, on the session's goroutine.
func (v *Visit) Later(refuse func()) {
	v.socket.Go(func(ctx context.Context) func() {
		select {
		case <-time.After(refusalPause):
		case <-ctx.Done():
		}
		return refuse
	})
}
