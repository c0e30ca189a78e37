package conversation

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"time"

	"parlor/protocol/chat"
)

// What a prompt may hold if the model does not say, in tokens.
const (
	DefaultContextWindow = 32 << 10
	defaultAnswerTokens  = 4 << 10 // are kept free for the answer
)

// bytesPerToken is how many there are in one at most, as [chat.Estimate] counts.
const bytesPerToken = 4

var errLongPrompt = chat.Refuse(chat.CodeTooLarge, "the message, with what the assistant is told before it, is longer than this model can read")

// A Question is what the prompt of a turn depends on besides what was said.
type Question struct {
	Turn       chat.Turn
	Models     Models
	Window     int             // tokens that a model can read which does not say so
	System     string          // what it is told before the conversation
	Superseded chat.Superseded // is no part of the prompt
}

// Composed is a prompt.
type Composed struct {
	chat.Prompt
	Tokens int
	Names  Names // of the people in it

	before uint64       // what was before the tail
	older  []Remembered // that were read from there, newest first
	rest   uint64       // the last record that was not read
	oldest uint64       // record that the prompt depends on
}

// Compose puts the conversation together that a turn answers, from the tail of
// the log and, as far as that does not reach, from older records, which it asks
// for once, newest first. Answers stand behind the messages that they answer and
// later messages are left out: others may have talked on while the turn waited
// in the queue.
func Compose(q Question, tail Tail, older func(before uint64) iter.Seq2[chat.Record, error]) (Composed, error) {
	model, _ := q.Models.Model(q.Turn.ModelID)
	d := newDialogue(q, model)
	c := Composed{before: tail.before, rest: tail.before, oldest: tail.before + 1}
	if q.Turn.Unheard {
		d.add(Remembered{Record: chat.Record{Event: chat.MessageAdded{MessageID: q.Turn.Prompt, Author: chat.User{ID: q.Turn.By}}}})
	}
	wanted := true
	for _, r := range slices.Backward(tail.records) {
		if wanted = d.offer(r); !wanted {
			c.oldest = r.Seq
			break
		}
	}
	if wanted && tail.before > 0 {
		if err := c.lookBack(d, older(tail.before+1)); err != nil {
			return Composed{}, err
		}
	}
	if !d.fits() {
		return Composed{}, errLongPrompt
	}
	c.Names = d.names()
	c.Prompt = chat.Prompt{Model: q.Turn.ModelID, MaxTokens: model.MaxTokens}
	c.Messages, c.Tokens = d.messages(c.Names)
	return c, nil
}

// lookBack takes older records until d wants no more.
func (c *Composed) lookBack(d *dialogue, older iter.Seq2[chat.Record, error]) error {
	for r, err := range older {
		if err != nil {
			return err
		}
		c.rest, c.oldest = r.Seq-1, r.Seq
		m, kept := Remember(r)
		if !kept {
			continue
		}
		c.older = append(c.older, m)
		if !d.offer(m) {
			break
		}
	}
	return nil
}

// SystemPrompt is what an assistant is told before the conversation, by the
// server, for the model and for the chat, and what day it is.
func SystemPrompt(now time.Time, parts ...string) string {
	parts = slices.DeleteFunc(parts, func(p string) bool { return strings.TrimSpace(p) == "" })
	parts = append(parts, "Today is "+now.UTC().Format("Monday, 2 January 2006")+" (UTC).")
	return strings.Join(parts, "\n\n")
}

// A dialogue is the part of a conversation that an assistant is told, put
// together while the log is read from its end.
//
// It consists of exchanges, of which the most recent that fit stay, each as a
// whole: what was asked, also while the answer was being given, and the
// answers to it.
type dialogue struct {
	Question
	model     chat.Model
	left      int        // tokens, without the answer
	exchanges []exchange // newest first

	answers   answers
	steered   map[chat.MessageID][]said // by what the turn that took them in answers; newest first
	takenIn   map[chat.MessageID]chat.TurnID
	restarted map[chat.TurnID]bool // in what was read, so that what it took in before does not count
	prompts   map[chat.TurnID]chat.MessageID
}

// An exchange is a message, what was said to the turn that answered it, and
// the answers: the newest of each model.
type exchange struct {
	said    []said
	answers []answered
}

// said is a message, and answered an answer, with what their texts cost.
type (
	said struct {
		said   chat.MessageAdded
		tokens int
	}
	answered struct {
		chat.TurnEnded
		tokens int
	}
)

