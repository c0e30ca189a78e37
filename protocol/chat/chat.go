// Package chat is the vocabulary of parlor: who talks, in which chat, about
// what is recorded, and how a refusal is named.
//
//	command → room → [Event]s → log → the same Events folded into state, told to listeners
//
// It holds no I/O, no goroutines and no clock; the actors, the wire dialects
// and the HTTP API all speak in these types.
package chat

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// An ID names a chat. Clients choose it or have it chosen for them; it is
// what a person bookmarks.
type ID string

// A RoomID names the room that serves a chat, see [ID.Room].
type RoomID string

// The other names of things. Message and turn ids are UUIDs that the server
// chose; a ClientID is the idempotency key that a client may attach to a send.
type (
	UserID    string
	MessageID string
	TurnID    string
	ModelID   string
	ClientID  string
)

// Limits of names that clients choose, in bytes.
const (
	MaxIDLen       = 128
	MaxUserIDLen   = 128
	MaxNameLen     = 256 // of a user
	MaxClientIDLen = 128
)

const (
	roomHashLen  = 15 // bytes
	roomAlphabet = "abcdefghijklmnopqrstuvwxyz234567"
)

var roomEncoding = base32.NewEncoding(roomAlphabet).WithPadding(base32.NoPadding)

// Room returns the id of the chat's room. It is a function of the chat id
// alone, so it is the same on every reconnect and after every restart, cannot
// collide, and contains only letters and digits: event names and actor names
// are built from it.
func (id ID) Room() RoomID {
	sum := sha256.Sum256([]byte(id))
	return RoomID("r" + roomEncoding.EncodeToString(sum[:roomHashLen]))
}

// Valid reports whether id looks like the result of [ID.Room].
func (id RoomID) Valid() bool {
	name, ok := strings.CutPrefix(string(id), "r")
	return ok && len(name) == roomEncoding.EncodedLen(roomHashLen) && strings.Trim(name, roomAlphabet) == ""
}

// Valid reports whether id can name a chat: 1 to [MaxIDLen] bytes of
// printable UTF-8 without spaces, since event names carry it after a space.
// "." and ".." would mean something else in the path of a URL.
func (id ID) Valid() bool { return validName(string(id), MaxIDLen) && id != "." && id != ".." }

// Valid reports whether id can be an idempotency key.
func (id ClientID) Valid() bool { return validName(string(id), MaxClientIDLen) }

func validName(s string, limit int) bool {
	return s != "" && len(s) <= limit && utf8.ValidString(s) &&
		!strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == utf8.RuneError })
}

// A User is somebody who proved who they are, or a guest of development mode.
type User struct {
	ID      UserID `json:"user_id"`
	Name    string `json:"name,omitempty"`
	Email   string `json:"email,omitempty"`
	Picture string `json:"picture,omitempty"`

	// Guest means that nobody said who this is, and the ID was made up.
	Guest bool `json:"-"`

	// Only is the one room that somebody without an account may use: see [UserID.IsGuest].
	Only RoomID `json:"-"`

	// Admin means that the user may look after the server. It opens no chat.
	Admin bool `json:"-"`
}

// A Model is an assistant that a chat can talk with, as clients list it.
type Model struct {
	ID          ModelID `json:"model_id"`
	APISource   string  `json:"model_api_source"`
	Provider    string  `json:"provider"`
	DisplayName string  `json:"display_name"`
	FullName    string  `json:"full_name"`
	Description string  `json:"description"`

	// Name is how people address it among others, as @name; empty if they cannot.
	Name string `json:"name,omitempty"`

	// ContextWindow and MaxTokens limit what it is asked and what it answers, in
	// tokens. Zero means not known, and as the provider likes.
	ContextWindow int `json:"context_window,omitempty"`
	MaxTokens     int `json:"max_tokens,omitempty"`

	// PromptPrice and CompletionPrice are what a million tokens cost; both zero means that
	// no price is known.
	PromptPrice     float64 `json:"prompt_price,omitempty"`
	CompletionPrice float64 `json:"completion_price,omitempty"`

	// Vision means that it sees images.
	Vision bool `json:"vision,omitempty"`

	// SystemPrompt is what it is told before every conversation.
	SystemPrompt string `json:"-"`

	// State is whether its provider is asked; empty for one that cannot fail.
	State ProviderState `json:"state,omitempty"`
}

// SourceRealtime is the APISource of models that listen and speak: they are
// asked in sessions, see [Input].
const SourceRealtime = "openai_realtime"

// Cost returns what so many tokens cost. It is not ok if the model has no price.
func (m Model) Cost(prompt, completion uint64) (cost float64, ok bool) {
	const per = 1e6 // tokens
	cost = (float64(prompt)*m.PromptPrice + float64(completion)*m.CompletionPrice) / per
	return cost, m.PromptPrice > 0 || m.CompletionPrice > 0
}

// Duplex reports whether the model is asked in sessions.
func (m Model) Duplex() bool { return m.APISource == SourceRealtime }

