package chaos

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"parlor/protocol/chat"
)

// payTool is the name of the tool.
const payTool = "pay"

// bills are what a tool has paid: an effect that the world sees. It may be used by several
// goroutines at once.
type bills struct {
	mu   sync.Mutex
	paid map[string]int // runs, by the key of the call
}

// toolConfig is the tool as parlor takes it.
func (p *provider) toolConfig() map[string]any {
	parameters := map[string]any{"type": "object", "properties": map[string]any{"for": map[string]any{"type": "string"}}, "required": []string{"for"}}
	return map[string]any{payTool: map[string]any{
		"url": p.url + "/pay", "description": "Pays.", "approval": chat.ApprovalNever, "parameters": parameters,
	}}
}

// pay pays at once, and answers a while later: in between the server may end.
func (b *bills) pay(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	b.paid[r.Header.Get("Idempotency-Key")]++
	b.mu.Unlock()
	sleep(r.Context(), time.Duration(rand.Int64N(int64(300*time.Millisecond))))
	fmt.Fprint(w, "paid")
}

// runs returns what was paid so far.
func (b *bills) runs() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.paid)
}

// A promptMessage is one of those that a model is asked with.
type promptMessage struct {
	Role      string
	Content   string
	ToolCalls []struct {
		Function struct{ Arguments string }
	} `json:"tool_calls"`
}

// askedIn returns what somebody has said last.
func askedIn(messages []promptMessage) string {
	for i := len(messages) - 1; i >= 0; i-- {
		if messages[i].Role == string(chat.RoleUser) {
			return words(messages[i].Content)
		}
	}
	return ""
}

// A bill is the arguments of a call.
type bill struct {
	For string `json:"for"`
}

// paysIn reports whether the model has called the tool for what was asked.
func paysIn(messages []promptMessage, asked string) bool {
	for _, m := range messages {
		for _, c := range m.ToolCalls {
			var b bill
			if json.Unmarshal([]byte(c.Function.Arguments), &b) == nil && b.For == asked {
				return true
			}
		}
	}
	return false
}

// call answers with a call of the tool.
func (p *provider) call(w http.ResponseWriter, asked string) {
	arguments, _ := json.Marshal(bill{asked})
	call, _ := json.Marshal(map[string]any{"choices": []any{map[string]any{"index": 0, "finish_reason": "tool_calls", "delta": map[string]any{
		"tool_calls": []any{map[string]any{"index": 0, "id": "call_1", "type": "function", "function": map[string]any{"name": payTool, "arguments": string(arguments)}}},
	}}}})
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprintf(w, "data: %s\n\ndata: [DONE]\n\n", call)
}

// A call is what the log says of one.
type call struct {
	seq      uint64
	turn     chat.TurnID
	approved int // how often a member wanted it to run again
	ends     []chat.ToolEnded
}

// toolRecord takes what the log says of calls.
func (c *checker) toolRecord(r chat.Record) {
	switch e := r.Event.(type) {
	case chat.ToolsCalled:
		for _, called := range e.Calls {
			c.calls[called.ID] = &call{seq: r.Seq, turn: e.TurnID}
			c.report.calls.Add(1)
		}
		c.steps[e.TurnID] = c.attempts[e.TurnID]
	case chat.ToolsLost:
		c.report.lost.Add(int64(len(e.Calls)))
	case chat.ToolDecided:
		if e.Approved {
			c.calls[e.CallID].approved++
		}
	case chat.ToolEnded:
		called := c.calls[e.CallID]
		called.ends = append(called.ends, e)
	}
}

// compareCalls: each call has one stated outcome, and ran at most once, unless a member wanted
// it to run again.
func (c *checker) compareCalls(paid map[string]int) {
	for id, called := range c.calls {
		runs := paid[id]
		delete(paid, id)
		switch {
		case len(called.ends) != 1:
			c.wrong(called.seq, fmt.Errorf("call %s has %d outcomes", id, len(called.ends)))
		case runs > 1+called.approved:
			c.wrong(called.seq, fmt.Errorf("call %s ran %d times, and members wanted it to run again %d times", id, runs, called.approved))
		case called.ends[0].State == chat.ToolStopped && c.ended[called.turn].State == chat.StateCompleted:
			c.wrong(called.seq, fmt.Errorf("call %s is stopped, in a turn that has completed", id))
		case called.ends[0].State == chat.ToolCompleted && runs == 0:
			c.wrong(called.seq, fmt.Errorf("call %s is completed, and has not run", id))
		}
	}
}