// newDialogue begins with what the model is told before the conversation.
func newDialogue(q Question, model chat.Model) *dialogue {
	window := q.Window
	if model.ContextWindow > 0 {
		window = model.ContextWindow
	}
	answer := defaultAnswerTokens
	if model.MaxTokens > 0 {
		answer = model.MaxTokens
	}
	d := &dialogue{
		Question: q, model: model, left: window - min(answer, window/2) - chat.Tokens(q.System) - chat.MessageTokens,
		steered: make(map[chat.MessageID][]said), takenIn: make(map[chat.MessageID]chat.TurnID),
		restarted: make(map[chat.TurnID]bool), prompts: make(map[chat.TurnID]chat.MessageID),
	}
	d.answers.limit = max(0, d.left) * bytesPerToken * answersSlack
	return d
}

// offer adds the next older record unless it is no part of the conversation, and
// reports whether older ones are wanted.
func (d *dialogue) offer(r Remembered) (more bool) {
	if d.Superseded.Hides(r.Record) || d.unheard(r.Event) {
		return true
	}
	return d.add(r)
}

// unheard reports whether e is the message that the turn answers, which the
// session with the model knows already.
func (d *dialogue) unheard(e chat.Event) bool {
	m, ok := e.(chat.MessageAdded)
	return ok && d.Turn.Unheard && m.MessageID == d.Turn.Prompt
}

func (d *dialogue) add(r Remembered) (more bool) {
	switch e := r.Event.(type) {
	case chat.TurnEnded:
		d.prompts[e.TurnID] = e.Prompt
		d.answers.add(answered{e, r.tokens})
	case chat.TurnStarted:
		d.restarted[e.TurnID] = d.restarted[e.TurnID] || e.Attempt > 1
	case chat.TurnSteered:
		for _, id := range e.Messages {
			if !d.restarted[e.TurnID] {
				d.takenIn[id] = e.TurnID
			}
		}
	case chat.MessageAdded:
		return d.addMessage(said{e, r.tokens})
	}
	return true
}

func (d *dialogue) addMessage(m said) (more bool) {
	id := m.said.MessageID
	if prompt, ended := d.prompts[d.takenIn[id]]; ended {
		d.steered[prompt] = append(d.steered[prompt], m)
		return true
	}
	begun := len(d.exchanges) > 0
	if !begun && id != d.Turn.Prompt {
		return true // said later than what is to be answered
	}
	x := exchange{said: []said{m}}
	if id != d.Turn.Prompt {
		x.answers = d.answers.to(id)
		for _, m := range slices.Backward(d.steered[id]) {
			x.said = append(x.said, m)
		}
	}
	d.left -= x.tokens()
	if begun && d.left < 0 {
		return false
	}
	d.exchanges = append(d.exchanges, x)
	return true
}

func (x exchange) tokens() (n int) {
	for _, m := range x.said {
		n += m.tokens + chat.Tokens(m.said.Author.Name) + chat.MessageTokens
	}
	for _, a := range x.answers {
		n += a.tokens + chat.MessageTokens
	}
	return n
}

// fits reports whether the message to answer does, if it is known what the
// model can read.
func (d *dialogue) fits() bool {
	return d.model.ContextWindow == 0 || d.left >= 0 || len(d.exchanges) > 1
}

// messages returns the conversation, oldest first, and how many tokens it is.
func (d *dialogue) messages(names Names) (messages []chat.PromptMessage, tokens int) {
	add := func(m chat.PromptMessage, text string, n int) {
		if len(m.Content) != len(text) { // it says more than what was said
			n = chat.Tokens(m.Content)
		}
		messages = append(messages, m)
		tokens += n + chat.MessageTokens
	}
	add(chat.PromptMessage{Role: chat.RoleSystem, Content: d.System}, "", 0)
	for _, x := range slices.Backward(d.exchanges) {
		for _, m := range x.said {
			content := names.Say(m.said.Author.ID, m.said.Content)
			add(chat.PromptMessage{ID: m.said.MessageID, Role: chat.RoleUser, Content: content}, m.said.Content, m.tokens)
		}
		for _, a := range x.answers {
			add(d.answer(a.TurnEnded), a.Content, a.tokens)
		}
	}
	return messages, tokens
}

// answer tells the model its own answers as such. Among assistants that are
// addressed by name another one's are told as somebody else's; where one model
// was merely switched for another, the next one continues.
func (d *dialogue) answer(a chat.TurnEnded) chat.PromptMessage {
	m := chat.PromptMessage{ID: a.MessageID, Role: chat.RoleAssistant, Content: a.Content}
	other, _ := d.Models.Model(a.ModelID)
	if name := cmp.Or(a.Name, other.Name); a.ModelID != d.Turn.ModelID && name != "" && d.model.Name != "" {
		m.Role, m.Content = chat.RoleUser, "["+name+"]: "+a.Content
	}
	return m
}
