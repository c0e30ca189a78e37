package assistant

import (
	"cmp"
	"encoding/json"

	"parlor/protocol/chat"
)

// A functionCall says that a tool is called. With NeedsApproval it waits for a member.
type functionCall struct {
	CallID        string          `json:"call_id"`
	Name          string          `json:"function_name"`
	Arguments     json.RawMessage `json:"arguments"` // an object, or text if the model wrote no object
	MessageID     chat.MessageID  `json:"message_id"`
	Where         string          `json:"where"`
	NeedsApproval bool            `json:"needs_approval"`
	Seq           uint64          `json:"seq"`
}

// A functionResult says what has come of a call.
type functionResult struct {
	CallID string           `json:"call_id"`
	Name   string           `json:"function_name"`
	State  chat.ToolOutcome `json:"state"`
	Result string           `json:"result"`
	By     chat.UserID      `json:"by,omitempty"`
	Seq    uint64           `json:"seq"`
}

// An approval says what a member has decided about a call. A call that the end of the server
// has cut has the decision "unknown": a member has yet to say whether it runs again.
type approval struct {
	CallID    string          `json:"call_id"`
	Name      string          `json:"function_name,omitempty"`
	Decision  string          `json:"decision"`
	Arguments json.RawMessage `json:"arguments,omitempty"` // if the member has changed them
	Always    bool            `json:"always,omitempty"`
	By        chat.UserID     `json:"by,omitempty"`
	Reason    string          `json:"reason,omitempty"`
	Seq       uint64          `json:"seq"`
}

// The decisions.
const (
	Approve   = "approve"
	Deny      = "deny"
	undecided = "unknown"
)

// documentedTools encodes what happens to calls of tools.
func (f *frames) documentedTools(room string, r chat.Record) {
	switch e := r.Event.(type) {
	case chat.ToolStarted:
		f.emit("function_call", room, functionCall{CallID: e.Tool.ID, Name: e.Tool.Name, Arguments: json.RawMessage(`{}`), MessageID: e.MessageID, Where: "provider", Seq: r.Seq})
	case chat.ToolsCalled:
		waits := false
		for _, c := range e.Calls {
			waits = waits || c.NeedsApproval
			f.emit("function_call", room, functionCall{c.ID, c.Name, argumentsOf(c.Arguments), e.MessageID, where(c), c.NeedsApproval, r.Seq})
		}
		if waits {
			f.emit("turn", room, turnEvent{TurnID: e.TurnID, State: chat.StateWaiting, Seq: r.Seq})
		}
	case chat.ToolsLost:
		for _, id := range e.Calls {
			f.emit("approval", room, approval{CallID: id, Decision: undecided, Seq: r.Seq})
		}
		f.emit("turn", room, turnEvent{TurnID: e.TurnID, State: chat.StateWaiting, Seq: r.Seq})
	case chat.ToolDecided:
		decided := approval{CallID: e.CallID, Name: e.Name, Decision: DecisionOf(e.Approved), Always: e.Always, By: e.By, Reason: e.Reason, Seq: r.Seq}
		if e.Args != "" {
			decided.Arguments = argumentsOf(e.Args)
		}
		f.emit("approval", room, decided)
		if e.Waiting == 0 {
			f.emit("turn", room, turnEvent{TurnID: e.TurnID, State: chat.StateRunning, Seq: r.Seq})
		}
	case chat.ToolEnded:
		f.emit("function_result", room, functionResult{e.CallID, e.Name, e.State, e.Result, e.By, r.Seq})
	}
}

// toolProgress says how far a call is that runs. The id comes first: see keyOf.
type toolProgress struct {
	CallID    string         `json:"call_id"`
	Name      string         `json:"function_name"`
	MessageID chat.MessageID `json:"message_id"`
	chat.ToolProgress
}

// toolNews encodes how far a call is. The SPA's dialect has no event for it.
func toolNews(d Dialect, room chat.RoomID, n chat.ToolNews) (f frames) {
	if d != SPA {
		f.emit("function_progress", string(room), toolProgress{n.CallID, n.Name, n.MessageID, n.ToolProgress})
	}
	return f
}

// where says who runs a call: the server, or a client.
func where(c chat.ToolCall) string {
	if c.OnPage {
		return "client"
	}
	return "server"
}

// Pending is a call that waits for a member to decide, or for a page to answer it.
type Pending struct {
	CallID        string          `json:"call_id"`
	Name          string          `json:"function_name"`
	Arguments     json.RawMessage `json:"arguments"`
	Where         string          `json:"where"`
	NeedsApproval bool            `json:"needs_approval"`
	Unknown       bool            `json:"unknown,omitempty"` // the end of the server has cut it
}

func showPending(calls []chat.Pending) []Pending {
	list := make([]Pending, 0, len(calls))
	for _, p := range calls {
		list = append(list, Pending{p.Call.ID, p.Call.Name, argumentsOf(p.Call.Arguments), where(p.Call), !p.Running, p.Lost})
	}
	return list
}

// CallDecided acknowledges a [Decide].
type CallDecided struct {
	CallID   string `json:"call_id"`
	Decision string `json:"decision"`
}

// DecisionOf returns the word for a decision.
func DecisionOf(approved bool) string {
	if approved {
		return Approve
	}
	return Deny
}

// argumentsOf returns the arguments of a call as JSON.
func argumentsOf(written string) json.RawMessage {
	if raw := json.RawMessage(written); isObject(raw) && json.Valid(raw) {
		return raw
	}
	return Encode(written)
}

