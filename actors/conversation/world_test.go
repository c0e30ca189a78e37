package conversation_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"parlor/actors/conversation"
	"parlor/protocol/chat"
)

// A world needs more steps than rapid takes unless it is told otherwise. With
// -short it takes half of them, and a fifth of the checks.
func init() { flag.Set("rapid.steps", "80") }

// models are those of a test.
type models map[chat.ModelID]chat.Model

func (m models) Model(id chat.ModelID) (chat.Model, bool) {
	model, ok := m[id]
	return model, ok
}

func (m models) Refusal(id chat.ModelID) *chat.Error {
	if _, ok := m[id]; ok {
		return nil
	}
	return chat.Refuse(chat.CodeNotFound, "there is no "+string(id))
}

func (m models) Named(name string) (chat.ModelID, bool) {
	for id, model := range m {
		if model.Name != "" && strings.EqualFold(model.Name, name) {
			return id, true
		}
	}
	return "", false
}

// A world is a conversation to which anything may happen: it is a room without
// actors, a disk and providers. Its methods that say so are actions of rapid.
type world struct {
	rules conversation.Rules
	log   []chat.Record // the first shown.Seq of them are on disk

	head, shown conversation.State
	running     conversation.Running
	text        string // of the running attempt
	ids         int
	unheard     []chat.MessageID // spoken, and not written down
}

// theModels are those of a world: two that people can address, and one that listens.
var theModels = models{
	"a": {ID: "a", Name: "ann"}, "b": {ID: "b", Name: "bo"}, "ear": {ID: "ear", APISource: chat.SourceRealtime},
}

func newWorld() *world {
	w := new(world)
	w.rules = conversation.Rules{
		Models: theModels, NewID: w.id, TurnPolicy: chat.PolicyQueue, MaxMessageBytes: 1000, MaxQueuedTurns: 4, MaxAttempts: 3,
		Afford: func(chat.RoomID, chat.UserID, chat.ModelID) *chat.Error { return nil },
	}
	w.record(chat.Created{Chat: chat.Info{ID: "chat", Room: "room", Owner: "alice", ModelID: "a"}})
	w.confirm()
	return w
}

func (w *world) id() string {
	w.ids++
	return fmt.Sprint("id-", w.ids)
}

func (w *world) moment() conversation.Moment {
	return conversation.Moment{Rules: &w.rules, State: &w.head, Answer: w.answer}
}

// answer is what an open turn has answered so far.
func (w *world) answer(t chat.Turn) conversation.Answer {
	if t.ID != w.running.Turn {
		return conversation.Answer{}
	}
	return conversation.Answer{Content: w.text}
}

// record hands events to the log. They may not be refused.
func (w *world) record(events ...chat.Event) {
	for _, e := range events {
		r := chat.Record{Seq: w.head.Seq + 1, Event: e}
		if err := w.head.Apply(r); err != nil {
			panic(err)
		}
		w.log = append(w.log, r)
	}
}

// confirm has the log confirm everything, and what follows from it happen.
func (w *world) confirm() {
	for _, r := range w.log[w.shown.Seq:] {
		if err := w.shown.Apply(r); err != nil {
			panic(err)
		}
		switch e := r.Event.(type) {
		case chat.TurnStarted:
			if t, _ := w.head.Turn(); t.ID == e.TurnID {
				w.running, w.text = conversation.Running{Turn: e.TurnID}, ""
			}
		case chat.TurnEnded:
			if e.TurnID == w.running.Turn {
				w.running = conversation.Running{}
			}
		case chat.MessageAdded:
			w.unheard = slices.DeleteFunc(w.unheard, func(id chat.MessageID) bool { return id == e.MessageID })
		}
	}
}

// now is what is known of the first open turn.
func (w *world) now() conversation.Running {
	r := w.running
	t, _ := w.head.Turn()
	r.Heard = slices.Contains(w.unheard, t.Prompt)
	r.Line = "ear"
	return r
}

// next records what is recorded next, and reports whether there was anything.
func (w *world) next() bool {
	events := w.moment().Next(&w.shown, w.now())
	w.record(events...)
	return len(events) > 0
}

// stop ends the attempt at a turn that is among those that end.
func (w *world) stop(events []chat.Event) {
	for _, e := range events {
		if end, ok := e.(chat.TurnEnded); ok && end.TurnID == w.running.Turn {
			w.running.End = &end
		}
	}
}

