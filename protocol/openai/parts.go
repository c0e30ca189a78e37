package openai

import (
	"encoding/json"
	"slices"
	"strings"

	"parlor/protocol/chat"
)

// A turn that calls tools may wait for its caller, who runs a function, or decides whether a
// tool of the server may run. OpenAI's responses do not wait: such a response ends, and another
// one goes on. So the records of a turn divide it into parts.
type parts struct {
	id        ResponseID
	approvals bool // end a part

	ended int           // parts that have ended
	said  string        // in the steps so far
	steps int           // so far
	base  int           // bytes of the turn's text that belong to the parts before
	first int           // the attempt in which this part has begun
	calls []pendingCall // of the last step, that have not ended
	asked []Asked       // with what this part has ended
	over  bool          // the turn has ended
}

// A pendingCall is one that has not ended.
type pendingCall struct {
	chat.ToolCall
	waits bool // for a decision
	lost  bool // the server ended while it ran
	told  bool // it was asked about
}

// An Asked is a call that a caller has to answer.
type Asked struct {
	Call     chat.ToolCall
	Approval bool // it waits for a decision, and else for what comes of it
	Lost     bool // nobody knows whether it has had an effect before

	// Decided and Ended are what was recorded of it since. Either may be nil.
	Decided *chat.ToolDecided
	Ended   *chat.ToolEnded
}

// A change is what a record means for the part of a turn.
type change int

const (
	noChange  change = iota
	isQueued         // it waits for its turn
	isStarted        // an attempt has begun
	isOpened         // it begins in the middle of the turn
	isFinished
)

// current reports whether the turn is at this part.
func (p *parts) current() bool { return p.ended == p.id.Part && !p.over }

// follow takes in what happens to calls of the turn.
func (t *Turn) follow(r chat.Record) change {
	p := &t.parts
	switch e := r.Event.(type) {
	case chat.ToolsCalled:
		p.said += chat.Between(p.said) + e.Content
		p.steps++
		p.calls = nil
		for _, c := range e.Calls {
			p.calls = append(p.calls, pendingCall{ToolCall: c, waits: c.NeedsApproval})
		}
	case chat.ToolDecided:
		p.answered(e.CallID, func(a *Asked) {
			if a.Approval && a.Decided == nil {
				a.Decided = &e
			}
		})
		if c := p.call(e.CallID); c != nil {
			c.waits, c.lost, c.told = false, false, !e.Approved
			if e.Args != "" {
				c.Arguments = e.Args
			}
		}
	case chat.ToolsLost:
		for _, id := range e.Calls {
			if c := p.call(id); c != nil {
				c.waits, c.lost, c.told = true, true, false
			}
		}
	case chat.ToolEnded:
		p.answered(e.CallID, func(a *Asked) {
			if a.Ended == nil {
				a.Ended = &e
			}
		})
		p.calls = slices.DeleteFunc(p.calls, func(c pendingCall) bool { return c.ID == e.CallID })
	}
	return t.divide(r)
}

// answered notes what has become of a call with which this part has ended.
func (p *parts) answered(call string, note func(*Asked)) {
	for i := range p.asked {
		if p.asked[i].Call.ID == call {
			note(&p.asked[i])
		}
	}
}

func (p *parts) call(id string) *pendingCall {
	i := slices.IndexFunc(p.calls, func(c pendingCall) bool { return c.ID == id })
	if i < 0 {
		return nil
	}
	return &p.calls[i]
}

// divide ends a part if there is something to ask the caller for the first time.
func (t *Turn) divide(r chat.Record) change {
	p := &t.parts
	var asks []Asked
	for i := range p.calls {
		c := &p.calls[i]
		if !c.told && (c.waits && p.approvals || !c.waits && c.OnPage && p.id.Functions) {
			c.told = true
			asks = append(asks, Asked{Call: c.ToolCall, Approval: c.waits, Lost: c.lost})
		}
	}
	if asks == nil {
		return noChange
	}
	p.ended++
	switch p.id.Part {
	case p.ended - 1:
		p.asked, t.ended = asks, r.At
		t.end = &chat.TurnEnded{TurnID: t.Turn, MessageID: t.message, ModelID: t.model, State: chat.StateCompleted, Content: p.said}
		return isFinished
	case p.ended:
		t.created, p.first = r.At, t.attempt
		p.base = len(p.said) + len(chat.Between(p.said))
		return isOpened
	}
	return noChange
}

// Asked returns the calls with which the response has ended.
func (t *Turn) Asked() []Asked { return t.asked }

// Over reports whether the turn itself has ended.
func (t *Turn) Over() bool { return t.over }

// part returns what belongs to this part of the text of the turn.
func (p *parts) part(text string) string {
	if p.base >= len(text) {
		return ""
	}
	return text[p.base:]
}

