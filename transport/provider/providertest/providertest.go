// Package providertest is what every provider of answers has to pass.
//
//	Run(t, Harness) ─┬─ answers   any provider: pieces, usage, cancel, close, side by side
//	                 ├─ wire      behind HTTP, against a server that sends what it is told, byte by byte
//	                 ├─ time      the same, silent or slow
//	                 ├─ ends      the same, with reasons for the end of an answer, or without
//	                 ├─ thought   the same, with what a model thinks, which is no answer
//	                 ├─ calls     the same, with tools that the model calls
//	                 ├─ bodies    the same, with answers and errors where their protocol has others
//	                 ├─ echoes    the same, repeating the key in some form
//	                 ├─ strict    the same, refusing what some servers do not take
//	                 ├─ aimock    against @copilotkit/aimock and its chaos, over TCP
//	                 └─ sessions  behind a duplex connection, against a [Peer], and against aimock
//
// A part runs when the [Harness] holds what it needs. All tests but aimock's
// live in bubbles of [testing/synctest] with connections from [net.Pipe]: time
// is exact, what one end writes is read as it was written, and a goroutine left
// over is a failure.
package providertest

import (
	"context"
	"io"
	"iter"
	"testing"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// Key is the key that providers under test are given. It must never come out
// of one.
const Key = "sk-test-0123456789abcdef"

// A Provider is what is tested. One that is also an [io.Closer] is closed.
//
// Stream may be called from any goroutine, and often at once; who ranges over
// its sequence again asks again. What it yields is described at [chat.Delta]
// and [chat.Input]; it ends after the last piece, or after one error that came
// without a piece: a [*chat.Error] in the chain ([chat.CodeProviderError],
// [chat.CodeProviderTimeout]), or the cause of ctx.
type Provider interface {
	Stream(ctx context.Context, p chat.Prompt) iter.Seq2[chat.Delta, error]
}

// A Harness is one kind of provider, and what the suite needs to test it.
type Harness struct {
	// New returns the provider under test. It asks the server at baseURL, which
	// ends after the host, with [Key] and by o's limits and connections. One
	// that asks no server ignores all of that.
	New func(t testing.TB, baseURL string, o upstream.Options) Provider

	// Wire is how that server writes. Nil if there is none.
	Wire *Wire

	// Aimock means that aimock speaks the provider's protocol.
	Aimock bool

	// Listen begins to serve sessions, for providers that hold them.
	Listen Listen

	// AimockSessions returns a provider that holds sessions with aimock at
	// baseURL, which ends after the host, by o's limits.
	AimockSessions func(t testing.TB, baseURL string, o upstream.Options) Provider
}

// Run runs the parts of the suite that h has everything for.
func Run(t *testing.T, h Harness) {
	if h.New != nil {
		t.Run("answers", func(t *testing.T) { runAnswers(t, h) })
	}
	if h.Wire != nil {
		t.Run("wire", func(t *testing.T) { runWire(t, h) })
		t.Run("time", func(t *testing.T) { runTime(t, h) })
		t.Run("ends", func(t *testing.T) { runEnds(t, h) })
		t.Run("thought", func(t *testing.T) { runThought(t, h) })
		if h.Wire.Call != nil {
			t.Run("calls", func(t *testing.T) { runCalls(t, h) })
		}
		t.Run("bodies", func(t *testing.T) { runBodies(t, h) })
		t.Run("echoes", func(t *testing.T) { runEchoes(t, h) })
		t.Run("strict", func(t *testing.T) { runStrict(t, h) })
	}
	if h.Aimock {
		t.Run("aimock", func(t *testing.T) { runAimock(t, h) })
	}
	if h.AimockSessions != nil {
		t.Run("aimock sessions", func(t *testing.T) { runAimockSessions(t, h) })
	}
	if h.Listen != nil {
		t.Run("sessions", func(t *testing.T) { runSessions(t, h.Listen) })
	}
}

// piped returns a provider whose server answers each connection with handle.
func (h Harness) piped(t *testing.T, o upstream.Options, handle Handler) Provider {
	o.DialContext = Pipe(t, handle)
	return h.open(t, nowhere, o)
}

// nowhere is the URL of servers that are reached over pipes.
const nowhere = "http://provider.example"

// open returns a provider that is closed with the test.
func (h Harness) open(t *testing.T, baseURL string, o upstream.Options) Provider {
	return closed(t, h.New(t, baseURL, o))
}

// closed closes p with the test.
func closed(t *testing.T, p Provider) Provider {
	if c, ok := p.(io.Closer); ok {
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
	return p
}
