package replicated

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"parlor/persistence"
)

// A Member is a node and its address.
type Member struct{ Name, Address string }

// Options configure a [Node]. Name, Dir, Store, Transport, Members and Forward have no default.
type Options struct {
	Name      string
	Dir       string             // of raft's log and of the copies of the store
	Store     *persistence.Store // with Replicated in its options. Whoever opened it closes it, after the node
	Transport raft.Transport
	Members   []Member // all nodes, this one too: at the first start

	// Forward hands an entry to [Node.Propose] of the leader. It returns when that has.
	Forward func(ctx context.Context, leader string, entry []byte) error

	// Limits are the quota and the limits of commits and of what waits: see
	// [persistence.Options].
	Limits persistence.Options

	// Silence is how long the leader may hear nothing of a node until it gives the node's slots to
	// others. Zero means 1.5 seconds.
	Silence time.Duration

	// Failed is called when the node has stopped by itself. It must not block. Nil is not called.
	Failed func(error)

	Logger *slog.Logger // nil discards

	// Raft are raft's own times and limits. Nil means its defaults.
	Raft *raft.Config
}

// A Node is one of the nodes that keep their stores the same. Reads are of its own store, and
// writes are proposed. All methods may be called from any goroutine. The caller of Open closes
// the Node.
type Node struct {
	*persistence.Reader
	persistence.Writes

	o        Options
	store    *persistence.Store
	log      *logStore
	raft     *raft.Raft
	observer *raft.Observer
	proposer *proposer

	mu      sync.Mutex
	slots   map[int]persistence.Slot
	silent  map[string]time.Time // nodes that do not answer the leader, since when
	leading bool
	failed  error

	started chan struct{} // closed once raft is there
	copies  atomic.Int64  // that were taken of other nodes' stores

	end   context.CancelFunc
	ended <-chan struct{} // closed by end
	work  sync.WaitGroup
}

// Open starts the node. It goes on with what it has in its directory, or else with the Members.
func Open(o Options) (*Node, error) {
	o.Silence, o.Logger = cmp.Or(o.Silence, 1500*time.Millisecond), cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Failed == nil {
		o.Failed = func(error) {}
	}
	log, err := openLogStore(filepath.Join(o.Dir, "raft.db"))
	if err != nil {
		return nil, err
	}
	n := &Node{Reader: &o.Store.Reader, o: o, store: o.Store, log: log, silent: make(map[string]time.Time), started: make(chan struct{})}
	if err := n.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start node %s: %w", o.Name, err), log.close())
	}
	return n, nil
}

func (n *Node) start() error {
	life, err := n.log.newLife()
	if err != nil {
		return err
	}
	n.proposer = newProposer(n.o.Name, life, cmp.Or(n.o.Limits.QueueBytes, persistence.DefaultQueueBytes))
	n.proposer.epoch, n.proposer.send, n.proposer.ready = n.epochOf, n.send, func() bool { return n.Leader() != "" }
	n.Writes = persistence.NewWrites(n.o.Limits, n.proposer.propose)
	m := &machine{n: n}
	copies, err := raft.NewFileSnapshotStore(n.o.Dir, 2, logWriter{n.o.Logger})
	if err != nil {
		return err
	}
	if err := n.catchUp(m, copies); err != nil {
		return err
	}
	config := n.config()
	if known, err := raft.HasExistingState(n.log, n.log, copies); err != nil {
		return err
	} else if !known {
		if err := raft.BootstrapCluster(config, n.log, n.log, copies, n.o.Transport, n.members()); err != nil {
			return err
		}
	}
	ctx, end := context.WithCancel(context.Background())
	n.end, n.ended = end, ctx.Done()
	if n.raft, err = raft.NewRaft(config, m, n.log, n.log, copies, n.o.Transport); err != nil {
		end()
		return err
	}
	close(n.started)
	seen := make(chan raft.Observation, 256)
	n.observer = raft.NewObserver(seen, false, nil)
	n.raft.RegisterObserver(n.observer)
	n.work.Go(func() { n.observe(ctx, seen) })
	n.work.Go(func() { n.proposer.run(ctx) })
	n.work.Go(func() { n.tend(ctx) })
	return nil
}