// Fit returns why answers are not those that the response waits for, or nil. The output of each
// function has to be there; calls about which the caller does not decide wait on for members.
func (t *Turn) Fit(answers []Answer) *Error {
	for i, a := range answers {
		same := func(b Answer) bool { return b.Call == a.Call && b.Approval == a.Approval }
		asked := func(b Asked) bool { return b.Call.ID == a.Call && b.Approval == a.Approval }
		switch {
		case a.Seq != t.id.Seq || !slices.ContainsFunc(t.asked, asked):
			return a.NoCall()
		case slices.ContainsFunc(answers[:i], same):
			return Invalid(a.Param, a.ID+" is answered twice")
		}
	}
	for _, asked := range t.asked {
		if _, answered := asked.AnsweredBy(answers); !answered && asked.wantsOutput() {
			return t.noOutput(asked)
		}
	}
	return nil
}

func (a Asked) wantsOutput() bool { return !a.Approval && a.Ended == nil }

// Busy returns why nothing can be said behind the response, or nil: calls of functions wait for
// their output.
func (t *Turn) Busy() *Error {
	if i := slices.IndexFunc(t.asked, Asked.wantsOutput); i >= 0 {
		return t.noOutput(t.asked[i])
	}
	return nil
}

// AnsweredBy returns the answer to a call among some, or false.
func (a Asked) AnsweredBy(all []Answer) (Answer, bool) {
	i := slices.IndexFunc(all, func(b Answer) bool { return b.Call == a.Call.ID && b.Approval == a.Approval })
	if i < 0 {
		return Answer{}, false
	}
	return all[i], true
}

func (t *Turn) noOutput(a Asked) *Error {
	return Invalid("input", "no output was brought for the function call "+callID(callPrefix, a.Call.ID, t.id.Seq))
}

// An ApprovalItem asks whether a tool of the server may run.
type ApprovalItem struct {
	ID        string `json:"id"`
	Type      string `json:"type"`
	Server    string `json:"server_label"`
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
	Lost      bool   `json:"parlor_lost,omitempty"` // the server ended while it ran
}

// item returns the item that asks the caller.
func (t *Turn) askItem(a Asked) any {
	if !a.Approval {
		item := callItem(a.Call)
		item.CallID = callID(callPrefix, a.Call.ID, t.id.Seq)
		return item
	}
	server, name, of := strings.Cut(a.Call.Name, "/")
	if !of {
		server, name = ownLabel, a.Call.Name
	}
	return ApprovalItem{callID(approvalPrefix, a.Call.ID, t.id.Seq), "mcp_approval_request", server, name, a.Call.Arguments, a.Lost}
}

// AnswerItems returns what was brought for the calls of the response.
func (t *Turn) AnswerItems() (all []ItemWithID) {
	for _, a := range t.asked {
		switch {
		case a.Approval && a.Decided != nil:
			all = append(all, approvalAnswer{
				"mcpa_" + a.Call.ID, "mcp_approval_response", callID(approvalPrefix, a.Call.ID, t.id.Seq), a.Decided.Approved, orNull(a.Decided.Reason),
			})
		case !a.Approval && a.Ended != nil:
			all = append(all, callOutput{"fco_" + a.Call.ID, "function_call_output", statusCompleted, callID(callPrefix, a.Call.ID, t.id.Seq), a.Ended.Result})
		}
	}
	return all
}

type (
	approvalAnswer struct {
		ID      string  `json:"id"`
		Type    string  `json:"type"`
		Request string  `json:"approval_request_id"`
		Approve bool    `json:"approve"`
		Reason  *string `json:"reason"`
	}
	callOutput struct {
		ID     string `json:"id"`
		Type   string `json:"type"`
		Status string `json:"status"`
		CallID string `json:"call_id"`
		Output string `json:"output"`
	}
)

// outputs are the items behind the message: the calls with which the response ends.
func (t *Turn) outputs() (all []any) {
	for _, c := range t.alone.calls {
		all = append(all, callItem(c))
	}
	for _, a := range t.asked {
		all = append(all, t.askItem(a))
	}
	return all
}

// functions are the calls with which a completion ends.
func (t *Turn) functions() (all []chat.ToolCall) {
	for _, a := range t.asked {
		a.Call.Given = callID(callPrefix, a.Call.ID, t.id.Seq)
		all = append(all, a.Call)
	}
	return all
}

// outputEvents returns the events of an item behind the message, without their numbers.
func outputEvents(item any, index int) (names []string, data []func(event) any) {
	add := func(name string, d func(event) any) { names, data = append(names, name), append(data, d) }
	begun := item
	call, function := item.(CallItem)
	if function {
		empty := call
		empty.Status, empty.Arguments = statusInProgress, ""
		begun = empty
	}
	add("response.output_item.added", func(e event) any { return itemEvent{e, index, begun} })
	if function {
		add("response.function_call_arguments.delta", func(e event) any { return argumentsDelta{e, call.ID, index, call.Arguments} })
		add("response.function_call_arguments.done", func(e event) any { return argumentsDone{e, call.ID, index, call.Name, call.Arguments} })
	}
	add("response.output_item.done", func(e event) any { return itemEvent{e, index, item} })
	return names, data
}

// outputEventsOf returns how many events the items behind the message have.
func (t *Turn) outputCount() (n int) {
	for _, item := range t.outputs() {
		names, _ := outputEvents(item, 0)
		n += len(names)
	}
	return n
}

var autoChoice = json.RawMessage(`"auto"`)