// Info is what is known of a chat without reading its history.
type Info struct {
	ID        ID        `json:"chat_id"`
	Room      RoomID    `json:"room_id"`
	Owner     UserID    `json:"user_id"`
	OwnerName string    `json:"owner_name,omitempty"`
	Members   []Member  `json:"members,omitempty"` // without the owner, in the order in which they came
	ModelID   ModelID   `json:"current_model_id"`
	APISource string    `json:"current_model_api_source"`
	Epoch     string    `json:"epoch"` // changes when the chat is deleted and made anew
	Created   time.Time `json:"created_timestamp"`
	Kind      string    `json:"kind,omitempty"` // empty: a chat; see [KindChannel]
	Settings
}

// Settings are what members may change of a chat. Empty ones mean what the
// server is configured to do.
type Settings struct {
	Title        string `json:"title,omitempty"`
	SystemPrompt string `json:"system_prompt,omitempty"` // in addition to the model's and the server's
	Policy       Policy `json:"turn_policy,omitempty"`
	ReadOnly     bool   `json:"read_only,omitempty"` // only the owner talks

	// RetainFor is after how many seconds without a word the chat is deleted; 0: as the server
	// is configured, which may delete it sooner.
	RetainFor int64 `json:"retain_for,omitempty"`

	Answers Answers `json:"answers,omitempty"` // empty: all

	ToolsOff ToolNames `json:"tools_off,omitempty"` // of those of the model, the ones that it is not offered here
}

// Answers says which messages an assistant answers, unless their sender says so.
type Answers string

// The messages that are answered.
const (
	AnswerAll       Answers = "all"
	AnswerMentioned Answers = "mentioned" // those that name an assistant
	AnswerNone      Answers = "none"
)

// Valid reports whether there is such a setting.
func (a Answers) Valid() bool { return a == AnswerAll || a == AnswerMentioned || a == AnswerNone }

// A Policy says what becomes of a message that wants an answer while a turn runs.
type Policy string

// The policies.
const (
	PolicyQueue     Policy = "queue"     // it is answered when its turn comes
	PolicySteer     Policy = "steer"     // it joins the running turn where that next pauses, or is answered next
	PolicyInterrupt Policy = "interrupt" // it stops the running turn, and is answered
	PolicyReject    Policy = "reject"    // it is refused as busy
	PolicyMerge     Policy = "merge"     // it is answered with the author's last one that still waits, or it waits
	PolicyRollback  Policy = "rollback"  // it takes the place of the running turn's question, if that is the author's, or it interrupts
)

// Policies names them all.
const Policies = "queue, steer, interrupt, reject, merge or rollback"

// Valid reports whether there is such a policy.
func (p Policy) Valid() bool {
	switch p {
	case PolicyQueue, PolicySteer, PolicyInterrupt, PolicyReject, PolicyMerge, PolicyRollback:
		return true
	}
	return false
}

// Timestamp returns t as clients are told it: RFC 3339 in UTC, with
// milliseconds and a trailing Z, since the SPA mangles other offsets.
func Timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// A Role is the part that a message's author plays.
type Role string

// The roles of recorded messages and of prompts.
const (
	RoleUser      Role = "user"
	RoleAssistant Role = "assistant"
	RoleSystem    Role = "system"
	RoleTool      Role = "tool" // says the result of a call
)

// A State is how far a turn, and the message that it produces, has come.
type State string

// The states of a turn. The last four are ends.
const (
	StateQueued      State = "queued"
	StateRunning     State = "running"
	StateWaiting     State = "waiting" // for a member, who decides about a call of a tool
	StateCompleted   State = "completed"
	StateStopped     State = "stopped"
	StateFailed      State = "failed"
	StateInterrupted State = "interrupted"
)

// A Finish says why a model ended an answer.
type Finish string

// The reasons. Providers have more words for them, and each client of a provider
// knows which of these its words mean.
const (
	FinishStop      Finish = "stop"           // the answer is complete
	FinishLength    Finish = "length"         // it has reached its limit of tokens
	FinishFilter    Finish = "content_filter" // a filter has cut it
	FinishRefusal   Finish = "refusal"        // the model did not want to answer
	FinishToolCalls Finish = "tool_calls"     // it waits for tools
	FinishContext   Finish = "context_full"   // the model's window is full
	FinishPause     Finish = "pause"          // the provider has paused it, and would go on
)

// A Turn is one run of the assistant, from the moment it is wanted.
type Turn struct {
	ID        TurnID
	Prompt    MessageID // the message to answer
	PromptSeq uint64    // 0 in records of old, and while it is Unheard
	ModelID   ModelID
	By        UserID
	Begun     bool // another turn answers the prompt, or has done so
	Unheard   bool // its prompt was spoken, and is not recorded yet

	Correlation string // see [TurnQueued]

	// Version is the TurnQueued if the turn gives an answer anew, and First is the first
	// version of that.
	Version uint64    `json:",omitempty"`
	First   MessageID `json:",omitempty"`

	MessageID MessageID // of the answer; empty until the turn starts
	Attempt   int       // 0 while the turn is queued
	Duplex    bool      // see [TurnStarted]
	Tools     int       // of the provider's that have begun to run

	Steps     int    // that have ended in calls of tools
	FirstStep uint64 // the record of the first of those; 0 if there is none
	Progress  int    // the attempt that has recorded the last one
	Waits     bool   // for a member, who decides about a call

	Run     Run `json:",omitzero"`  // of the step that is being answered, if its provider has one
	Resumed int `json:",omitempty"` // how often that was read on
	Saved   int `json:",omitempty"` // see [TurnRun]
	Vain    int `json:",omitempty"`
}

