package aisdk

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"parlor/protocol/chat"
)

// A Request is what a POST or a frame of the type "send" asks for. Its fields are as the
// client sent them: rooms decide whether ids exist and may be used.
type Request interface{ request() }

// The requests. Message is the id that the SDK has given a message, see [IDOf].
type (
	// Send says something, or brings files.
	Send struct {
		Chat    chat.ID
		Message string
		Content string
		Files   []File
		Options
	}

	// Edit gives a message of the user a new text, or asks to answer the same text again.
	// Files stay with the message.
	Edit struct {
		Chat    chat.ID
		Message string
		Content string
		Options
	}

	// Regenerate asks for another answer: to Message, or to what Answer has answered, or
	// if both are empty to the newest message.
	Regenerate struct {
		Chat    chat.ID
		Message string // the newest that the client has
		Answer  string // that is not good enough, or the message that it answers
		Options
	}

	// Continue goes on with an answer that has waited for the client to decide about calls.
	// Calls are those that the client has.
	Continue struct {
		Chat   chat.ID
		Answer string
		Calls  map[string]Known
		Options
	}
)

func (Send) request()       {}
func (Edit) request()       {}
func (Regenerate) request() {}
func (Continue) request()   {}

// A File is a file that comes with a message.
type File struct {
	Name string // empty if the client does not say
	Body []byte
}

// Options are what an app may add to the body.
type Options struct {
	ModelID chat.ModelID
	Policy  chat.Policy
	Answer  *bool // whether an answer is wanted; nil: as the chat says
	Old     bool  // the client is of version 5, see [Answer.Old]

	// Tools are what the app runs. Nil says nothing of earlier ones.
	Tools []chat.Tool

	// Choice is what the model is to call next.
	Choice chat.ToolChoice
}

// A Frame is a frame of the WebSocket transport.
type Frame struct {
	Type    string // one of those below
	Request string // the id that the answers have to carry
	Chat    chat.ID
	Send    Request // of a FrameSend
}

// The types of frames that clients send.
const (
	FrameSend   = "send"
	FrameResume = "resume"
	FrameAbort  = "abort"
)

// Limits of what a request may hold, besides the size of a message, which is the room's.
const (
	// MaxMessageIDLen limits the id of a message that the client has made, so that an
	// idempotency key can be made of it.
	MaxMessageIDLen = chat.MaxClientIDLen - editMarkLen

	// MaxFiles is how many files a message may bring.
	MaxFiles = 16

	// MaxReasonLen limits why a client denies a call.
	MaxReasonLen = 1 << 10

	// MaxCalls is how many calls of the message the client may say something about.
	MaxCalls = 512

	maxModelIDLen   = 256
	maxRequestIDLen = 128
)

// OldVersion is that of the SDK that knows no approvals.
const OldVersion = 5

// The triggers of the SDK.
const (
	submit     = "submit-message"
	regenerate = "regenerate-message"
)

// body is the union of what the SDK sends and of what its documentation has apps send
// in its place: only the last message.
type body struct {
	ID        string            `json:"id"`
	Trigger   string            `json:"trigger"`
	MessageID string            `json:"messageId"`
	Messages  []json.RawMessage `json:"messages"`
	Message   json.RawMessage   `json:"message"`
	options
}

type options struct {
	ModelID string `json:"model_id"`
	Policy  string `json:"policy"`
	Answer  *bool  `json:"answer"`
	Version int    `json:"sdk_version"`

	Tools  *[]chat.OfferedTool `json:"tools"`
	Choice json.RawMessage     `json:"tool_choice"`
}

type message struct {
	ID    string  `json:"id"`
	Role  string  `json:"role"`
	Parts *[]part `json:"parts"`
}

type part struct {
	Type string `json:"type"`
	Text string `json:"text"`
	URL  string `json:"url"` // of a file
	Name string `json:"filename"`

	// Of a tool:
	Call     string          `json:"toolCallId"`
	State    string          `json:"state"`
	Output   json.RawMessage `json:"output"`
	Error    string          `json:"errorText"`
	Approval *struct {
		Approved bool   `json:"approved"`
		Reason   string `json:"reason"`
	} `json:"approval"`
}

// Decode understands the body of a POST. Of the messages only the last one counts: the
// conversation is what the room has recorded.
func Decode(b []byte) (Request, *chat.Error) {
	var in body
	if refusal := unmarshal(b, &in, "the body"); refusal != nil {
		return nil, refusal
	}
	return in.decode()
}

// DecodeFrame understands a frame of the WebSocket transport. What an app adds to the
// body is an object of its own there. The frame is returned beside the error: it may say
// which request is refused.
func DecodeFrame(b []byte) (Frame, *chat.Error) {
	var in struct {
		Type    string `json:"type"`
		Request string `json:"requestId"`
		body
		Body options `json:"body"`
	}
	refusal := unmarshal(b, &in, "the frame")
	if len(in.Request) > maxRequestIDLen {
		in.Request, refusal = "", cmp.Or(refusal, invalid("requestId is too long"))
	}
	f := Frame{Type: in.Type, Request: in.Request}
	switch {
	case refusal != nil:
	case in.Request == "":
		refusal = invalid("requestId is missing")
	case in.Type == FrameAbort:
	case in.Type == FrameResume:
		f.Chat, refusal = chatID(in.ID)
	case in.Type == FrameSend:
		in.options = in.Body
		f.Chat = chat.ID(in.ID)
		f.Send, refusal = in.body.decode()
	default:
		refusal = invalid("type must be send, resume or abort")
	}
	return f, refusal
}

