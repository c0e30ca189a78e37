//go:build chaos

package conversation

import "os"

// repeatsTools reports whether a turn is started again though a tool has run:
// a bug that the chaos harness (cmd/parlor-bench/chaos) plants.
func repeatsTools() bool { return os.Getenv("CHAOS_BUG") == "restart-turn-with-tool" }
