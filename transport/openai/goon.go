package openai

import (
	"fmt"
	"slices"

	"parlor/protocol/chat"
	wire "parlor/protocol/openai"
)

// goOn brings what a request answers to the calls with which a response has ended, and returns
// the response that goes on behind them. The same answers lead to the same response, however
// often they come. An answer that differs from what stands is refused: the caller must not
// believe that it holds.
func (c *call) goOn(t wire.Turn, before wire.ResponseID, answers []wire.Answer, choice chat.ToolChoice) (wire.ResponseID, error) {
	if refusal := t.Fit(answers); refusal != nil {
		return before, refusal
	}
	for _, asked := range t.Asked() {
		if a, answered := asked.AnsweredBy(answers); answered {
			if err := c.bring(before.Chat, asked, a, choice); err != nil {
				return before, err
			}
		}
	}
	return before.Next(), nil
}

// asking has t take in all that was recorded of a turn, also what has become of the calls with
// which the response has ended. It reports whether that has ended.
func (c *call) asking(id wire.ResponseID, t wire.Turn) (wire.Turn, bool, error) {
	for r, err := range c.Rooms.Records(c.ctx(), c.user(), id.Chat.Room(), id.Seq-1) {
		if err != nil {
			return t, false, err
		}
		if t.Take(r); !t.Queued() || t.Over() {
			break
		}
	}
	return t, t.Queued() && t.Ended(), nil
}

// bring answers one call.
func (c *call) bring(id chat.ID, asked wire.Asked, a wire.Answer, choice chat.ToolChoice) error {
	switch {
	case !a.Approval:
		return c.bringOutput(id, asked, a, choice)
	case asked.Decided != nil && asked.Decided.Approved != a.Approve:
		return a.Late(decidedBy(*asked.Decided))
	case asked.Decided != nil:
		return nil
	case asked.Ended != nil:
		return a.Late("the call has ended already")
	}
	_, err := c.Rooms.Decide(c.ctx(), c.user(), id, chat.Decide{CallID: asked.Call.ID, Approved: a.Approve, Reason: a.Reason})
	if err != nil && chat.AsError(err).Code == chat.CodeNotFound {
		return c.decided(id, asked, a) // somebody else was quicker
	}
	return err
}

func (c *call) bringOutput(id chat.ID, asked wire.Asked, a wire.Answer, choice chat.ToolChoice) error {
	err := c.Rooms.AnswerCall(c.ctx(), c.user(), id, chat.AnswerCall{CallID: asked.Call.ID, Result: a.Output, Choice: choice})
	if err == nil {
		return nil
	}
	switch chat.AsError(err).Code {
	case chat.CodeGone, chat.CodeNotFound:
		return a.Late("the call has ended, or has another output already")
	}
	return err
}

// decided compares an answer with the decision that somebody has made meanwhile.
func (c *call) decided(id chat.ID, asked wire.Asked, a wire.Answer) error {
	var last *chat.ToolDecided
	for r, err := range c.Rooms.Records(c.ctx(), c.user(), id.Room(), a.Seq-1) {
		if err != nil {
			return err
		}
		if e, is := r.Event.(chat.ToolDecided); is && e.CallID == asked.Call.ID {
			last = &e
		}
	}
	switch {
	case last == nil:
		return a.Late("the call has ended already")
	case last.Approved != a.Approve:
		return a.Late(decidedBy(*last))
	}
	return nil
}

func decidedBy(d chat.ToolDecided) string {
	done, by := "denied", string(d.By)
	if d.Approved {
		done = "approved"
	}
	if d.Expired() {
		by = "nobody in time"
	}
	return fmt.Sprintf("it was %s already, by %s", done, by)
}

// asker returns the response that has ended with the call which an answer names. Ids of calls
// lead to their turn, but not to the part of it.
func (c *call) asker(info chat.Info, a wire.Answer, functions bool, turnOf func(wire.ResponseID) wire.Turn) (wire.Turn, wire.ResponseID, error) {
	id := wire.ResponseID{Chat: info.ID, Seq: a.Seq, Functions: functions}
	if a.Call == "" {
		return wire.Turn{}, id, a.NoCall()
	}
	for r, err := range c.Rooms.Records(c.ctx(), c.user(), info.ID.Room(), a.Seq-1) {
		if err != nil {
			return wire.Turn{}, id, err
		}
		if e, queued := r.Event.(chat.TurnQueued); queued && r.Seq == a.Seq {
			id.Turn = e.TurnID
		}
		break
	}
	for more := id.Turn != ""; more; id = id.Next() {
		t, ended, err := c.asking(id, turnOf(id))
		if err != nil {
			return t, id, err
		}
		if slices.ContainsFunc(t.Asked(), func(asked wire.Asked) bool { return asked.Call.ID == a.Call && asked.Approval == a.Approval }) {
			return t, id, nil
		}
		more = ended && len(t.Asked()) > 0
	}
	return wire.Turn{}, id, a.NoCall()
}

// offer offers the tools that a program brings when a response goes on. Those of its first
// request are recorded with that.
func (c *call) offer(id chat.ID, tools []chat.Tool) error {
	if len(tools) == 0 {
		return nil
	}
	return c.Rooms.Offer(c.ctx(), c.user(), id, chat.RequestedTools(brought(tools)))
}

func brought(tools []chat.Tool) (all []chat.OfferedTool) {
	for _, t := range tools {
		all = append(all, chat.OfferedTool{Name: t.Name, Description: t.Description, Parameters: t.Schema})
	}
	return all
}

// answerCalls answers the calls of a response, which another one goes on with.
func (c *call) answerCalls(q wire.ResponseRequest) (info chat.Info, id wire.ResponseID, err error) {
	var t wire.Turn
	turnOf := func(id wire.ResponseID) wire.Turn { return wire.NewTurn(id, info) }
	if q.Chat != "" {
		functions := len(q.Tools) > 0 || slices.ContainsFunc(q.Answers, func(a wire.Answer) bool { return !a.Approval })
		if info, err = c.chat(q.Chat); err == nil {
			t, id, err = c.asker(info, q.Answers[0], functions, turnOf)
		}
	} else if info, err = c.previous(q.Previous); err == nil {
		var ended bool
		id = q.Previous
		if t, ended, err = c.asking(id, turnOf(id)); err == nil && !ended {
			err = noPrevious(id)
		}
	}
	if err != nil {
		return info, id, err
	}
	if refusal := q.Follows(info); refusal != nil {
		return info, id, refusal
	}
	if err := c.offer(info.ID, q.Tools); err != nil {
		return info, id, err
	}
	id, err = c.goOn(t, id, q.Answers, q.Choice)
	return info, id, err
}
