package aisdk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	wire "parlor/protocol/aisdk"
	"parlor/protocol/chat"
)

// A stream is an answer that a client is told.
type stream struct {
	chat   chat.ID
	from   chat.Place // behind which the room tells all that the answer needs
	answer *wire.Answer
	turn   chat.TurnID           // that a stop ends; empty if that is not known
	whole  *chat.Message         // an answer that has ended, in place of what the room tells; or nil
	known  map[string]wire.Known // calls of the answer that the client has; nil: nothing is known
	old    bool                  // the client is of version 5

	runsTools bool // see [wire.Answer.RunsTools]
}

// ask carries out a request, and returns the stream that answers it.
func (s *service) ask(ctx context.Context, u chat.User, request wire.Request) (st stream, err error) {
	var o wire.Options
	if refusal := noChoice(request); refusal != nil {
		return st, refusal
	}
	switch r := request.(type) {
	case wire.Send:
		o = r.Options
		st, err = s.send(ctx, u, r)
	case wire.Edit:
		if o = r.Options; s.offer(ctx, u, r.Chat, o, &err) {
			st, err = s.edit(ctx, u, r)
		}
	case wire.Regenerate:
		if o = r.Options; s.offer(ctx, u, r.Chat, o, &err) {
			st, err = s.regenerate(ctx, u, r)
		}
	case wire.Continue:
		if o = r.Options; s.offer(ctx, u, r.Chat, o, &err) {
			st, err = s.goOn(ctx, u, r)
		}
	default:
		err = errors.New("aisdk: unknown request")
	}
	st.old, st.runsTools = o.Old, st.runsTools || o.Tools != nil
	return st, err
}

// noChoice refuses a choice of tools in a request that cannot have one.
func noChoice(request wire.Request) error {
	var o wire.Options
	switch r := request.(type) {
	case wire.Edit:
		o = r.Options
	case wire.Regenerate:
		o = r.Options
	}
	if o.Choice == (chat.ToolChoice{}) {
		return nil
	}
	return chat.Refuse(chat.CodeToolChoice, "tool_choice comes with a new message, or with what has come of calls")
}

// offer offers the tools that the app runs, and reports whether that has gone well.
func (s *service) offer(ctx context.Context, u chat.User, id chat.ID, o wire.Options, err *error) bool {
	if o.Tools != nil {
		*err = s.rooms.Offer(ctx, u, id, o.Tools)
	}
	return *err == nil
}

// send says something. The first message of a chat makes the chat.
func (s *service) send(ctx context.Context, u chat.User, r wire.Send) (stream, error) {
	said, err := s.say(ctx, u, r)
	if isCode(err, chat.CodeNotFound) {
		if _, err = s.rooms.CreateAs(ctx, u, r.Chat, s.modelOr(r.ModelID)); err == nil {
			said, err = s.say(ctx, u, r)
		}
	}
	return saidTo(r.Chat, said), err
}

// say uploads the files of a message, and says it. A repetition has the same files.
func (s *service) say(ctx context.Context, u chat.User, r wire.Send) (chat.Said, error) {
	var err error
	if !s.offer(ctx, u, r.Chat, r.Options, &err) {
		return chat.Said{}, err
	}
	say := chat.Say{Content: r.Content, ModelID: r.ModelID, ClientID: chat.ClientID(r.Message), Policy: r.Policy, Answer: r.Answer, ToolChoice: r.Choice}
	for i, f := range r.Files {
		key := fmt.Sprintf("ui %s %d", r.Message, i)
		file, err := s.rooms.Upload(ctx, u, r.Chat, chat.Upload{Name: f.Name, Key: key, Body: bytes.NewReader(f.Body)})
		if err != nil {
			return chat.Said{}, err
		}
		say.Files = append(say.Files, file.ID)
	}
	return s.rooms.Say(ctx, u, r.Chat, say)
}

// modelOr returns the model that is asked for, or else the first that is listed.
func (s *service) modelOr(id chat.ModelID) chat.ModelID {
	if id != "" {
		return id
	}
	for _, m := range s.models.List() {
		return m.ID
	}
	return ""
}

func isCode(err error, code chat.Code) bool {
	refusal, ok := errors.AsType[*chat.Error](err)
	return ok && refusal.Code == code
}

// saidTo returns the stream of the first answer to a message. It begins with the record of
// the message, so it is whole also if the answer was given long ago.
func saidTo(id chat.ID, m chat.Said) stream {
	st := stream{chat: id, from: chat.Place{Seq: max(m.Seq, 1) - 1}, answer: wire.AnswerTo(m.MessageID)}
	if len(m.Turns) > 0 {
		st.turn = m.Turns[0]
	}
	return st
}

// turnOf returns the stream of a turn. It begins with the record of the prompt.
func turnOf(id chat.ID, t chat.Turn) stream {
	from := chat.Place{Seq: t.PromptSeq - 1}
	if t.PromptSeq == 0 { // it is being written down
		from = chat.Place{Now: true}
	}
	return stream{chat: id, from: from, answer: wire.AnswerOf(t), turn: t.ID}
}

