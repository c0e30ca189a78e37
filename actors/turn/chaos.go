//go:build chaos

package turn

import (
	"os"
	"time"
)

// This file exists only in builds with the tag chaos, to show that the chaos harness
// (cmd/parlor-bench/chaos) notices bugs in how calls of tools run.

var bug = os.Getenv("CHAOS_BUG")

// beforeRecorded is called with a step that is not recorded yet.
func (c *calling) beforeRecorded() {
	if bug != "run-tool-unrecorded" {
		return
	}
	for _, call := range c.step.Calls {
		c.runOne(call)
	}
	time.Sleep(300 * time.Millisecond)
}

// forgets reports whether the outcome of a call is told to the model, and not recorded.
func (s *step) forgets(call string) bool {
	if bug != "drop-tool-outcome" {
		return false
	}
	s.keep(call)
	return true
}
