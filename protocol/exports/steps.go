package exports

import (
	"strings"

	"parlor/protocol/chat"
)

// Limits of what an answer tells of its calls. The records of the calls have all.
const (
	maxCalled     = 128
	maxCalledText = 128 // bytes of arguments, and of a result
)

// steps are what an answer has said so far.
type steps struct {
	text, thought     strings.Builder // of all
	step, stepThought strings.Builder // since the last calls
	steps             int
	called            []chat.Called
	units             int // UTF-16 code units of text
	usage             *chat.Usage
}

func (s *steps) say(m Message) {
	if m.Content != "" {
		between := chat.Between(s.text.String())
		s.text.WriteString(between + m.Content)
		s.units += chat.UTF16Len(between + m.Content)
		s.step.WriteString(chat.Between(s.step.String()) + m.Content)
	}
	if m.Thought != "" {
		s.thought.WriteString(chat.Between(s.thought.String()) + m.Thought)
		s.stepThought.WriteString(chat.Between(s.stepThought.String()) + m.Thought)
	}
	s.usage = s.usage.Plus(m.Usage)
}

func (s *steps) call(c chat.ToolCall, end chat.ToolEnded) {
	if len(s.called) == maxCalled {
		return
	}
	args, result := begin(c.Arguments), begin(end.Result)
	s.called = append(s.called, chat.Called{
		ID: c.ID, Name: c.Name, Arguments: args, State: end.State, Result: result, At: s.units,
		Cut: len(args) < len(c.Arguments) || len(result) < len(end.Result),
	})
}

// next begins a step.
func (s *steps) next() {
	s.steps++
	s.step.Reset()
	s.stepThought.Reset()
}

func begin(text string) string {
	if len(text) <= maxCalledText {
		return text
	}
	return strings.ToValidUTF8(text[:maxCalledText], "")
}
