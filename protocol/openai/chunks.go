package openai

import "parlor/protocol/chat"

// Chunks turn what a room tells of a turn into the chunks of a completion. They are not safe
// for concurrent use.
type Chunks struct {
	completion Completion
	usage      bool // is wanted
	turn       Turn
	bytes      int // of the text that was told
	begun      bool
}

// NewChunks returns the chunks of a turn's answer.
func NewChunks(c Completion, t Turn, usage bool) *Chunks {
	return &Chunks{completion: c, turn: t, usage: usage}
}

// Ended reports whether the last chunk was returned.
func (c *Chunks) Ended() bool { return c.turn.Ended() }

// Take returns the chunks that a notice leads to: see [Stream.Take]. The error is for the
// client, and ends the answer. A completion cannot begin anew when its text was told.
func (c *Chunks) Take(n any) (chunks []byte, refusal *Error) {
	if c.turn.Ended() {
		return nil, nil
	}
	switch n := n.(type) {
	case chat.Missed:
		return c.record(n.Record)
	case chat.Record:
		return c.record(n)
	case chat.TextSoFar:
		if c.turn.Runs(n.Turn) && !n.Cut {
			return c.text(n.Text, 0), nil
		}
	case *Piece:
		if c.turn.Runs(n.Turn) {
			if from := c.bytes; from < n.FromBytes && len(n.Before) >= n.FromBytes {
				return c.text(string(n.Before[from:])+n.Text, from), nil
			}
			return c.text(n.Text, n.FromBytes), nil
		}
	}
	return nil, nil
}

// text tells a piece of text that stands at from, without what was told before.
func (c *Chunks) text(text string, from int) []byte {
	known := c.bytes - from
	if known < 0 || known >= len(text) {
		return nil
	}
	c.bytes += len(text) - known
	return append(c.begin(), c.completion.Next(text[known:])...)
}

func (c *Chunks) begin() []byte {
	if c.begun {
		return nil
	}
	c.begun = true
	return c.completion.First()
}

func (c *Chunks) record(r chat.Record) ([]byte, *Error) {
	switch change := c.turn.take(r); {
	case change == noChange:
		return nil, nil
	case change == isOpened:
		c.bytes = c.turn.base
	case change == isStarted && c.bytes > c.turn.base:
		return nil, &Error{Status: 502, Type: typeServer, Code: "interrupted", Message: "the answer was cut by a failure and begins anew; the conversation has it"}
	}
	if !c.turn.Ended() {
		return nil, nil
	}
	if refusal := c.turn.Failure(); refusal != nil {
		return nil, refusal
	}
	chunks, calls := c.text(c.turn.Text(), c.turn.base), c.turn.functions()
	chunks = append(chunks, c.begin()...)
	if len(calls) > 0 {
		chunks = append(chunks, c.completion.Calls(calls)...)
	}
	chunks = append(chunks, c.completion.Last(c.turn.end.Finish, calls...)...)
	if c.usage {
		chunks = append(chunks, c.completion.Usage(c.turn.end.Usage)...)
	}
	return append(chunks, Done...), nil
}

// Failure returns why a turn that has ended has no answer, or nil. To ask again is of no use:
// the question was answered so.
func (t *Turn) Failure() *Error {
	switch e := t.end; {
	case e == nil || e.State == chat.StateCompleted || e.State == chat.StateStopped:
		return nil
	case e.Error != nil:
		refusal := ErrorOf(e.Error)
		refusal.Final = true
		return refusal
	}
	return &Error{Status: 502, Type: typeServer, Code: string(t.end.State), Message: failureOf(*t.end).Message, Final: true}
}

// Whole returns the body of the completion that a turn has ended with.
func (t *Turn) Whole(c Completion) []byte {
	return c.Whole(t.Text(), t.end.Finish, t.end.Usage, t.functions()...)
}
