package chat

import "encoding/json"

// A Prompt is what an assistant is asked to answer: a conversation, oldest
// message first, that ends with what has to be answered.
type Prompt struct {
	Model     ModelID
	User      UserID // who asks; providers are not told
	Messages  []PromptMessage
	MaxTokens int // of the answer; zero leaves it to the provider

	Tools   []Tool     // that the model may call, always in the same order
	NoCalls bool       // it is to call none any more: what it has got must do
	Choice  ToolChoice // otherwise, what the caller wants it to call

	// Steer returns what people said to the running turn since it was asked, if
	// that is not nil. Who answers in several steps calls it between them.
	Steer func() []PromptMessage

	// Resumable wants an answer that goes on at the provider while nobody reads it, if the
	// provider has such: then a [Delta] says its Run first. With Run, the prompt was asked
	// before: its answer is read on, and [ErrRunGone] says that this cannot be done.
	Resumable bool
	Run       *Run

	// Input makes this the beginning of a session instead, see [Input].
	Input <-chan Input
}

// Calling returns what the model is to call. Without tools it is to call none.
func (p Prompt) Calling() ToolChoice {
	switch {
	case len(p.Tools) == 0:
		return ToolChoice{}
	case p.NoCalls:
		return ToolChoice{Mode: ToolsNone}
	}
	return p.Choice
}

// A PromptMessage is one message of a Prompt.
type PromptMessage struct {
	ID      MessageID // empty for what is no message of the chat
	Role    Role
	Content string

	// Calls are what a model called with this message, and the results of all of them
	// follow it. Model is who that was, Thought what it thought, and Back is for its
	// provider alone, see [Calls].
	Calls   []ToolCall
	Model   ModelID
	Thought string
	Back    json.RawMessage

	// ResultOf is the call whose result a message of [RoleTool] is, and Failed
	// whether that is an error.
	ResultOf *ToolCall
	Failed   bool
	// Sources are the files that the message brings. Their texts become part of Content,
	// and the others Images, before a provider is asked.
	Sources []Source
	Images  []Image
}

// A Source is a file in a prompt, of which a model is given no more than Tokens.
type Source struct {
	File
	Tokens int
}

// An Image is one that a model sees.
type Image struct {
	Name string
	Type string
	Data []byte
}

// A Delta is a piece of an answer as a provider streams it, or word of how it
// fares. Text may be empty; Usage comes at most once for an answer, usually last.
// Finish says why the answer ends. A later Finish takes the place of an earlier one.
type Delta struct {
	Text    string
	Thought string // what the model thinks before it answers; no part of the answer
	Audio   string // spoken, see [AudioAppend]; Text is then what is spoken
	Usage   *Usage
	Finish  Finish
	Tool    *ToolCall // that the provider has begun to run
	Calls   *Calls    // comes once, when the answer is whole: see [Calls]

	// Retrying is a failure after which the provider is asked again, and Model
	// who answers in place of the model that was asked. They come before the text.
	Retrying *Error
	Model    ModelID

	// Health is news of the model's provider. It may also come before an error.
	Health *Health

	// Run is the answer, see [Prompt].
	Run *Run

	// Answer, Ended and Heard belong to sessions, see [Input].
	Answer MessageID
	Ended  *Ended
	Heard  *Heard
}

// Answers reports whether d is a piece of the answer: from the first one on
// nobody is asked for it again. Thought is none.
func (d Delta) Answers() bool {
	return d.Text != "" || d.Audio != "" || d.Tool != nil || d.Calls != nil
}

// A Completed is how a model has answered a prompt that belongs to no chat.
type Completed struct {
	Model  ModelID // that answered, which may be a fallback
	Finish Finish
	Usage  *Usage
	Calls  []ToolCall // that it wants to have run before it goes on
}

// An Input is what people put into a session: a conversation with a model that
// listens while it speaks. Whoever asks with a Prompt that has an Input gets
// the deltas of many answers, each with the Answer that it belongs to and the
// last one with Ended; a second answer does not begin before. The session goes
// on until its context ends, Input is closed, or with an error.
type Input interface{ input() }

// The inputs.
type (
	// AudioAppend is a piece of what somebody is saying: PCM of 16 bits, mono,
	// 24 kHz, in base64.
	AudioAppend struct{ Audio string }

	// AudioClear forgets what was appended.
	AudioClear struct{}

	// AudioCommit makes what was appended a message. What was understood of it
	// comes as Heard.
	AudioCommit struct{ MessageID MessageID }

	// Ask wants an answer, as the message Answer. Messages are the conversation
	// as it now is: the session takes in those that it does not have. Tools,
	// NoCalls and Choice are as in a [Prompt].
	Ask struct {
		Answer   MessageID
		Messages []PromptMessage
		Tools    []Tool
		NoCalls  bool
		Choice   ToolChoice
	}

	// Cancel stops the answer, if it has not ended.
	Cancel struct{ Answer MessageID }
)

func (AudioAppend) input() {}
func (AudioClear) input()  {}
func (AudioCommit) input() {}
func (Ask) input()         {}
func (Cancel) input()      {}

// Ended is the end of one answer of a session: completed, stopped or failed.
type Ended struct {
	State State
	Error *Error // of a failed one
}

// Heard is what was understood of what somebody said, or why nothing was.
type Heard struct {
	MessageID MessageID
	Text      string
	Error     *Error
}