// DecodeStop understands the body of a stop, which may be empty, and returns the turn
// that it names.
func DecodeStop(b []byte) (chat.TurnID, *chat.Error) {
	var in struct {
		TurnID string `json:"turn_id"`
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return "", nil
	}
	refusal := unmarshal(b, &in, "the body")
	if len(in.TurnID) > chat.MaxIDLen {
		refusal = cmp.Or(refusal, invalid("turn_id is too long"))
	}
	return chat.TurnID(in.TurnID), refusal
}

func unmarshal(b []byte, to any, what string) *chat.Error {
	if !bytes.HasPrefix(bytes.TrimLeft(b, " \t\r\n"), []byte("{")) {
		return invalid(what + " must be a JSON object")
	}
	err := json.Unmarshal(b, to)
	if wrong, ok := err.(*json.UnmarshalTypeError); ok {
		return invalid("a field of " + what + " has the wrong type: " + wrong.Field)
	}
	if err != nil {
		return invalid(what + " is not JSON")
	}
	return nil
}

func invalid(text string) *chat.Error { return chat.Refuse(chat.CodeInvalid, text) }

func (in body) decode() (Request, *chat.Error) {
	id, refusal := chatID(in.ID)
	if refusal != nil {
		return nil, refusal
	}
	o, refusal := in.options.decode()
	if refusal != nil {
		return nil, refusal
	}
	last, refusal := in.last()
	if refusal != nil {
		return nil, refusal
	}
	if len(in.MessageID) > chat.MaxIDLen {
		return nil, invalid("messageId is too long")
	}
	switch in.Trigger {
	case regenerate:
		return in.regenerate(id, last, o)
	case submit, "":
		return in.submit(id, last, o)
	}
	return nil, invalid("trigger must be " + submit + " or " + regenerate)
}

func chatID(text string) (chat.ID, *chat.Error) {
	switch id := chat.ID(text); {
	case id == "":
		return "", invalid("id is missing: it is that of the chat")
	case !id.Valid():
		return "", invalid("id must be 1 to 128 printable characters without spaces")
	default:
		return id, nil
	}
}

func (o options) decode() (Options, *chat.Error) {
	policy := chat.Policy(o.Policy)
	switch {
	case len(o.ModelID) > maxModelIDLen:
		return Options{}, invalid("model_id is too long")
	case policy != "" && !policy.Valid():
		return Options{}, invalid("policy must be " + chat.Policies)
	}
	tools, refusal := chat.PageTools(o.Tools)
	choice, wrong := choiceOf(o.Choice)
	return Options{ModelID: chat.ModelID(o.ModelID), Policy: policy, Answer: o.Answer, Old: o.Version == OldVersion, Tools: tools, Choice: choice}, cmp.Or(refusal, wrong)
}

// last returns the last message, or nil if there is none.
func (in body) last() (*message, *chat.Error) {
	raw := in.Message
	if n := len(in.Messages); n > 0 {
		raw = in.Messages[n-1]
	}
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	var m message
	if refusal := unmarshal(raw, &m, "the last message"); refusal != nil {
		return nil, refusal
	}
	return &m, nil
}

func (in body) regenerate(id chat.ID, last *message, o Options) (Request, *chat.Error) {
	r := Regenerate{Chat: id, Answer: in.MessageID, Options: o}
	switch {
	case last == nil:
	case last.Role != string(chat.RoleUser):
		return nil, invalid("messages must end with the message to answer")
	case len(last.ID) > chat.MaxIDLen:
		return nil, invalid("the id of the last message is too long")
	default:
		r.Message = last.ID
	}
	return r, nil
}

func (in body) submit(id chat.ID, last *message, o Options) (Request, *chat.Error) {
	switch {
	case last == nil:
		return nil, invalid("messages is empty")
	case last.Role == string(chat.RoleAssistant) && in.MessageID != "":
		calls, refusal := last.calls()
		return Continue{Chat: id, Answer: in.MessageID, Calls: calls, Options: o}, refusal
	case last.Role != string(chat.RoleUser):
		return nil, invalid("the last message must be the user's")
	case in.MessageID != "" && in.MessageID != last.ID:
		return nil, invalid("messages must end with the message that messageId names")
	}
	content, files, refusal := last.content(in.MessageID == "")
	if refusal != nil {
		return nil, refusal
	}
	if !chat.ClientID(last.ID).Valid() || len(last.ID) > MaxMessageIDLen {
		return nil, invalid(fmt.Sprintf("the id of the last message must be 1 to %d printable characters without spaces", MaxMessageIDLen))
	}
	if in.MessageID != "" {
		return Edit{Chat: id, Message: last.ID, Content: content, Options: o}, nil
	}
	return Send{Chat: id, Message: last.ID, Content: content, Files: files, Options: o}, nil
}

// content returns the text of a message, and its files if they are wanted.
func (m *message) content(wantFiles bool) (text string, files []File, refusal *chat.Error) {
	if m.Parts == nil {
		return "", nil, invalid("the last message has no parts")
	}
	var texts []string
	for _, p := range *m.Parts {
		switch {
		case p.Type == "text":
			texts = append(texts, p.Text)
		case p.Type != "file":
			return "", nil, invalid(fmt.Sprintf("parts of the type %.64q cannot be sent with a message here", p.Type))
		case wantFiles:
			body, refusal := chat.FileIn(p.URL)
			if refusal != nil {
				return "", nil, refusal
			}
			files = append(files, File{p.Name, body})
		}
	}
	text = strings.Join(texts, "\n")
	switch {
	case len(files) > MaxFiles:
		return "", nil, invalid(fmt.Sprintf("a message may bring %d files", MaxFiles))
	case strings.TrimSpace(text) == "" && len(files) == 0:
		return "", nil, invalid("the message is empty")
	}
	return text, files, nil
}
