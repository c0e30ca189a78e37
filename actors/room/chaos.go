//go:build chaos

package room

import (
	"errors"
	"os"
	"strings"
	"sync"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// This file exists only in builds with the tag chaos, to show that rooms
// survive panics, and that the chaos harness (cmd/parlor-bench/chaos) notices
// each of the bugs that CHAOS_BUG may name.

// A message that begins so makes its room panic: before the room does anything
// with it, or when it has just been handed to the log.
const (
	panicBefore = "chaos: panic before"
	panicAfter  = "chaos: panic after"
)

// bug is the one that is switched on.
var bug = os.Getenv("CHAOS_BUG")

// beforeSend is called with each message that somebody sends.
func (r *Room) beforeSend(c *Send) {
	if strings.HasPrefix(c.Content, panicBefore) {
		panic(panicBefore)
	}
}

// refusedUnknown are the proposals that were refused since their outcome was unknown.
var refusedUnknown sync.Map

// undecided reports whether the log does not know the outcome yet. With the bug that is taken
// for a refusal, and nobody looks at the outcome.
func undecided(m *committed) bool {
	unknown := errors.Is(m.err, persistence.ErrUnknown)
	if bug != "unknown-is-refused" {
		return unknown
	}
	if !unknown {
		_, refused := refusedUnknown.LoadAndDelete(m.proposal)
		return refused
	}
	refusedUnknown.Store(m.proposal, true)
	return false
}

// skipsDedup reports whether a client message id counts for nothing.
func skipsDedup() bool { return bug == "skip-dedup" }

// afterAppend is called when a proposal has been handed to the log, and before
// the log can have answered.
func (r *Room) afterAppend(p *proposal) {
	switch bug {
	case "ack-before-commit":
		r.records.reply(p)
		p.callers = nil
	case "publish-before-commit":
		for _, record := range p.records {
			r.publish(record)
		}
	}
	if m, ok := p.records[p.at].Event.(chat.MessageAdded); ok && strings.HasPrefix(m.Content, panicAfter) {
		panic(panicAfter)
	}
}

// abandons reports whether an open turn that nobody runs is left so.
func (r *Room) abandons(t chat.Turn) bool {
	return bug == "lose-turn-on-restart" && t.Attempt > 0 && !r.stage.runs(t.ID)
}

// repeatsTools reports whether a turn is started again though a tool has run.
func repeatsTools() bool { return bug == "restart-turn-with-tool" }

// repeatable returns which calls run again without anybody being asked.
func repeatable(f func(string) bool) func(string) bool {
	if bug == "run-tool-again" {
		return func(string) bool { return true }
	}
	return f
}

// forgetListeners is called when the room restarts.
func (l *lasting) forgetListeners() {
	if bug == "lose-member-on-restart" {
		l.audience, l.presence = nil, presence{}
	}
}
