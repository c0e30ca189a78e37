package actortest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"

	"parlor/actors/room"
	"parlor/protocol/assistant"
	"parlor/protocol/chat"
	"parlor/protocol/engineio"
	"parlor/protocol/socketio"
)

// A View is what a client makes of what it was told of a room since it joined.
// It refuses what a client could not understand: records out of order or
// twice, deltas that do not continue the text, a second end of a turn.
type View struct {
	Since    uint64         // the last record that the client was not told
	Seq      uint64         // of the last record that the client knows
	Answer   chat.MessageID // that is being streamed, or was last
	Text     string         // of Answer, so far
	Messages []Shown        // in the order of the log, the client's own too
	Stale    bool           // the history has to be read: it just came, or another branch was selected

	selected uint64   // the last branch event, or where the client joined
	older    []uint64 // the messages up to Since that are shown; nil: it has not read them
	cut      uint64   // the earliest that was dropped; 0: nothing was

	encoder string
	sentBy  map[uint64]chat.Message // acknowledged, and not yet in order
	own     map[uint64]bool         // acknowledged
	seen    map[chat.MessageID]bool
	ended   map[chat.TurnID]bool
}

// Shown is a message as a client shows it.
type Shown struct {
	ID      chat.MessageID
	Seq     uint64
	Place   uint64         // its number, or of an answer that of what it answers
	First   chat.MessageID // version, if it is an answer that was given anew
	Version uint64         // see [chat.Message]
}

func newView(j room.Joined, encoder string) *View {
	v := &View{
		Since: j.Seq, Seq: j.Seq, selected: j.Seq, Stale: j.Seq > 1, encoder: encoder, sentBy: make(map[uint64]chat.Message), own: make(map[uint64]bool),
		seen: make(map[chat.MessageID]bool), ended: make(map[chat.TurnID]bool),
	}
	if j.Turn != nil {
		v.Answer, v.Text = j.Turn.MessageID, j.Turn.Content
	}
	return v
}

// IDs returns those of Messages.
func (v *View) IDs() (ids []chat.MessageID) {
	for _, m := range v.Messages {
		ids = append(ids, m.ID)
	}
	return ids
}

// acknowledged takes what the client is told of a message of its own.
func (v *View) acknowledged(c room.Command, s room.Sent) {
	m := chat.Message{ID: s.MessageID, Seq: s.Seq}
	switch c.(type) {
	case *room.Send, *room.Edit:
		m.Replaces, m.ReplacesSeq = s.Replaces, s.ReplacesSeq
	default:
		return
	}
	v.sent(m)
}

// sent takes an acknowledgement, which comes instead of an echo and before
// everything that follows from the message. That of a repeated send is old.
func (v *View) sent(m chat.Message) {
	if m.Seq > v.Seq {
		v.sentBy[m.Seq], v.own[m.Seq] = m, true
		v.catchUp()
	}
}

// catchUp moves past the client's own messages.
func (v *View) catchUp() {
	for {
		m, ok := v.sentBy[v.Seq+1]
		if !ok {
			return
		}
		v.Seq++
		delete(v.sentBy, v.Seq)
		v.say(m)
	}
}

// say shows a message. An edit takes the place of what it replaces and of all behind that,
// and an answer with a text that of its other versions. An answer to a message that is not
// shown is of another branch, unless that message is older than what the client knows.
func (v *View) say(m chat.Message) {
	v.seen[m.ID] = true
	if m.Replaces != "" {
		v.drop(m.ReplacesSeq)
	}
	switch {
	case m.PromptSeq > 0 && !v.shows(m.PromptSeq), m.First != "" && m.Content == "":
		return
	case m.First != "" && m.Version < v.selected:
		v.Stale = true // it may be of the branch that was left
		return
	case m.First != "":
		anew := func(s Shown) bool { return s.ID == m.First || s.First == m.First }
		if slices.ContainsFunc(v.Messages, func(s Shown) bool { return anew(s) && s.Version > m.Version }) {
			return
		}
		v.Messages = slices.DeleteFunc(v.Messages, anew)
	}
	v.Messages = append(v.Messages, shown(m))
}

