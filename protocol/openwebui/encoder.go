package openwebui

import (
	"html"
	"strings"

	"parlor/protocol/chat"
	"parlor/protocol/engineio"
	"parlor/protocol/socketio"
)

// An Encoder encodes what a room tells the listeners of one form. It may not be used by
// two goroutines at once.
type Encoder struct {
	form  Form
	id    chat.ID
	title string

	queued  map[chat.TurnID]string // correlations of turns that have not started
	running answer
}

// An answer is what an encoder knows of the running answer.
type answer struct {
	id      chat.MessageID
	name    string // by which clients know it
	thought string // so far, in the cumulative form
	told    int    // bytes that the last cumulative event had
}

// NewEncoder returns the encoder of a form for a chat.
func NewEncoder(f Form, info chat.Info) *Encoder {
	return &Encoder{form: f, id: info.ID, title: info.Title, queued: make(map[chat.TurnID]string)}
}

// Encode returns the notice as frames, a []engineio.Frame that the caller must not change,
// or nil if there is no event for it.
func (e *Encoder) Encode(_ chat.RoomID, n chat.Notice) any {
	if frames := e.Frames(n); len(frames) > 0 {
		return frames
	}
	return nil
}

// Frames is Encode with the type of its result.
func (e *Encoder) Frames(n chat.Notice) []engineio.Frame {
	switch n := n.(type) {
	case chat.Record:
		return e.record(n)
	case chat.Missed:
		return e.record(n.Record)
	case chat.Text:
		return e.text(n)
	case chat.Thought:
		return e.think(n)
	case chat.TextSoFar:
		return e.soFar(n)
	case chat.Progress:
		return e.progress(n)
	case chat.ToolNews:
		return e.toolNews(n)
	case chat.Removal:
		return e.gone(n)
	case chat.Failure:
		return e.failed(n)
	case chat.Announcement:
		return []engineio.Frame{socketio.ForeignFrame(Namespace, n.Event, n.Args)}
	}
	return nil
}

func (e *Encoder) chatEvents(message, kind string, data any) []engineio.Frame {
	return ChatEvents(e.form, e.id, message, kind, data)
}

// answerOf notes which answer runs, and returns the name by which clients know it.
func (e *Encoder) answerOf(t chat.Turn) string {
	if e.running.id != t.MessageID {
		e.running = answer{id: t.MessageID, name: answerID(t.Correlation, t.MessageID)}
	}
	return e.running.name
}

func (e *Encoder) nameOf(id chat.MessageID) string {
	if id == e.running.id {
		return e.running.name
	}
	return string(id)
}

func (e *Encoder) record(r chat.Record) []engineio.Frame {
	switch event := r.Event.(type) {
	case chat.MessageAdded:
		return e.said(r)
	case chat.Configured:
		if event.Settings.Title == e.title {
			return nil
		}
		e.title = event.Settings.Title
		return e.chatEvents(e.running.name, "chat:title", e.title)
	case chat.TurnQueued:
		e.queued[event.TurnID] = event.Correlation
	case chat.TurnStarted:
		return e.started(event)
	case chat.ToolStarted:
		return e.chatEvents(e.nameOf(event.MessageID), "status", status{Action: event.Tool.Name, Description: "runs " + event.Tool.Name})
	case chat.ToolsCalled, chat.ToolsLost, chat.ToolDecided, chat.ToolEnded:
		return e.tools(event)
	case chat.TurnEnded:
		return e.ended(r, event)
	}
	return nil
}

// said tells the room what somebody has said. The devices of the user know it already.
func (e *Encoder) said(r chat.Record) []engineio.Frame {
	if e.form&Messages == 0 || r.Event.(chat.MessageAdded).Revises != "" { // of which the room is told otherwise
		return nil
	}
	m, _ := r.Message()
	shown := Show(e.id, m)
	return ChannelEvents(e.form, NewChannelEvent(e.id, shown.ID, "message", shown, shown.User))
}

func (e *Encoder) started(event chat.TurnStarted) []engineio.Frame {
	if correlation, ok := e.queued[event.TurnID]; ok {
		delete(e.queued, event.TurnID)
		e.running = answer{id: event.MessageID, name: answerID(correlation, event.MessageID)}
	}
	name := e.nameOf(event.MessageID)
	if event.Attempt > 1 { // what the attempt before has said is no part of the answer
		e.running.thought, e.running.told = "", 0
		anew := status{Action: "recovering", Description: "the server was restarted: the answer begins anew"}
		return append(e.chatEvents(name, "replace", content{}), e.chatEvents(name, "status", anew)...)
	}
	return e.piece(name, event.ModelID, delta{Role: "assistant"}, "", nil)
}

func (e *Encoder) text(n chat.Text) []engineio.Frame {
	name := e.answerOf(n.Turn)
	return e.piece(name, n.Turn.ModelID, delta{Content: &n.Piece}, string(n.Before)+n.Piece, e.stream(name, n.Piece))
}

func (e *Encoder) think(n chat.Thought) []engineio.Frame {
	name := e.answerOf(n.Turn)
	if e.form&Cumulative != 0 {
		e.running.thought = string(n.Before) + n.Piece
	}
	return e.piece(name, n.Turn.ModelID, delta{Thought: n.Piece}, "", nil)
}

// piece tells a piece of an answer and, in the cumulative form, all of it instead: text is
// what it says so far. more is what the room is told besides.
//
// To tell all of an answer again for each token would cost the square of its length. So it
// is told when it has grown by a part of itself, which is linear.
func (e *Encoder) piece(name string, model chat.ModelID, d delta, text string, more []engineio.Frame) []engineio.Frame {
	if e.form&Cumulative == 0 {
		return append(e.chatEvents(name, "chat:completion", chunkOf(name, model, d, nil)), more...)
	}
	whole := withThought(e.running.thought, text, text != "")
	if len(whole) == 0 || len(whole) < e.running.told+e.running.told/growth {
		return more
	}
	e.running.told = len(whole)
	return append(e.chatEvents(name, "chat:completion", content{whole}), more...)
}

