//go:build chaos

package assistant

import (
	"os"

	"parlor/protocol/engineio"
)

// bug names the planted bug that the chaos harness has switched on: see actors/room.
var bug = os.Getenv("CHAOS_BUG")

// atSeam spoils the events that a client has missed: it loses the last event before
// those that are live, or repeats all of them.
func atSeam(missed []engineio.Frame) []engineio.Frame {
	switch {
	case bug == "drop-seam-event" && len(missed) > 0:
		return missed[:len(missed)-1]
	case bug == "double-replay":
		return append(missed, missed...)
	}
	return missed
}