// edit gives a message a new text. What the message says already is not recorded again:
// a browser that repeats a request by itself says nothing new.
func (s *service) edit(ctx context.Context, u chat.User, r wire.Edit) (stream, error) {
	found, err := s.find(ctx, u, r.Chat, func(m chat.Message, _ []chat.Message) bool { return isNamed(m, u, r.Message) })
	if err != nil {
		return stream{}, err
	}
	if found.message.Content == r.Content && !found.followed {
		if st, ok, err := s.answerThereIs(ctx, u, r.Chat, found); ok || err != nil {
			return st, err
		}
	}
	return s.replace(ctx, u, r.Chat, r.Message, found.message, r.Content, r.Options)
}

// isNamed reports whether a client of the user knows the user's message by the id.
func isNamed(m chat.Message, u chat.User, id string) bool {
	return m.Role == chat.RoleUser && (wire.IDOf(m, u.ID) == id || string(m.ID) == id)
}

// replace says a message anew, which the client knows by a name and goes on to know by it.
// The same may have been said before in a part of the conversation that is not shown any
// more: then it is said once more.
func (s *service) replace(ctx context.Context, u chat.User, id chat.ID, name string, old chat.Message, content string, o wire.Options) (stream, error) {
	if len(name) > wire.MaxMessageIDLen { // another client has made it
		name = string(old.ID)
	}
	edit := chat.Edit{MessageID: old.ID, Content: content, ModelID: o.ModelID, ClientID: wire.EditKey(name, old.ID, content), Answer: o.Answer}
	said, err := s.rooms.Edit(ctx, u, id, edit)
	if err != nil || !said.Repeated {
		return saidTo(id, said), err
	}
	shown, err := s.find(ctx, u, id, func(m chat.Message, _ []chat.Message) bool { return m.ID == said.MessageID || m.ID == old.ID })
	if err == nil && shown.message.ID == old.ID {
		now, nowErr := s.now(ctx, u, id)
		if nowErr != nil {
			return stream{}, nowErr
		}
		edit.ClientID = wire.OnceMore(edit.ClientID, now.Seq)
		said, err = s.rooms.Edit(ctx, u, id, edit)
	}
	return saidTo(id, said), err
}

// answerThereIs returns the stream of an answer to a message that is being given, or that
// has been given as it should be.
func (s *service) answerThereIs(ctx context.Context, u chat.User, id chat.ID, found found) (st stream, ok bool, err error) {
	now, err := s.now(ctx, u, id)
	if err != nil {
		return stream{}, false, err
	}
	for _, t := range open(now) {
		if t.Prompt == found.message.ID {
			return turnOf(id, t), true, nil
		}
	}
	if a := found.answer; a != nil && a.State == chat.StateCompleted {
		return stream{chat: id, whole: a}, true, nil
	}
	return stream{}, false, nil
}

// regenerate asks for another answer to a message. What was said behind the message, and
// the client has dropped, stays in another branch. A message that has no answer is said anew.
func (s *service) regenerate(ctx context.Context, u chat.User, r wire.Regenerate) (stream, error) {
	found, err := s.find(ctx, u, r.Chat, func(m chat.Message, answers []chat.Message) bool { return isMeant(r, u, m, answers) })
	if err != nil {
		return stream{}, err
	}
	now, err := s.now(ctx, u, r.Chat)
	if err != nil {
		return stream{}, err
	}
	for _, t := range open(now) {
		if t.Prompt == found.message.ID {
			return turnOf(r.Chat, t), nil // a repetition, or an answer that is on its way
		}
	}
	switch {
	case found.answer == nil:
		return s.sayAnew(ctx, u, r, found)
	case r.Answer != "" && r.Answer != string(found.answer.ID) && !isNamed(found.message, u, r.Answer):
		return stream{chat: r.Chat, whole: found.answer}, nil // a repetition: there is a newer answer
	}
	return s.again(ctx, u, r, found)
}

// again has an answer given anew. What was asked for before may have failed, or another branch
// was selected since: if the answer is shown all the same it is given anew once more.
func (s *service) again(ctx context.Context, u chat.User, r wire.Regenerate, found found) (stream, error) {
	wish := wish{u.ID, r.Chat, found.message.ID}
	stream := func(turn chat.TurnID) stream {
		return turnOf(r.Chat, chat.Turn{ID: turn, Prompt: found.message.ID, PromptSeq: found.message.Seq})
	}
	if turn, granted := s.wishes.find(wish); granted && r.Answer == "" {
		return stream(turn), nil
	}
	again := chat.Again{Answer: found.answer.ID, ModelID: r.ModelID, ClientID: "regenerate#" + chat.ClientID(found.answer.ID)}
	queued, err := s.rooms.Regenerate(ctx, u, r.Chat, again)
	if err == nil && queued.Repeated {
		if turn, granted := s.wishes.find(wish); granted {
			return stream(turn), nil
		}
		now, nowErr := s.now(ctx, u, r.Chat)
		if nowErr != nil {
			return stream(""), nowErr
		}
		if !slices.ContainsFunc(open(now), func(t chat.Turn) bool { return t.ID == queued.TurnID }) {
			again.ClientID = wire.OnceMore(again.ClientID, now.Seq)
			queued, err = s.rooms.Regenerate(ctx, u, r.Chat, again)
		}
	}
	if err == nil {
		s.wishes.add(wish, queued.TurnID)
	}
	return stream(queued.TurnID), err
}