// catchUp takes the newest copy, if the end of the process came before the store had it.
func (n *Node) catchUp(m *machine, copies raft.SnapshotStore) (err error) {
	if m.applied, err = n.store.Applied(); err != nil {
		return err
	}
	all, err := copies.List()
	if err != nil || len(all) == 0 || all[0].Index <= m.applied {
		return cmp.Or(err, n.readSlots())
	}
	_, from, err := copies.Open(all[0].ID)
	if err != nil {
		return err
	}
	defer from.Close()
	return m.take(from)
}

func (n *Node) config() *raft.Config {
	c := raft.DefaultConfig()
	if n.o.Raft != nil {
		*c = *n.o.Raft
	}
	c.LocalID, c.LogOutput, c.LogLevel = raft.ServerID(n.o.Name), logWriter{n.o.Logger}, "WARN"
	c.NoSnapshotRestoreOnStart = true // the store has it
	return c
}

func (n *Node) members() (c raft.Configuration) {
	for _, m := range n.o.Members {
		c.Servers = append(c.Servers, raft.Server{ID: raft.ServerID(m.Name), Address: raft.ServerAddress(m.Address)})
	}
	return c
}

// Close stops the node. Commands that were not proposed are refused. The outcomes of others are
// not known any more.
func (n *Node) Close() error {
	n.end()
	err := n.raft.Shutdown().Error()
	n.proposer.close()
	n.work.Wait()
	return errors.Join(err, n.log.close())
}

// stop stops the node by itself.
func (n *Node) stop(err error) {
	n.mu.Lock()
	first := n.failed == nil
	n.failed = cmp.Or(n.failed, err)
	n.mu.Unlock()
	if first {
		n.o.Logger.Error("the node stops", "node", n.o.Name, "err", err)
		n.end()
		n.o.Failed(err)
		go func() { // raft's own goroutine may be the one that is here
			<-n.started
			n.raft.Shutdown()
		}()
	}
}

// Leader returns the name of the node that leads, or "" if none is known.
func (n *Node) Leader() string {
	_, id := n.raft.LeaderWithID()
	return string(id)
}

// proposeTimeout is how long an entry waits for its turn at the leader.
const proposeTimeout = 5 * time.Second

// Propose puts an entry of any node into the log, if this node leads. An error says that the entry
// may be in the log, or not.
//
// Raft forgets entries that the machine has yet to get when it is shut down, so their futures are
// not waited for.
func (n *Node) Propose(entry []byte) error {
	answered := make(chan error, 1)
	future := n.raft.Apply(entry, proposeTimeout)
	go func() { answered <- future.Error() }()
	select {
	case err := <-answered:
		return err
	case <-n.ended:
		return raft.ErrRaftShutdown
	}
}

// send takes an entry to the leader.
func (n *Node) send(ctx context.Context, entry []byte) error {
	switch leader := n.Leader(); leader {
	case "":
		return raft.ErrNotLeader
	case n.o.Name:
		return n.Propose(entry)
	default:
		return n.o.Forward(ctx, leader, entry)
	}
}

// SlotOf returns the slot of a room.
func SlotOf(room string) int {
	h := fnv.New32a()
	h.Write([]byte(room))
	return 1 + int(h.Sum32()%persistence.Slots)
}

func (n *Node) epochOf(room string) (slot int, epoch uint64) {
	slot = SlotOf(room)
	n.mu.Lock()
	defer n.mu.Unlock()
	if s := n.slots[slot]; s.Node == n.o.Name {
		epoch = s.Epoch
	}
	return slot, epoch
}

// Owner returns the node that has the room's slot, as far as this one knows.
func (n *Node) Owner(room string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.slots[SlotOf(room)].Node
}

// readSlots reads who has the slots.
func (n *Node) readSlots() error {
	slots, err := n.store.Slots()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.slots = slots
	return err
}

// gained notes a slot that a command has given to a node.
func (n *Node) gained(c persistence.Command) {
	if slot, now, ok := c.Assignment(); ok {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.slots[slot] = now
	}
}

// logWriter takes the lines that raft logs: warnings and errors.
type logWriter struct{ log *slog.Logger }

func (w logWriter) Write(p []byte) (int, error) {
	w.log.Warn("raft: " + string(bytes.TrimSpace(p)))
	return len(p), nil
}
