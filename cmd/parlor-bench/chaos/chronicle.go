package chaos

import (
	"fmt"
	"hash/fnv"
	"sync"

	"parlor/protocol/chat"
)

// Kinds of records.
const (
	created = "chat created"
	said    = "message"
	queued  = "turn queued"
	started = "turn started"
	tool    = "tool called"
	lost    = "call lost"
	decided = "call decided"
	ran     = "call ended"
	steered = "turn steered"
	set     = "chat configured"
	ended   = "turn ended"
)

// A fact is what a record says, or the part of it that somebody was told:
// zeros are what they were not.
type fact struct {
	kind    string
	message chat.MessageID
	turn    chat.TurnID
	state   chat.State
	attempt int
	text    uint64 // hash of the content
}

// String implements [fmt.Stringer].
func (f fact) String() string {
	return fmt.Sprintf("%s{message %s, turn %s, %s, attempt %d, text %x}", f.kind, f.message, f.turn, f.state, f.attempt, f.text)
}

// with adds what g knows to f, and reports whether they can both be true.
func (f fact) with(g fact) (fact, bool) {
	ok := agree(&f.kind, g.kind)
	ok = agree(&f.message, g.message) && ok
	ok = agree(&f.turn, g.turn) && ok
	ok = agree(&f.state, g.state) && ok
	ok = agree(&f.attempt, g.attempt) && ok
	return f, agree(&f.text, g.text) && ok
}

func agree[T comparable](a *T, b T) bool {
	var unknown T
	if *a == unknown {
		*a = b
	}
	return b == unknown || *a == b
}

// factOf says all that a record of the log does.
func factOf(r chat.Record) fact {
	switch e := r.Event.(type) {
	case chat.MessageAdded:
		return fact{kind: said, message: e.MessageID, text: hash(e.Content)}
	case chat.TurnQueued:
		return fact{kind: queued, turn: e.TurnID}
	case chat.TurnStarted:
		return fact{kind: started, turn: e.TurnID, message: e.MessageID, attempt: e.Attempt}
	case chat.ToolStarted:
		return fact{kind: tool, message: e.MessageID}
	case chat.ToolsCalled:
		return fact{kind: tool, message: e.MessageID}
	case chat.ToolsLost:
		return fact{kind: lost, turn: e.TurnID}
	case chat.ToolDecided:
		return fact{kind: decided, turn: e.TurnID}
	case chat.ToolEnded:
		return fact{kind: ran}
	case chat.TurnSteered:
		return fact{kind: steered, turn: e.TurnID}
	case chat.Configured:
		return fact{kind: set}
	case chat.TurnEnded:
		f := fact{kind: ended, turn: e.TurnID, message: e.MessageID, state: e.State}
		if e.MessageID != "" {
			f.text = hash(e.Content)
		}
		return f
	}
	return fact{kind: created}
}

// factOfMessage says what a message does of the record that holds it.
func factOfMessage(m chat.Message) fact {
	if m.Role == chat.RoleUser {
		return fact{kind: said, message: m.ID, text: hash(m.Content)}
	}
	return fact{kind: ended, message: m.ID, state: m.State, text: hash(m.Content)}
}

// hash is never zero, which stands for what is not known.
func hash(text string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(text))
	return h.Sum64() | 1
}

// A chronicle is what all visitors together were told of the records of each
// room. It may be used by several goroutines at once.
type chronicle struct {
	mu     sync.Mutex
	facts  map[chat.RoomID]map[uint64]fact
	lasts  map[chat.RoomID]uint64 // greatest number in facts
	epochs map[chat.RoomID]string
}

func newChronicle() *chronicle {
	return &chronicle{
		facts: make(map[chat.RoomID]map[uint64]fact), lasts: make(map[chat.RoomID]uint64), epochs: make(map[chat.RoomID]string),
	}
}

// tell adds what somebody was told of a record. The error says that somebody
// was told otherwise.
func (c *chronicle) tell(room chat.RoomID, seq uint64, f fact) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	facts := c.facts[room]
	if facts == nil {
		facts = make(map[uint64]fact)
		c.facts[room] = facts
	}
	all, ok := facts[seq].with(f)
	if !ok {
		return fmt.Errorf("record %d was told as %v, and as %v", seq, facts[seq], f)
	}
	facts[seq] = all
	c.lasts[room] = max(c.lasts[room], seq)
	return nil
}

// epoch takes the epoch that somebody was told, which no room here changes.
func (c *chronicle) epoch(room chat.RoomID, epoch string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.epochs[room]; known != "" && known != epoch {
		return fmt.Errorf("the epoch was %q and is %q", known, epoch)
	}
	c.epochs[room] = epoch
	return nil
}

// last returns the greatest number of a record that anybody was told.
func (c *chronicle) last(room chat.RoomID) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lasts[room]
}

// of returns what was told of a room.
func (c *chronicle) of(room chat.RoomID) map[uint64]fact {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.facts[room]
}