// isMeant reports whether the message is the one to answer anew.
func isMeant(r wire.Regenerate, u chat.User, m chat.Message, answers []chat.Message) bool {
	switch {
	case r.Message != "":
		return isNamed(m, u, r.Message)
	case r.Answer != "":
		return isNamed(m, u, r.Answer) || slices.ContainsFunc(answers, func(a chat.Message) bool { return isVersion(a, chat.MessageID(r.Answer)) })
	}
	return true
}

// isVersion reports whether the answer, or another version of it, has the id.
func isVersion(a chat.Message, id chat.MessageID) bool {
	return a.ID == id || a.First == id || a.Siblings != nil && slices.Contains(a.Siblings.IDs, id)
}

func (s *service) sayAnew(ctx context.Context, u chat.User, r wire.Regenerate, found found) (stream, error) {
	m := found.message
	return s.replace(ctx, u, r.Chat, wire.IDOf(m, u.ID), m, m.Content, r.Options)
}

var errNothingWaits = chat.Refuse(chat.CodeInvalid, "nothing waits for the client: the answer has ended")

// goOn carries out what the client has decided about calls of an answer, and returns the
// stream of what follows. What somebody else has decided meanwhile stands.
func (s *service) goOn(ctx context.Context, u chat.User, r wire.Continue) (stream, error) {
	now, err := s.now(ctx, u, r.Chat)
	if err != nil {
		return stream{}, err
	}
	if t := now.Turn; t != nil && string(t.MessageID) == r.Answer {
		if err := s.decide(ctx, u, r); err != nil {
			return stream{}, err
		}
		st := turnOf(r.Chat, *t)
		if st.runsTools, err = s.answerCalls(ctx, u, r, now.Pending); err != nil {
			return stream{}, err
		}
		if len(r.Calls) > 0 {
			st.answer.GoOn(r.Calls)
		}
		return st, nil
	}
	newest, _, err := s.rooms.History(ctx, u, r.Chat.Room(), 0, pageSize)
	if err != nil {
		return stream{}, err
	}
	for _, m := range newest {
		if len(r.Calls) > 0 && m.Role == chat.RoleAssistant && string(m.ID) == r.Answer {
			return stream{chat: r.Chat, whole: &m, known: r.Calls}, nil
		}
	}
	return stream{}, errNothingWaits
}

// answerCalls brings what has come of calls that the app has run, and reports whether there
// were some. What another page has answered meanwhile stands.
func (s *service) answerCalls(ctx context.Context, u chat.User, r wire.Continue, pending []chat.Pending) (some bool, err error) {
	for _, p := range pending {
		answer := r.Calls[p.Call.ID].Answer
		if !p.Running || !p.Call.OnPage || answer == nil {
			continue
		}
		some = true
		answer.Choice = r.Choice
		if err := s.rooms.AnswerCall(ctx, u, r.Chat, *answer); err != nil && !isCode(err, chat.CodeGone) && !isCode(err, chat.CodeNotFound) {
			return some, err
		}
	}
	return some, nil
}

func (s *service) decide(ctx context.Context, u chat.User, r wire.Continue) error {
	for _, known := range r.Calls {
		if known.Decision == nil {
			continue
		}
		if _, err := s.rooms.Decide(ctx, u, r.Chat, *known.Decision); err != nil && !isCode(err, chat.CodeNotFound) {
			return err
		}
	}
	return nil
}

// stopOwn stops a turn if the user has asked for it and it has not ended.
func (s *service) stopOwn(ctx context.Context, u chat.User, id chat.ID, turn chat.TurnID) error {
	now, err := s.now(ctx, u, id)
	if err != nil {
		return err
	}
	for _, t := range open(now) {
		if t.ID == turn && t.By == u.ID {
			_, err = s.rooms.Stop(ctx, u, id, chat.Stop{TurnID: turn})
		}
	}
	return err
}

// stop stops a turn: if none is named the one that a resume would tell.
func (s *service) stop(ctx context.Context, u chat.User, id chat.ID, turn chat.TurnID) (chat.TurnID, error) {
	if turn == "" {
		now, err := s.now(ctx, u, id)
		if err != nil {
			return "", err
		}
		t, running := pick(now, u.ID)
		if !running {
			return "", nil
		}
		turn = t.ID
	}
	stopped, err := s.rooms.Stop(ctx, u, id, chat.Stop{TurnID: turn})
	return stopped.TurnID, err
}
