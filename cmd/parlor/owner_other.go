//go:build !unix

package main

import "io/fs"

// readByGroup reports whether this process can read a file because of the file's group alone.
func readByGroup(fs.FileInfo) bool { return false }
