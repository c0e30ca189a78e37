package openai

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"parlor/protocol/chat"
)

// An Answer is what a caller brings for a call with which a response has ended: the output of
// a function, or the decision about a tool of the server.
type Answer struct {
	Param string // the field that holds the id
	ID    string // as it came
	Call  string // of the call in the chat; empty: no call has such an id
	Seq   uint64 // of the record by which the turn was queued

	Approval bool // it is a decision
	Approve  bool
	Reason   string
	Output   string
}

// The beginnings of the ids of calls.
const (
	callPrefix     = "call_"
	approvalPrefix = "mcpr_"
)

// callID returns the id under which callers know a call of a chat. It leads to the turn
// without a search.
func callID(prefix, call string, seq uint64) string {
	return prefix + call + "_" + strconv.FormatUint(seq, 10)
}

// parseCallID reads an id that [callID] wrote.
func parseCallID(prefix, id string) (call string, seq uint64, ok bool) {
	rest, ok := strings.CutPrefix(id, prefix)
	call, number, cut := strings.Cut(rest, "_")
	seq, err := strconv.ParseUint(number, 10, 64)
	if !ok || !cut || err != nil || seq == 0 {
		return "", 0, false
	}
	return call, seq, call != ""
}

// saidItems are the items of a response that nobody has to be told again, besides its message.
var saidItems = []string{"function_call", "mcp_approval_request", "reasoning"}

// answers reads an input that answers calls. It returns none if the input does something else.
// The input may repeat what the response itself has said.
func answers(raw json.RawMessage) (all []Answer, refusal *Error) {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return nil, nil
	}
	other := ""
	for i, raw := range list {
		var w struct {
			wireMessage
			Request string `json:"approval_request_id"`
			Approve *bool  `json:"approve"`
			Reason  string `json:"reason"`
		}
		param := fmt.Sprintf("input[%d]", i)
		if json.Unmarshal(raw, &w) != nil {
			return nil, Invalid(param, param+" cannot be read")
		}
		a := Answer{Param: param + ".call_id", ID: w.CallID}
		switch {
		case w.Type == "function_call_output":
			if a.Output, refusal = content(w.Output, param+".output"); refusal != nil {
				return nil, refusal
			}
			a.Call, a.Seq, _ = parseCallID(callPrefix, w.CallID)
		case w.Type == "mcp_approval_response":
			if w.Approve == nil {
				return nil, Invalid(param+".approve", param+".approve must be true or false")
			}
			a = Answer{Param: param + ".approval_request_id", ID: w.Request, Approval: true, Approve: *w.Approve, Reason: w.Reason}
			a.Call, a.Seq, _ = parseCallID(approvalPrefix, w.Request)
		case slices.Contains(saidItems, w.Type), w.Role == string(chat.RoleAssistant):
			continue
		default:
			other = param
			continue
		}
		all = append(all, a)
	}
	if all != nil && other != "" {
		return nil, Invalid(other, other+" stands beside answers to calls, with which a response goes on: say it when that has ended")
	}
	return all, nil
}

// NoCall refuses an answer to a call that is not there.
func (a Answer) NoCall() *Error {
	what := "call"
	if a.Approval {
		what = "request for approval"
	}
	return Invalid(a.Param, fmt.Sprintf("no %s of this response has the id %q", what, a.ID))
}

// Late refuses an answer to a call that has another one.
func (a Answer) Late(why string) *Error {
	e := ErrorOf(chat.Refuse(chat.CodeGone, fmt.Sprintf("%s: %s", a.ID, why)))
	e.Param = a.Param
	return e
}

// fitsAnswers refuses what a response cannot be told that goes on. Its model is that of the turn.
func (r ResponseRequest) fitsAnswers() *Error {
	decides := !slices.ContainsFunc(r.Answers, func(a Answer) bool { return !a.Approval })
	switch {
	case r.Only != nil:
		return noChoice("tool_choice", "tool_choice cannot be allowed_tools in a response that goes on: those of its first request hold")
	case decides && r.Choice != (chat.ToolChoice{}):
		return noChoice("tool_choice", "tool_choice must be auto beside decisions: it is for what the model calls next, told the outputs of functions")
	}
	return nil
}
