package aisdk

import (
	"cmp"
	"slices"
	"strconv"

	"parlor/protocol/chat"
)

// An Answer makes the parts of one stream from what a room tells. It is not safe for
// concurrent use.
type Answer struct {
	prompt chat.MessageID // that is to be answered; empty if the turn alone is known
	turn   chat.TurnID    // empty until it is known
	joins  chat.TurnID    // the running turn that the prompt was said to
	left   bool           // that turn has ended, and has not taken the prompt in

	message chat.MessageID // empty until the turn has started
	attempt int
	text    told
	thought told
	open    *told           // of which a part has begun and not ended
	parts   int             // that have begun
	tools   []chat.ToolCall // that the provider runs
	step    bool            // has begun, and not ended
	state   State

	// Of a turn that calls tools of the server, see [Answer.toolRecord].
	steps     string // the text of those that have ended in calls
	stepEnded bool   // in calls
	callList  []call
	upTo      uint64 // the last record that is not news
	old       bool
	goesOn    bool
	runsTools bool
	known     map[string]Known // calls that the client has
}

// A State says what becomes of a stream.
type State uint8

// The states.
const (
	Going State = iota
	Over        // nothing follows, and the stream is to end as it should
	Wrong       // what the client was told is not what stands: reset the connection
)

// A told is a text that was told so far.
type told struct {
	kind string
	id   string // of the part that is open
	len  int    // in bytes
	hash uint64
}

// AnswerTo makes the stream of the first turn that answers the message. The room must
// tell it the record of the message first.
func AnswerTo(prompt chat.MessageID) *Answer {
	return &Answer{prompt: prompt, text: newTold("text"), thought: newTold("reasoning")}
}

// AnswerOf makes the stream of a turn.
func AnswerOf(t chat.Turn) *Answer {
	a := AnswerTo(t.Prompt)
	a.turn = t.ID
	return a
}

// Turn returns the turn, or "" as long as that is not known.
func (a *Answer) Turn() chat.TurnID { return a.turn }

// State returns what becomes of the stream.
func (a *Answer) State() State { return a.state }

// Tell returns the parts that a notice becomes. There are none for what is no part of the
// answer, nor when the stream is not [Going].
func (a *Answer) Tell(n chat.Notice) []Part {
	if a.state != Going {
		return nil
	}
	var p parts
	switch n := n.(type) {
	case chat.Entered:
		a.upTo = n.Seq
	case chat.Record:
		a.record(&p, n)
	case chat.Missed:
		a.record(&p, n.Record)
	case chat.Text:
		a.piece(&p, &a.text, n.Turn, n.Before, n.Piece)
	case chat.Thought:
		a.piece(&p, &a.thought, n.Turn, n.Before, n.Piece)
	case chat.TextSoFar:
		a.soFar(&p, n)
	case chat.Progress:
		a.progress(&p, n)
	case chat.ToolNews:
		if a.find(n.CallID) != nil {
			p.add(dataPart{Type: "data-tool-progress", Data: progressData{n.CallID, n.Name, n.ToolProgress}, Transient: true})
		}
	case chat.Removal:
		a.fail(&p, chat.Refuse(chat.CodeNotFound, "this chat was deleted, or you are no longer a member of it"))
	case chat.Failure:
		a.fail(&p, n.Error)
	}
	if a.state == Wrong {
		return nil
	}
	return p
}

// parts collects parts.
type parts []Part

func (p *parts) add(part any) { *p = append(*p, encode(part)) }

func (a *Answer) record(p *parts, r chat.Record) {
	switch e := r.Event.(type) {
	case chat.MessageAdded:
		a.said(p, e)
	case chat.TurnQueued:
		a.queued(p, e)
	case chat.TurnSteered:
		if a.turn == "" && slices.Contains(e.Messages, a.prompt) {
			a.nothing(p) // the stream of the running turn tells the answer
		}
	case chat.TurnStarted:
		if e.TurnID == a.turn {
			a.started(p, e, r.Seq)
		}
	case chat.Configured:
		p.add(dataPart{Type: "data-chat", Data: e.Settings, Transient: true})
	case chat.TurnEnded:
		a.ended(p, r.Seq, e)
		return
	}
	a.toolRecord(p, r)
}

// said looks at how the prompt was said.
func (a *Answer) said(p *parts, e chat.MessageAdded) {
	switch {
	case e.MessageID != a.prompt || a.turn != "":
	case e.Unasked:
		a.nothing(p)
	default:
		a.joins = e.Steers
	}
}