// The forms of the assistant SPA: WIRE-ASSISTANT §8.
type (
	spaCall struct {
		ID        string          `json:"id"`
		CallID    string          `json:"call_id"`
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
		Role      chat.Role       `json:"role"`
		Type      string          `json:"type"`
		Created   string          `json:"created_timestamp"`
	}
	spaResult struct {
		ID      string    `json:"id"`
		CallID  string    `json:"call_id"`
		Name    string    `json:"name"`
		Result  any       `json:"result"`
		Role    chat.Role `json:"role"`
		Type    string    `json:"type"`
		Created string    `json:"created_timestamp"`
	}
)

// spaTools encodes calls for the assistant SPA, which shows a card for each and stops its
// clock with the result.
func (f *frames) spaTools(room string, r chat.Record) {
	at := chat.Timestamp(r.At)
	switch e := r.Event.(type) {
	case chat.ToolsCalled:
		if live(e.Duplex, e.Correlation) {
			f.liveCalls(room, at, e)
			return
		}
		for _, c := range e.Calls {
			f.emit("receive_message", room, typed{"sbaw.function_call", spaCall{c.ID, c.ID, c.Name, ObjectOf(c.Arguments), chat.RoleAssistant, "function_call", at}})
		}
	case chat.ToolEnded:
		if live(e.Duplex, e.Correlation) {
			f.emit("receive_message", room, liveResultDone{resultDone, liveResult{e.CallID + "-result", e.Name, e.CallID, e.Result, at}})
			return
		}
		f.emit("receive_message", room, typed{"sbaw.function_result", spaResult{e.CallID + "-result", e.CallID, e.Name, e.Result, chat.RoleSystem, "function_result", at}})
	}
}

// The same in the realtime family. There, arguments are text.
type (
	liveCall struct {
		ID        string `json:"id"`
		Type      string `json:"type"`
		Status    string `json:"status"`
		Name      string `json:"name"`
		CallID    string `json:"call_id"`
		Arguments string `json:"arguments"`
	}
	liveCallDone struct {
		Type     string `json:"type"`
		Response struct {
			ID     chat.MessageID `json:"id"`
			Status string         `json:"status"`
			Output []liveCall     `json:"output"`
			Usage  liveUsage      `json:"usage"`
		} `json:"response"`
		Timestamp string `json:"timestamp"`
	}
	liveResultDone struct {
		Type     string     `json:"type"`
		Response liveResult `json:"response"`
	}
	liveResult struct {
		MessageID string `json:"message_id"`
		Name      string `json:"name"`
		CallID    string `json:"call_id"`
		Result    string `json:"result"`
		Created   string `json:"created_timestamp"`
	}
)

const resultDone = "response.sb.function_result.done"

// liveCalls tells the SPA of the calls of a live answer: the page reads one of each event.
// The text before the calls has a bubble, which is closed first: otherwise the page would
// add the text behind the calls to it, above them.
func (f *frames) liveCalls(room, at string, e chat.ToolsCalled) {
	if e.Content != "" {
		f.emit("receive_message", room, closing(e.MessageID, "incomplete", at))
	}
	for _, c := range e.Calls {
		done := liveCallDone{Type: responseDone, Timestamp: at}
		done.Response.ID, done.Response.Status = e.MessageID, "completed"
		done.Response.Output = []liveCall{{c.ID, "function_call", "completed", c.Name, c.ID, string(ObjectOf(c.Arguments))}}
		f.emit("receive_message", room, done)
	}
}

// ObjectOf returns arguments as the object that the SPA wants.
func ObjectOf(written string) json.RawMessage {
	if raw := argumentsOf(written); isObject(raw) {
		return raw
	}
	return Encode(map[string]string{"INVALID_JSON": written})
}

func decodeApprove(p payload) (Request, *chat.Error) {
	room, refused := p.room()
	d, bad := Decision{p.Decision, p.Arguments, p.Always, p.Reason}.Decode(p.CallID)
	id, badID := clientID(p.ClientID)
	d.ClientID = id
	return Decide{room, d}, cmp.Or(refused, bad, badID)
}

// A Decision is what a client says about a call that waits.
type Decision struct {
	Decision  string          `json:"decision"`
	Arguments json.RawMessage `json:"arguments"`
	Always    bool            `json:"always"`
	Reason    string          `json:"reason"`
}

// Decode returns the decision about the call with the id. If that cannot be one it is
// left out, since the refusal may name it.
func (d Decision) Decode(id string) (chat.Decide, *chat.Error) {
	r := chat.Decide{CallID: id, Approved: d.Decision == Approve, Always: d.Always, Reason: d.Reason}
	changed := len(d.Arguments) > 0 && string(d.Arguments) != "null"
	if changed {
		r.Arguments = string(d.Arguments)
	}
	switch {
	case id == "" || len(id) > maxEnvelopeLen:
		r.CallID = ""
		return r, invalid("call_id must be that of a call that waits")
	case d.Decision != Approve && d.Decision != Deny:
		return r, invalid("decision must be approve or deny")
	case len(d.Reason) > MaxReasonLen:
		return r, invalid("reason is too long")
	case !r.Approved && (d.Always || changed):
		return r, invalid("always and arguments are for calls that are approved")
	case changed && !isObject(d.Arguments):
		return r, invalid("arguments must be an object")
	}
	return r, nil
}
