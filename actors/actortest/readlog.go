package actortest

import (
	"iter"
	"sync/atomic"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// A ReadLog counts what is read of it, and can be held up.
type ReadLog struct {
	*persistence.Store
	Entries atomic.Int64 // and charges, and pages of chats
	Before  atomic.Value // func(room string), called for each entry
}

func (l *ReadLog) Read(room string, after uint64) iter.Seq2[persistence.Entry, error] {
	return counted(l, room, l.Store.Read(room, after))
}

func (l *ReadLog) ReadBack(room string, before uint64) iter.Seq2[persistence.Entry, error] {
	return counted(l, room, l.Store.ReadBack(room, before))
}

func (l *ReadLog) Charges(from, to persistence.Hour) iter.Seq2[persistence.Charge, error] {
	return counted(l, "", l.Store.Charges(from, to))
}

func (l *ReadLog) Chats(owner string, offset, limit int) ([]persistence.Chat, int, error) {
	l.count("")
	return l.Store.Chats(owner, offset, limit)
}

func counted[E any](l *ReadLog, room string, s iter.Seq2[E, error]) iter.Seq2[E, error] {
	return func(yield func(E, error) bool) {
		for e, err := range s {
			l.count(room)
			if !yield(e, err) {
				return
			}
		}
	}
}

func (l *ReadLog) count(room string) {
	l.Entries.Add(1)
	if f, ok := l.Before.Load().(func(string)); ok {
		f(room)
	}
}

// Hold has reads of the room wait until release is called. It returns how many do.
func (l *ReadLog) Hold(id chat.ID) (waiting *atomic.Int64, release func()) {
	gate := make(chan struct{})
	waiting = new(atomic.Int64)
	l.Before.Store(func(room string) {
		if room == string(id.Room()) {
			waiting.Add(1)
			<-gate
			waiting.Add(-1)
		}
	})
	return waiting, func() { close(gate) }
}
