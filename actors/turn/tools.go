package turn

import (
	"context"
	"strings"
	"time"

	"parlor/protocol/chat"
)

// Tools are what models may call. Their methods may be called from any goroutine. The
// tools that pages of the asker offer are passed as page.
type Tools interface {
	// Offered returns the tools that a model may call, always in the same order. A page's
	// tool is left out if another one has its name.
	Offered(m chat.ModelID, page []chat.Tool) []chat.Tool

	// Check returns what is wrong with a call, in words for the model, or "".
	Check(m chat.ModelID, page []chat.Tool, c chat.ToolCall) string

	// Allows reports whether models may call the tool in answers that the user asks for.
	Allows(u chat.UserID, tool string) bool

	// Approval says whether people are asked before a model's call of a tool.
	Approval(m chat.ModelID, c chat.ToolCall) chat.Approval

	// Repeatable reports whether a call of the tool may run again if nobody knows
	// whether it has run.
	Repeatable(tool string) bool

	// Run runs a call, and returns its result for the model. It ends soon after ctx. An
	// error is told to the model and to people.
	Run(ctx context.Context, r chat.ToolRun) (result string, err error)

	// Admit returns why a page may not offer these tools, or nil.
	Admit(page []chat.Tool) *chat.Error

	// PageTimeout limits the time that a page has to answer a call of the tool.
	PageTimeout(tool string) time.Duration
}

// guides returns what the system prompt says of how to use the tools, or "".
func guides(tools []chat.Tool) string {
	var all []string
	for _, t := range tools {
		if t.Guide != "" {
			all = append(all, t.Guide)
		}
	}
	if all == nil {
		return ""
	}
	return "How to use the tools:\n\n" + strings.Join(all, "\n\n")
}

// NoTools are none.
type NoTools struct{}

// The methods of [Tools].
func (NoTools) Offered(chat.ModelID, []chat.Tool) []chat.Tool { return nil }
func (NoTools) Check(chat.ModelID, []chat.Tool, chat.ToolCall) string {
	return "there are no tools here"
}
func (NoTools) Approval(chat.ModelID, chat.ToolCall) chat.Approval { return chat.ApprovalAlways }
func (NoTools) Allows(chat.UserID, string) bool                    { return true }
func (NoTools) Repeatable(string) bool                             { return false }
func (NoTools) Run(context.Context, chat.ToolRun) (string, error)  { return "", errNoTool }
func (NoTools) Admit([]chat.Tool) *chat.Error                      { return errNoTool }
func (NoTools) PageTimeout(string) time.Duration                   { return time.Minute }

var errNoTool = chat.Refuse(chat.CodeNotFound, "there is no such tool")
