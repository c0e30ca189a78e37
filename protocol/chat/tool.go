package chat

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// A Tool is what a model may call while it answers.
type Tool struct {
	Name        string // as people know it. Providers may be told another one
	Description string
	Schema      json.RawMessage // JSON Schema of the arguments, which are an object
	OnPage      bool            // a page of the member who asks runs it
	Guide       string          // tells the model in the system prompt when and how to use it

	// Requested means that a program brings the tool with its request, so that the model is
	// offered it whatever tools the model has otherwise.
	Requested bool
}

// A ToolCall is a request of the assistant to run a tool.
type ToolCall struct {
	ID   string `json:"call_id"`
	Name string `json:"function_name"`

	// Arguments are what the model wrote: a JSON object, unless it was mistaken.
	Arguments string `json:"arguments,omitempty"`

	// Given is the provider's id of the call, which may be none, or that of another
	// call before. Back is what the provider wants to see again with the call, as it
	// came.
	Given string          `json:"given_id,omitempty"`
	Back  json.RawMessage `json:"back,omitempty"`

	// NeedsApproval has the call wait until a member decides.
	NeedsApproval bool `json:"needs_approval,omitempty"`

	// OnPage has a page of the member who asked run the call, instead of the server. If the call
	// is Requested, that is the program which has brought the tool with its request.
	OnPage    bool `json:"on_page,omitempty"`
	Requested bool `json:"requested,omitempty"`
}

// A ToolChoice says what a model is to call. The zero value leaves it to the model.
type ToolChoice struct {
	Mode ToolMode `json:"mode,omitempty"`
	Name string   `json:"function_name,omitempty"` // of the tool that it has to call, if it has to call one
}

// A ToolMode says whether a model is to call tools.
type ToolMode string

// The modes, besides the empty one, which leaves it to the model.
const (
	ToolsNone     ToolMode = "none"
	ToolsRequired ToolMode = "required"
)

// Forced reports whether the model has to call something.
func (c ToolChoice) Forced() bool { return c.Mode == ToolsRequired }

// Within returns why the model cannot be made to call this of the tools that it is offered, or
// nil.
func (c ToolChoice) Within(offered []Tool) *Error {
	switch {
	case !c.Forced():
		return nil
	case len(offered) == 0:
		return Refuse(CodeToolChoice, "the model has to call a tool, and is offered none")
	case c.Name != "" && !slices.ContainsFunc(offered, func(t Tool) bool { return t.Name == c.Name }):
		return Refuse(CodeToolChoice, fmt.Sprintf("the model has to call %q, and is not offered it", c.Name))
	}
	return nil
}

// Calls are what a model wants to have run before it goes on with its answer. If the
// list is empty its provider has paused the answer, and goes on when it is asked again.
type Calls struct {
	List []ToolCall

	// Back is what the provider wants to see again with the answer, as it came.
	Back json.RawMessage
}

// A Pending call waits for a member to decide or, if it is Running, for a page to answer it.
// If it is Lost, the server has ended while it ran, and nobody knows whether it has had an
// effect.
type Pending struct {
	Call    ToolCall
	Lost    bool
	Running bool
}

// An Approval says whether people are asked before a tool runs.
type Approval string

// The approvals, from the most to the least strict.
const (
	ApprovalAlways Approval = "always" // each time
	ApprovalAsk    Approval = "ask"    // unless a member said "always in this chat"
	ApprovalNever  Approval = "never"
)

// Valid reports whether a is one of these.
func (a Approval) Valid() bool {
	return a == ApprovalAlways || a == ApprovalAsk || a == ApprovalNever
}

// A ToolRun is a call that runs.
type ToolRun struct {
	Call ToolCall
	Room RoomID
	User UserID // who asked for the answer

	// Key is the same whenever the call is repeated, and no other call has it.
	Key string

	// Progress is told how far the call is. It may be called from any goroutine, at any time
	// and as often as the tool likes. It is nil if nobody wants to know.
	Progress func(ToolProgress)
}

// A ToolProgress says how far a call is that runs. It is not recorded.
type ToolProgress struct {
	Progress float64 `json:"progress"`
	Total    float64 `json:"total,omitempty"` // that Progress reaches in the end; 0 if nobody knows
	Message  string  `json:"message,omitempty"`
}

