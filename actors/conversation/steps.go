package conversation

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// Steps are those of one turn that have ended in calls of tools, in order. The zero value
// has none.
type Steps struct {
	list     []chat.ToolsCalled
	outcomes map[string]chat.ToolEnded // by the id of the call
}

// Add takes in a record of the turn.
func (s *Steps) Add(e chat.Event) {
	switch e := e.(type) {
	case chat.ToolsCalled:
		e.Calls = slices.Clone(e.Calls)
		s.list = append(s.list, e)
	case chat.ToolDecided:
		for i := range s.list {
			for j := range s.list[i].Calls {
				if c := &s.list[i].Calls[j]; c.ID == e.CallID && e.Args != "" {
					c.Arguments = e.Args
				}
			}
		}
	case chat.ToolEnded:
		if s.outcomes == nil {
			s.outcomes = make(map[string]chat.ToolEnded)
		}
		s.outcomes[e.CallID] = e
	}
}

// Len returns how many steps there are.
func (s *Steps) Len() int { return len(s.list) }

// Last returns the last step and what is known of its calls, if one of them has not ended.
func (s *Steps) Last() (last chat.ToolsCalled, outcomes []chat.ToolEnded, open bool) {
	if len(s.list) == 0 {
		return last, nil, false
	}
	last = s.list[len(s.list)-1]
	for _, c := range last.Calls {
		if o, ended := s.outcomes[c.ID]; ended {
			outcomes = append(outcomes, o)
		}
	}
	return last, outcomes, len(outcomes) < len(last.Calls)
}

// Replace puts the last step as it has become in the place of what it was.
func (s *Steps) Replace(last chat.ToolsCalled) { s.list[len(s.list)-1] = last }

// Text returns what was said in the steps.
func (s *Steps) Text() string {
	text := ""
	for _, step := range s.list {
		text = text + chat.Between(text) + step.Content
	}
	return text
}

// Messages returns the steps as a model is told them. A call that has not ended is told as
// one that was stopped.
func (s *Steps) Messages() (messages []chat.PromptMessage) {
	for _, step := range s.list {
		messages = append(messages, StepMessages(step, func(c chat.ToolCall) chat.ToolEnded {
			if o, ended := s.outcomes[c.ID]; ended {
				return o
			}
			return chat.ToolEnded{State: chat.ToolStopped, Result: "this was stopped before it had ended"}
		})...)
	}
	return messages
}

// Choice returns what the model is to call behind the last step, see [ChoiceOf].
func (s *Steps) Choice() chat.ToolChoice {
	_, outcomes, _ := s.Last()
	return ChoiceOf(outcomes)
}

// ChoiceOf returns what a model is to call, told these outcomes.
func ChoiceOf(outcomes []chat.ToolEnded) (c chat.ToolChoice) {
	for _, o := range outcomes {
		c = cmp.Or(o.Choice, c)
	}
	return c
}

// StepMessages returns a step as a model is told it, with the outcomes of its calls.
func StepMessages(step chat.ToolsCalled, outcome func(chat.ToolCall) chat.ToolEnded) []chat.PromptMessage {
	messages := []chat.PromptMessage{{
		Role: chat.RoleAssistant, Content: step.Content, Calls: step.Calls, Model: step.ModelID, Thought: step.Thought, Back: step.Back,
	}}
	for _, c := range step.Calls {
		o := outcome(c)
		messages = append(messages, chat.PromptMessage{Role: chat.RoleTool, ResultOf: &c, Content: o.Result, Failed: o.State != chat.ToolCompleted})
	}
	return messages
}

// rest returns what a turn has said behind its steps, of all that it has said.
func (s *Steps) rest(content string) string {
	before := s.Text()
	return strings.TrimPrefix(strings.TrimPrefix(content, before), chat.Between(before))
}

// tokens returns how many tokens the steps take in a prompt.
func (s *Steps) tokens() (n int) {
	for _, step := range s.list {
		n += stepTokens(step)
	}
	for _, o := range s.outcomes {
		n += chat.Tokens(o.Result) + chat.MessageTokens
	}
	return n
}

func stepTokens(e chat.ToolsCalled) int {
	n := chat.Tokens(e.Content) + len(e.Back)/bytesPerToken + chat.MessageTokens
	for _, c := range e.Calls {
		n += chat.Tokens(c.Arguments) + chat.Tokens(c.Name) + chat.MessageTokens
	}
	return n
}

// StepsOf reads the steps of a turn that runs, from the record of the first one on.
func StepsOf(ctx context.Context, turn chat.Turn, read func(after uint64) iter.Seq2[persistence.Entry, error]) (s Steps, err error) {
	if turn.Steps == 0 {
		return s, nil
	}
	for record, err := range Records(ctx, read(turn.FirstStep-1)) {
		if err != nil {
			return s, err
		}
		if TurnOf(record.Event) == turn.ID {
			s.Add(record.Event)
		}
	}
	return s, nil
}

// TurnOf returns the turn to whose steps an event belongs, or "".
func TurnOf(e chat.Event) chat.TurnID {
	switch e := e.(type) {
	case chat.ToolsCalled:
		return e.TurnID
	case chat.ToolDecided:
		return e.TurnID
	case chat.ToolEnded:
		return e.TurnID
	}
	return ""
}
