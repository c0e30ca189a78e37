package mcp

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"parlor/protocol/chat"
)

// waitCursor returns the cursor of room_wait for what follows a record.
//
//	EPOCH of the chat . SEQ
func waitCursor(epoch string, seq uint64) string { return epoch + "." + strconv.FormatUint(seq, 10) }

func parseWaitCursor(cursor string) (chat.Place, error) {
	if cursor == "" {
		return chat.Place{Now: true}, nil
	}
	dot := strings.LastIndex(cursor, ".")
	seq, err := strconv.ParseUint(cursor[dot+1:], 10, 63)
	if dot <= 0 || err != nil {
		return chat.Place{}, errCursor
	}
	return chat.Place{Epoch: cursor[:dot], Seq: seq}, nil // waiting.enter looks at the epoch
}

type (
	waitArgs struct {
		Room    chat.ID `json:"room"`
		Cursor  string  `json:"cursor"`
		Seconds int     `json:"seconds"`
	}
	waited struct {
		Messages  []message `json:"messages"`
		Cursor    string    `json:"cursor"`              // of the next room_wait
		Answering bool      `json:"answering"`           // an assistant is at work, or has to be
		Approvals []string  `json:"approvals,omitempty"` // tools that run when a member has approved that
		SoFar     string    `json:"so_far,omitempty"`    // the answer that is being given
		Note      string    `json:"note,omitempty"`
	}
)

// encoder is the name of the room's encoder that leaves notices as they are.
const encoder = "plain"

// Why a wait ends, besides an error.
var (
	errNews    = errors.New("mcp: there is news")
	errTimeout = errors.New("mcp: nothing has come in time")
)

var errAnew = chat.Refuse(chat.CodeInvalid, "cursor is of this room as it was before it was made anew: call room_read, and go on with the cursor that it returns")

// wait returns what others have said behind a place.
func (s *Server) wait(ctx context.Context, in chat.SignIn, args waitArgs) (waited, error) {
	from, err := parseWaitCursor(args.Cursor)
	if err != nil {
		return waited{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, min(time.Duration(args.Seconds)*time.Second, s.o.MaxWait), errTimeout)
	defer cancel()
	w := waiting{user: in.ID, from: from, page: s.newPage(), turns: make(map[chat.TurnID]bool), approvals: make(map[string]string)}
	err = s.o.Rooms.Follow(ctx, in.User, args.Room, chat.Place{Seq: from.Seq, Now: from.Now}, encoder, w.tell)
	if !errors.Is(err, errNews) && context.Cause(ctx) != errTimeout {
		return waited{}, err
	}
	return w.result(), nil
}

// A waiting is one call of room_wait.
type waiting struct {
	user chat.UserID
	from chat.Place
	page page

	epoch   string
	entered uint64 // the record up to which the room's first notice tells how it stands
	last    uint64 // the record up to which the agent is told everything
	news    bool   // there is something that the agent has not said itself

	turns     map[chat.TurnID]bool // that run or wait
	approvals map[string]string    // the tools of calls that wait, by call

	before []byte // of the running answer
	piece  string // that follows it
}

// tell takes what the room says. It returns errNews when there is enough.
func (w *waiting) tell(t chat.Told) error {
	switch n := t.Notice.(type) {
	case chat.Entered:
		return w.enter(n)
	case chat.Record:
		return w.record(n, t.More)
	case chat.Missed:
		return w.record(n.Record, t.More)
	case chat.Transcribed:
		return w.record(n.Record, t.More)
	case chat.Text:
		w.before, w.piece = n.Before, n.Piece
	case chat.TextSoFar:
		w.before, w.piece = nil, n.Text
	case chat.Failure:
		return chat.AsError(n.Error)
	}
	if w.news && !t.More {
		return errNews
	}
	return nil
}

func (w *waiting) enter(n chat.Entered) error {
	if n.Anew != "" || w.from.Epoch != "" && w.from.Epoch != n.Chat.Epoch {
		return errAnew
	}
	w.epoch = n.Chat.Epoch
	w.entered, w.last, w.piece = n.Seq, w.from.Seq, n.Text
	if w.from.Now {
		w.last = n.Seq
	}
	if n.Turn != nil {
		w.turns[n.Turn.ID] = true
	}
	for _, turn := range n.Queued {
		w.turns[turn.ID] = true
	}
	for _, p := range n.Pending {
		if p.Running {
			continue
		}
		w.approvals[p.Call.ID] = p.Call.Name
	}
	return nil
}

func (w *waiting) record(r chat.Record, more bool) error {
	m, said := r.Message()
	if _, ended := r.Event.(chat.TurnEnded); said || ended { // also of a turn that was never started
		if m.ID == "" {
			m.Created = r.At
		}
		if !w.page.add(m, 0) {
			return errNews
		}
		w.news = w.news || m.Author == nil || m.Author.ID != w.user
	}
	if w.last = r.Seq; r.Seq > w.entered {
		w.event(r.Event)
	}
	if w.news && !more {
		return errNews
	}
	return nil
}

// event follows which turns there are.
func (w *waiting) event(e chat.Event) {
	switch e := e.(type) {
	case chat.TurnQueued:
		w.turns[e.TurnID] = true
	case chat.TurnStarted:
		w.turns[e.TurnID] = true
		w.before, w.piece = nil, ""
	case chat.ToolsCalled:
		for _, c := range e.Calls {
			if c.NeedsApproval {
				w.approvals[c.ID] = c.Name
			}
		}
	case chat.ToolDecided:
		delete(w.approvals, e.CallID)
	case chat.ToolEnded:
		delete(w.approvals, e.CallID)
	case chat.TurnEnded:
		delete(w.turns, e.TurnID)
		w.before, w.piece = nil, ""
	}
}

// maxSoFar is how much of the end of a running answer is shown, in bytes. The whole follows.
const maxSoFar = 500

func (w *waiting) result() waited {
	out := waited{
		Messages: w.page.messages, Cursor: waitCursor(w.epoch, w.last), Answering: len(w.turns) > 0,
		Approvals: slices.Sorted(maps.Values(w.approvals)),
	}
	switch {
	case len(out.Messages) > 0:
	case len(out.Approvals) > 0:
		out.Note = "an assistant wants to use a tool, and waits for a member to decide about that"
	case out.Answering:
		text := string(w.before) + w.piece
		from := max(0, len(text)-maxSoFar)
		out.SoFar = strings.ToValidUTF8(text[from:], "")
		out.Note = "the answer is still being given: call room_wait again with this cursor"
	default:
		out.Note = "nothing was said: call room_wait again with this cursor, if you expect somebody to say something"
	}
	return out
}
