package transport

import (
	"strings"
	"testing"
	"testing/synctest"

	"parlor/protocol/assistant"
	"parlor/protocol/engineio"
)

// TestSpeechIsShed has a client that is behind while an assistant speaks: it
// hears less, and misses none of the text.
func TestSpeechIsShed(t *testing.T) {
	const pieces = 100
	for _, transport := range []string{TransportPolling, TransportWebSocket} {
		t.Run(transport, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts, _ := coalescing()
				opts.Shed = assistant.Shed
				s := listenPipe(t, opts)
				packets := s.late(t, transport)
				conn := <-s.opened
				synctest.Wait()
				speech := strings.Repeat("A", deltaBudget/10)
				want := ""
				for range pieces {
					for _, f := range []engineio.Frame{
						assistant.Delta(assistant.Documented, "ROOM", "answer", len(want), "word ")[0],
						assistant.Audio(assistant.Documented, "ROOM", "answer", speech)[0],
					} {
						if err := conn.Send(f); err != nil {
							t.Fatal(err)
						}
					}
					want += "word "
				}
				_ = conn.Send(text("end"))
				var deltas []string
				heard := 0
				for _, p := range packets() {
					if strings.Contains(p, `["audio ROOM"`) {
						heard++
						continue
					}
					deltas = append(deltas, p)
				}
				if got := said(t, deltas); got != want {
					t.Errorf("got %d bytes of text, want %d", len(got), len(want))
				}
				if heard == 0 || heard >= pieces/2 {
					t.Errorf("%d of %d pieces of speech arrived", heard, pieces)
				}
			})
		})
	}
}
