package upstream

import (
	"bytes"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"parlor/protocol/chat"
)

// A server gets system messages in one of these ways.
const (
	SystemSend = "send" // they are sent as what they are
	SystemFold = "fold" // their text begins the first message of the user
	SystemNone = "none" // they are left out
)

// The names under which OpenAI's protocol has the limit of an answer.
const (
	MaxTokens           = "max_tokens"
	MaxCompletionTokens = "max_completion_tokens"
)

// A Dialect says in what a server differs from its protocol. The zero value is
// the protocol as it is written.
type Dialect struct {
	System  string // SystemSend, SystemFold or SystemNone; empty means SystemSend
	NoUsage bool   // the server refuses to be asked for the usage

	// MaxTokensField is [MaxTokens] or [MaxCompletionTokens]. Empty leaves it to
	// the protocol.
	MaxTokensField string

	// LenientFinish means that the server never says why an answer ends: it is
	// whole when the stream ends well.
	LenientFinish bool

	NoTools     bool // the model takes none
	OwnIDs      bool // calls go by ids of nine letters and digits alone
	WantContent bool // a message that only calls tools has a content of ""
	WantThought bool // such a message has what the model thought before, or ""
}

// begin is what the user is taken to have said before a conversation that an
// assistant opened: many servers want the user to begin.
const begin = "(The conversation begins.)"

// between separates messages that are sent as one.
const between = "\n\n"

// shape returns p as servers take it, the strict ones too: one system message
// first, then user and assistant in turns, beginning with the user, and no
// message without anything to see. A turn that failed, that was empty or that
// was stopped before its first word leaves no answer between two questions.
//
// Without tools, what was called is told as text.
func (d Dialect) shape(p chat.Prompt) chat.Prompt {
	if d.NoTools {
		p.Tools = nil
	}
	if len(p.Tools) == 0 {
		p.Messages = callsAsText(p.Messages)
	}
	var system chat.PromptMessage
	messages := []chat.PromptMessage{}
	for _, m := range p.Messages {
		last := len(messages) - 1
		switch {
		case ofCalls(m):
			messages = append(messages, m)
		case strings.TrimSpace(m.Content) == "" && len(m.Images) == 0:
		case m.Role == chat.RoleSystem:
			m.Content = join(system.Content, m.Content)
			system = m
		case last >= 0 && messages[last].Role == m.Role && !ofCalls(messages[last]):
			messages[last].Content = join(messages[last].Content, m.Content)
			messages[last].Images = slices.Concat(messages[last].Images, m.Images)
		default:
			messages = append(messages, m)
		}
	}
	p.Messages = d.withSystem(messages, system)
	return p
}

func (d Dialect) withSystem(messages []chat.PromptMessage, system chat.PromptMessage) []chat.PromptMessage {
	if d.System == SystemNone {
		system.Content = ""
	}
	fold := d.System == SystemFold && system.Content != ""
	if fold {
		system.Role = chat.RoleUser
	}
	switch answered := len(messages) > 0 && messages[0].Role == chat.RoleAssistant; {
	case fold && (answered || len(messages) == 0):
		return append([]chat.PromptMessage{system}, messages...)
	case fold:
		messages[0].Content = join(system.Content, messages[0].Content)
		return messages
	case answered:
		messages = append([]chat.PromptMessage{{Role: chat.RoleUser, Content: begin}}, messages...)
	}
	if system.Content != "" {
		messages = append([]chat.PromptMessage{system}, messages...)
	}
	return messages
}

// ofCalls reports whether a message calls tools, or is the result of a call.
func ofCalls(m chat.PromptMessage) bool {
	return len(m.Calls) > 0 || m.Back != nil || m.ResultOf != nil
}

// callsAsText returns the messages with calls and results as words of the assistant.
func callsAsText(messages []chat.PromptMessage) (texts []chat.PromptMessage) {
	if !slices.ContainsFunc(messages, ofCalls) {
		return messages
	}
	for _, m := range messages {
		switch {
		case m.ResultOf != nil:
			m = chat.PromptMessage{Role: chat.RoleAssistant, Content: "(" + m.ResultOf.Name + " answered: " + Result(m) + ")"}
		case ofCalls(m):
			for _, c := range m.Calls {
				m.Content = join(m.Content, "("+c.Name+" was called with "+c.Arguments+")")
			}
			m.Calls, m.Back = nil, nil
		}
		texts = append(texts, m)
	}
	return texts
}

func join(a, b string) string {
	switch {
	case a == "":
		return b
	case b == "":
		return a
	}
	return a + between + b
}

// A complaint is a set of what a refusal says that the server does not take.
type complaint uint8

const (
	ofSystem complaint = 1 << iota
	ofUsage
	ofMaxTokens
	ofTools
	ofIDs
	ofContent
	ofThought
	ofChoice
)

