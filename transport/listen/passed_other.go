//go:build !unix

package listen

// Address returns where an [Options.Address] leads to before it is opened.
func Address(address string) string { return address }
