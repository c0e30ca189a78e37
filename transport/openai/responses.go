package openai

import (
	"context"
	"time"

	"parlor/protocol/chat"
	wire "parlor/protocol/openai"
	"parlor/transport/live"
)

// respond says something in a room, and answers with the turn that it leads to.
func (s *Server) respond(c *call) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	q, refusal := wire.DecodeResponse(body)
	switch {
	case refusal != nil:
		return refusal
	case !q.Store:
		return s.respondAlone(c, q)
	}
	var to *live.Stream
	if q.Stream || !q.Background { // it counts as a connection before anything is recorded
		if to, err = c.begin(); err != nil {
			return err
		}
		defer to.Close()
	}
	if q.Answers != nil {
		info, id, err := c.answerCalls(q)
		if err != nil {
			return err
		}
		return c.respondWith(to, q, id, info)
	}
	info, id, done, err := s.say(c, q, body)
	if err != nil {
		return err
	}
	answered, begun := false, false
	defer func() { done(answered, begun) }()
	begun = q.Stream && c.ctx().Err() == nil
	err = c.respondWith(to, q, id, info)
	answered = err == nil && c.ctx().Err() == nil
	return err
}

// respondWith answers a request with its response, as the request wants it.
func (c *call) respondWith(to *live.Stream, q wire.ResponseRequest, id wire.ResponseID, info chat.Info) error {
	t := wire.NewTurn(id, info)
	t.Asks(q.RawTools, q.Choosing)
	switch {
	case q.Stream:
		return c.stream(to, id, t, wire.Begin)
	case q.Background:
		return c.answerWith(c.now(id))
	}
	return c.answerAtEnd(to, id, t)
}

// response returns the id in the path of the request.
func (c *call) response() (wire.ResponseID, error) {
	name := c.r.PathValue("response")
	id, ok := wire.ParseResponseID(name)
	if !ok {
		return id, wire.NotFound("response " + name)
	}
	return id, nil
}

// read returns what the log says of a response.
func (c *call) read(id wire.ResponseID) (t wire.Turn, err error) {
	gone := wire.NotFound("response " + id.String())
	info, err := c.Rooms.Get(c.ctx(), c.user(), id.Chat)
	if err != nil {
		if chat.AsError(err).Code == chat.CodeNotFound {
			err = gone
		}
		return t, err
	}
	t = wire.NewTurn(id, info)
	for r, err := range c.Rooms.Records(c.ctx(), c.user(), id.Chat.Room(), id.Seq-1) {
		if err != nil {
			return t, err
		}
		if t.Take(r); !t.Queued() || t.Ended() || t.Over() {
			break
		}
	}
	if !t.Wanted() {
		return t, gone
	}
	return t, nil
}

// maxLooks is how often a response is read whose turn begins anew meanwhile.
const maxLooks = 3

// now returns how a response stands. The room alone knows the text of a turn that runs.
func (c *call) now(id wire.ResponseID) (t wire.Turn, text string, err error) {
	for range maxLooks {
		t, err = c.read(id)
		if err != nil || t.Ended() || t.Waits() {
			return t, t.Text(), err
		}
		same := false
		err = c.follow(c.ctx(), id.Chat, chat.Place{Now: true}, func(told chat.Told) error {
			if room, ok := told.Notice.(chat.Entered); ok && room.Turn != nil {
				text, same = t.SoFar(*room.Turn, room.Text)
			}
			return errDone
		})
		if err != nil || same {
			return t, text, err
		}
	}
	return t, "", nil
}

// answerWith answers with a response.
func (c *call) answerWith(t wire.Turn, text string, err error) error {
	if err != nil {
		return err
	}
	return c.answer(t.Response(text))
}

// answerAtEnd answers with a response when it has ended.
func (c *call) answerAtEnd(to *live.Stream, id wire.ResponseID, t wire.Turn) error {
	t, err := c.await(to.Context(), id, t)
	if to.Context().Err() != nil {
		reset() // the client comes again
	}
	c.w = to
	return c.answerWith(t, t.Text(), err)
}

// await returns a turn that has ended.
func (c *call) await(ctx context.Context, id wire.ResponseID, t wire.Turn) (wire.Turn, error) {
	err := c.follow(ctx, id.Chat, chat.Place{Seq: id.Seq - 1}, func(told chat.Told) error {
		switch n := told.Notice.(type) {
		case chat.Record:
			t.Take(n)
		case chat.Missed:
			t.Take(n.Record)
		}
		if t.Ended() {
			return errDone
		}
		return failure(told.Notice)
	})
	return t, err
}

