package upstream

import (
	"encoding/json"
	"fmt"
	"strings"

	"parlor/protocol/chat"
)

// Limits of the calls of one answer.
const (
	MaxCalls     = 128
	MaxArguments = 1 << 20 // bytes, of all together
)

// A CallPiece is what an event says of a call that the model makes. Servers leave out
// most of it in most pieces, and some of them repeat it.
type CallPiece struct {
	Index     *int // nil if there is none
	ID        string
	Name      string
	Arguments Text
	Otherwise string          // the arguments, if no piece brings any
	Back      json.RawMessage // see [chat.ToolCall]
}

// calls puts the calls of one answer together.
type calls struct {
	known func(name string) bool // whether a tool of this name is offered
	list  []*call
	bytes int // of arguments
}

// A call is one that is still written.
type call struct {
	index     *int
	id, name  string
	arguments strings.Builder
	joiner    Joiner
	otherwise string
	back      json.RawMessage
}

// add takes in a piece. It returns an error when there is more than anybody wants to run.
func (c *calls) add(p CallPiece) error {
	at := c.find(p)
	if at == nil {
		at = &call{index: p.Index, id: p.ID}
		c.list = append(c.list, at)
	}
	if at.id == "" {
		at.id = p.ID
	}
	at.named(p.Name, c.known)
	if p.Back != nil {
		at.back = p.Back
	}
	if p.Otherwise != "" {
		at.otherwise = p.Otherwise
	}
	if !at.repeats(p.Arguments) {
		more := at.joiner.Join(p.Arguments)
		at.arguments.WriteString(more)
		c.bytes += len(more)
	}
	switch {
	case len(c.list) > MaxCalls:
		return wrong(fmt.Sprintf("the model called more than %d tools at once", MaxCalls), nil)
	case c.bytes > MaxArguments:
		return wrong(fmt.Sprintf("the arguments of the model's calls are longer than %d bytes", MaxArguments), nil)
	}
	return nil
}

// find returns the call that a piece continues, or nil if the piece opens one. An id
// that was not there yet opens one together with a name, whatever its index. Without an
// index and an id, the call that was opened last is continued.
func (c *calls) find(p CallPiece) *call {
	var last, same *call
	for _, at := range c.list {
		if p.ID != "" && at.id == p.ID {
			return at
		}
		if last = at; p.Index != nil && at.index != nil && *at.index == *p.Index {
			same = at
		}
	}
	if p.Index != nil {
		last = same
	}
	switch {
	case last == nil, p.ID != "" && p.Name != "" && last.id != "":
		return nil
	case p.ID == "" && p.Name != "" && last.ended() && !last.repeats(p.Arguments) && p.Arguments != (Text{}):
		return nil // a whole call follows a whole one, and neither has an id
	}
	return last
}

// named adds a piece of the name, which may be the whole name once more.
func (c *call) named(piece string, known func(string) bool) {
	switch joined := c.name + piece; {
	case piece == "" || piece == c.name:
	case c.name == "" || known(joined) || !known(c.name):
		c.name = joined
	}
}

// ended reports whether the arguments are a whole object.
func (c *call) ended() bool { return json.Valid([]byte(c.arguments.String())) }

// repeats reports whether a piece is the whole arguments once more.
func (c *call) repeats(t Text) bool {
	return len(t.body) > 1 && len(t.body) == c.arguments.Len() && t.body == c.arguments.String() && c.ended()
}

// whole returns the calls, now that the answer is whole. What has neither a name nor
// arguments is none.
func (c *calls) whole() (list []chat.ToolCall) {
	for _, at := range c.list {
		arguments := at.arguments.String() + at.joiner.Rest()
		if strings.TrimSpace(arguments) == "" {
			arguments = at.otherwise
		}
		if at.name == "" && arguments == "" {
			continue
		}
		if arguments == "" || arguments == "null" {
			arguments = "{}"
		}
		list = append(list, chat.ToolCall{Name: at.name, Arguments: arguments, Given: at.id, Back: at.back})
	}
	return list
}