var (
	anybody = rapid.SampledFrom([]chat.User{
		{ID: "alice", Name: "Alice"}, {ID: "bob"}, {ID: "carol", Name: "alice"}, {ID: "dave", Name: "ann"},
	})
	anyModel  = rapid.SampledFrom([]chat.ModelID{"", "", "a", "b", "ear"})
	anyPolicy = rapid.SampledFrom([]chat.Policy{"", chat.PolicyQueue, chat.PolicySteer, chat.PolicySteer, chat.PolicyInterrupt, chat.PolicyReject, chat.PolicyMerge, chat.PolicyMerge, chat.PolicyRollback})
	anyText   = rapid.SampledFrom([]string{
		"", "yes", "why so?", "@ann and @bo: who of you?", "@bo, please", "one\nAlice: two\nthree", "this is said at some length, so that it needs room",
		"many\nwords: of\n[ann]: which\nbob: some\nare: quoted", "日本語でも同じことを言えます",
	})
)

// question returns the message that the turn answers.
func (w *world) question(turn chat.Turn) (chat.Message, *chat.Error) {
	m, _ := w.log[turn.PromptSeq-1].Message()
	return m, nil
}

// withdraw is an action: somebody takes a message back, mostly their own.
func (w *world) withdraw(t *rapid.T) {
	old, ok := w.anyMessage(t)
	if !ok {
		return
	}
	if events, refusal := w.moment().Withdraw(old, old.Author.ID, ""); refusal == nil {
		w.record(events...)
	}
}

// move is an action: somebody has a turn wait elsewhere.
func (w *world) move(t *rapid.T) {
	if len(w.head.Turns) == 0 {
		return
	}
	turn := rapid.SampledFrom(w.head.Turns).Draw(t, "turn")
	before := rapid.SampledFrom(append([]chat.Turn{{}}, w.head.Turns...)).Draw(t, "before")
	if moved, refusal := w.moment().Move(turn.ID, before.ID, turn.By, ""); refusal == nil {
		w.record(moved)
	}
}

func (w *world) anyUtterance(t *rapid.T) conversation.Utterance {
	return conversation.Utterance{
		By: anybody.Draw(t, "by"), Content: anyText.Draw(t, "text"), ModelID: anyModel.Draw(t, "model"),
		Policy: anyPolicy.Draw(t, "policy"), Question: w.question, Answer: quietly(rapid.IntRange(0, 4).Draw(t, "quiet") == 0),
	}
}

// say is an action: somebody says something.
func (w *world) say(t *rapid.T) {
	u := w.anyUtterance(t)
	p, refusal := w.moment().Say(u)
	if refusal == nil {
		w.plan(p, u.By.ID)
	}
}

// plan records a message.
func (w *world) plan(p *conversation.Plan, by chat.UserID) {
	events, _ := w.moment().Message(p, by)
	w.stop(p.Ends())
	w.record(events...)
}

// edit is an action: somebody edits a message, mostly their own.
func (w *world) edit(t *rapid.T) {
	old, ok := w.anyMessage(t)
	if !ok {
		return
	}
	u := w.anyUtterance(t)
	u.By = *old.Author
	if p, refusal := w.moment().Edit(u, old); refusal == nil {
		w.plan(p, u.By.ID)
	}
}

// anyMessage draws a message of a person that is on its way to the disk, or there.
func (w *world) anyMessage(t *rapid.T) (m chat.Message, ok bool) { return w.any(t, chat.RoleUser) }

// selects is an action: somebody selects the branch of a message or of an answer.
func (w *world) selects(t *rapid.T) {
	role := rapid.SampledFrom([]chat.Role{chat.RoleUser, chat.RoleAssistant}).Draw(t, "role")
	if m, ok := w.any(t, role); ok {
		if events, refusal := w.moment().Select(m, "bob", ""); refusal == nil {
			w.record(events...)
		}
	}
}

// any draws a message of a person or of an assistant.
func (w *world) any(t *rapid.T, role chat.Role) (m chat.Message, ok bool) {
	var said []chat.Message
	for _, r := range w.log {
		if m, ok := r.Message(); ok && m.Role == role {
			said = append(said, m)
		}
	}
	if len(said) == 0 {
		return m, false
	}
	back := rapid.IntRange(0, min(len(said)-1, 6)).Draw(t, "which from the last")
	return said[len(said)-1-back], true
}

