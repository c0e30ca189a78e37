package openai

import (
	"crypto/rand"
	"net/http"
	"strings"
	"sync"
	"time"

	"parlor/protocol/chat"
	wire "parlor/protocol/openai"
	"parlor/transport/live"
)

// ChatHeader names the chat in which a completion is said. Without it nothing of a completion
// is kept.
const ChatHeader = "X-Parlor-Chat"

func newID(prefix string) string { return prefix + strings.ToLower(rand.Text()) }

// complete answers a conversation that the request holds, or the last message of it in a chat.
func (s *Server) complete(c *call) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	q, refusal := wire.DecodeCompletion(body)
	if refusal != nil {
		return refusal
	}
	model, err := s.model(q.Model)
	if err != nil {
		return err
	}
	q.Model = model.ID
	to, err := c.begin()
	if err != nil {
		return err
	}
	defer to.Close()
	answer := wire.Completion{ID: newID("chatcmpl-"), Created: time.Now().Unix(), Model: model.ID}
	if room := chat.ID(c.r.Header.Get(ChatHeader)); room != "" {
		return s.completeIn(c, to, room, q, answer, body)
	}
	tools, refusal := q.Alone()
	if refusal != nil {
		return refusal
	}
	a := alone{call: c, to: to, prompt: chat.Prompt{Model: q.Model, Messages: q.Messages, MaxTokens: q.MaxTokens, Tools: tools, Choice: q.Choice}}
	if !q.Stream {
		return a.whole(func(text string, done chat.Completed) []byte {
			return answer.Whole(text, done.Finish, done.Usage, done.Calls...)
		})
	}
	return a.stream(answer.First(), answer.Next, func(_ string, done chat.Completed) []byte {
		last := answer.Last(done.Finish, done.Calls...)
		if len(done.Calls) > 0 {
			last = append(answer.Calls(done.Calls), last...)
		}
		if q.IncludeUsage {
			last = append(last, answer.Usage(done.Usage)...)
		}
		return append(last, wire.Done...)
	}, wire.ChunkOf)
}

// completeIn says the last message of the request in a chat.
func (s *Server) completeIn(c *call, to *live.Stream, room chat.ID, q wire.CompletionRequest, answer wire.Completion, body []byte) error {
	info, err := c.chat(room)
	if err != nil {
		return err
	}
	if results := q.Results(); results != nil {
		return c.completeOn(to, info, q, results, answer)
	}
	text, refusal := q.Last()
	if refusal != nil {
		return refusal
	}
	post, err := s.posts.begin(c, info.ID, body)
	if err != nil {
		return err
	}
	answered, begun := false, false
	defer func() { s.posts.end(post, answered, begun) }()
	id, err := s.sayIn(c, info, q.Tools, chat.Say{Content: text, Addressed: q.Model, ClientID: post.client, OnlyTools: q.Only, ToolChoice: q.Choice})
	if err != nil {
		return err
	}
	begun = q.Stream && c.ctx().Err() == nil
	err = c.completeWith(to, id, info, q, answer)
	answered = err == nil && c.ctx().Err() == nil
	return err
}

// completeOn brings the results of calls with which a completion in a chat has ended, and
// answers with what follows.
func (c *call) completeOn(to *live.Stream, info chat.Info, q wire.CompletionRequest, results []wire.Answer, answer wire.Completion) error {
	turnOf := func(id wire.ResponseID) wire.Turn { return wire.NewTurn(id, info).OfCompletion() }
	t, id, err := c.asker(info, results[0], true, turnOf)
	if err == nil {
		err = c.offer(info.ID, q.Tools)
	}
	if err == nil {
		id, err = c.goOn(t, id, results, q.Choice)
	}
	if err != nil {
		return err
	}
	return c.completeWith(to, id, info, q, answer)
}

func (c *call) completeWith(to *live.Stream, id wire.ResponseID, info chat.Info, q wire.CompletionRequest, answer wire.Completion) error {
	t := wire.NewTurn(id, info).OfCompletion()
	if q.Stream {
		return c.chunks(to, id, t, answer, q.IncludeUsage)
	}
	return c.completeAtEnd(to, id, t, answer)
}

func (c *call) completeAtEnd(to *live.Stream, id wire.ResponseID, t wire.Turn, answer wire.Completion) error {
	t, err := c.await(to.Context(), id, t)
	if to.Context().Err() != nil {
		reset() // the client comes again
	}
	if err != nil {
		return err
	}
	if refusal := t.Failure(); refusal != nil {
		return refusal
	}
	writeJSON(to, http.StatusOK, t.Whole(answer))
	return nil
}

func (c *call) chunks(to *live.Stream, id wire.ResponseID, t wire.Turn, answer wire.Completion, usage bool) error {
	e := c.newEvents(to)
	defer e.end()
	defer time.AfterFunc(c.KeepAlive, func() { _ = e.write(nil, false) }).Stop() // see [alone.stream]
	s := wire.NewChunks(answer, t, usage)
	err := c.follow(to.Context(), id.Chat, chat.Place{Seq: id.Seq - 1}, func(told chat.Told) error {
		frames, refusal := s.Take(told.Encoded)
		if refusal != nil {
			return refusal
		}
		if len(frames) > 0 {
			if err := e.write(frames, told.More && !s.Ended()); err != nil {
				return err
			}
		}
		if s.Ended() {
			return errDone
		}
		return failure(told.Notice)
	})
	if err != nil {
		return e.failed(err, wire.ChunkOf)
	}
	return nil
}

