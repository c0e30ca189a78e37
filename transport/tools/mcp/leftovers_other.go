//go:build !linux

package mcp

// endLeftovers finds nothing: there is no way to see the environment of others here.
func endLeftovers(string) int { return 0 }