// State returns whether the turn is queued, running or waiting.
func (t Turn) State() State {
	switch {
	case t.Attempt == 0:
		return StateQueued
	case t.Waits:
		return StateWaiting
	}
	return StateRunning
}

// Usage counts the tokens of one turn.
type Usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`

	// Estimated means that the provider did not say, and parlor counted roughly.
	Estimated bool `json:"estimated,omitempty"`
}

// Plus returns the sum of two usages. Either may be nil, if nothing is known.
func (u *Usage) Plus(v *Usage) *Usage {
	switch {
	case u == nil:
		return v
	case v == nil:
		return u
	}
	return &Usage{u.PromptTokens + v.PromptTokens, u.CompletionTokens + v.CompletionTokens, u.TotalTokens + v.TotalTokens, u.Estimated || v.Estimated}
}

// maxTurnTokens is far more than any turn uses. Counters of tokens are added up
// without looking for overflow.
const maxTurnTokens = 1 << 30

// Credible reports whether u can be what a turn has used. A provider that says
// nothing, or nonsense, must not move budgets, least of all backwards.
func (u *Usage) Credible() bool {
	if u == nil || *u == (Usage{}) {
		return false
	}
	for _, n := range []int{u.PromptTokens, u.CompletionTokens, u.TotalTokens} {
		if n < 0 || n > maxTurnTokens {
			return false
		}
	}
	return true
}

// ModalityAudio marks what was spoken, and written down from that.
const ModalityAudio = "audio"

// A Message is one recorded utterance.
type Message struct {
	ID          MessageID `json:"message_id"`
	Seq         uint64    `json:"seq"` // of the event that recorded it
	Role        Role      `json:"role"`
	Content     string    `json:"content"`
	Author      *User     `json:"author,omitempty"` // of a user's message
	ModelID     ModelID   `json:"model_id,omitempty"`
	Name        string    `json:"name,omitempty"`   // of the model that answered, see [Model]
	Prompt      MessageID `json:"prompt,omitempty"` // of an answer: the message that it answers
	PromptSeq   uint64    `json:"prompt_seq,omitempty"`
	State       State     `json:"state"`
	Finish      Finish    `json:"finish,omitempty"`  // why the model ended the answer
	Thought     string    `json:"thought,omitempty"` // what the model thought before it answered
	Usage       *Usage    `json:"usage,omitempty"`
	Error       *Error    `json:"error,omitempty"`  // of a failed turn's message
	By          UserID    `json:"by,omitempty"`     // who stopped it
	Reason      string    `json:"reason,omitempty"` // why it was stopped or interrupted
	ClientID    ClientID  `json:"client_message_id,omitempty"`
	Created     time.Time `json:"timestamp"`
	Modality    string    `json:"modality,omitempty"` // empty is text; see [ModalityAudio]
	Steers      TurnID    `json:"steers,omitempty"`   // see [MessageAdded]
	Mentions    []UserID  `json:"mentions,omitempty"` // see [MessageAdded]
	Unasked     bool      `json:"unasked,omitempty"`  // see [MessageAdded]
	Parent      MessageID `json:"parent,omitempty"`   // see [MessageAdded]
	Replaces    MessageID `json:"replaces,omitempty"` // see [MessageAdded]
	ReplacesSeq uint64    `json:"replaces_seq,omitempty"`
	Files       []File    `json:"files,omitempty"`     // see [MessageAdded]
	Cut         []CutFile `json:"cut_files,omitempty"` // of an answer, see [TurnEnded]
	OnlyTools   []string  `json:"-"`                   // see [MessageAdded]

	// Calls are the tools that an answer has called, as far as they are kept with it.
	Calls []Called `json:"calls,omitempty"`

	// First is the first version of an answer that was given anew, and Version the record
	// that wanted this one: see [TurnQueued].
	First   MessageID `json:"first,omitempty"`
	Version uint64    `json:"version,omitempty"`

	Siblings *Siblings `json:"siblings,omitempty"` // nil if there is one version only
}

// Siblings are the versions of a message, or of an answer, of which each has a branch.
type Siblings struct {
	IDs   []MessageID `json:"ids"`   // in order, at most MaxSiblings around this one
	Place int         `json:"place"` // of this one among all, from 1
	Count int         `json:"count"` // of all
}

// MaxSiblings limits how many versions of a message are named beside it.
const MaxSiblings = 32
