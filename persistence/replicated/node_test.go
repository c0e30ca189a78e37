package replicated

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
	bolt "go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"parlor/persistence"
)

// Raft forgets some futures when it is shut down: see [Node.Propose].
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/hashicorp/raft.(*deferError).Error"))
}

// A cluster is three nodes in this process.
type cluster struct {
	t       *testing.T
	dir     string
	silence time.Duration
	names   []string
	cut     func(from string) error // of entries that are handed to the leader; under mu

	mu         sync.Mutex
	nodes      map[string]*Node
	stores     map[string]*persistence.Store
	transports map[string]*raft.InmemTransport
}

// newCluster starts nodes that keep their slots until they are silent for so long.
func newCluster(t *testing.T, silence time.Duration) *cluster {
	c := &cluster{
		t: t, dir: t.TempDir(), silence: silence, names: []string{"n1", "n2", "n3"},
		nodes: make(map[string]*Node), stores: make(map[string]*persistence.Store), transports: make(map[string]*raft.InmemTransport),
	}
	for _, name := range c.names {
		c.start(name)
	}
	t.Cleanup(func() {
		for _, name := range c.names {
			c.kill(name)
		}
	})
	return c
}

func (c *cluster) path(name string) string { return filepath.Join(c.dir, name, "parlor.db") }

func (c *cluster) start(name string) {
	c.t.Helper()
	if err := os.MkdirAll(filepath.Dir(c.path(name)), 0o700); err != nil {
		c.t.Fatal(err)
	}
	store, err := persistence.Open(c.path(name), persistence.Options{Replicated: true, InitialMmapSize: 1 << 26})
	if err != nil {
		c.t.Fatal(err)
	}
	_, transport := raft.NewInmemTransportWithTimeout(raft.ServerAddress(name), 300*time.Millisecond)
	c.mu.Lock()
	for other, to := range c.transports {
		if c.nodes[other] != nil {
			transport.Connect(raft.ServerAddress(other), to)
			to.Connect(raft.ServerAddress(name), transport)
		}
	}
	c.stores[name], c.transports[name] = store, transport
	c.mu.Unlock()
	quick := raft.DefaultConfig()
	quick.HeartbeatTimeout, quick.ElectionTimeout, quick.LeaderLeaseTimeout, quick.CommitTimeout = 150*time.Millisecond, 150*time.Millisecond, 100*time.Millisecond, 5*time.Millisecond
	quick.SnapshotThreshold, quick.SnapshotInterval, quick.TrailingLogs = 30, 50*time.Millisecond, 10
	var members []Member
	for _, m := range c.names {
		members = append(members, Member{m, m})
	}
	n, err := Open(Options{
		Name: name, Dir: filepath.Dir(c.path(name)), Store: store, Transport: transport, Members: members, Silence: c.silence, Raft: quick,
		Forward: func(_ context.Context, leader string, entry []byte) error { return c.forward(name, leader, entry) },
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	c.nodes[name] = n
	c.mu.Unlock()
}

var errCut = errors.New("the link was cut")

func (c *cluster) forward(from, to string, entry []byte) error {
	c.mu.Lock()
	n, cut := c.nodes[to], c.cut
	if c.nodes[from] == nil {
		n = nil
	}
	c.mu.Unlock()
	if n == nil {
		return errCut
	}
	if cut == nil {
		return n.Propose(entry)
	}
	return cut(from)
}

// kill ends a node without a word to the others.
func (c *cluster) kill(name string) {
	c.mu.Lock()
	n, store := c.nodes[name], c.stores[name]
	delete(c.nodes, name)
	for other, to := range c.transports {
		if other != name {
			to.Disconnect(raft.ServerAddress(name))
		}
	}
	c.transports[name].DisconnectAll()
	c.mu.Unlock()
	if n == nil {
		return
	}
	if err := n.Close(); err != nil {
		c.t.Error(err)
	}
	if err := store.Close(); err != nil {
		c.t.Error(err)
	}
}

func (c *cluster) node(name string) *Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[name]
}

// leader waits for a leader, and until each node that is there has its share of all slots.
func (c *cluster) leader() (name string) {
	c.t.Helper()
	c.until("a leader and owners", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, n := range c.nodes {
			if c.nodes[n.Leader()] == nil || n.raft.State() == raft.Leader && n.Leader() != n.o.Name {
				return false
			}
			name = n.Leader()
		}
		for _, n := range c.nodes {
			slots, err := n.Slots()
			if err != nil || len(slots) < persistence.Slots || n.Leader() != name {
				return false
			}
			counts := make(map[string]int)
			for _, s := range slots {
				counts[s.Node]++
			}
			for other, n := range counts {
				if c.nodes[other] == nil || n < persistence.Slots/len(c.nodes) {
					return false
				}
			}
			if len(counts) != len(c.nodes) {
				return false
			}
		}
		return true
	})
	return name
}

