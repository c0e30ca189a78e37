package conversation

import (
	"cmp"
	"strings"
	"unique"

	"parlor/protocol/chat"
)

// A remembered record is the part of a record that prompts need, in the form in which
// they need it. A turn goes through many thousands of them.
type remembered struct {
	kind      kind
	seq       uint64
	id        chat.MessageID // of a message or an answer
	turn      chat.TurnID    // of all but a message
	prompt    chat.MessageID // of an answer
	promptSeq uint64         // of an answer; 0 in old records
	version   uint64         // of an answer, see [chat.TurnEnded]
	by        unique.Handle[speaker]

	// text is the label of the speaker, and then the content. Prompts leave the label
	// out where they need none.
	text     string
	labelLen int

	tokens, labelledTokens int // of the text, without the label and with it
	cost                   int // tokens that it takes of a window

	suspects []string         // the names that lines of a message begin with, as if somebody else said them
	taken    []chat.MessageID // in, by the turn
	files    []chat.File      // that a message brings
	tools    []string         // with which alone it is to be answered; nil: with all
	choice   chat.ToolChoice  // of what is called first for it
	brought  []chat.OfferedTool
	steps    int // of an answer, that ended in calls of tools
	step     *chat.ToolsCalled
	ended    *chat.ToolEnded
	args     *chat.ToolDecided // which has changed the arguments of a call
}

// A kind is what a remembered record says.
type kind uint8

const (
	message   kind = iota // somebody has said something
	answer                // a turn has ended
	taking                // a turn has taken messages in
	restarted             // a turn has begun again
	calling               // a turn has called tools
	decided               // a member has changed a call
	called                // a call has ended
)

// A speaker is a person or an assistant.
type speaker struct {
	user  chat.UserID
	model chat.ModelID
	name  string // as recorded
	label string // under which others are told what it says, if no other speaker has it
}

// remember returns the part of the record that prompts need, or false if there is none.
func remember(record chat.Record) (r remembered, ok bool) {
	switch e := record.Event.(type) {
	case chat.MessageAdded:
		r = remembered{kind: message, id: e.MessageID}
		r.say(speaker{user: e.Author.ID, name: e.Author.Name, label: speakerName(e.Author)}, e.Content)
		r.cost += chat.Tokens(e.Author.Name)
		r.suspects, r.files, r.tools = suspects(r.content()), e.Files, e.OnlyTools
		r.choice, r.brought = e.ToolChoice, e.Tools
	case chat.TurnEnded:
		r = remembered{kind: answer, id: e.MessageID, turn: e.TurnID, prompt: e.Prompt, promptSeq: e.PromptSeq, version: e.Version, steps: e.Steps}
		r.say(speaker{model: e.ModelID, name: e.Name, label: assistantName(e.Name)}, e.Content)
	case chat.TurnSteered:
		r = remembered{kind: taking, turn: e.TurnID, taken: e.Messages}
	case chat.TurnStarted:
		if e.Attempt == 1 {
			return r, false
		}
		r = remembered{kind: restarted, turn: e.TurnID}
	case chat.ToolsCalled:
		r = remembered{kind: calling, turn: e.TurnID, step: &e}
		r.cost = stepTokens(e)
	case chat.ToolDecided:
		if e.Args == "" {
			return r, false
		}
		r = remembered{kind: decided, turn: e.TurnID, args: &e}
	case chat.ToolEnded:
		r = remembered{kind: called, turn: e.TurnID, ended: &e}
		r.cost = chat.Tokens(e.Result) + chat.MessageTokens
	default:
		return r, false
	}
	r.seq = record.Seq
	return r, true
}

// say sets what the speaker has said.
func (r *remembered) say(by speaker, content string) {
	label := labelOf(by.label)
	r.by, r.text, r.labelLen = unique.Make(by), label+content, len(label)
	var e chat.Estimate
	e.Add(content)
	r.tokens = e.Tokens()
	e.Add(label)
	r.labelledTokens, r.cost = e.Tokens(), r.tokens+chat.MessageTokens
}

// labelOf returns the label for the words of a speaker with the name.
func labelOf(name string) string {
	if name == "" {
		return ""
	}
	return name + ": "
}

// content is what was said.
func (r *remembered) content() string { return r.text[r.labelLen:] }

// answers reports whether r answers the message.
func (r *remembered) answers(m *remembered) bool {
	return r.promptSeq == m.seq || r.promptSeq == 0 && r.prompt == m.id
}

// hiddenBy reports whether r is a message, or an answer, that is not on the path.
func (r *remembered) hiddenBy(p chat.Path) bool {
	switch r.kind {
	case message:
		return !p.Shows(r.seq)
	case answer:
		return p.HidesAnswer(r.seq, r.promptSeq, r.version)
	}
	return false
}

// place is where a message, or what an answer answers, stands; of other records it is 0.
func (r *remembered) place() uint64 {
	switch r.kind {
	case message:
		return r.seq
	case answer:
		return cmp.Or(r.promptSeq, r.seq)
	}
	return 0
}

// bytes is roughly what r takes in memory.
func (r *remembered) bytes() int {
	const overhead, item, file = 400, 24, 256
	n := overhead + len(r.text) + item*(len(r.suspects)+len(r.taken)+len(r.tools)) + file*len(r.files)
	for _, t := range r.brought {
		n += file + len(t.Description) + len(t.Parameters)
	}
	if r.ended != nil {
		n += len(r.ended.Result)
	}
	if r.step != nil {
		n += len(r.step.Content) + len(r.step.Thought) + len(r.step.Back)
		for _, c := range r.step.Calls {
			n += len(c.Arguments) + len(c.Back)
		}
	}
	return n
}

// suspects returns what suspect finds in the lines of a text, but for the first line.
func suspects(content string) (all []string) {
	_, rest, more := strings.Cut(content, "\n")
	for more {
		var line string
		line, rest, more = strings.Cut(rest, "\n")
		if who := suspect(line); who != "" {
			all = append(all, who)
		}
	}
	return all
}