// respondAlone answers a conversation that the request holds. Nothing of it is kept.
func (s *Server) respondAlone(c *call, q wire.ResponseRequest) error {
	model, err := s.model(q.Model)
	if err != nil {
		return err
	}
	messages := q.Input
	if q.Instructions != "" {
		messages = append([]chat.PromptMessage{{Role: chat.RoleSystem, Content: q.Instructions}}, messages...)
	}
	to, err := c.begin()
	if err != nil {
		return err
	}
	defer to.Close()
	tools, refusal := q.Alone()
	if refusal != nil {
		return refusal
	}
	r := newRehearsal(model.ID, q)
	a := alone{call: c, to: to, prompt: chat.Prompt{Model: model.ID, Messages: messages, MaxTokens: q.MaxTokens, Tools: tools, Choice: q.Choice}}
	if !q.Stream {
		return a.whole(r.whole)
	}
	return a.stream(r.first, r.piece, r.last, wire.ErrorFrame)
}

// A rehearsal is a turn that no room has, told as if one had.
type rehearsal struct {
	turn    chat.Turn
	started []chat.Record
	shown   wire.Turn
	stream  *wire.Stream
	encode  wire.Encode
	before  []byte
	first   []byte // the events before the first piece
}

func newRehearsal(model chat.ModelID, q wire.ResponseRequest) *rehearsal {
	turn := chat.Turn{ID: chat.TurnID(rand.Text()), MessageID: chat.MessageID(strings.ToLower(rand.Text())), ModelID: model, Attempt: 1}
	r := &rehearsal{turn: turn, shown: wire.Alone(newID("resp_"), turn.ID, q.Instructions, q.RawTools)}
	r.shown.Asks(q.RawTools, q.Choosing)
	r.started = []chat.Record{
		{At: time.Now(), Event: chat.TurnQueued{TurnID: turn.ID, ModelID: model}},
		{At: time.Now(), Event: chat.TurnStarted{TurnID: turn.ID, MessageID: turn.MessageID, ModelID: model, Attempt: 1}},
	}
	r.stream = wire.NewStream(r.shown, wire.Begin)
	for _, record := range r.started {
		r.shown.Take(record)
		r.first = append(r.first, r.tell(record)...)
	}
	return r
}

func (r *rehearsal) tell(n chat.Notice) []byte {
	frames, _ := r.stream.Take(r.encode.Encode("", n)) // no piece is missing
	return frames
}

func (r *rehearsal) piece(text string) []byte {
	frames := r.tell(chat.Text{Turn: r.turn, Before: r.before, Piece: text})
	r.before = append(r.before, text...)
	return frames
}

func (r *rehearsal) end(text string, done chat.Completed) chat.Record {
	return chat.Record{At: time.Now(), Event: chat.TurnEnded{
		TurnID: r.turn.ID, MessageID: r.turn.MessageID, ModelID: done.Model, State: chat.StateCompleted, Finish: done.Finish, Content: text, Usage: done.Usage,
	}}
}

func (r *rehearsal) last(text string, done chat.Completed) []byte {
	r.stream.Call(done.Calls)
	return r.tell(r.end(text, done))
}

func (r *rehearsal) whole(text string, done chat.Completed) []byte {
	r.shown.Call(done.Calls)
	r.shown.Take(r.end(text, done))
	return wire.Encoded(r.shown.Response(text))
}

// alone asks a model outside of any chat.
type alone struct {
	*call
	to     *live.Stream
	prompt chat.Prompt
}

// whole answers with what last returns when the model has said everything.
func (a alone) whole(last func(text string, done chat.Completed) []byte) error {
	var text strings.Builder
	done, err := a.Completer.Complete(a.to.Context(), a.user(), a.prompt, func(piece string) error {
		text.WriteString(piece)
		return nil
	})
	if a.to.Context().Err() != nil {
		reset()
	}
	if err != nil {
		return err
	}
	writeJSON(a.to, http.StatusOK, last(text.String(), done))
	return nil
}

// stream answers piece by piece. A failure before the first piece is an error, as long as the
// model does not think for long: then the answer begins without it, for proxies.
func (a alone) stream(first []byte, next func(string) []byte, last func(string, chat.Completed) []byte, failed func(*wire.Error) []byte) error {
	e := a.newEvents(a.to)
	defer e.end()
	begin := sync.OnceValue(func() error { return e.write(first, true) })
	defer time.AfterFunc(a.KeepAlive, func() { _ = begin() }).Stop() // an error comes with the next write too
	var text strings.Builder
	done, err := a.Completer.Complete(a.to.Context(), a.user(), a.prompt, func(piece string) error {
		if err := begin(); err != nil {
			return err
		}
		text.WriteString(piece)
		return e.write(next(piece), false)
	})
	if err == nil {
		err = begin() // it may have called tools, and said nothing
	}
	if err == nil {
		err = e.write(last(text.String(), done), false)
	}
	if err != nil {
		return e.failed(err, failed)
	}
	return nil
}
