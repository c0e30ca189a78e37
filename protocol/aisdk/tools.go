package aisdk

import (
	"cmp"
	"encoding/json"
	"fmt"

	"parlor/protocol/chat"
)

// A call is one of a tool of the server, as far as the stream has come.
type call struct {
	chat.ToolCall
	waits, lost bool // see [chat.Pending]
	asked       bool // the client was asked to decide
	ended       bool
}

// A Known call is one of a message that the client has. State is that of its part.
type Known struct {
	State    string
	Decision *chat.Decide     // of the client, or nil
	Answer   *chat.AnswerCall // what has come of it: if the app has run it, the app says so
}

// The states of parts of tools.
const (
	stateInput     = "input-available"
	stateAsked     = "approval-requested"
	stateResponded = "approval-responded"
	stateOutput    = "output-available"
	stateError     = "output-error"
	stateDenied    = "output-denied"
)

// ended reports whether the client knows what has come of the call.
func (k Known) ended() bool {
	return k.State == stateOutput || k.State == stateError || k.State == stateDenied
}

// calls returns the calls of tools that an answer has in the hands of the client, and what
// that has decided.
func (m *message) calls() (map[string]Known, *chat.Error) {
	calls := make(map[string]Known)
	if m.Parts == nil {
		return calls, nil
	}
	for _, p := range *m.Parts {
		if p.Call == "" || len(p.Call) > chat.MaxIDLen {
			continue
		}
		known := Known{State: p.State}
		if p.State == stateResponded && p.Approval != nil {
			known.Decision = &chat.Decide{CallID: p.Call, Approved: p.Approval.Approved, Reason: p.Approval.Reason}
			if len(p.Approval.Reason) > MaxReasonLen {
				return nil, invalid("the reason is too long")
			}
		}
		if known.ended() {
			known.Answer = p.answer()
		}
		calls[p.Call] = known
	}
	if len(calls) > MaxCalls {
		return nil, invalid(fmt.Sprintf("the message has more than %d calls", MaxCalls))
	}
	return calls, nil
}

// answer returns what the part says of the end of its call.
func (p part) answer() *chat.AnswerCall {
	a := &chat.AnswerCall{CallID: p.Call, Result: string(p.Output), Failed: p.State != stateOutput}
	var text string
	switch {
	case a.Failed:
		a.Result = cmp.Or(p.Error, "the app could not run this")
	case len(p.Output) == 0 || json.Unmarshal(p.Output, &text) == nil:
		a.Result = text
	}
	return a
}

// RunsTools has the stream be one for an app that runs tools itself: it ends when only calls
// of those are open, since the app sends what has come of them in a request of its own.
func (a *Answer) RunsTools() { a.runsTools = true }

// GoOn has the stream go on behind what the client has of the message: the text of steps
// whose calls it knows is not told again.
func (a *Answer) GoOn(known map[string]Known) { a.known, a.goesOn = known, true }

// Old has the stream be one for version 5, which knows no approvals. It goes on while a
// call waits, and the app decides in another way.
func (a *Answer) Old() { a.old = true }

// toolRecord tells what is recorded of the calls of the turn.
func (a *Answer) toolRecord(p *parts, r chat.Record) {
	switch e := r.Event.(type) {
	case chat.ToolStarted:
		if e.TurnID == a.turn {
			a.tool(p, e.Tool)
		}
	case chat.ToolsCalled:
		if e.TurnID == a.turn {
			a.calls(p, e)
		}
	case chat.ToolsLost:
		for _, id := range e.Calls {
			if c := a.find(id); c != nil {
				c.waits, c.lost, c.asked = true, true, false
			}
		}
	case chat.ToolDecided:
		if c := a.find(e.CallID); c != nil {
			c.waits = false
			if e.Args != "" {
				p.add(toolPart{Type: "tool-input-available", Call: c.ID, Name: c.Name, Input: input(e.Args), Dynamic: true})
			}
		}
	case chat.ToolEnded:
		if c := a.find(e.CallID); c != nil {
			a.outcome(p, c, e.State, e.Result)
		}
	}
	if a.state == Going && r.Seq >= a.upTo {
		a.wait(p, r.Seq)
	}
}

// calls tells that a step has ended in calls of tools.
func (a *Answer) calls(p *parts, e chat.ToolsCalled) {
	whole := a.steps
	if e.Content != "" {
		whole += chat.Between(whole) + e.Content
	}
	if a.knows(e.Calls) {
		a.text.skip(whole)
	} else {
		a.rest(p, &a.text, whole)
	}
	if a.state == Wrong {
		return
	}
	a.steps = whole
	a.close(p)
	for _, c := range e.Calls {
		a.begun(p, call{ToolCall: c, waits: c.NeedsApproval})
	}
	a.stepEnded = true
}

// knows reports whether the client has one of the calls.
func (a *Answer) knows(calls []chat.ToolCall) bool {
	for _, c := range calls {
		if _, known := a.known[c.ID]; known {
			return true
		}
	}
	return false
}

