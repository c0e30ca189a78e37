package session

// Kind is the kind of sessions in the tree of actors.
const Kind = "session"

// A Standing says whose a connection is, and how many of its events are under way.
type Standing struct {
	User     string // empty: it has not signed in
	Remote   string
	UnderWay int
}

// Look says how the connection stands, for an operator. It may be called from any goroutine,
// and the session does not notice.
func (p *Port) Look() Standing {
	s := Standing{Remote: p.conn.RemoteAddr(), UnderWay: len(p.window)}
	if user := p.membership.user.Load(); user != nil {
		s.User = *user
	}
	return s
}

// Disconnect closes the connection, for an operator. The client may come back. It may be
// called from any goroutine.
func (p *Port) Disconnect() { p.conn.Close(reasonForced) }