// ToolsCalled records a step of the running turn: what the model has said in it, and the
// tools that it wants to have run before the next one. Tools run after that, and not
// before. If the list is empty, the provider has paused the answer.
type ToolsCalled struct {
	TurnID    TurnID          `json:"turn_id"`
	MessageID MessageID       `json:"message_id"`
	ModelID   ModelID         `json:"model_id"` // that called them
	Content   string          `json:"content,omitempty"`
	Thought   string          `json:"thought,omitempty"`
	Calls     []ToolCall      `json:"calls"`
	Back      json.RawMessage `json:"back,omitempty"` // see [Calls]

	// Duplex and Correlation are those of the turn, see [TurnEnded].
	Duplex      bool   `json:"duplex,omitempty"`
	Correlation string `json:"local_id,omitempty"`
}

// BetweenSteps divides the words of two steps.
const BetweenSteps = "\n\n"

// Between returns what stands between the text of a turn so far and what it says in its
// next step.
func Between(text string) string {
	if text == "" || strings.HasSuffix(text, "\n") {
		return ""
	}
	return BetweenSteps
}

// ToolDecided records that a member has approved a call that waited, or denied it. Args
// are the arguments if the member has changed them, and Always says that nobody is asked
// again in this chat before the tool runs.
type ToolDecided struct {
	TurnID   TurnID   `json:"turn_id"`
	CallID   string   `json:"call_id"`
	Name     string   `json:"function_name"`
	Approved bool     `json:"approved"`
	Args     string   `json:"arguments,omitempty"`
	Always   bool     `json:"always,omitempty"`
	By       UserID   `json:"by"` // empty: nobody has decided in time
	Reason   string   `json:"reason,omitempty"`
	Waiting  int      `json:"waiting,omitempty"`           // calls of the turn that still wait
	ClientID ClientID `json:"client_message_id,omitempty"` // of the command
}

// Expired reports whether the call was denied because nobody has decided in time.
func (d ToolDecided) Expired() bool { return d.By == "" }

// ToolsLost records that the server has ended while these calls ran. Nobody knows whether
// they have had an effect: members decide whether they run again.
type ToolsLost struct {
	TurnID TurnID   `json:"turn_id"`
	Calls  []string `json:"calls"`
}

// ToolEnded records what has come of a call.
type ToolEnded struct {
	TurnID TurnID      `json:"turn_id"`
	CallID string      `json:"call_id"`
	Name   string      `json:"function_name"`
	State  ToolOutcome `json:"state"`
	Result string      `json:"result,omitempty"` // for the model; an error, unless it is completed
	By     UserID      `json:"by,omitempty"`     // who stopped or denied it, or whose page has answered it

	ClientID ClientID `json:"client_message_id,omitempty"` // [PageAnswer], if a page has answered it

	// Choice is what the model is to call in the next step, as the app says that has answered.
	Choice ToolChoice `json:"tool_choice,omitzero"`

	// Duplex and Correlation are those of the turn, see [TurnEnded].
	Duplex      bool   `json:"duplex,omitempty"`
	Correlation string `json:"local_id,omitempty"`
}

// ToolEnded returns the end of a call of the turn, without what has come of it.
func (t Turn) ToolEnded(c ToolCall) ToolEnded {
	return ToolEnded{TurnID: t.ID, CallID: c.ID, Name: c.Name, Duplex: t.Duplex, Correlation: t.Correlation}
}

// PageAnswer is the idempotency key of the answer of a page to a call.
func PageAnswer(call string) ClientID { return ClientID("function_result:" + call) }

// A Called is a call of a tool as an answer tells it. Its texts are cut to a length.
type Called struct {
	ID        string      `json:"call_id"`
	Name      string      `json:"function_name"`
	Arguments string      `json:"arguments"`       // JSON, unless the model was mistaken or it is cut
	State     ToolOutcome `json:"state,omitempty"` // empty as long as the call has not ended
	Result    string      `json:"result,omitempty"`
	By        UserID      `json:"by,omitempty"`  // who has decided about it, or stopped it
	At        int         `json:"at"`            // UTF-16 code units of the answer come before it
	Cut       bool        `json:"cut,omitempty"` // Arguments or Result are no more than their beginning

	// Progress is how far the call is, as the tool has told last. It is in no record.
	Progress *ToolProgress `json:"progress,omitempty"`
}

// A ToolOutcome is how a call ended.
type ToolOutcome string

// The outcomes.
const (
	ToolCompleted ToolOutcome = "completed"
	ToolFailed    ToolOutcome = "failed"  // the tool said so, or the call did not run
	ToolDenied    ToolOutcome = "denied"  // a member did not want it
	ToolStopped   ToolOutcome = "stopped" // the turn ended while it waited or ran
	ToolUnknown   ToolOutcome = "unknown" // the server ended while it ran
)

func (ToolsCalled) kind() string { return "tools_called" }
func (ToolDecided) kind() string { return "tool_decided" }
func (ToolsLost) kind() string   { return "tools_lost" }
func (ToolEnded) kind() string   { return "tool_ended" }
