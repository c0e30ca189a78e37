// Package upstream is what the clients of all providers share.
package upstream
