//go:build !linux

package main

// keepOutOfDumps has nothing to do: Go makes core dumps only if GOTRACEBACK is crash.
func keepOutOfDumps() {}
