//go:build chaos

package assistant

import (
	"os"

	"parlor/protocol/engineio"
)

// bug is the one that the chaos harness has switched on; see actors/room.
var bug = os.Getenv("CHAOS_BUG")

// atSeam spoils what a client that comes back has missed: the last event before
// what is live is lost, or all come twice.
func atSeam(missed []engineio.Frame) []engineio.Frame {
	switch {
	case bug == "drop-seam-event" && len(missed) > 0:
		return missed[:len(missed)-1]
	case bug == "double-replay":
		return append(missed, missed...)
	}
	return missed
}
