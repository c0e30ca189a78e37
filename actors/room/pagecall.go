package room

import (
	"context"
	"fmt"
	"slices"
	"time"

	"parlor/actors/access"
	"parlor/actors/conversation"
	"parlor/actors/turn"
	"parlor/protocol/chat"
)

// A pageCall is a call that a page of the asker runs.
type pageCall struct {
	call  chat.ToolCall
	by    chat.UserID
	limit time.Duration
	until time.Time
	page  Address     // of the page that was told to run it; zero: there is none
	told  bool        // some page was
	late  *time.Timer // ends the call
	alone *time.Timer // ends it too, as long as no page has it
}

// pageTick ends a call: no page has taken it if it is Alone, else none has answered in time.
type pageTick struct {
	call  string
	alone bool
}

func (*pageTick) roomMessage() {}

// RunOnPage implements turn.Room.
func (s *stage) RunOnPage(c chat.ToolCall) (cancel func()) {
	limit := s.r.Tools.PageTimeout(c.Name)
	p := &pageCall{call: c, by: s.attempt.Turn().By, limit: limit, until: time.Now().Add(limit)}
	p.late = s.r.self.After(limit, &pageTick{call: c.ID})
	if s.pageCalls == nil {
		s.pageCalls = make(map[string]*pageCall)
	}
	s.pageCalls[c.ID] = p
	s.assign(p)
	return func() {
		if s.pageCalls[c.ID] == p {
			delete(s.pageCalls, c.ID)
		}
		p.late.Stop()
		p.wait(nil)
	}
}

// wait has the timer end the call, in place of the one before.
func (p *pageCall) wait(t *time.Timer) {
	if p.alone != nil {
		p.alone.Stop()
	}
	p.alone = t
}

// assign tells a page to run the call. If there is none, one has some time to come.
func (s *stage) assign(p *pageCall) {
	page, found := s.r.pages.choose(p.by, p.call.Name)
	p.page = page.address
	switch {
	case !found && p.call.Requested: // its program finds it at the end of a response
		p.told = true
		p.wait(nil)
	case !found:
		p.wait(s.r.self.After(s.r.PageGrace, &pageTick{call: p.call.ID, alone: true}))
	case page.address.IsZero(): // it finds the call in the stream of its answer
		p.told = true
		p.wait(nil)
	default:
		p.told = true
		p.wait(nil)
		s.r.audience.tellOne(page.address, Publication{
			Room: s.r.id, Notice: chat.RunTool{MessageID: s.attempt.Turn().MessageID, Call: p.call, Until: p.until},
		})
	}
}

// pageCame has a page that offers tools take calls which no page has.
func (s *stage) pageCame(u chat.UserID) {
	for _, p := range s.pageCalls {
		if p.by == u && p.page.IsZero() {
			s.assign(p)
		}
	}
}

// pageLeft has another page take the calls of one that has closed.
func (s *stage) pageLeft(a Address) {
	for _, p := range s.pageCalls {
		if p.page == a {
			s.assign(p)
		}
	}
}

// expire ends a call that no page has answered.
func (s *stage) expire(t *pageTick) {
	p := s.pageCalls[t.call]
	if p == nil || s.attempt == nil || t.alone && !p.page.IsZero() {
		return
	}
	words := fmt.Sprintf("the page did not answer within %s; nobody knows whether it has had an effect", p.limit)
	switch {
	case t.alone && p.told:
		words = fmt.Sprintf("the page that ran this has closed, and no other one has taken it over within %s; nobody knows whether it has had an effect", s.r.PageGrace)
	case t.alone:
		words = fmt.Sprintf("not run: no page of the member who asked was there to run this within %s", s.r.PageGrace)
	}
	s.attempt.FailCall(t.call, chat.Refuse(chat.CodeProviderTimeout, words))
}

// tellOne tells the listener with the address, if it is one.
func (a audience) tellOne(address Address, p Publication) {
	for _, c := range a {
		if l, ok := c.listeners.get(address); ok {
			p.Encoded = c.encoder.Encode(p.Room, p.Notice)
			l.recipient.Deliver(&p)
		}
	}
}

// take takes the tools that the page of a listener offers.
func (s *stage) take(c Caller, tools []chat.Tool) {
	s.r.pages.put(offer{user: c.User.ID, address: c.Address, tools: tools})
	s.pageCame(c.User.ID)
}

// AnswerCall brings what has come of a call that a page of the caller has run. A call takes
// one answer. The reply is an [Answered].
type AnswerCall struct {
	Caller
	chat.AnswerCall
}

func (*AnswerCall) roomMessage() {}

// AnswerCallAs returns the command of the caller to answer a call.
func AnswerCallAs(c Caller, a chat.AnswerCall) *AnswerCall {
	a.Result = turn.Bounded(chat.Harmless(a.Result))
	return &AnswerCall{Caller: c, AnswerCall: a}
}

// An Answered is the reply to an [AnswerCall].
type Answered struct {
	CallID string
	State  chat.ToolOutcome
}

var errLate = chat.Refuse(chat.CodeGone, "this call has ended; the answer comes too late")

func (c *AnswerCall) do(r *Room) {
	key, fresh := r.begin(c.Caller, access.Send, chat.PageAnswer(c.CallID), c.recall)
	if !fresh {
		return
	}
	events, refusal := conversation.Calls{State: r.records.head}.AnswerCall(c.User.ID, c.AnswerCall)
	if refusal == conversation.ErrNoPageCall && r.records.hasEnded(c.CallID) {
		refusal = errLate
	}
	if refusal != nil {
		r.refuse(c.Caller, refusal)
		return
	}
	r.records.propose(c.Caller, key, Answered{c.CallID, c.state()}, events...)
	r.advance()
}

func (c *AnswerCall) state() chat.ToolOutcome {
	if c.Failed {
		return chat.ToolFailed
	}
	return chat.ToolCompleted
}

func (c *AnswerCall) recall(record chat.Record) (any, bool) {
	e, ended := record.Event.(chat.ToolEnded)
	if !ended || e.State != c.state() || e.Result != c.Result {
		return errLate, false
	}
	return Answered{e.CallID, e.State}, true
}

// maxLookBack is how many records are looked through for the end of a call.
const maxLookBack = 128

// hasEnded reports whether a call has ended, not long ago.
func (r *recorder) hasEnded(call string) bool {
	has := func(list []chat.Called) bool {
		return slices.ContainsFunc(list, func(c chat.Called) bool { return c.ID == call && c.State != "" })
	}
	if has(r.head.Summary.Calls) {
		return true
	}
	n := 0
	for record, err := range conversation.Records(context.Background(), r.Log.ReadBack(string(r.id), 0)) {
		if n++; err != nil || n > maxLookBack {
			return false
		}
		switch e := record.Event.(type) {
		case chat.ToolEnded:
			if e.CallID == call {
				return true
			}
		case chat.TurnEnded:
			if has(e.Calls) {
				return true
			}
		}
	}
	return false
}
