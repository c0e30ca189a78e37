package replicated

import (
	"context"
	"time"

	"github.com/hashicorp/raft"

	"parlor/persistence"
)

// observe notes which nodes do not answer the leader, and when the leader changes.
func (n *Node) observe(ctx context.Context, seen <-chan raft.Observation) {
	for {
		select {
		case o := <-seen:
			n.see(o)
		case <-ctx.Done():
			n.raft.DeregisterObserver(n.observer)
			return
		}
	}
}

func (n *Node) see(o raft.Observation) {
	switch o := o.Data.(type) {
	case raft.LeaderObservation:
		n.proposer.leaderChanged()
	case raft.FailedHeartbeatObservation:
		n.mu.Lock()
		defer n.mu.Unlock()
		if _, known := n.silent[string(o.PeerID)]; !known {
			n.silent[string(o.PeerID)] = time.Now() // the leader may be new, and have no contact before
		}
	case raft.ResumedHeartbeatObservation:
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.silent, string(o.PeerID))
	}
}

// maxTick is the longest time between two looks at who has the slots.
const maxTick = 150 * time.Millisecond

// tend gives slots to nodes while this node leads.
func (n *Node) tend(ctx context.Context) {
	tick := time.NewTicker(min(n.o.Silence/10, maxTick))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if !n.leads() {
			continue
		}
		if err := n.assign(); err != nil {
			n.o.Logger.Info("slots could not be assigned", "node", n.o.Name, "err", err)
		}
	}
}

// leads reports whether this node leads, and has applied all that the leaders before have left. A
// node that has just begun to lead has heard nothing of the others yet, so it waits for that.
func (n *Node) leads() bool {
	lead := n.raft.State() == raft.Leader
	n.mu.Lock()
	begun := lead && !n.leading
	n.leading = lead
	if begun {
		clear(n.silent)
	}
	n.mu.Unlock()
	return lead && (!begun || n.Propose(encodeBatch(nil)) == nil)
}

// movesAtOnce is how many slots are taken from nodes that answer, at each look: the rooms of a slot
// that moves begin anew elsewhere.
const movesAtOnce = 8

// assign gives the slots of nodes that are silent, and those of none, to the nodes with the fewest,
// and lets nodes that have come back have their share.
func (n *Node) assign() error {
	config := n.raft.GetConfiguration()
	if err := config.Error(); err != nil {
		return err
	}
	if commands := n.assignments(config.Configuration().Servers); len(commands) > 0 {
		return n.Propose(encodeBatch(commands))
	}
	return nil
}

func (n *Node) assignments(servers []raft.Server) (commands []persistence.Command) {
	n.mu.Lock()
	defer n.mu.Unlock()
	counts := make(map[string]int) // of the nodes that answer
	for _, s := range servers {
		if since, silent := n.silent[string(s.ID)]; !silent || time.Since(since) < n.o.Silence {
			counts[string(s.ID)] = 0
		}
	}
	var free []int
	for slot := 1; slot <= persistence.Slots; slot++ {
		if _, answers := counts[n.slots[slot].Node]; answers {
			counts[n.slots[slot].Node]++
		} else {
			free = append(free, slot)
		}
	}
	if len(n.slots) == 0 { // the nodes have begun with different epochs
		commands = append(commands, persistence.SetEpoch(n.Epoch()))
	}
	give := func(slot int, to string) {
		counts[to]++
		commands = append(commands, persistence.AssignSlot(slot, n.slots[slot].Epoch+1, to))
	}
	for _, slot := range free {
		give(slot, fewest(counts, servers))
	}
	if len(free) > 0 {
		return commands
	}
	for slot := 1; slot <= persistence.Slots && len(commands) < movesAtOnce; slot++ {
		from, to := n.slots[slot].Node, fewest(counts, servers)
		if counts[from] > counts[to]+1 {
			counts[from]--
			give(slot, to)
		}
	}
	return commands
}

// fewest returns the node with the fewest slots.
func fewest(counts map[string]int, servers []raft.Server) (name string) {
	for _, s := range servers {
		id := string(s.ID)
		if n, answers := counts[id]; answers && (name == "" || n < counts[name]) {
			name = id
		}
	}
	return name
}