// stream answers with the events of a response whose number is greater than after.
func (c *call) stream(to *live.Stream, id wire.ResponseID, t wire.Turn, after int64) error {
	e := c.newEvents(to)
	defer e.end()
	s := wire.NewStream(t, after)
	err := c.follow(to.Context(), id.Chat, chat.Place{Seq: id.Seq - 1}, func(told chat.Told) error {
		frames, err := s.Take(told.Encoded)
		if err != nil {
			reset() // the client comes again, and is told what it has missed
		}
		if err := e.write(frames, told.More && !s.Ended()); err != nil {
			return err
		}
		if s.Ended() {
			return errDone
		}
		return failure(told.Notice)
	})
	if err != nil {
		return e.failed(err, wire.ErrorFrame)
	}
	return nil
}

func (s *Server) getResponse(c *call) error {
	id, err := c.response()
	if err != nil {
		return err
	}
	if c.r.URL.Query().Get("stream") != "true" {
		return c.answerWith(c.now(id))
	}
	after, err := c.number("starting_after", wire.Begin, 0, 1<<53)
	if err != nil {
		return err
	}
	if err := c.reaches(id, after); err != nil {
		return err
	}
	info, err := c.chat(id.Chat)
	if err != nil {
		return err
	}
	to, err := c.begin()
	if err != nil {
		return err
	}
	defer to.Close()
	return c.stream(to, id, wire.NewTurn(id, info), after)
}

// A client may know more of an attempt than was saved when a crash has ended it. The next
// attempt then follows in a moment.
const (
	crashLooks = 10
	crashPause = 100 * time.Millisecond
)

// reaches refuses a number that no event of the response has.
func (c *call) reaches(id wire.ResponseID, after int64) error {
	for range crashLooks {
		t, text, err := c.now(id)
		switch {
		case err != nil:
			return err
		case after <= t.Last(text):
			return nil
		case t.Ended():
			return errNoEvent
		}
		select {
		case <-time.After(crashPause):
		case <-c.ctx().Done():
			return c.ctx().Err()
		}
	}
	return errNoEvent
}

var errNoEvent = wire.Invalid("starting_after", "the response has no such event")

// cancelResponse stops the turn, whoever has asked for it. One that has ended stays as it is.
func (s *Server) cancelResponse(c *call) error {
	id, err := c.response()
	if err != nil {
		return err
	}
	if _, err := c.read(id); err != nil {
		return err
	}
	_, err = c.Rooms.Stop(c.ctx(), c.user(), id.Chat, chat.Stop{TurnID: id.Turn})
	if err != nil && chat.AsError(err).Code != chat.CodeNotFound {
		return err
	}
	return c.answerWith(c.now(id))
}

// deleteResponse deletes the chat of a response that is all there is in it.
func (s *Server) deleteResponse(c *call) error {
	id, err := c.response()
	if err != nil {
		return err
	}
	t, err := c.read(id)
	if err != nil {
		return err
	}
	for r, err := range c.Rooms.Records(c.ctx(), c.user(), id.Chat.Room(), 0) {
		if err != nil {
			return err
		}
		if _, said := r.Event.(chat.MessageAdded); said && r.Seq != t.Prompt() || answersAnew(r, id.Turn) {
			return wire.Invalid("", "this response is part of a conversation, which keeps it: delete "+wire.ConversationID(id.Chat))
		}
	}
	if err := c.Rooms.Delete(c.ctx(), c.user(), id.Chat); err != nil {
		return err
	}
	return c.answer(wire.DeletedResponse(id.String()))
}

// answersAnew reports whether the record is the wish for another answer than the turn gives.
func answersAnew(r chat.Record, turn chat.TurnID) bool {
	e, queued := r.Event.(chat.TurnQueued)
	return queued && e.TurnID != turn
}

// listInput answers with the message that the response answers.
func (s *Server) listInput(c *call) error {
	id, err := c.response()
	if err != nil {
		return err
	}
	t, err := c.read(id)
	if err != nil {
		return err
	}
	if id.Part > 0 {
		return s.listAnswers(c, id)
	}
	var all []wire.Item
	for r, err := range c.Rooms.Records(c.ctx(), c.user(), id.Chat.Room(), t.Prompt()-1) {
		if err != nil {
			return err
		}
		if m, ok := r.Message(); ok {
			all = append(all, wire.ItemOf(m))
		}
		break
	}
	if len(all) > 0 && c.r.URL.Query().Get("after") == all[0].ID {
		all = nil
	}
	return c.answer(wire.NewList(all, false))
}

// listAnswers answers with what was brought for the calls of the response before.
func (s *Server) listAnswers(c *call, id wire.ResponseID) error {
	info, err := c.chat(id.Chat)
	if err != nil {
		return err
	}
	id.Part--
	t, _, err := c.asking(id, wire.NewTurn(id, info))
	if err != nil {
		return err
	}
	return c.answer(wire.NewList(t.AnswerItems(), false))
}
