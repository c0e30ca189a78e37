package room

import (
	"sync/atomic"
	"time"

	"parlor/actors/access"
	"parlor/actors/system"
	"parlor/protocol/chat"
)

// Kind is the kind of rooms in the tree of actors.
const Kind = "room"

// errAway refuses what an operator wants of a room that is not in memory.
var errAway = chat.Refuse(chat.CodeConflict, "the room is not in memory: nothing runs in it")

// Halt stops a turn as [StopTurn] does, for an operator, who needs no role in the chat. The
// members see who has stopped it. The reply is a [Stopped].
type Halt struct {
	Caller
	TurnID chat.TurnID
	Reason string
}

func (c *Halt) do(r *Room) {
	(&StopTurn{Caller: c.Caller, TurnID: c.TurnID, Reason: c.Reason}).stop(r, "")
}

// Kill makes the room fail, so that its supervisor starts it anew, for an operator. That
// failure does not count for the quarantine. The reply, a [Killed], comes before it.
type Kill struct{ Caller }

// Killed says that the room is being restarted.
type Killed struct{}

func (c *Kill) do(r *Room) {
	if r.quarantined {
		r.refuse(c.Caller, errQuarantined)
		return
	}
	r.killed = true
	r.reply(c.Caller, Killed{})
	panic(system.Deliberate("killed by an operator: " + string(c.User.ID)))
}

// Observe makes the caller's address a listener for an operator, who needs no role in the
// chat, and whom nobody sees. [Leave] ends that. The reply is an [Observed].
type Observe struct {
	Caller
	Encoder string
}

// Observed says after which record the publications begin.
type Observed struct{ Seq uint64 }

func (c *Observe) do(r *Room) {
	switch {
	case !r.records.shown.Exists():
		r.refuse(c.Caller, access.ErrNoChat)
	case r.Encoders[c.Encoder] == nil:
		r.refuse(c.Caller, errNoEncoder)
	default:
		r.attendance.listen(c.Address, &listener{user: c.User, apart: true, observes: true}, c.Encoder)
		r.reply(c.Caller, Observed{r.records.shown.Seq})
	}
}

// A Standing says how a room stands.
type Standing struct {
	Chat        chat.Info // zero: it is not known yet
	Listeners   int
	Turns       int // that have not ended
	Waiting     int // calls of tools that wait for a member
	Running     *RunningTurn
	Idle        bool // nobody and nothing needs it in memory
	Quarantined bool
	Hung        bool
}

// A RunningTurn is the one that a room is answering.
type RunningTurn struct {
	ID      chat.TurnID
	ModelID chat.ModelID
	By      chat.UserID
	Attempt int
	Since   time.Time
}

// shown is what a Pulse shows of its room. The room writes it, and anybody reads it.
type shown struct {
	listeners, turns, waiting atomic.Int32
	running                   atomic.Pointer[RunningTurn]
	quarantined, hung         atomic.Bool
}

// Look says how the room stands. It may be called from any goroutine, and the room does not
// notice.
func (p *Pulse) Look() Standing {
	s := Standing{
		Listeners: int(p.listeners.Load()), Turns: int(p.turns.Load()), Waiting: int(p.waiting.Load()), Running: p.running.Load(),
		Idle: p.Idle(), Quarantined: p.quarantined.Load(), Hung: p.hung.Load(),
	}
	if info := p.chat.Load(); info != nil {
		s.Chat = *info
	}
	return s
}

// Chat returns the chat of the room, or nil if it is not known yet. It must not be changed.
func (p *Pulse) Chat() *chat.Info { return p.chat.Load() }

// Running returns the turn that the room is answering, or nil.
func (p *Pulse) Running() *RunningTurn { return p.running.Load() }

// SetHung notes whether the room hangs: it cannot say so itself.
func (p *Pulse) SetHung(hung bool) { p.hung.Store(hung) }

// show notes how the room stands, as far as that has changed.
func (s *shown) show(r *Room) {
	listeners := 0
	for _, c := range r.audience {
		listeners += c.listeners.len()
	}
	note(&s.listeners, listeners)
	note(&s.turns, len(r.records.head.Turns))
	waiting := 0
	for _, c := range r.records.shown.Calls {
		if c.Waits {
			waiting++
		}
	}
	note(&s.waiting, waiting)
	if s.quarantined.Load() != r.quarantined {
		s.quarantined.Store(r.quarantined)
	}
	s.showTurn(r.stage)
}

func note(at *atomic.Int32, n int) {
	if at.Load() != int32(n) {
		at.Store(int32(n))
	}
}

func (s *shown) showTurn(stage *stage) {
	before := s.running.Load()
	switch {
	case stage.attempt == nil && before != nil:
		s.running.Store(nil)
	case stage.attempt == nil:
	default:
		t := stage.attempt.Turn()
		if before == nil || before.ID != t.ID || before.Attempt != t.Attempt || before.ModelID != t.ModelID {
			s.running.Store(&RunningTurn{ID: t.ID, ModelID: t.ModelID, By: t.By, Attempt: t.Attempt, Since: time.Now()})
		}
	}
}