func (c *cluster) until(what string, is func() bool) {
	c.t.Helper()
	for range 6000 { // a minute
		if is() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, n := range c.nodes {
		owners := make(map[string]int)
		slots, err := n.Slots()
		for _, s := range slots {
			owners[s.Node]++
		}
		applied, _ := n.Applied()
		c.t.Logf("%s is %v, follows %q, has applied %d, owners %v, %v, %v", name, n.raft.State(), n.Leader(), applied, owners, err, n.failed)
	}
	c.t.Fatalf("no %s", what)
}

// roomOf returns a room that the node has.
func (c *cluster) roomOf(name string) string {
	for i := 0; ; i++ {
		if room := fmt.Sprintf("room-%d", i); c.node(name).Owner(room) == name {
			return room
		}
	}
}

// same checks that all stores hold the same, row by row, once they have applied the same.
func (c *cluster) same() {
	c.t.Helper()
	var want uint64
	c.until("end of the log that all have applied", func() bool {
		seen := make(map[uint64]bool)
		for _, name := range c.names {
			index, err := c.node(name).Applied()
			if err != nil {
				c.t.Fatal(err)
			}
			seen[index], want = true, index
		}
		return len(seen) == 1
	})
	for _, name := range c.names {
		c.kill(name)
	}
	first := rows(c.t, c.path(c.names[0]))
	for _, name := range c.names[1:] {
		if diff := cmp.Diff(first, rows(c.t, c.path(name))); diff != "" {
			c.t.Errorf("%s and %s differ after entry %d:\n%s", c.names[0], name, want, diff)
		}
	}
}

func rows(t *testing.T, path string) map[string]string {
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	all := make(map[string]string)
	err = db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				all[string(name)+" "+string(k)] = string(v)
				return nil
			})
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A speaker says words in a room of one node, one after the other, as a room does.
type speaker struct {
	room  string
	after uint64
	doubt atomic.Int64
}

// say appends words under a key, and returns the outcome.
func (s *speaker) say(n *Node, words string) error {
	outcome := make(chan error, 1)
	c := persistence.Commit{Room: s.room, After: s.after, Entries: [][]byte{[]byte(words)}, Keys: []persistence.Key{{Name: words, Seq: s.after + 1}}}
	n.Append(c, func(err error) {
		if errors.Is(err, persistence.ErrUnknown) {
			s.doubt.Add(1)
			return
		}
		outcome <- err
	})
	err := <-outcome
	if err == nil {
		s.after++
	}
	return err
}

// logOf returns what was said in a room.
func logOf(t *testing.T, n *Node, room string) (said []string) {
	t.Helper()
	for e, err := range n.Read(room, 0) {
		if err != nil {
			t.Fatal(err)
		}
		said = append(said, string(e.Data))
	}
	return said
}

// All stores have the words of each node. A node reads its own once they are acknowledged.
func TestThreeNodes(t *testing.T) {
	c := newCluster(t, 10*time.Minute)
	c.leader()
	for _, name := range c.names {
		n, s := c.node(name), &speaker{room: c.roomOf(name)}
		for i := range 5 {
			if err := s.say(n, fmt.Sprint(name, " ", i)); err != nil {
				t.Fatal(err)
			}
		}
		if got := len(logOf(t, n, s.room)); got != 5 {
			t.Errorf("%s reads %d entries, want 5", name, got)
		}
		for _, other := range c.names {
			if other == name {
				continue
			}
			outsider := &speaker{room: s.room, after: 5}
			if err := outsider.say(c.node(other), "stranger"); !errors.Is(err, persistence.ErrFenced) {
				t.Errorf("%s writes to a room of %s: %v", other, name, err)
			}
		}
	}
	epochs := make(map[string]bool)
	for _, name := range c.names {
		epochs[c.node(name).Epoch()] = true
	}
	if len(epochs) != 1 {
		t.Errorf("the stores have epochs %v", epochs)
	}
	c.same()
}

