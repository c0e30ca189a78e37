package resume

import "strings"

// Origin returns what a record says of a command that the client sends, and that it
// knows by the id. It is empty if the client cannot come back.
func (s *Standing) Origin(id string) string {
	if s.table == nil {
		return ""
	}
	return s.tag() + "." + id
}

// Sent reports whether the client has sent the command of a record with this origin, and
// returns the id by which it knows the command.
func (s *Standing) Sent(origin string) (id string, ok bool) {
	if s.table == nil || origin == "" {
		return "", false
	}
	tag, id, _ := strings.Cut(origin, ".")
	return id, tag == s.tag() || s.former != nil && tag == s.former.seat
}

// tag names the client's seat.
func (s *Standing) tag() string {
	if s.seat != nil {
		return s.seat.tag
	}
	return seatTag(s.table.Epoch(), s.pid)
}
