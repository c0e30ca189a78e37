package session

// Size returns how many groups and sockets are known.
func (g *Groups) Size() (groups, sockets int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.groups), len(g.sockets)
}