// A leader that is lost between commit and answer, a thousand times: each message is recorded
// once, and its sender is told so.
func TestAnswersAreLost(t *testing.T) {
	c := newCluster(t, 10*time.Minute)
	leader := c.leader()
	follower := c.names[0]
	if follower == leader {
		follower = c.names[1]
	}
	times := 1000
	if testing.Short() {
		times = 10
	}
	n, s, lost := c.node(follower), &speaker{room: c.roomOf(follower)}, make(map[string]bool)
	inner := n.proposer.send
	var mu sync.Mutex
	n.proposer.mu.Lock()
	n.proposer.send = func(ctx context.Context, entry []byte) error {
		err := inner(ctx, entry)
		mu.Lock()
		defer mu.Unlock()
		if !lost[string(entry)] {
			lost[string(entry)] = true
			return errCut // the entry is in the log
		}
		return err
	}
	n.proposer.mu.Unlock()
	var want []string
	for i := range times {
		words := fmt.Sprint("message ", i)
		if err := s.say(n, words); err != nil {
			t.Fatal(err)
		}
		want = append(want, words)
	}
	if diff := cmp.Diff(want, logOf(t, n, s.room)); diff != "" {
		t.Error(diff)
	}
	c.until("answers that were lost, as many as there are messages", func() bool { // the last one may be on its way
		mu.Lock()
		defer mu.Unlock()
		return len(lost) >= times
	})
	t.Logf("%d outcomes were unknown for a while", s.doubt.Load())
	c.same()
}

// When the leader is killed the others go on, its slots get new owners, and when it is back it
// takes a copy of what it has missed. Nothing that was acknowledged is lost or there twice.
func TestLeaderIsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds: make test-long")
	}
	const rounds = 3
	c := newCluster(t, 400*time.Millisecond)
	for round := range rounds {
		leader := c.leader()
		ctx, end := context.WithCancel(t.Context())
		var talk talk
		var work sync.WaitGroup
		for _, name := range c.names {
			n := c.node(name)
			work.Go(func() { talk.chatter(ctx, n, fmt.Sprintf("%s-%d", name, round)) })
		}
		more := func(names ...string) {
			c.until("more words", func() bool { return talk.all(names, 20) })
			talk.reset()
		}
		more(c.names...)
		c.kill(leader)
		var others []string
		for _, name := range c.names {
			if name != leader {
				others = append(others, name)
			}
		}
		c.leader()
		talk.reset()
		more(others...)
		end()
		work.Wait()
		for _, name := range others { // they keep few entries besides, so the third one needs a copy
			if err := c.node(name).raft.Snapshot().Error(); err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
				t.Fatal(err)
			}
		}
		c.start(leader)
		n := c.node(c.leader())
		c.until("copy for the node that was behind", func() bool { return c.node(leader).copies.Load() > 0 })
		for room, words := range talk.acked {
			said := strings.Join(logOf(t, n, room), "\n") + "\n"
			for _, w := range words {
				if times := strings.Count(said, w+"\n"); times != 1 {
					t.Errorf("%q of %s was acknowledged, and is there %d times", w, room, times)
				}
			}
		}
	}
	c.same()
}

// A talk is what nodes have said.
type talk struct {
	mu     sync.Mutex
	acked  map[string][]string // by room
	counts map[string]int      // by node, since the last reset
}

func (k *talk) reset() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.counts = nil
}

func (k *talk) all(names []string, n int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, name := range names {
		if k.counts[name] < n {
			return false
		}
	}
	return true
}

func (k *talk) acknowledged(node, room, words string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.acked == nil {
		k.acked = make(map[string][]string)
	}
	if k.counts == nil {
		k.counts = make(map[string]int)
	}
	k.acked[room] = append(k.acked[room], words)
	k.counts[node]++
}

// chatter says words in a room of the node, and in another room when the node has lost that one.
func (k *talk) chatter(ctx context.Context, n *Node, prefix string) {
	room, rooms, after := "", 0, uint64(0)
	for i := 0; ctx.Err() == nil; i++ {
		for room == "" || n.Owner(room) != n.o.Name {
			if ctx.Err() != nil {
				return
			}
			rooms++
			room, after = fmt.Sprintf("%s-%d", prefix, rooms), 0
		}
		words := fmt.Sprintf("%s words %d", prefix, i)
		outcome := make(chan error, 2)
		n.Append(persistence.Commit{Room: room, After: after, Entries: [][]byte{[]byte(words)}}, persistence.Settled(func(err error) { outcome <- err }))
		select {
		case err := <-outcome:
			if err != nil { // the node was killed, or has lost the slot
				time.Sleep(5 * time.Millisecond)
				continue
			}
		case <-ctx.Done():
			return
		}
		after++
		k.acknowledged(n.o.Name, room, words)
	}
}