// regenerate is an action: somebody wants another answer.
func (w *world) regenerate(t *rapid.T) {
	if m, ok := w.any(t, chat.RoleAssistant); ok && m.PromptSeq > 0 {
		turn, refusal := w.moment().Regenerate(
			"alice", m, rapid.SampledFrom([]chat.ModelID{"a", "b"}).Draw(t, "model"), "",
		)
		if refusal == nil {
			w.record(turn)
		}
	}
}

// respond is an action: somebody wants an answer to what was said last.
func (w *world) respond(*rapid.T) {
	m := w.moment()
	if m.Last.Seq == 0 {
		return
	}
	said, _ := w.log[m.Last.Seq-1].Message()
	if p, refusal := m.Respond("bob", m.Last, said.Content, "", false); refusal == nil {
		w.stop(p.Ends())
		p.ClientID = chat.ClientID(w.id())
		w.record(m.Response(p, m.Last.Seq, "bob")...)
	}
}

// speak is an action: somebody says something aloud and wants an answer, which
// the model that listens may give before it is written down.
func (w *world) speak(*rapid.T) {
	m := w.moment()
	if m.Chat.ModelID != "ear" || len(w.unheard) > 0 {
		return
	}
	said := conversation.Said{MessageID: chat.MessageID(w.id())}
	w.unheard = append(w.unheard, said.MessageID)
	if p, refusal := m.Respond("alice", said, "", m.Chat.ModelID, false); refusal == nil {
		w.stop(p.Ends())
		w.record(m.Response(p, 0, "alice")...)
	}
}

// hear is an action: what was said aloud is written down, unless the turn that
// answers it is on its way to the disk.
func (w *world) hear(t *rapid.T) {
	if len(w.unheard) == 0 || w.head.Seq != w.shown.Seq {
		return
	}
	w.record(chat.MessageAdded{
		MessageID: w.unheard[0], Author: chat.User{ID: "alice", Name: "Alice"}, Content: anyText.Draw(t, "heard"),
		ModelID: w.head.Chat.ModelID, Modality: chat.ModalityAudio,
	})
	w.confirm()
}

// stopTurn is an action: somebody stops a turn.
func (w *world) stopTurn(t *rapid.T) {
	var id chat.TurnID
	if n := len(w.head.Turns); n > 0 {
		id = w.head.Turns[rapid.IntRange(0, n-1).Draw(t, "turn")].ID
	}
	events, _, _ := w.moment().Stop(id, "bob", "enough", chat.ClientID(w.id()))
	w.stop(events)
	w.record(events...)
}

// work is an action: the running attempt gets on.
func (w *world) work(t *rapid.T) {
	turn, open := w.head.Turn()
	if !open || turn.ID != w.running.Turn || w.running.End != nil {
		return
	}
	w.text += anyText.Draw(t, "answer")
	switch rapid.IntRange(0, 5).Draw(t, "work") {
	case 0:
		w.running.Tools = append(w.running.Tools, chat.ToolCall{ID: w.id(), Name: "tool"})
	case 1:
		if said := w.head.Untaken(); len(said) > 0 && !turn.Duplex { // a session is asked once
			w.record(conversation.TakeIn(turn.ID, said))
		}
	default:
		w.end(chat.StateCompleted)
	}
}

// end ends the running attempt.
func (w *world) end(state chat.State) {
	turn, _ := w.head.Turn()
	end := w.moment().End(turn)
	end.State = state
	w.running.End = &end
}

// advance, write, goOn and crash are actions: what follows is recorded; what was
// recorded is on disk; both; the server is killed.
func (w *world) advance(*rapid.T) { w.next() }
func (w *world) write(*rapid.T)   { w.confirm() }
func (w *world) goOn(*rapid.T)    { w.next(); w.confirm() }

func (w *world) crash(*rapid.T) {
	w.log = w.log[:w.shown.Seq]
	w.head = w.shown.Clone()
	w.running, w.text, w.unheard = conversation.Running{}, "", nil
}

// actions are all of them.
func (w *world) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"say": w.say, "say more": w.say, "say still more": w.say, "edit": w.edit, "withdraw": w.withdraw, "move": w.move, "regenerate": w.regenerate, "select": w.selects, "select again": w.selects, "respond": w.respond,
		"speak": w.speak, "hear": w.hear, "stop": w.stopTurn, "work": w.work, "work on": w.work, "work still": w.work,
		"advance": w.advance, "write": w.write, "go on": w.goOn, "go on and on": w.goOn, "crash": w.crash,
	}
}
