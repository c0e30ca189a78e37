// Package providertest is what every provider of answers has to pass.
//
//	Run(t, Harness) ── sessions  behind a duplex connection, against a [Peer]
//
// A part runs when the [Harness] holds what it needs. Nothing here sleeps or
// compares with the clock of the machine; every test leaves no goroutine.
package providertest

import (
	"context"
	"iter"
	"testing"

	"parlor/protocol/chat"
)

// Key is the key that providers under test are given. It must never come out
// of one.
const Key = "sk-test-0123456789abcdef"

// A Provider is what is tested. One that is also an [io.Closer] is closed.
//
// Stream may be called from any goroutine, and often at once. Its sequence is
// read once, by one goroutine. What it yields is described at [chat.Delta] and
// [chat.Input]; it ends after the last piece, or after one error that came
// without a piece: a [*chat.Error] in the chain ([chat.CodeProviderError],
// [chat.CodeProviderTimeout]), or the cause of ctx.
type Provider interface {
	Stream(ctx context.Context, p chat.Prompt) iter.Seq2[chat.Delta, error]
}

// A Harness is one kind of provider, and what the suite needs to test it.
type Harness struct {
	// Listen begins to serve sessions, for providers that hold them. See [Listen].
	Listen Listen
}

// Run runs the parts of the suite that h has everything for.
func Run(t *testing.T, h Harness) {
	if h.Listen != nil {
		t.Run("sessions", func(t *testing.T) { runSessions(t, h.Listen) })
	}
}
