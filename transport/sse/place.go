package sse

import (
	"net/http"
	"strconv"
	"strings"

	"parlor/protocol/chat"
)

// A mark is where a client was, as it says by the id of the last event that it got.
//
//	id = [ epoch [ "~" digest ] "." ] seq
//
// A record may be several events. All but the last one have a digest: the client has that
// record up to the event with this digest.
//
// In the feed of all chats an id is a cursor, and names the chat of a record of which the
// client has a part.
//
//	id = cursor [ "~" digest "." seq "." room ]
type mark struct {
	place  chat.Place
	digest string // empty: all of the last record
	cursor string // of the feed
	room   chat.RoomID
}

// id returns the id of an event.
func (m mark) id() string {
	if m.cursor != "" {
		if m.digest == "" {
			return m.cursor
		}
		return m.cursor + "~" + m.digest + "." + strconv.FormatUint(m.place.Seq, 10) + "." + string(m.room)
	}
	id := m.place.Epoch
	if m.digest != "" {
		id += "~" + m.digest
	}
	return id + "." + strconv.FormatUint(m.place.Seq, 10)
}

// from is the place behind which the client is told everything.
func (m mark) from() chat.Place {
	p := m.place
	if m.digest != "" {
		p.Seq--
	}
	return p
}

// lastID returns the id of the last event that the client got, or "". An EventSource that
// comes back sends it in a header, and asks for the URL that it was made with.
func lastID(r *http.Request) string {
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		return id
	}
	return r.URL.Query().Get("after")
}

var errBadID = chat.Refuse(chat.CodeInvalid, "Last-Event-ID and after must be the id of an event, or a number of a record; 0 means from the beginning")

// parseMark reads the id of an event. Without one the client is told what happens from now on.
func parseMark(id string) (m mark, err error) {
	if id == "" {
		return mark{place: chat.Place{Now: true}}, nil
	}
	number := id
	if i := strings.LastIndexByte(id, '.'); i > 0 {
		m.place.Epoch, number = id[:i], id[i+1:]
		m.place.Epoch, m.digest, _ = strings.Cut(m.place.Epoch, "~")
	}
	if m.place.Seq, err = strconv.ParseUint(number, 10, 64); err != nil || m.digest != "" && m.place.Seq == 0 {
		return mark{}, errBadID
	}
	return m, nil
}

// parseFeedMark reads the id of an event of the feed of all chats. Who follows says whether
// the cursor is one.
func parseFeedMark(id string) (m mark, err error) {
	cursor, part, partly := strings.Cut(id, "~")
	m.cursor = cursor
	if !partly {
		return m, nil
	}
	var seq, room string
	m.digest, seq, _ = strings.Cut(part, ".")
	seq, room, _ = strings.Cut(seq, ".")
	m.room = chat.RoomID(room)
	if m.place.Seq, err = strconv.ParseUint(seq, 10, 64); err != nil || m.digest == "" || cursor == "" {
		return mark{}, errBadID
	}
	return m, nil
}
