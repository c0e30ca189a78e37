//go:build !unix

package main

// outliveFileSizeLimit has nothing to do: there is no such limit.
func outliveFileSizeLimit() {}

// openFiles returns 0: how many files may be open is not known.
func openFiles() int { return 0 }