// growth is the part of an answer by which it has to grow until all of it is told again.
const growth = 32

// stream tells the room a piece of an answer.
func (e *Encoder) stream(name, piece string) []engineio.Frame {
	if e.form&Room == 0 {
		return nil
	}
	return []engineio.Frame{Event("stream", streamed{e.id, name, piece})}
}

// soFar tells all of a running answer to a client that may have some of it.
func (e *Encoder) soFar(n chat.TextSoFar) []engineio.Frame {
	name := e.answerOf(n.Turn)
	e.running.thought = n.Thought
	frames := e.chatEvents(name, "replace", content{e.shown(n.Text, n.Thought)})
	if e.form&Room != 0 {
		frames = append(frames, Event("stream", streamedSoFar{streamed{e.id, name, n.Text}, true}))
	}
	return frames
}

// shown is an answer as the form shows it.
func (e *Encoder) shown(text, thought string) string {
	if e.form&Cumulative == 0 {
		return text
	}
	return withThought(thought, text, true)
}

// progress tells how the provider of an answer fares.
func (e *Encoder) progress(n chat.Progress) []engineio.Frame {
	var text string
	switch {
	case n.Retrying != nil:
		text = "asks again: " + n.Retrying.Message
	case n.Model != "":
		text = string(n.Model) + " answers instead"
	default:
		return nil
	}
	return e.chatEvents(e.nameOf(n.MessageID), "status", status{Action: "provider", Description: text})
}

func (e *Encoder) ended(r chat.Record, event chat.TurnEnded) []engineio.Frame {
	name := answerID(event.Correlation, event.MessageID)
	delete(e.queued, event.TurnID)
	var frames []engineio.Frame
	add := func(kind string, data any) { frames = append(frames, e.chatEvents(name, kind, data)...) }
	switch {
	case event.State == chat.StateStopped:
		add("task-cancelled", nil)
	case event.State == chat.StateCompleted && e.form&Cumulative == 0:
		add("chat:completion", chunkOf(name, event.ModelID, delta{}, finish(event.Finish)))
	}
	if event.Usage != nil {
		add("chat:completion", map[string]*chat.Usage{"usage": event.Usage})
	}
	if why := reason(event); why != nil {
		frames = append(frames, e.error(name, why)...)
	}
	add("chat:completion", done{true, e.shown(event.Content, event.Thought), title(e.title)})
	frames = append(frames, e.final(r, name)...)
	if event.MessageID == e.running.id {
		e.running.told, e.running.thought = 0, ""
	}
	return frames
}

// final tells the room the whole answer.
func (e *Encoder) final(r chat.Record, name string) []engineio.Frame {
	m, ok := r.Message()
	if !ok || e.form&Messages == 0 {
		return nil
	}
	shown := Show(e.id, m)
	var frames []engineio.Frame
	if e.form&Room != 0 {
		frames = append(frames, Event("final", finalAnswer{e.id, name, r.Seq, true, m.Content, m.State, shown}))
	}
	return append(frames, ChannelEvents(e.form, NewChannelEvent(e.id, shown.ID, "message", shown, shown.User))...)
}

// error tells why an answer has failed. Clients of version 0.5 look for it among the
// completions.
func (e *Encoder) error(name string, why *chat.Error) []engineio.Frame {
	frames := ChatEvents(e.form&Old, e.id, name, "chat:completion", map[string]any{"error": completionError{Message: why.Message, Code: why.Code}})
	return append(frames, ChatEvents(e.form&New, e.id, name, "chat:message:error", map[string]any{"error": completionError{Content: why.Message, Code: why.Code}})...)
}

// reason returns why a turn has ended without its answer being complete, or nil.
func reason(e chat.TurnEnded) *chat.Error {
	switch {
	case e.Error != nil:
		return e.Error
	case e.State == chat.StateInterrupted:
		return chat.Refuse(chat.CodeInternal, "the answer was interrupted")
	}
	return nil
}

// gone tells that the chat was deleted, or that the listener is no member of it any more.
func (e *Encoder) gone(n chat.Removal) []engineio.Frame {
	text := "this chat was deleted"
	switch {
	case n.Left:
		text = "you are no longer a member of this chat"
	case n.Away:
		text = "this chat was deleted, or you are no longer a member of it"
	}
	return e.chatEvents("", "notification", notification{"error", text})
}

// failed tells that the room is out of service, and ends the answer that was running.
func (e *Encoder) failed(n chat.Failure) []engineio.Frame {
	if n.Turn.TurnID == "" {
		return e.chatEvents("", "notification", notification{"error", n.Error.Message})
	}
	name := e.nameOf(n.Turn.MessageID)
	return append(e.error(name, n.Error), e.chatEvents(name, "chat:completion", done{true, "", title(e.title)})...)
}

// withThought puts a thought in front of an answer, as version 0.5 shows it.
func withThought(thought, text string, done bool) string {
	if thought == "" {
		return text
	}
	open, summary := `<details type="reasoning" done="false">`, "Thinking…"
	if done {
		open, summary = `<details type="reasoning" done="true">`, "Thought"
	}
	quoted := "> " + strings.ReplaceAll(html.EscapeString(thought), "\n", "\n> ")
	return open + "\n<summary>" + summary + "</summary>\n" + quoted + "\n</details>\n" + text
}
