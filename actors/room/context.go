package room

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"parlor/protocol/chat"
)

// What a prompt may hold if the model does not say, in tokens.
const (
	defaultContextWindow = 32 << 10
	defaultAnswerTokens  = 4 << 10 // are kept free for the answer
)

// bytesPerToken is how many there are in one at most, as [chat.Estimate] counts.
const bytesPerToken = 4

var errLongPrompt = chat.Refuse(chat.CodeTooLarge, "the message, with what the assistant is told before it, is longer than this model can read")

// A dialogue is the part of a conversation that an assistant is told, put
// together while the log is read from its end.
//
// It consists of exchanges, of which the most recent that fit stay, each as a
// whole: what was asked, also while the answer was being given, and the
// answers to it.
type dialogue struct {
	turn      chat.Turn
	model     chat.Model
	of        Models
	left      int        // tokens, without the answer
	exchanges []exchange // newest first

	answers   answers
	steered   map[chat.MessageID][]chat.MessageAdded // by what the turn that took them in answers; newest first
	takenIn   map[chat.MessageID]chat.TurnID
	restarted map[chat.TurnID]bool // in what was read, so that what it took in before does not count
	prompts   map[chat.TurnID]chat.MessageID
}

// An exchange is a message, what was said to the turn that answered it, and
// the answers: the newest of each model.
type exchange struct {
	said    []chat.MessageAdded
	answers []chat.TurnEnded
}

// newDialogue begins with what the model is told before the conversation.
func newDialogue(turn chat.Turn, model chat.Model, of Models, window int, system string) *dialogue {
	if model.ContextWindow > 0 {
		window = model.ContextWindow
	}
	answer := defaultAnswerTokens
	if model.MaxTokens > 0 {
		answer = model.MaxTokens
	}
	d := &dialogue{
		turn: turn, model: model, of: of, left: window - min(answer, window/2) - chat.Tokens(system) - chat.MessageTokens,
		steered: make(map[chat.MessageID][]chat.MessageAdded), takenIn: make(map[chat.MessageID]chat.TurnID),
		restarted: make(map[chat.TurnID]bool), prompts: make(map[chat.TurnID]chat.MessageID),
	}
	d.answers.limit = max(0, d.left) * bytesPerToken * answersSlack
	return d
}

// add takes the next older record, and reports whether older ones are wanted.
func (d *dialogue) add(e chat.Event) (more bool) {
	switch e := e.(type) {
	case chat.TurnEnded:
		d.prompts[e.TurnID] = e.Prompt
		d.answers.add(e)
	case chat.TurnStarted:
		d.restarted[e.TurnID] = d.restarted[e.TurnID] || e.Attempt > 1
	case chat.TurnSteered:
		for _, id := range e.Messages {
			if !d.restarted[e.TurnID] {
				d.takenIn[id] = e.TurnID
			}
		}
	case chat.MessageAdded:
		return d.addMessage(e)
	}
	return true
}

