package queries

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"

	"parlor/actors/access"
	"parlor/actors/conversation"
	"parlor/actors/search"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// These are the costs of a chat and of a record for a search, besides their bytes.
const (
	searchedChat   = 512
	searchedRecord = 64
)

// searchedChats is how many chats a search looks up at once. It lets others go first
// behind each.
const searchedChats = 32

// Search looks for words in the titles and messages of the chats that the user may read,
// and returns a page of what it found. There is no index, so that what is said costs no
// more to write: a page reads up to [Reads.SearchBytes], and the next one goes on there.
func (q *Queries) Search(ctx context.Context, u chat.User, asked chat.SearchQuery) (chat.SearchPage, error) {
	query, refusal := search.Parse(asked.Text)
	if refusal != nil {
		return chat.SearchPage{}, refusal
	}
	list, refusal := q.ListOf(u)
	if refusal != nil {
		return chat.SearchPage{}, refusal
	}
	s := searching{queries: q, ctx: ctx, user: u, query: query, limit: asked.Limit, bytes: q.reads.limits.SearchBytes, page: chat.SearchPage{Results: []chat.Found{}}}
	var ok bool
	if s.at, ok = decodePosition(asked.Cursor); !ok {
		return chat.SearchPage{}, chat.Refuse(chat.CodeInvalid, "cursor is not one that this server gave")
	}
	run := func() error { return s.run(list) }
	if asked.Chat != "" {
		info, err := q.Info(u, asked.Chat.Room())
		if err != nil {
			return chat.SearchPage{}, err
		}
		run = func() error { return s.only(info) }
	}
	err := q.query(ctx, u, func(read *read) error {
		s.read = read
		return run()
	})
	return s.page, err
}

// A position is how far a search has come: to a chat in the list, and before a record of
// it, or nothing of it yet if before is 0. The zero position is before all.
type position struct {
	place  string
	before uint64
}

// behindTitle is before of a chat of which the title alone was looked at.
const behindTitle = math.MaxUint64

func (p position) encode() string {
	return base64.RawURLEncoding.EncodeToString(append(binary.BigEndian.AppendUint64(nil, p.before), p.place...))
}

func decodePosition(cursor string) (p position, ok bool) {
	if cursor == "" {
		return position{}, true
	}
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(b) <= 8 || len(b) > 8+2*persistence.MaxRoomLen {
		return position{}, false
	}
	return position{string(b[8:]), binary.BigEndian.Uint64(b)}, true
}

// A searching is one page that is being looked for.
type searching struct {
	queries *Queries
	ctx     context.Context
	read    *read
	user    chat.User
	query   *search.Query
	limit   int // results that are left
	bytes   int // that may be read
	at      position
	page    chat.SearchPage
}

// full reports whether the page ends here.
func (s *searching) full() bool { return s.limit <= 0 || s.bytes <= 0 }

func (s *searching) run(list string) error {
	for {
		chats, err := s.queries.Log.ChatsFrom(list, s.at.place, searchedChats+1)
		if err != nil {
			return err
		}
		for i, c := range chats {
			if s.full() || i == searchedChats {
				break
			}
			done, err := s.chat(c)
			if err != nil {
				return err
			}
			if done {
				s.at = position{place: c.Place + "\x00"} // the next possible place
			}
		}
		switch {
		case s.full():
			s.page.More, s.page.Cursor = true, s.at.encode()
			return nil
		case len(chats) <= searchedChats:
			return nil
		}
		if err := s.read.rest(s.ctx); err != nil {
			return err
		}
	}
}

// only looks through the messages of one chat.
func (s *searching) only(info chat.Info) error {
	if s.at.place != string(info.Room) {
		s.at = position{string(info.Room), behindTitle}
	}
	done, err := s.messages(info)
	if errors.Is(err, persistence.ErrCorrupt) {
		s.leftOut(string(info.Room), err)
		return nil
	}
	if err == nil && !done {
		s.page.More, s.page.Cursor = true, s.at.encode()
	}
	return err
}

// chat looks through one chat, and goes on where the position says. It reports whether
// nothing of the chat is left. A chat that cannot be read is left out: it must not keep
// others from being found.
func (s *searching) chat(c persistence.Placed) (done bool, err error) {
	if c.Place != s.at.place {
		s.at = position{place: c.Place}
	}
	s.bytes -= searchedChat
	info, err := conversation.ReadRow(c.Chat)
	if err != nil {
		s.leftOut(c.Room, err)
		return true, nil
	}
	if s.queries.Access.Check(info, s.user, access.Read) != nil {
		return true, nil
	}
	if s.at.before == 0 {
		s.at.before = behindTitle
		s.found(info, chat.Message{Content: info.Title, Created: info.Created})
	}
	if s.limit <= 0 {
		return false, nil
	}
	done, err = s.messages(info)
	if errors.Is(err, persistence.ErrCorrupt) {
		s.leftOut(c.Room, err)
		return true, nil
	}
	return done, err
}

func (s *searching) leftOut(room string, err error) {
	s.queries.Logger.Error("a search leaves something out that cannot be read", "room", room, "err", err)
}

// messages looks through the messages of a chat, the newest first. It reads one record at
// least, so that a search comes to an end.
func (s *searching) messages(info chat.Info) (done bool, err error) {
	var path chat.Path // the current branch
	known := false
	for entry, err := range paced(s.ctx, s.read, s.queries.Log.ReadBack(string(info.Room), s.at.before)) {
		if err != nil {
			return false, err
		}
		s.bytes -= searchedRecord + len(entry.Data)
		s.at.before = entry.Seq
		if chat.HoldsMessage(entry.Data) && s.query.MayMatch(entry.Data) {
			if !known {
				branches, err := s.queries.trees.of(s.ctx, s.read, info)
				if err != nil {
					return false, err
				}
				path, known = branches.Current(), true
			}
			s.record(info, entry, path)
		}
		if s.full() {
			return false, nil
		}
	}
	return true, nil
}

func (s *searching) record(info chat.Info, entry persistence.Entry, path chat.Path) {
	record, err := chat.DecodeRecord(entry.Seq, entry.Data)
	if err != nil {
		s.leftOut(string(info.Room), err)
		return
	}
	if m, ok := record.Message(); ok && !path.Hides(record) {
		s.found(info, m)
	}
}

// found adds a message to the page if it matches. A title is a message without an id.
func (s *searching) found(info chat.Info, m chat.Message) {
	snippet, hits := s.query.Find(m.Content)
	if hits == nil {
		return
	}
	s.limit--
	s.page.Results = append(s.page.Results, chat.Found{
		Chat: info.ID, Title: info.Title, MessageID: m.ID, Seq: m.Seq, Role: m.Role, Author: m.Author,
		Timestamp: chat.Timestamp(m.Created), Snippet: snippet, Hits: hits,
	})
}
