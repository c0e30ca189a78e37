package session

import "encoding/json"

// A NamespaceFunc is a function that is a [Namespace].
type NamespaceFunc func(s *Socket, auth json.RawMessage) (Handler, *Refusal)

// Connect implements [Namespace].
func (f NamespaceFunc) Connect(s *Socket, auth json.RawMessage) (Handler, *Refusal) {
	return f(s, auth)
}

// Size returns how many groups and sockets are known.
func (g *Groups) Size() (groups, sockets int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.groups), len(g.sockets)
}