func (d *dialogue) addMessage(e chat.MessageAdded) (more bool) {
	if prompt, ended := d.prompts[d.takenIn[e.MessageID]]; ended {
		d.steered[prompt] = append(d.steered[prompt], e)
		return true
	}
	begun := len(d.exchanges) > 0
	if !begun && e.MessageID != d.turn.Prompt {
		return true // said later than what is to be answered
	}
	x := exchange{said: []chat.MessageAdded{e}}
	if e.MessageID != d.turn.Prompt {
		x.answers = d.answers.to(e.MessageID)
		for _, m := range slices.Backward(d.steered[e.MessageID]) {
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
		n += chat.Tokens(m.Content) + chat.Tokens(m.Author.Name) + chat.MessageTokens
	}
	for _, a := range x.answers {
		n += chat.Tokens(a.Content) + chat.MessageTokens
	}
	return n
}

// fits reports whether the message to answer does, if it is known what the
// model can read.
func (d *dialogue) fits() bool {
	return d.model.ContextWindow == 0 || d.left >= 0 || len(d.exchanges) > 1
}

// messages returns the conversation, oldest first.
func (d *dialogue) messages(names names) (messages []chat.PromptMessage) {
	for _, x := range slices.Backward(d.exchanges) {
		for _, m := range x.said {
			messages = append(messages, chat.PromptMessage{ID: m.MessageID, Role: chat.RoleUser, Content: names.say(m.Author.ID, m.Content)})
		}
		for _, a := range x.answers {
			messages = append(messages, d.answer(a))
		}
	}
	return messages
}

// answer tells the model its own answers as such. Among assistants that are
// addressed by name another one's are told as somebody else's; where one model
// was merely switched for another, the next one continues.
func (d *dialogue) answer(a chat.TurnEnded) chat.PromptMessage {
	m := chat.PromptMessage{ID: a.MessageID, Role: chat.RoleAssistant, Content: a.Content}
	other, _ := d.of.Model(a.ModelID)
	if name := cmp.Or(a.Name, other.Name); a.ModelID != d.turn.ModelID && name != "" && d.model.Name != "" {
		m.Role, m.Content = chat.RoleUser, "["+name+"]: "+a.Content
	}
	return m
}

// names are those of who speaks in the dialogue.
type names map[chat.UserID]string

func (d *dialogue) names() names {
	all := make(names)
	for _, x := range slices.Backward(d.exchanges) {
		for _, m := range x.said {
			all.add(m.Author)
		}
	}
	return all
}

// add gives somebody who speaks a name that nobody else has.
func (n names) add(u chat.User) {
	if _, known := n[u.ID]; known {
		return
	}
	name := speakerName(u)
	for i := 2; n.taken(name); i++ {
		name = fmt.Sprintf("%s (%d)", speakerName(u), i)
	}
	n[u.ID] = name
}

// taken reports whether somebody has the name, in whatever case.
func (n names) taken(name string) bool {
	for _, other := range n {
		if strings.EqualFold(other, name) {
			return true
		}
	}
	return false
}

// maxSpeakerRunes bounds what of a name is said before each message.
const maxSpeakerRunes = 40

// speakerName returns the user's name as one that ends before a colon.
func speakerName(u chat.User) string {
	for _, name := range []string{u.Name, string(u.ID)} {
		clean := []rune(strings.TrimSpace(strings.Map(func(r rune) rune {
			if strings.ContainsRune(":[]", r) {
				return -1
			}
			return r
		}, chat.OneLine(name))))
		if len(clean) > 0 {
			return string(clean[:min(len(clean), maxSpeakerRunes)])
		}
	}
	return "somebody"
}

// say returns what a user said, and who that is if it is not the only one. A
// line that looks like somebody else's words is quoted. Speech that was not
// written down has no content, and providers tell it by that.
func (n names) say(user chat.UserID, content string) string {
	if len(n) < 2 || content == "" {
		return content
	}
	lines := strings.Split(content, "\n")
	for i, line := range lines {
		if i > 0 && n.claims(line) {
			lines[i] = "> " + line
		}
	}
	return n[user] + ": " + strings.Join(lines, "\n")
}

// claims reports whether a line begins as one that says who speaks.
func (n names) claims(line string) bool {
	who, _, ok := strings.Cut(strings.TrimSpace(line), ":")
	if !ok {
		return false
	}
	who = strings.TrimSpace(who)
	return n.taken(who) || strings.HasPrefix(who, "[") && strings.HasSuffix(who, "]")
}

// systemPrompt is what an assistant is told before the conversation, by the
// server, for the model and for the chat, and what day it is.
func systemPrompt(now time.Time, parts ...string) string {
	parts = slices.DeleteFunc(parts, func(p string) bool { return strings.TrimSpace(p) == "" })
	parts = append(parts, "Today is "+now.UTC().Format("Monday, 2 January 2006")+" (UTC).")
	return strings.Join(parts, "\n\n")
}

// answers are those that have been read, newest first, before the messages that
// they answer. What is read in between is bounded: the newest ones go first, as
// they may answer what follows the prompt.
type answers struct {
	list  []chat.TurnEnded
	bytes int
	limit int
}

// answersSlack leaves room for answers that turn out not to be wanted.
const answersSlack = 4

// add adds an older answer. One that the same model gave again later does not
// count, nor one without text.
func (a *answers) add(e chat.TurnEnded) {
	again := func(newer chat.TurnEnded) bool { return newer.Prompt == e.Prompt && newer.ModelID == e.ModelID }
	if e.Content == "" || slices.ContainsFunc(a.list, again) {
		return
	}
	a.list = append(a.list, e)
	a.bytes += len(e.Content)
	for a.bytes > a.limit && len(a.list) > 1 {
		a.bytes -= len(a.list[0].Content)
		a.list = slices.Delete(a.list, 0, 1)
	}
}

// to takes the answers to a message, oldest first.
func (a *answers) to(prompt chat.MessageID) (answers []chat.TurnEnded) {
	a.list = slices.DeleteFunc(a.list, func(e chat.TurnEnded) bool {
		if e.Prompt != prompt {
			return false
		}
		answers = append(answers, e)
		a.bytes -= len(e.Content)
		return true
	})
	slices.Reverse(answers)
	return answers
}
