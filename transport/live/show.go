package live

import (
	"strconv"
	"strings"

	"parlor/protocol/admin"
)

// enter adds a stream to those that administrators see.
func (s *Streams) enter(st *Stream) (id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	id = "stream-" + strconv.FormatUint(s.last, 10)
	s.open[id] = st
	return id
}

func (s *Streams) leave(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, id)
}

// Count returns how many streams there are.
func (s *Streams) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// Show returns the streams whose id, user or address contains a text in lower case, at most
// limit of them, and how many there are.
func (s *Streams) Show(text string, limit int) (shown []admin.Actor, total int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, st := range s.open {
		if !strings.Contains(strings.ToLower(id+"\n"+string(st.user)+"\n"+st.remote), text) {
			continue
		}
		if total++; len(shown) < limit {
			shown = append(shown, admin.Actor{
				ID: id, Kind: admin.KindStream, State: admin.StateOpen, Since: st.since.UTC(),
				Client: &admin.Client{User: st.user, Remote: st.remote, Request: st.request},
			})
		}
	}
	return shown, total
}

// CutOff ends a stream. It reports false if there is no such one.
func (s *Streams) CutOff(id string) bool {
	s.mu.Lock()
	st := s.open[id]
	s.mu.Unlock()
	if st == nil {
		return false
	}
	st.cancel(ErrCutOff)
	return true
}
