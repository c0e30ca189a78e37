//go:build !unix

package persistence

import "io/fs"

// keepOwner does nothing: the new file inherits from its directory.
func keepOwner(string, fs.FileInfo) error { return nil }
