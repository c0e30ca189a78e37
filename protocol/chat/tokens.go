package chat

import "unicode/utf8"

// An Estimate counts roughly how many tokens a text would be to a model, in
// twelfths of one. The zero value is that of no text.
//
// Every model cuts text in its own way. Here four bytes of ASCII, or three of
// anything else, are a token: a Chinese character one, two Cyrillic letters one
// and a third. Prose comes out about right in most languages; long numbers and
// base64 come out low. It adds up: the pieces of a text count what the text
// does, wherever it was cut.
type Estimate int

// Weights of a byte.
const (
	twelfths     = 12
	perASCII     = twelfths / 4
	perOtherByte = twelfths / 3
)

// MessageTokens is what models count for each message of a conversation
// besides its text: who says it, and where it ends.
const MessageTokens = 4

// Add adds a text, or a piece of one.
func (e *Estimate) Add(text string) {
	for i := range len(text) {
		if text[i] < utf8.RuneSelf {
			*e += perASCII
		} else {
			*e += perOtherByte
		}
	}
}

// Tokens returns the count, rounded up.
func (e Estimate) Tokens() int { return (int(e) + twelfths - 1) / twelfths }

// Tokens estimates how many tokens a text is.
func Tokens(text string) int {
	var e Estimate
	e.Add(text)
	return e.Tokens()
}

// Tokens estimates how many tokens the message is in a prompt.
func (m PromptMessage) Tokens() int {
	n := Tokens(m.Content) + MessageTokens + ImageTokens*len(m.Images)
	for _, c := range m.Calls {
		n += Tokens(c.Name) + Tokens(c.Arguments) + MessageTokens
	}
	return n
}

// Tokens estimates how many tokens the prompt is.
func (p Prompt) Tokens() (n int) {
	for _, m := range p.Messages {
		n += m.Tokens()
	}
	return n
}

// EstimateUsage is the usage of a turn whose provider told none, in estimated tokens.
func EstimateUsage(prompt, completion int) *Usage {
	return &Usage{PromptTokens: prompt, CompletionTokens: completion, TotalTokens: prompt + completion, Estimated: true}
}
