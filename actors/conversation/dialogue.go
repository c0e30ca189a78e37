package conversation

import (
	"cmp"
	"slices"

	"parlor/protocol/chat"
)

// A dialogue is the part of a conversation that goes into a prompt. It is put
// together while the log is read from its end.
//
// It consists of exchanges. An exchange is a message, the answers to it, and the
// messages that the turns of these answers took in. The newest exchanges that fit
// are in the dialogue, each as a whole.
type dialogue struct {
	Question
	model    chat.Model
	left     int // tokens, without the answer
	fileLeft int // of these, for files
	given    map[*remembered][]chat.Source
	cut      []chat.CutFile
	tools    []string // see [Composed]
	choice   chat.ToolChoice
	brought  []chat.OfferedTool

	// parts are the records of the exchanges, newest first: of each exchange the
	// newest answer of each model, the messages that were taken in, and the message
	// that was answered.
	parts     []*remembered
	exchanges int
	bytes     int // of the parts, and of what waits in steering

	answers  answers
	lastEnd  *remembered                       // the end that was read last, of a turn that had started
	restarts map[chat.TurnID]bool              // what these took in before does not count
	takenIn  map[chat.MessageID]chat.MessageID // by a turn, with the message that this answers
	steering map[chat.MessageID][]*remembered  // what was taken in, by that message; newest first
	steps    map[chat.TurnID][]*remembered     // what turns called, and what came of it; newest first
}

// newDialogue begins with what the model is told before the conversation.
func newDialogue(q Question) *dialogue {
	model, _ := q.Models.Model(q.Turn.ModelID)
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
		restarts: make(map[chat.TurnID]bool), takenIn: make(map[chat.MessageID]chat.MessageID),
		steering: make(map[chat.MessageID][]*remembered), steps: make(map[chat.TurnID][]*remembered),
	}
	d.fileLeft = min(d.left, window*cmp.Or(q.FileShare, DefaultFileShare)/100)
	d.answers.limit = max(0, d.left) * bytesPerToken * answersSlack
	return d
}

// begun reports whether the message to answer was read.
func (d *dialogue) begun() bool { return d.exchanges > 0 }

// add takes the next older record, which is not superseded. It reports whether the
// dialogue wants still older ones.
func (d *dialogue) add(r *remembered) (more bool) {
	switch r.kind {
	case message:
		return d.unheard(r) || d.addMessage(r)
	case answer:
		if r.id != "" { // it had been started
			d.lastEnd = r
		}
		d.answers.add(r)
	case taking:
		// Turns run one at a time: if this one has ended, no other one's end was
		// read since.
		if d.lastEnd != nil && d.lastEnd.turn == r.turn && !d.restarts[r.turn] {
			for _, id := range r.taken {
				d.takenIn[id] = d.lastEnd.prompt
			}
		}
	case restarted:
		d.restarts[r.turn] = true
	case calling, decided, called:
		if d.lastEnd != nil && d.lastEnd.turn == r.turn { // those of the running turn are its own affair
			d.steps[r.turn] = append(d.steps[r.turn], r)
		}
	}
	return true
}

// unheard reports whether m is the message that the turn answers, which the
// model has heard on its line already.
func (d *dialogue) unheard(m *remembered) bool { return d.Turn.Unheard && m.id == d.Turn.Prompt }

func (d *dialogue) addMessage(m *remembered) (more bool) {
	asked := !d.begun() && m.id == d.Turn.Prompt
	prompt, taken := d.takenIn[m.id]
	if !d.begun() && !asked && !taken { // it was said later than what is to be answered
		d.answers.drop(m)
		return true
	}
	if asked {
		d.tools, d.choice, d.brought = m.tools, m.choice, m.brought
	}
	d.bytes += m.bytes()
	if taken && !asked {
		d.steering[prompt] = append(d.steering[prompt], m)
		return true
	}
	before := len(d.parts)
	if !asked {
		d.parts = d.answers.to(m, d.parts)
		d.parts = append(d.parts, d.steering[m.id]...)
	}
	d.parts = append(d.parts, m)
	for _, r := range d.parts[before:] {
		d.left -= r.cost + d.give(r)
		if r.kind == answer {
			d.bytes += r.bytes()
		}
		for _, step := range d.steps[r.turn] {
			d.left, d.bytes = d.left-step.cost, d.bytes+step.bytes()
		}
	}
	if d.begun() && d.left < 0 {
		d.parts = d.parts[:before]
		return false
	}
	d.exchanges++
	return true
}

