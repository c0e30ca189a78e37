//go:build !unix

package main

// outliveFileSizeLimit has nothing to do: there is no such limit.
func outliveFileSizeLimit() {}
