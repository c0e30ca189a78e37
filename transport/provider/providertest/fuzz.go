package providertest

import (
	"strings"
	"testing"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// fuzzMaxEvent is small, so that inputs find the limit.
const fuzzMaxEvent = 4096

// Fuzz checks that whatever a server sends as an event stream ends in an
// answer or in one error of the provider.
func Fuzz(f *testing.F, h Harness) {
	for _, test := range append(h.Wire.whole(), h.Wire.failures()...) {
		sent := strings.Join(test.sent, "")
		if body, ok := strings.CutPrefix(sent, EventStream); ok && len(body) < 4*fuzzMaxEvent {
			f.Add(body)
		}
	}
	f.Fuzz(func(t *testing.T, body string) {
		o := upstream.Options{MaxEvent: fuzzMaxEvent, DialContext: Pipe(t, Answer(false, EventStream+body))}
		got := Collect(t, h.New(t, nowhere, o).Stream(t.Context(), hello))
		if got.Err != nil {
			got.Check(t, got.Text, chat.CodeProviderError, "")
		}
	})
}