// queued takes the first turn that answers the prompt. If the prompt was said to a turn
// that has ended without taking it in, that is the turn which follows.
func (a *Answer) queued(p *parts, e chat.TurnQueued) {
	if a.turn == "" && (e.Prompt == a.prompt || a.left) {
		a.turn = e.TurnID
	}
	if e.TurnID == a.turn {
		p.add(dataPart{Type: "data-turn", Data: turnData{e.TurnID, chat.StateQueued}, Transient: true})
	}
}

// started begins the message. A later attempt is another text: if the client has got
// some of the one before, it has to ask again.
func (a *Answer) started(p *parts, e chat.TurnStarted, seq uint64) {
	meta := &Metadata{Seq: seq, ModelID: e.ModelID, Name: e.Name, TurnID: e.TurnID, Attempt: e.Attempt, Prompt: a.prompt}
	a.begin(p, e.MessageID, e.Attempt, meta)
}

func (a *Answer) begin(p *parts, message chat.MessageID, attempt int, meta *Metadata) {
	switch {
	case a.message == "":
		a.message, a.attempt = message, attempt
		p.add(startPart{"start", message, meta})
		if !a.goesOn { // else the step goes on in which the call has waited
			a.step = true
			p.add(bare{"start-step"})
		}
	case attempt <= a.attempt:
	case a.parts > 0 && (len(a.callList) == 0 || a.text.len > len(a.steps)):
		a.state = Wrong
	default: // it goes on behind the steps that are recorded
		a.close(p)
		a.attempt, a.thought = attempt, newTold(a.thought.kind)
		p.add(metadataPart{"message-metadata", meta})
		p.add(dataPart{Type: "data-status", Data: statusData{Recovering: true}, Transient: true})
	}
}

// beginAt begins the message in the middle, if its turn was not told to start.
func (a *Answer) beginAt(p *parts, t chat.Turn) {
	a.begin(p, t.MessageID, t.Attempt, &Metadata{
		Seq: t.PromptSeq, ModelID: t.ModelID, TurnID: t.ID, Attempt: t.Attempt, Prompt: t.Prompt,
	})
}

// piece tells a piece of a text, which follows before.
func (a *Answer) piece(p *parts, to *told, t chat.Turn, before []byte, piece string) {
	if t.ID != a.turn || t.Attempt < a.attempt {
		return
	}
	a.beginAt(p, t)
	switch at := len(before); {
	case a.state == Wrong || at+len(piece) <= to.len:
		return
	case at > to.len:
		piece = string(before[to.len:]) + piece
	case at < to.len:
		piece = piece[to.len-at:]
	}
	a.delta(p, to, piece)
}

// soFar leaves out the text of an attempt that a crash has cut: it could not be taken back.
// The text that stands comes with the end of the turn.
func (a *Answer) soFar(p *parts, n chat.TextSoFar) {
	if n.Turn.ID != a.turn || n.Turn.Attempt < a.attempt || n.Cut {
		return
	}
	a.beginAt(p, n.Turn)
	if a.goesOn { // the client has what was thought before the call
		a.thought.skip(n.Thought)
	}
	a.rest(p, &a.thought, n.Thought)
	if len(n.Text) >= len(a.steps) { // else the attempt has not come behind the recorded steps yet
		a.rest(p, &a.text, n.Text)
	}
}

// rest tells what follows of a text that the client may have a part of.
func (a *Answer) rest(p *parts, to *told, whole string) {
	switch {
	case a.state == Wrong:
	case !to.begins(whole):
		a.state = Wrong
	default:
		a.delta(p, to, whole[to.len:])
	}
}

// delta tells a piece, in the part that is open or a new one.
func (a *Answer) delta(p *parts, to *told, piece string) {
	if piece == "" {
		return
	}
	a.closeTools(p)
	a.nextStep(p)
	if a.open != to {
		a.close(p)
		a.open, to.id = to, strconv.Itoa(a.parts)
		a.parts++
		p.add(textPart{to.kind + "-start", to.id})
	}
	to.add(piece)
	p.add(deltaPart{to.kind + "-delta", to.id, piece})
}

// close ends the part that is open.
func (a *Answer) close(p *parts) {
	if a.open != nil {
		p.add(textPart{a.open.kind + "-end", a.open.id})
		a.open = nil
	}
}

