package replicated

import (
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"

	"parlor/persistence"
)

// A machine applies raft's log to the store of the node. Its methods are called from one
// goroutine of raft.
type machine struct {
	n       *Node
	applied uint64 // index of the last entry that the store has
	failed  error  // why the node has stopped
}

// Apply implements [raft.FSM].
func (m *machine) Apply(l *raft.Log) any { return m.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch implements [raft.BatchingFSM]. The answers mean nothing: callers of the node get
// theirs from its proposer.
func (m *machine) ApplyBatch(logs []*raft.Log) []any {
	answers := make([]any, len(logs))
	if m.failed == nil {
		if err := m.apply(logs); err != nil {
			m.fail(fmt.Errorf("apply entries up to %d: %w", logs[len(logs)-1].Index, err))
		}
	}
	for i := range answers {
		answers[i] = m.failed
	}
	return answers
}

// apply applies all entries in one transaction, and then tells the outcomes of those commands that
// are this node's.
func (m *machine) apply(logs []*raft.Log) error {
	var commands []persistence.Command
	index := m.applied
	for _, l := range logs {
		if l.Index <= m.applied || l.Type != raft.LogCommand { // raft begins behind its last snapshot
			continue
		}
		batch, err := decodeBatch(l.Data)
		if err != nil {
			return err
		}
		index, commands = l.Index, append(commands, batch...)
	}
	if index == m.applied {
		return nil
	}
	p := m.n.proposer
	for i, c := range commands {
		commands[i] = p.original(c)
	}
	refused, err := m.n.store.Apply(index, commands)
	if err != nil {
		return err
	}
	m.applied = index
	for i, c := range commands {
		if p.owns(c.Fence) {
			p.resolve(c.Fence.Number, refused[i])
		}
		if refused[i] == nil {
			m.n.gained(c)
		}
	}
	return nil
}

// fail stops the node. It cannot wait for that here.
func (m *machine) fail(err error) {
	m.failed = err
	m.n.stop(err)
}

// Snapshot implements [raft.FSM].
func (m *machine) Snapshot() (raft.FSMSnapshot, error) {
	if m.failed != nil {
		return nil, m.failed
	}
	b, err := m.n.store.Backup()
	if err != nil {
		return nil, err
	}
	return snapshot{b}, nil
}

// snapshot is the file as it was at one moment.
type snapshot struct{ backup *persistence.Backup }

// Persist implements [raft.FSMSnapshot].
func (s snapshot) Persist(to raft.SnapshotSink) error {
	if _, err := s.backup.WriteTo(to); err != nil {
		return errors.Join(err, to.Cancel())
	}
	return to.Close()
}

// Release implements [raft.FSMSnapshot].
func (s snapshot) Release() { s.backup.Close() }

// Restore implements [raft.FSM]. The copy of another node takes the place of what the store has.
func (m *machine) Restore(from io.ReadCloser) error {
	defer from.Close()
	if m.failed != nil {
		return m.failed
	}
	if err := m.take(from); err != nil {
		m.fail(fmt.Errorf("take a copy of another node: %w", err))
		return err
	}
	return nil
}

func (m *machine) take(from io.Reader) (err error) {
	if err := m.n.store.Restore(from); err != nil {
		return err
	}
	if m.applied, err = m.n.store.Applied(); err != nil {
		return err
	}
	if err := m.n.readSlots(); err != nil {
		return err
	}
	m.n.copies.Add(1)
	outcomes, err := m.n.store.Outcomes(m.n.proposer.node)
	if err != nil {
		return err
	}
	return m.n.proposer.learn(outcomes)
}
