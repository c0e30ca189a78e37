package mcp

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"parlor/protocol/chat"
)

// A message is one as agents are shown it.
type message struct {
	ID       chat.MessageID `json:"message_id,omitempty"`
	At       string         `json:"at"`
	Role     chat.Role      `json:"role"`
	From     string         `json:"from"` // the name of the person or of the assistant
	User     chat.UserID    `json:"user,omitempty"`
	Text     string         `json:"text"`
	State    chat.State     `json:"state,omitempty"` // of an answer that is not complete
	Error    string         `json:"error,omitempty"`
	Answers  chat.MessageID `json:"answers,omitempty"`  // the message that it answers
	Replaces chat.MessageID `json:"replaces,omitempty"` // the message of which it is a new version
	Versions int            `json:"versions,omitempty"` // if there are several
	Files    []string       `json:"files,omitempty"`    // names
	Rest     string         `json:"rest,omitempty"`     // the cursor of room_read with which a long text goes on
}

func show(m chat.Message) message {
	shown := message{ID: m.ID, At: chat.Timestamp(m.Created), Role: m.Role, From: string(m.ModelID), Text: m.Content, Answers: m.Prompt, Replaces: m.Replaces}
	if m.Name != "" {
		shown.From = m.Name
	}
	if m.Author != nil {
		shown.From, shown.User = nameOf(*m.Author), m.Author.ID
	}
	if m.State != chat.StateCompleted {
		shown.State = m.State
	}
	if m.Error != nil {
		shown.Error = m.Error.Message
	}
	if m.Siblings != nil {
		shown.Versions = m.Siblings.Count
	}
	for _, f := range m.Files {
		shown.Files = append(shown.Files, f.Name)
	}
	return shown
}

func nameOf(u chat.User) string {
	if u.Name == "" {
		return string(u.ID)
	}
	return u.Name
}

// A page collects messages until a result is large enough.
type page struct {
	left     int // bytes
	messages []message
}

func (s *Server) newPage() page { return page{left: s.o.MaxResult, messages: []message{}} }

// fieldsLen is about what a message takes besides its text.
const fieldsLen = 400

// add adds a message, from a byte of its text on. It reports false if there is no room for
// it. The first message always fits: its text is cut.
func (p *page) add(m chat.Message, from int) bool {
	shown := show(m)
	shown.Text = shown.Text[from:]
	size := fieldsLen + chat.EncodedLen(shown.Text)
	if size > p.left {
		if len(p.messages) > 0 {
			return false
		}
		shown.Text = cut(shown.Text, p.left-fieldsLen)
		if end := from + len(shown.Text); end < len(m.Content) {
			shown.Rest = fmt.Sprintf("%s%d.%d", textPrefix, m.Seq, end)
		}
	}
	p.left -= size
	p.messages = append(p.messages, shown)
	return true
}

// cut returns the beginning of a text that takes so many bytes as JSON, but never nothing.
func cut(text string, limit int) string {
	end := 0
	for end < len(text) {
		_, size := utf8.DecodeRuneInString(text[end:])
		if limit -= chat.EncodedLen(text[end:end+size]) - len(`""`); limit < 0 && end > 0 {
			break
		}
		end += size
	}
	return text[:end]
}

// The cursors of room_read.
//
//	b SEQ            messages before a record
//	t SEQ . OFFSET   the text of a message from a byte on
const (
	beforePrefix = "b"
	textPrefix   = "t"
)

func beforeCursor(seq uint64) string { return beforePrefix + strconv.FormatUint(seq, 10) }

// parseReadCursor returns the record before which messages are wanted, and the byte of the
// text of the one before it, or -1 if all of each is wanted.
func parseReadCursor(cursor string) (before uint64, offset int, err error) {
	if cursor == "" {
		return 0, -1, nil
	}
	if text, ok := strings.CutPrefix(cursor, beforePrefix); ok {
		before, err := strconv.ParseUint(text, 10, 63)
		if err != nil || before == 0 {
			return 0, 0, errCursor
		}
		return before, -1, nil
	}
	text, ok := strings.CutPrefix(cursor, textPrefix)
	seq, from, both := strings.Cut(text, ".")
	n, seqErr := strconv.ParseUint(seq, 10, 62)
	at, fromErr := strconv.ParseUint(from, 10, 31)
	if !ok || !both || seqErr != nil || fromErr != nil {
		return 0, 0, errCursor
	}
	return n + 1, int(at), nil
}

type (
	readArgs struct {
		Room   chat.ID        `json:"room"`
		Cursor string         `json:"cursor"`
		Branch chat.MessageID `json:"branch"`
		Limit  int            `json:"limit"`
	}
	readPage struct {
		Room     chat.ID   `json:"room"`
		Title    string    `json:"title"`
		Messages []message `json:"messages"`
		Older    string    `json:"older,omitempty"`  // the cursor of the page before
		Cursor   string    `json:"cursor,omitempty"` // of room_wait, for what is said after the newest page
	}
)

func (s *Server) readRoom(ctx context.Context, in chat.SignIn, args readArgs) (readPage, error) {
	before, offset, err := parseReadCursor(args.Cursor)
	if err != nil {
		return readPage{}, err
	}
	info, err := s.o.Rooms.Get(ctx, in.User, args.Room)
	if err != nil {
		return readPage{}, err
	}
	out := readPage{Room: info.ID, Title: info.Title}
	if offset >= 0 {
		out.Messages, err = s.textFrom(ctx, in, args, before, offset)
		return out, err
	}
	messages, more, err := s.o.Rooms.HistoryOf(ctx, in.User, info.Room, args.Branch, before, args.Limit)
	if err != nil {
		return readPage{}, err
	}
	if args.Cursor == "" {
		out.Cursor = waitCursor(info.Epoch, lastSeq(messages))
	}
	p := s.newPage()
	for _, m := range slices.Backward(messages) {
		if !p.add(m, 0) {
			more = true
			break
		}
		before = m.Seq
	}
	slices.Reverse(p.messages)
	if out.Messages = p.messages; more {
		out.Older = beforeCursor(before)
	}
	return out, nil
}

// textFrom returns the message before a record, with its text from a byte on.
func (s *Server) textFrom(ctx context.Context, in chat.SignIn, args readArgs, before uint64, offset int) ([]message, error) {
	messages, _, err := s.o.Rooms.HistoryOf(ctx, in.User, args.Room.Room(), args.Branch, before, 1)
	if err != nil {
		return nil, err
	}
	if len(messages) == 0 || messages[0].Seq != before-1 || offset > len(messages[0].Content) {
		return nil, errCursor
	}
	p := s.newPage()
	p.add(messages[0], offset)
	return p.messages, nil
}

func lastSeq(messages []chat.Message) uint64 {
	if len(messages) == 0 {
		return 0
	}
	return messages[len(messages)-1].Seq
}
