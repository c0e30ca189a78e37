//go:build !chaos

package room

import (
	"errors"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// Here the chaos harness makes rooms fail: see chaos.go. In any other build
// there is nothing here, and the compiler leaves no trace of the calls.

func (r *Room) beforeSend(*Send)                       {}
func undecided(m *committed) bool                      { return errors.Is(m.err, persistence.ErrUnknown) }
func skipsDedup() bool                                 { return false }
func (r *Room) afterAppend(*proposal)                  {}
func (r *Room) abandons(chat.Turn) bool                { return false }
func repeatsTools() bool                               { return false }
func repeatable(f func(string) bool) func(string) bool { return f }
func (l *lasting) forgetListeners()                    {}
