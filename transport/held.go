package transport

import (
	"net/http"
	"sync"

	"parlor/transport/origin"
)

// A held answer is one that goes on for long. It counts as a connection.
type held struct{ end func() }

// Hold counts the answer to a request as a connection of its client, until release is
// called. It fails if the client may open no connection. If the server closes meanwhile,
// it calls end, and waits for release as it waits for a connection to close.
func (s *Server) Hold(r *http.Request, end func()) (release func(), err error) {
	home := origin.Neighbourhood(r.RemoteAddr)
	h := &held{end}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.admitLocked(home); err != nil {
		return nil, err
	}
	if s.held == nil {
		s.held = make(map[*held]struct{})
	}
	s.held[h] = struct{}{}
	return sync.OnceFunc(func() {
		s.mu.Lock()
		delete(s.held, h)
		s.leaveLocked(home)
		s.mu.Unlock()
		s.release(&s.openCount)
	}), nil
}