// complaints are the parts of a request that a server may not take.
var complaints = map[complaint]string{
	ofSystem: "system messages", ofUsage: "stream_options", ofMaxTokens: "the usual name of the limit of tokens",
	ofTools: "tools", ofIDs: "its own ids of calls", ofContent: "messages of calls alone", ofThought: "calls without thought",
	ofChoice: "that a call is wanted",
}

// String names the parts of a request that are complained of.
func (c complaint) String() string {
	var parts []string
	for of, name := range complaints {
		if c&of != 0 {
			parts = append(parts, name)
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

var (
	aboutUsage  = regexp.MustCompile(`stream_options|include_usage`)
	aboutSystem = regexp.MustCompile(`(?is)\b(system|developer)\b.{0,60}\b(role|message|prompt|instruction)s?\b|` +
		`\b(role|message|prompt|instruction)s?\b.{0,80}\b(system|developer)\b|\buser\W{1,6}(and|or|\W)?\W{0,4}assistant\b|` +
		`must (alternate|start|begin)|\bmessages\W{0,3}\d*\W{0,3}role\b|\b(chat|prompt|jinja) ?template\b`)
	aboutMaxTokens = regexp.MustCompile(`max_(completion_)?tokens`)

	aboutTools   = regexp.MustCompile(`(?i)(\bnot|n['’]t) support\w* .{0,30}\b(tool|function)s?\b|\b(tool|function)s?( use| calling)?\b.{0,20} (is|are) not supported`)
	aboutIDs     = regexp.MustCompile(`(?i)\b(tool|function)[ _-]?(call|use)[ _-]?ids?\b.{0,120}\b(must be|length|pattern)\b`)
	aboutContent = regexp.MustCompile(`(?i)\bcontent\b.{0,40}(<nil>|\bnull\b|\bnone\b|\brequired\b|\bmissing\b|valid string)`)
	aboutChoice  = regexp.MustCompile(`(?i)\btool[_ ]?choice\b`)
	aboutThought = regexp.MustCompile(`(?i)reasoning_content`)

	refuses = regexp.MustCompile(`(?i)n['’]t\b|\bnot\b|\bunsupported|\bunrecogni|\bunknown|\bunexpected|\bextra\b|\bforbid|\binstead\b|\binvalid|\bmissing\b|\bmust\b|\bshould\b|\bonly\b|\bwithout\b|\bno such\b`)
	limits  = regexp.MustCompile(`(?i)\btoo (large|big|high|many|long|small|low)|\bat (most|least)\b|\bexceed|\b(less|greater|more|larger|smaller) than\b|\bmaximum\b|\bminimum\b|\bbetween\b`)
)

// complains reports whether a refusal with status may be one of a part of the
// request. Servers whose templates refuse a prompt also call that their own error.
func complains(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusInternalServerError, http.StatusNotImplemented:
		return true
	}
	return false
}

// complaintOf reads the body of a refusal. It may find too much, which costs one
// request.
func complaintOf(body []byte) (c complaint) {
	if !refuses.Match(body) {
		return 0
	}
	if aboutSystem.Match(body) {
		c |= ofSystem
	}
	if aboutUsage.Match(body) {
		c |= ofUsage
	}
	if aboutMaxTokens.Match(body) && !limits.Match(body) {
		c |= ofMaxTokens
	}
	for of, about := range map[complaint]*regexp.Regexp{ofTools: aboutTools, ofIDs: aboutIDs, ofContent: aboutContent, ofThought: aboutThought, ofChoice: aboutChoice} {
		if about.Match(body) {
			c |= of
		}
	}
	return c
}

// complaintIn returns what err says that the server does not take.
func complaintIn(err error) complaint {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f.complaint
	}
	return 0
}

// without returns the dialect that leaves out the first part that is complained
// of in the request that was sent, and that part.
func (d Dialect) without(c complaint, sent []byte) (Dialect, complaint) {
	switch {
	case c&ofIDs != 0:
		d.OwnIDs = true
		return d, ofIDs
	case c&ofThought != 0:
		d.WantThought = true
		return d, ofThought
	case c&ofContent != 0:
		d.WantContent = true
		return d, ofContent
	case c&ofTools != 0:
		d.NoTools = true
		return d, ofTools
	case c&ofUsage != 0:
		d.NoUsage = true
		return d, ofUsage
	case c&ofMaxTokens != 0:
		d.MaxTokensField = MaxCompletionTokens
		if bytes.Contains(sent, []byte(`"`+MaxCompletionTokens+`":`)) {
			d.MaxTokensField = MaxTokens
		}
		return d, ofMaxTokens
	case c&ofSystem != 0 && d.System != SystemNone:
		d.System = SystemFold
		return d, ofSystem
	}
	return d, 0
}