func (a *Answer) begun(p *parts, c call) {
	known, has := a.known[c.ID]
	c.asked = known.State == stateAsked
	a.callList = append(a.callList, c)
	if !has {
		a.nextStep(p)
		a.parts++
		p.add(toolPart{Type: "tool-input-available", Call: c.ID, Name: c.Name, Input: input(c.Arguments), Dynamic: true})
	}
}

func (a *Answer) find(id string) *call {
	for i := range a.callList {
		if a.callList[i].ID == id {
			return &a.callList[i]
		}
	}
	return nil
}

// outcome tells what has come of a call.
func (a *Answer) outcome(p *parts, c *call, state chat.ToolOutcome, result string) {
	c.waits, c.ended = false, true
	if a.known[c.ID].ended() {
		return
	}
	switch {
	case state == chat.ToolCompleted:
		p.add(outputPart{Type: "tool-output-available", Call: c.ID, Output: result, Dynamic: true})
	case state == chat.ToolDenied && !a.old:
		if _, has := a.known[c.ID]; !has && !c.asked {
			p.add(approvalPart{Type: "tool-approval-request", Approval: c.ID, Call: c.ID})
		}
		p.add(deniedPart{"tool-output-denied", c.ID})
	default:
		p.add(failedPart{"tool-output-error", c.ID, result, true})
	}
}

// wait asks the client to decide about the calls that wait. When all but those and the app's
// own have ended the stream ends: while it is open, the client does not send what it has
// decided or done.
func (a *Answer) wait(p *parts, seq uint64) {
	waiting, running, apps := 0, 0, 0
	for i := range a.callList {
		c := &a.callList[i]
		switch {
		case c.ended:
		case !c.waits && c.OnPage && a.runsTools:
			apps++
		case !c.waits:
			running++
		default:
			waiting++
			a.ask(p, c)
		}
	}
	if waiting+apps == 0 || running > 0 || waiting > 0 && a.old {
		return
	}
	if a.step {
		p.add(bare{"finish-step"})
	}
	p.add(finishPart{Type: "finish", Reason: "tool-calls", Metadata: &Metadata{Seq: seq, State: chat.StateWaiting, TurnID: a.turn}})
	a.state = Over
}

func (a *Answer) ask(p *parts, c *call) {
	if c.asked {
		return
	}
	c.asked = true
	if a.old {
		p.add(dataPart{Type: "data-turn", Data: turnData{a.turn, chat.StateWaiting}, Transient: true})
		return
	}
	ask := approvalPart{Type: "tool-approval-request", Approval: c.ID, Call: c.ID}
	if c.lost {
		ask.Reason = lostReason
	}
	p.add(ask)
}

const lostReason = "The server was restarted while this ran. Shall it run again?"

// nextStep begins a step of the message, if the one before has ended in calls.
func (a *Answer) nextStep(p *parts) {
	if !a.stepEnded && a.step {
		return
	}
	if a.step {
		p.add(bare{"finish-step"})
	}
	p.add(bare{"start-step"})
	a.stepEnded, a.step = false, true
}

// input returns the arguments of a call, or as text what is no JSON.
func input(arguments string) any {
	switch {
	case arguments == "":
		return struct{}{}
	case json.Valid([]byte(arguments)):
		return json.RawMessage(arguments)
	}
	return arguments
}

// A section is a part of an answer that ends in calls, or that ends it.
type section struct {
	text  string
	calls []chat.Called
}

// sections divides an answer where it has called tools.
func sections(m chat.Message) (all []section) {
	rest, at := m.Content, 0
	for _, c := range m.Calls {
		if n := len(all); n > 0 && c.At <= at {
			all[n-1].calls = append(all[n-1].calls, c)
			continue
		}
		text := upTo(rest, c.At-at)
		rest, at = rest[len(text):], c.At
		all = append(all, section{text, []chat.Called{c}})
	}
	if rest != "" || len(all) == 0 {
		all = append(all, section{text: rest})
	}
	return all
}

// upTo returns the beginning of a text that has so many UTF-16 code units.
func upTo(text string, units int) string {
	for i, r := range text {
		if units <= 0 {
			return text[:i]
		}
		units -= chat.UTF16Len(string(r))
	}
	return text
}

// choiceOf reads what the model is to call, in the SDK's words for it.
func choiceOf(raw json.RawMessage) (c chat.ToolChoice, refusal *chat.Error) {
	if len(raw) == 0 || string(raw) == "null" {
		return c, nil
	}
	var mode string
	var tool struct {
		Type string `json:"type"`
		Name string `json:"toolName"`
	}
	switch {
	case json.Unmarshal(raw, &mode) == nil && mode == "auto":
		return c, nil
	case mode == string(chat.ToolsNone) || mode == string(chat.ToolsRequired):
		return chat.ToolChoice{Mode: chat.ToolMode(mode)}, nil
	case json.Unmarshal(raw, &tool) == nil && tool.Type == "tool" && tool.Name != "":
		return chat.ToolChoice{Mode: chat.ToolsRequired, Name: tool.Name}, nil
	}
	return c, chat.Refuse(chat.CodeToolChoice, `tool_choice must be "auto", "none", "required" or {"type": "tool", "toolName"}`)
}
