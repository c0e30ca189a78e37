package turn

import (
	"context"

	"parlor/protocol/chat"
)

// Tools are what models may call. Their methods may be called from any goroutine.
type Tools interface {
	// Offered returns the tools that a model may call, always in the same order.
	Offered(m chat.ModelID) []chat.Tool

	// Check returns what is wrong with a call, in words for the model, or "".
	Check(m chat.ModelID, c chat.ToolCall) string

	// Approval says whether people are asked before a model's call of the tool.
	Approval(m chat.ModelID, tool string) chat.Approval

	// Repeatable reports whether a call of the tool may run again if nobody knows
	// whether it has run.
	Repeatable(tool string) bool

	// Run runs a call, and returns its result for the model. It ends soon after ctx. An
	// error is told to the model and to people.
	Run(ctx context.Context, r chat.ToolRun) (result string, err error)
}

// NoTools are none.
type NoTools struct{}

// The methods of [Tools].
func (NoTools) Offered(chat.ModelID) []chat.Tool                  { return nil }
func (NoTools) Check(chat.ModelID, chat.ToolCall) string          { return "there are no tools here" }
func (NoTools) Approval(chat.ModelID, string) chat.Approval       { return chat.ApprovalAlways }
func (NoTools) Repeatable(string) bool                            { return false }
func (NoTools) Run(context.Context, chat.ToolRun) (string, error) { return "", errNoTool }

var errNoTool = chat.Refuse(chat.CodeNotFound, "there is no such tool")
