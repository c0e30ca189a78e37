//go:build !chaos

package assistant

import "parlor/protocol/engineio"

// atSeam is where the chaos harness spoils what a client has missed: see chaos.go. In
// any other build it does nothing.
func atSeam(missed []engineio.Frame) []engineio.Frame { return missed }
