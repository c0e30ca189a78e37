//go:build !chaos

package conversation

// repeatsTools is where the chaos harness plants a bug: see chaos.go.
func repeatsTools() bool { return false }
