package conversation

import (
	"strings"
	"unicode/utf8"

	"parlor/protocol/chat"
)

// Limits of the summary of what a turn has called. With them it takes no more than half
// of a page of history.
const (
	maxCalled        = 128      // calls
	maxCalledText    = 1 << 10  // bytes of the arguments, or of the result, of a call
	maxCalledTexts   = 32 << 10 // of all of them, as JSON
	calledTextMinLen = len(`""`)
)

// A Summary is what the first turn has called so far, as its end will tell it. The zero
// value is that of a turn that has called nothing.
type Summary struct {
	Calls []chat.Called `json:",omitempty"`

	Said     int  `json:",omitempty"` // UTF-16 code units of text in the steps
	EndsLine bool `json:",omitempty"` // that text ends a line
	Texts    int  `json:",omitempty"` // bytes of arguments and results, as JSON
}

// step takes in a step that has ended in calls.
func (s *Summary) step(e chat.ToolsCalled) {
	if e.Content != "" {
		if s.Said > 0 && !s.EndsLine {
			s.Said += chat.UTF16Len(chat.BetweenSteps)
		}
		s.Said += chat.UTF16Len(e.Content)
		s.EndsLine = strings.HasSuffix(e.Content, "\n")
	}
	for _, c := range e.Calls {
		if len(s.Calls) == maxCalled {
			return
		}
		called := chat.Called{ID: c.ID, Name: c.Name, At: s.Said}
		called.Arguments, called.Cut = s.cut(c.Arguments)
		s.Calls = append(s.Calls, called)
	}
}

// decided takes in what a member has decided.
func (s *Summary) decided(e chat.ToolDecided) {
	c := s.find(e.CallID)
	if c == nil {
		return
	}
	c.By = e.By
	if e.Args != "" {
		c.Arguments, c.Cut = s.cut(e.Args)
	}
}

// ended takes in what has come of a call.
func (s *Summary) ended(e chat.ToolEnded) {
	c := s.find(e.CallID)
	if c == nil {
		return
	}
	c.State = e.State
	if e.By != "" && e.ClientID == "" {
		c.By = e.By
	}
	result, cut := s.cut(e.Result)
	c.Result, c.Cut = result, c.Cut || cut
}

func (s *Summary) find(id string) *chat.Called {
	for i := range s.Calls {
		if s.Calls[i].ID == id {
			return &s.Calls[i]
		}
	}
	return nil
}

// cut returns as much of a text as the summary has space for, and whether that is less.
func (s *Summary) cut(text string) (begin string, cut bool) {
	begin = text[:min(len(text), maxCalledText)]
	for begin != "" && s.Texts+chat.EncodedLen(begin)-calledTextMinLen > maxCalledTexts {
		begin = begin[:len(begin)/2]
	}
	for len(begin) < len(text) && begin != "" && !utf8.RuneStart(text[len(begin)]) {
		begin = begin[:len(begin)-1]
	}
	s.Texts += chat.EncodedLen(begin) - calledTextMinLen
	return begin, len(begin) < len(text)
}
