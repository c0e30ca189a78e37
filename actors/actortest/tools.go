package actortest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"parlor/protocol/chat"
)

// CallTools begins the last piece of an answer that ends in calls: it is no text, but lines
// of a name and arguments.
const CallTools = "\x00calls "

// Call is a script that ends in calls of tools, each a name, a space and the arguments.
func Call(calls ...string) Script { return Say(CallTools + strings.Join(calls, "\n")) }

// callsOf reads a piece that begins with CallTools.
func callsOf(piece string) *chat.Calls {
	calls := new(chat.Calls)
	for line := range strings.Lines(piece) {
		name, arguments, _ := strings.Cut(strings.TrimSpace(line), " ")
		calls.List = append(calls.List, chat.ToolCall{Name: name, Arguments: arguments})
	}
	return calls
}

// Tools are the tools of a [Server]. Those that nobody has described answer "NAME: ARGUMENTS"
// at once.
type Tools struct {
	// Names are those that are offered. Assistants call what they like.
	Names []string

	mu         sync.Mutex
	how        map[string]func(ctx context.Context, r chat.ToolRun) (string, error)
	approvals  map[string]chat.Approval
	repeatable map[string]bool
	allowed    map[string][]chat.UserID
	runs       []chat.ToolRun
}

// On says how a tool runs.
func (t *Tools) On(name string, run func(ctx context.Context) (string, error)) {
	t.OnRun(name, func(ctx context.Context, _ chat.ToolRun) (string, error) { return run(ctx) })
}

// OnRun says how a tool runs that looks at its run.
func (t *Tools) OnRun(name string, run func(ctx context.Context, r chat.ToolRun) (string, error)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.how == nil {
		t.how = make(map[string]func(context.Context, chat.ToolRun) (string, error))
	}
	t.how[name] = run
}

// Ask has people be asked before a tool runs.
func (t *Tools) Ask(name string, a chat.Approval) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.approvals == nil {
		t.approvals = make(map[string]chat.Approval)
	}
	t.approvals[name] = a
}

// Allow leaves a tool to the answers that these users ask for.
func (t *Tools) Allow(name string, users ...chat.UserID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.allowed == nil {
		t.allowed = make(map[string][]chat.UserID)
	}
	t.allowed[name] = users
}

// Allows implements the tools of package turn.
func (t *Tools) Allows(u chat.UserID, name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	users, limited := t.allowed[name]
	return !limited || slices.Contains(users, u)
}

// Repeat makes a tool one that may run again.
func (t *Tools) Repeat(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.repeatable = map[string]bool{name: true}
}

// Runs returns the calls that have begun to run, as "NAME ARGUMENTS".
func (t *Tools) Runs() (runs []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.runs {
		runs = append(runs, r.Call.Name+" "+r.Call.Arguments)
	}
	return runs
}

// Keys returns the keys of those.
func (t *Tools) Keys() (keys []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.runs {
		keys = append(keys, r.Key)
	}
	return keys
}

// Offered implements turn.Tools: assistants call what they like.
func (t *Tools) Offered(_ chat.ModelID, page []chat.Tool) (all []chat.Tool) {
	for _, name := range t.Names {
		all = append(all, chat.Tool{Name: name})
	}
	return append(all, page...)
}

// Check implements turn.Tools: arguments that are no object are wrong.
func (t *Tools) Check(_ chat.ModelID, _ []chat.Tool, c chat.ToolCall) string {
	if !strings.HasPrefix(c.Arguments, "{") || !strings.HasSuffix(c.Arguments, "}") {
		return "no object"
	}
	return ""
}

// Approval implements turn.Tools.
func (t *Tools) Approval(_ chat.ModelID, c chat.ToolCall) chat.Approval {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a, ok := t.approvals[c.Name]; ok {
		return a
	}
	return chat.ApprovalNever
}

// Repeatable implements turn.Tools.
func (t *Tools) Repeatable(tool string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.repeatable[tool]
}

// Admit implements turn.Tools: nobody may offer "taken".
func (t *Tools) Admit(page []chat.Tool) *chat.Error {
	if slices.ContainsFunc(page, func(t chat.Tool) bool { return t.Name == "taken" }) {
		return chat.Refuse(chat.CodeInvalid, "there is such a tool")
	}
	return nil
}

// PageTimeout implements turn.Tools.
func (t *Tools) PageTimeout(string) time.Duration { return time.Minute }

// Run implements turn.Tools.
func (t *Tools) Run(ctx context.Context, r chat.ToolRun) (string, error) {
	t.mu.Lock()
	t.runs = append(t.runs, r)
	run := t.how[r.Call.Name]
	t.mu.Unlock()
	if run != nil {
		return run(ctx, r)
	}
	return fmt.Sprintf("%s: %s", r.Call.Name, r.Call.Arguments), nil
}