func shown(m chat.Message) Shown {
	return Shown{m.ID, m.Seq, cmp.Or(m.PromptSeq, m.Seq), m.First, m.Version}
}

// shows reports whether the message is shown, as far as the client knows.
func (v *View) shows(seq uint64) bool {
	switch {
	case seq > v.Since:
		return slices.ContainsFunc(v.Messages, func(s Shown) bool { return s.Seq == seq })
	case v.older != nil:
		return slices.Contains(v.older, seq)
	}
	return v.cut == 0 || seq < v.cut
}

// drop takes out a message, and all behind it.
func (v *View) drop(from uint64) {
	v.Messages = slices.DeleteFunc(v.Messages, func(s Shown) bool { return s.Place >= from })
	v.older = slices.DeleteFunc(v.older, func(seq uint64) bool { return seq >= from })
	if v.cut == 0 || from < v.cut {
		v.cut = from
	}
}

// read takes the history.
func (v *View) read(messages []chat.Message) {
	v.Stale, v.Messages, v.older = false, nil, []uint64{}
	for _, m := range messages {
		if v.older = append(v.older, m.Seq); m.Seq > v.Since {
			v.Messages = append(v.Messages, shown(m))
		}
	}
}

func (v *View) publication(p *room.Publication, events []event) error {
	if p.Seq != 0 {
		switch {
		case p.Seq <= v.Seq:
			return fmt.Errorf("record %d came after record %d", p.Seq, v.Seq)
		case v.encoder != assistant.SPA.String() && p.Seq != v.Seq+1:
			return fmt.Errorf("record %d came after record %d", p.Seq, v.Seq)
		}
		v.Seq = p.Seq
	}
	for _, e := range events {
		if p.Seq != 0 && e.seq() != 0 && e.seq() != p.Seq {
			return fmt.Errorf("%s carries seq %d in the publication of record %d", e.name, e.seq(), p.Seq)
		}
		if err := v.event(e); err != nil {
			return err
		}
	}
	v.catchUp()
	return nil
}

func (v *View) event(e event) error {
	switch e.Word {
	case "message":
		if v.seen[e.body.Message.ID] {
			return fmt.Errorf("message %s came twice", e.body.Message.ID)
		}
		v.say(e.body.Message)
		return v.whole(e.body.Message)
	case "withdrawn":
		v.Messages = slices.DeleteFunc(v.Messages, func(s Shown) bool { return s.ID == e.body.MessageID })
	case "branch":
		v.drop(e.body.From)
		v.Stale, v.selected = true, e.body.Seq
	case "stream_start":
		v.Answer, v.Text = e.body.MessageID, ""
	case "stream_chunk":
		return v.chunk(e)
	case "turn":
		return v.turn(e)
	}
	return nil
}

func (v *View) chunk(e event) error {
	switch length := len(utf16.Encode([]rune(v.Text))); {
	case e.body.MessageID != v.Answer && v.Answer != "":
		return fmt.Errorf("a delta of %s came while %s is being streamed", e.body.MessageID, v.Answer)
	case e.body.Offset != length && !e.body.Done:
		return fmt.Errorf("a delta has offset %d behind %d code units", e.body.Offset, length)
	}
	v.Text += e.body.Content
	return nil
}

// whole compares a recorded answer with what was streamed of it. One that did
// not complete may have lost its text, with the room or with the server.
func (v *View) whole(m chat.Message) error {
	lost := m.Content == "" && (m.State == chat.StateStopped || m.State == chat.StateInterrupted)
	if m.ID == v.Answer && m.Content != v.Text && !lost {
		return fmt.Errorf("streamed %q, recorded %q", v.Text, m.Content)
	}
	return nil
}

