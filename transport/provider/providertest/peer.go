package providertest

import (
	"net/http"
	"testing"
	"time"

	"parlor/protocol/chat"
)

// Listen returns a provider, and the server's side of every session that the
// provider begins, in order.
//
// It is called in a bubble of [testing/synctest]: provider and server have to
// be connected by [net.Pipe], and their goroutines to end when the test does
// (t.Cleanup runs in the bubble). The provider may connect when the session
// begins or when it is asked first.
type Listen func(t *testing.T, s SessionServer) (Provider, <-chan Peer)

// A SessionServer says how the server of a test behaves and what the provider
// is told of it.
type SessionServer struct {
	Key string // that the provider has to use

	// FirstToken and Silence are the provider's limits: of the time from a
	// request until the first piece of its answer, and between two pieces.
	FirstToken, Silence time.Duration

	// Refusal answers every attempt to begin a session, if it is not nil.
	Refusal *Refusal
}

// A Refusal is a response that is no answer.
type Refusal struct {
	Status int
	Header http.Header
	Body   string
}

// A Peer is the server's side of one session. The suite calls its methods one
// at a time; it must read from its connection meanwhile, whatever the suite
// does. Those that wait return also when the connection has ended.
type Peer interface {
	// Asked waits until an answer is wanted, and begins it. It returns the
	// conversation as the model then has it, the answers that it gave included;
	// of each message Role and Content count, of calls Given, Name and Arguments, and of
	// results the Given of ResultOf. System prompts are left out.
	Asked() []chat.PromptMessage

	// Say adds a piece to the answer that was begun; Speak adds one that is
	// spoken, with its transcript.
	Say(text string)
	Speak(audio, transcript string)

	// Call adds a call of a tool to the answer, by the name that the server was told.
	Call(id, name, arguments string)

	// Finish ends the answer, as complete.
	Finish(u chat.Usage)

	// Fail ends the answer with an error in these words. The session goes on.
	Fail(words string)

	// Cancelled waits until the provider cancels the answer; Stop confirms it.
	Cancelled()
	Stop()

	// Committed waits until audio is made a message, and returns it in base64.
	// Heard tells what was understood of it; that is the content of the message.
	Committed() string
	Heard(text string)

	// HangUp cuts the connection.
	HangUp()

	// Gone waits until the provider has closed the connection.
	Gone()
}
