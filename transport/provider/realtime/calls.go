package realtime

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// functionCall is the type of items that are calls.
const functionCall = "function_call"

// activeResponse is the code with which the provider refuses an answer while it gives another
// one. That is no failure: the other one ends soon.
const activeResponse = "conversation_already_has_active_response"

// maxBusy is how often an answer is asked for again that was refused so.
const maxBusy = 10

// refusesTools matches what servers say that take no tools.
var refusesTools = regexp.MustCompile(`(?i)\btools?\b`)

// A call is one that the model makes. Providers tell its name and its arguments in some of
// several places.
type call struct {
	item, id, name string
	pieces         strings.Builder
	joiner         upstream.Joiner
	whole          bool
	arguments      string // if it is whole
}

// A toolChoice is a tool that the model has to call.
type toolChoice struct {
	Type string `json:"type"`
	Name string `json:"name"`
}

// offer adds what the model may call.
func (c *responseConfig) offer(p chat.Prompt) {
	for _, t := range p.Tools {
		c.Tools = append(c.Tools, tool{"function", t.Name, t.Description, t.Schema})
	}
	switch choice := p.Calling(); {
	case choice.Name != "":
		c.ToolChoice = toolChoice{"function", choice.Name}
	case choice.Mode != "":
		c.ToolChoice = choice.Mode
	}
}

// told returns the question as the provider is told it.
func (s *session) told(a *ask) (chat.Prompt, func(string) string) {
	p := chat.Prompt{Messages: a.Messages, Tools: a.Tools, NoCalls: a.NoCalls, Choice: a.Choice}
	if s.noTools {
		p.Tools = nil
	}
	return upstream.Told(p)
}

// speaking returns the id of the response that the provider is giving, or "".
func (s *session) speaking() string {
	if s.flight == nil {
		return ""
	}
	return s.flight.id
}

// find returns the call of an item, or the one with the id, or nil.
func (f *flight) find(item, id string) *call {
	i := slices.IndexFunc(f.calls, func(c *call) bool { return item != "" && c.item == item || id != "" && c.id == id })
	if i < 0 {
		return nil
	}
	return f.calls[i]
}

// called reports whether the answer has calls, and all of them are whole.
func (f *flight) called() bool {
	return len(f.calls) > 0 && !slices.ContainsFunc(f.calls, func(c *call) bool { return !c.whole })
}

// callItem takes in what an item says of a call. Done means that its arguments are all of
// them, unless there are none: some servers leave them out there.
func (s *session) callItem(response string, i serverItem, done bool) {
	f := s.flight
	if f == nil || f.id == "" || f.id != response || i.Type != functionCall || i.ID == "" && i.CallID == "" || s.items.ours(i.ID) {
		return
	}
	c := f.find(i.ID, i.CallID)
	if c == nil {
		c = &call{item: i.ID}
		f.calls = append(f.calls, c)
		s.items = append(s.items, item{key: "a call in " + f.id + " " + i.ID + i.CallID, id: i.ID})
	}
	if i.CallID != "" {
		c.id = i.CallID
	}
	if i.Name != "" {
		c.name = i.Name
	}
	if done && i.Arguments != "" && !c.whole {
		c.whole, c.arguments = true, i.Arguments
	}
	s.lives(f)
}

// argument takes in a piece of the arguments of a call.
func (s *session) argument(e *serverEvent) {
	f := s.flight
	if f == nil || f.id != e.ResponseID {
		return
	}
	c := f.find(e.ItemID, e.CallID)
	if c == nil {
		s.callItem(e.ResponseID, serverItem{ID: e.ItemID, Type: functionCall, CallID: e.CallID}, false)
		if c = f.find(e.ItemID, e.CallID); c == nil {
			return
		}
	}
	c.pieces.WriteString(c.joiner.Join(e.Delta))
	s.lives(f)
}

// lives notes that the model is at work on its calls. When all of them are whole, the end of
// the answer has to follow soon.
func (s *session) lives(f *flight) {
	size := 0
	for _, c := range f.calls {
		size += max(c.pieces.Len(), len(c.arguments))
	}
	switch {
	case f.ask == nil:
	case size > upstream.MaxArguments || len(f.calls) > upstream.MaxCalls:
		s.fail(errTooMuch)
	case f.called():
		s.patience.Reset(s.opts.Cancel)
	default:
		s.patience.Reset(s.opts.Silence)
	}
}