// tool tells that the provider runs a tool. What comes of it stays with the provider, and
// is told as null when the answer goes on.
func (a *Answer) tool(p *parts, t chat.ToolCall) {
	a.close(p)
	a.nextStep(p)
	a.parts++
	a.tools = append(a.tools, t)
	p.add(toolPart{Type: "tool-input-available", Call: t.ID, Name: t.Name, Input: &struct{}{}, Dynamic: true, AtProvider: true})
}

func (a *Answer) closeTools(p *parts) {
	for _, t := range a.tools {
		p.add(outputPart{Type: "tool-output-available", Call: t.ID, Dynamic: true, AtProvider: true})
	}
	a.tools = nil
}

func (a *Answer) progress(p *parts, n chat.Progress) {
	if n.MessageID != a.message || a.message == "" {
		return
	}
	data := statusData{Retrying: n.Retrying, Model: n.Model}
	if h := n.Health; h != nil {
		data.Provider, data.State = h.Provider, h.State
		if !h.RetryAt.IsZero() {
			data.RetryAt = chat.Timestamp(h.RetryAt)
		}
	}
	p.add(dataPart{Type: "data-status", Data: data, Transient: true})
}

// nothing ends a stream that has no message.
func (a *Answer) nothing(p *parts) {
	p.add(finishPart{Type: "finish", Reason: "stop"})
	a.state = Over
}

// ended tells the end of the turn.
func (a *Answer) ended(p *parts, seq uint64, e chat.TurnEnded) {
	if e.TurnID != a.turn {
		a.left = a.left || a.joins != "" && e.TurnID == a.joins // what was not taken in is answered next
		return
	}
	if e.MessageID != "" {
		if a.goesOn && a.thought.len == 0 {
			a.thought.skip(e.Thought)
		}
		a.begin(p, e.MessageID, max(a.attempt, 1), &Metadata{Seq: seq, ModelID: e.ModelID, Name: e.Name, TurnID: e.TurnID})
		a.rest(p, &a.thought, e.Thought)
		a.rest(p, &a.text, e.Content)
		if a.state == Wrong {
			return
		}
		a.closeTools(p)
		a.close(p)
	}
	a.finish(p, seq, e)
}

func (a *Answer) finish(p *parts, seq uint64, e chat.TurnEnded) {
	if e.State != chat.StateCompleted && e.State != chat.StateStopped {
		a.fail(p, cmp.Or(e.Error, chat.Refuse(chat.Code(e.State), cmp.Or(e.Reason, "the answer was cut off"))))
		return
	}
	end := finishPart{Type: "finish", Reason: finishReason(e.Finish)}
	if a.step {
		p.add(bare{"finish-step"})
	}
	if a.message != "" {
		end.Metadata = &Metadata{
			Seq: seq, State: e.State, ModelID: e.ModelID, Name: e.Name, TurnID: e.TurnID, Prompt: e.Prompt, By: e.By, Reason: e.Reason, Usage: usageOf(e.Usage),
		}
	}
	if e.State == chat.StateStopped {
		end.Reason = "other"
		p.add(abortPart{"abort", e.Reason})
	}
	p.add(end)
	a.state = Over
}

// fail ends the stream with an error. What was told stays.
func (a *Answer) fail(p *parts, why *chat.Error) {
	p.add(errorOf(why))
	a.state = Over
}

// finishReason is the SDK's word for why a model has ended an answer.
func finishReason(f chat.Finish) string {
	switch f {
	case chat.FinishStop, "":
		return "stop"
	case chat.FinishLength, chat.FinishContext:
		return "length"
	case chat.FinishFilter, chat.FinishRefusal:
		return "content-filter"
	case chat.FinishToolCalls:
		return "tool-calls"
	}
	return "other"
}

func newTold(kind string) told { return told{kind: kind, hash: fnvOffset} }

// The hash is 64-bit FNV-1a.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

func hashOf(h uint64, text string) uint64 {
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * fnvPrime
	}
	return h
}

func (t *told) add(piece string) {
	t.len += len(piece)
	t.hash = hashOf(t.hash, piece)
}

// skip takes the text for told, as far as it is longer than what was.
func (t *told) skip(whole string) {
	if len(whole) > t.len {
		t.add(whole[t.len:])
	}
}

// begins reports whether the whole text begins with what was told.
func (t *told) begins(whole string) bool {
	return len(whole) >= t.len && hashOf(fnvOffset, whole[:t.len]) == t.hash
}