// fits reports whether the message to answer fits into the model's window. If the
// window is not known, any message does.
func (d *dialogue) fits() bool {
	return d.model.ContextWindow == 0 || d.left >= 0 || d.exchanges > 1
}

// messages returns the conversation, oldest first, and how many tokens it is.
func (d *dialogue) messages(names Names) (messages []chat.PromptMessage, tokens int) {
	messages = append(make([]chat.PromptMessage, 0, len(d.parts)+1), chat.PromptMessage{Role: chat.RoleSystem, Content: d.System})
	tokens = messages[0].Tokens()
	for _, r := range slices.Backward(d.parts) {
		m, n := chat.PromptMessage{ID: r.id, Role: chat.RoleUser}, 0
		if r.kind == message {
			m.Content, n = names.say(r)
		} else {
			m.Role, m.Content, n = d.answer(r)
		}
		if m.Sources = d.given[r]; m.Sources != nil {
			cut := chat.CutOf(m.Sources, d.model.Vision)
			d.cut, n = append(d.cut, cut...), n+sourceTokens(m.Sources)
		}
		tokens += n + chat.MessageTokens
		if steps := d.stepsOf(r); steps.Len() > 0 && m.Role == chat.RoleAssistant {
			messages = append(messages, steps.Messages()...)
			m.Content = steps.rest(m.Content)
			tokens += steps.tokens()
		}
		messages = append(messages, m)
	}
	return messages, tokens
}

// give decides how much the model is given of the files of a message, and returns how many
// tokens that is. The files of newer messages come first.
func (d *dialogue) give(r *remembered) int {
	if len(r.files) == 0 {
		return 0
	}
	if d.given == nil {
		d.given = make(map[*remembered][]chat.Source)
	}
	d.given[r] = Sources(r.files, d.model.Vision, &d.fileLeft)
	return sourceTokens(d.given[r])
}

// Sources decides how much of the files a model is given that may have so many tokens left,
// and takes that from left. Of an image it is given all or nothing.
func Sources(files []chat.File, vision bool, left *int) (given []chat.Source) {
	for _, f := range files {
		s := chat.Source{File: f, Tokens: max(0, min(f.Tokens, *left))}
		if f.Image() && (s.Tokens < f.Tokens || !vision) {
			s.Tokens = 0
		}
		*left -= s.Tokens
		given = append(given, s)
	}
	return given
}

// sourceTokens is what the model is given, with a line that says what each source is.
func sourceTokens(given []chat.Source) (n int) {
	const line = 32
	for _, s := range given {
		n += line + s.Tokens
	}
	return n
}

// stepsOf returns what the turn of an answer called before it. An answer of another model
// that is told as somebody else's is told without.
func (d *dialogue) stepsOf(r *remembered) (s Steps) {
	if r.kind != answer {
		return s
	}
	for _, step := range slices.Backward(d.steps[r.turn]) {
		switch step.kind {
		case calling:
			s.Add(*step.step)
		case decided:
			s.Add(*step.args)
		case called:
			s.Add(*step.ended)
		}
	}
	return s
}

// answer tells the model its own answers as such. Among assistants that are
// addressed by name another one's are told as somebody else's; where one model
// was merely switched for another, the next one continues.
func (d *dialogue) answer(r *remembered) (role chat.Role, text string, tokens int) {
	by := r.by.Value()
	if by.model == d.Turn.ModelID || d.model.Name == "" {
		return chat.RoleAssistant, r.content(), r.tokens
	}
	if by.label != "" {
		return chat.RoleUser, r.text, r.labelledTokens
	}
	other, _ := d.Models.Model(by.model)
	if other.Name == "" {
		return chat.RoleAssistant, r.content(), r.tokens
	}
	text = labelOf(assistantName(other.Name)) + r.content()
	return chat.RoleUser, text, chat.Tokens(text)
}