// tellCalls tells what the model wants to have run, now that its answer is whole. The items of
// the answer are known by that from now on.
func (s *session) tellCalls(f *flight) {
	var list []chat.ToolCall
	for _, c := range f.calls {
		made := c.made()
		if made.Name == "" {
			continue
		}
		key := callKey(made)
		for n, first := 2, key; s.items.find(key) >= 0; n++ { // it has called the same before
			key = first + "#" + strconv.Itoa(n)
		}
		if i := slices.IndexFunc(s.items, func(i item) bool { return i.id == c.item && i.id != "" }); i >= 0 {
			s.items[i].key, s.items[i].call = key, c.id
		}
		if i := s.items.find(f.key); i >= 0 && len(list) == 0 {
			s.items[i].key = beforeKey(key)
		}
		made.Name = f.back(made.Name)
		list = append(list, made)
	}
	if len(list) > 0 {
		f.ask.told = true
		s.out.put(chat.Delta{Answer: f.ask.Answer, Calls: &chat.Calls{List: list}})
	}
}

// made returns the call, with its name on the wire.
func (c *call) made() chat.ToolCall {
	arguments := c.arguments
	if !c.whole {
		arguments = c.pieces.String() + c.joiner.Rest()
	}
	if strings.TrimSpace(arguments) == "" || arguments == "null" {
		arguments = "{}"
	}
	return chat.ToolCall{Given: c.id, Name: c.name, Arguments: arguments}
}

// again asks for the answer once more in a moment.
func (s *session) again(f *upstream.Failure) {
	a := s.flight.ask
	s.flight = nil
	s.overdue.Stop()
	s.patience.Stop()
	if a == nil {
		return
	}
	if a.busy++; a.busy > maxBusy {
		s.end(a, chat.StateFailed, f)
		return
	}
	s.waiting = true
	s.retry.Reset(s.opts.Backoff)
}

// callKey is the key of the item that a call is, with its name on the wire.
func callKey(c chat.ToolCall) string { return "call " + digest(c.Given, c.Name, c.Arguments) }

// beforeKey is that of what was said before the call.
func beforeKey(key string) string { return "before " + key }

// callMessages returns a message that calls tools, as the items that it is.
func callMessages(m chat.PromptMessage, numbered func(string) string) (all []message) {
	for _, c := range m.Calls {
		all = append(all, message{key: numbered(callKey(c)), call: &c})
	}
	if m.Content != "" {
		said := chat.PromptMessage{Role: m.Role, Content: m.Content}
		all = slices.Insert(all, 0, message{key: beforeKey(all[0].key), PromptMessage: said})
	}
	return all
}

// ours reports whether we have created the item.
func (s items) ours(id string) bool {
	return slices.ContainsFunc(s, func(i item) bool { return i.id == id && i.event != "" })
}

// newItem is what a message becomes: of a call, of a result, or of words.
func (s items) newItem(id string, m message) *newItem {
	switch {
	case m.call != nil:
		return &newItem{ID: id, Type: functionCall, CallID: s.callID(m.key, *m.call), Name: m.call.Name, Arguments: upstream.Arguments(*m.call)}
	case m.ResultOf != nil:
		output := upstream.Result(m.PromptMessage)
		return &newItem{ID: id, Type: "function_call_output", CallID: s.callID(m.of, *m.ResultOf), Output: &output}
	}
	return newMessage(id, m.PromptMessage)
}

// legalCallID matches the ids of calls that the provider takes.
var legalCallID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// callID returns the id of a call in the provider's conversation: the one that it has there,
// else its own if that is legal and new, else ours.
func (s items) callID(key string, c chat.ToolCall) string {
	if i := s.find(key); i >= 0 {
		return s[i].call
	}
	taken := slices.ContainsFunc(s, func(i item) bool { return i.call == c.Given })
	if legalCallID.MatchString(c.Given) && !taken {
		return c.Given
	}
	return c.ID
}