func (v *View) turn(e event) error {
	if e.body.First != "" { // an answer is to be given anew
		v.drop(e.body.PromptSeq + 1)
	}
	if v.ended[e.body.TurnID] {
		return fmt.Errorf("turn %s is %s after its end", e.body.TurnID, e.body.State)
	}
	if e.body.Seq == 0 {
		return nil // not recorded: the room is quarantined, and may be released
	}
	switch e.body.State {
	case chat.StateCompleted, chat.StateStopped, chat.StateFailed, chat.StateInterrupted:
		v.ended[e.body.TurnID] = true
	}
	return nil
}

// event is an event of a publication.
type event struct {
	Word, ID string
	name     string
	body     body
}

// body is the union of what the events carry.
type body struct {
	Seq       uint64         `json:"seq"`
	From      uint64         `json:"from"`
	First     chat.MessageID `json:"first"`
	PromptSeq uint64         `json:"prompt_seq"`
	MessageID chat.MessageID `json:"message_id"`
	TurnID    chat.TurnID    `json:"turn_id"`
	State     chat.State     `json:"state"`
	Attempt   int            `json:"attempt"`
	Content   string         `json:"content"`
	Offset    int            `json:"offset"`
	Done      bool           `json:"done"`
	Code      chat.Code      `json:"code"`
	Message   chat.Message   `json:"message"`
	Retrying  bool           `json:"retrying"`
	ModelID   chat.ModelID   `json:"model_id"`
	Provider  string         `json:"provider"`
	RetryAt   string         `json:"retry_at"`

	Error string `json:"error"`
	Type  string `json:"type"` // of the SPA's dialect
	Data  struct {
		Content    string `json:"content"`
		StopReason string `json:"stop_reason"`
	} `json:"data"`
}

func (e event) seq() uint64 { return max(e.body.Seq, e.body.Message.Seq) }

// String says the event in a line.
func (e event) String() string {
	b := e.body
	switch e.Word {
	case "message":
		edit := ""
		if b.Message.Replaces != "" {
			edit = fmt.Sprintf(" replaces #%d", b.Message.ReplacesSeq)
		}
		return fmt.Sprintf("message #%d %s %s %q%s", b.Message.Seq, b.Message.Role, b.Message.State, b.Message.Content, edit)
	case "turn", "stream_end":
		return fmt.Sprintf("%s #%d %s", e.Word, b.Seq, b.State)
	case "stream_start":
		return fmt.Sprintf("stream_start #%d attempt %d", b.Seq, b.Attempt)
	case "stream_chunk":
		if b.Done {
			return fmt.Sprintf("stream_chunk @%d done", b.Offset)
		}
		return fmt.Sprintf("stream_chunk @%d %q", b.Offset, b.Content)
	case "stream_error":
		if b.Retrying {
			return strings.TrimSpace(fmt.Sprintf("stream_error %s retrying %s", b.Code, b.ModelID))
		}
	case "assistant":
		return strings.TrimSpace(fmt.Sprintf("assistant %s %s %s", b.Provider, b.State, b.RetryAt))
	case "receive_message":
		return strings.TrimSpace(fmt.Sprintf("%s %q %s", b.Type, b.Data.Content, b.Data.StopReason))
	case "message_error":
		return fmt.Sprintf("message_error %q", b.Error)
	}
	return fmt.Sprintf("%s %s", e.Word, b.Code)
}

// decode reads the frames of a publication.
func decode(frames []engineio.Frame) ([]event, error) {
	var events []event
	var decoder socketio.Decoder
	for _, f := range frames {
		p, complete, err := decoder.Decode(engineio.Message{Data: f.Data[1:], Binary: f.Binary})
		if err != nil || !complete {
			return nil, fmt.Errorf("decode frame %q: %v", f.Data, err)
		}
		name, args := p.Event()
		e := event{name: name}
		e.Word, e.ID, _ = strings.Cut(name, " ")
		if p.Namespace != assistant.Namespace || len(args) != 1 {
			return nil, fmt.Errorf("%s has namespace %q and %d arguments", name, p.Namespace, len(args))
		}
		if err := json.Unmarshal(args[0], &e.body); err != nil {
			return nil, fmt.Errorf("decode %s: %w", name, err)
		}
		events = append(events, e)
	}
	return events, nil
}
