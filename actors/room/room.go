// Package room is the actor that orders and remembers one conversation.
//
//	command → validate against head → log.Append ┐
//	                                              │ fsync, shared by all rooms
//	members ← publish ← fold into shown ← committed ┘
//
//	turn: provider stream → deltas → members;  its end → the same path as a command
//
// # Recorded before shown
//
// A room never waits for its commits. It keeps its state twice: head, with what
// has been handed to the log, which commands are validated against; and shown,
// with what the log has confirmed, which is all that anybody is told. When a
// commit fails, what it held is refused to its senders and head falls back to
// shown.
//
// # Turns
//
// Turns run one at a time in the order in which they were queued. What should
// happen next follows from the state alone (see [Room.advance]): after a
// commit, a failure, a restart and a wake-up alike. What becomes of a message
// while one runs is a policy ([Room.place]); what follows from it, and from an
// edit ([Room.supersede]), is one commit with the message.
//
// # Failures
//
// A panic costs the command that caused it, which is refused, and the text of
// the running turn, which starts again. Members stay: they outlive the
// instance, and get what was committed while it was down. A room that keeps
// failing is quarantined: see [Room.isolate].
package room

import (
	"context"
	"iter"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"parlor/actors/access"
	"parlor/actors/ledger"
	"parlor/actors/system"
	"parlor/persistence"
	"parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// A Log is the part of the event log that a room needs. See [persistence.Store].
type Log interface {
	// Append and Delete queue a change and return. Changes are made in the
	// order of the calls, and done is called once for each, in that order: with
	// nil when the change is durable, else with why nothing of it was recorded.
	Append(c persistence.Commit, done func(error))
	Delete(room string, done func(error))

	// Read yields the entries that follow after, oldest first; ReadBack those
	// before before, newest first, or from the end if it is 0. They end after
	// an error.
	Read(room string, after uint64) iter.Seq2[persistence.Entry, error]
	ReadBack(room string, before uint64) iter.Seq2[persistence.Entry, error]

	// Lookup returns the entry that an idempotency key led to.
	Lookup(room, key string) (seq uint64, ok bool, err error)

	// Snapshot returns the last state that a commit carried and the number of
	// the entry that it was made at, zero if there is none; Text what commits
	// have kept of the running turn's answer.
	Snapshot(room string) (seq uint64, state []byte, err error)
	Text(room string) ([]byte, error)
}

// Models says which models there are.
type Models interface {
	Model(chat.ModelID) (chat.Model, bool)

	// Refusal says why there is none of that name; it is nil if there is one.
	Refusal(chat.ModelID) *chat.Error
	// Named returns the model that people address by the name, in whatever case.
	Named(name string) (chat.ModelID, bool)
}

// Options configure the rooms of a server; they are shared by all of them.
// Log, Models, Provider, Idle and Awake have no default.
type Options struct {
	Log      Log
	Models   Models
	Provider Provider
	Logger   *slog.Logger // nil discards

	// Access says who may do what. The zero value lets the owner of a chat in.
	Access access.Policy

	// TurnPolicy is that of chats which have none. Empty means [chat.PolicyQueue].
	TurnPolicy chat.Policy

	// SystemPrompt opens every prompt, if it is not empty.
	SystemPrompt string

	// Titles are for chats that nobody gives one.
	Titles Titles

	// Ledger knows what people may still use. Nil knows no limits.
	Ledger *ledger.Ledger

	// Epoch names the file that the log is in. Who remembers numbers of records
	// of another file, which may be an older copy, remembers other records.
	Epoch string

	// Idle asks the supervisor for a [Drain]; Awake tells it that the room
	// has work again and goes on. Both only send a message.
	Idle, Awake func(chat.RoomID)

	// Turns is counted up while a turn's goroutine runs.
	Turns *sync.WaitGroup

	// ContextWindow is how many tokens a model can read that does not say so.
	// Zero means 32 Ki.
	ContextWindow int

	MaxMessageBytes int           // of a user's message. Zero means 64 KiB
	MaxAnswerBytes  int           // of an answer: past it the turn fails. Zero means 256 KiB
	MaxQueuedTurns  int           // past it a message is refused as busy. Zero means 256
	MaxAttempts     int           // of one turn over crashes; then it is interrupted. Zero means 3
	TurnTimeout     time.Duration // of one attempt. Zero means 10 minutes
	RetryDelay      time.Duration // before a turn tries the disk again. Zero means 1 second
	CheckpointEvery time.Duration // the text of a running turn is saved. Zero means 1 second
	CheckpointBytes int           // of text are saved sooner. Zero means 4 KiB
	SnapshotEvery   int           // records, so that a room that wakes up reads no more. Zero means 64
	MaxRestarts     int           // within a minute, past which the room is quarantined. Zero means 10
	MaxAudioBytes   int           // of a piece of speech, in base64. Zero means 64 KiB, more than a second
	MaxUnheard      int           // messages that are being written down; past it another is refused as busy. Zero means 8
	HearTimeout     time.Duration // until what was said must have been understood. Zero means 10 seconds
	LineIdle        time.Duration // without use, until a session with a model ends. Zero means 2 minutes
	IdleTimeout     time.Duration // without members and work, until passivation. Zero means 5 minutes
}

// WithDefaults returns o with its zeros replaced.
func (o Options) WithDefaults() Options {
	def(&o.Logger, slog.New(slog.DiscardHandler))
	def(&o.Turns, new(sync.WaitGroup))
	def(&o.TurnPolicy, chat.PolicyQueue)
	def(&o.ContextWindow, defaultContextWindow)
	def(&o.MaxMessageBytes, 64<<10)
	def(&o.MaxAnswerBytes, 256<<10)
	def(&o.MaxQueuedTurns, 256)
	def(&o.MaxAttempts, 3)
	def(&o.TurnTimeout, 10*time.Minute)
	def(&o.RetryDelay, time.Second)
	def(&o.IdleTimeout, 5*time.Minute)
	def(&o.CheckpointEvery, time.Second)
	def(&o.CheckpointBytes, 4<<10)
	def(&o.SnapshotEvery, 64)
	def(&o.MaxRestarts, 10)
	def(&o.MaxAudioBytes, 64<<10)
	def(&o.MaxUnheard, 8)
	def(&o.HearTimeout, 10*time.Second)
	def(&o.LineIdle, 2*time.Minute)
	return o
}

func def[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// A Room is the actor: it is made by [Spec], runs on one goroutine at a time,
// that of its mailbox, and ends when its supervisor lets it or stops.
type Room struct {
	*Options
	*lasting
	self *system.Self[Message]
	log  *slog.Logger

	loaded bool        // shown and head are what the log says
	broken *chat.Error // why the log cannot be read; every command is refused with it
	shown  State       // what the log has confirmed
	head   State       // shown, and what has been handed to the log
	gen    int         // counts the times that head fell back to shown

	creating *proposal            // of the chat; means something while shown lacks it and head has it
	pending  map[string]*proposal // sends with a client id that wait for the disk
	parked   []Message            // what came before the room was loaded
	run      *run                 // the answer that is being streamed, nil if none
	unasked  *utterance           // what was said quietly last, by this instance
	cut      []byte               // what was saved of an answer that an end of the room has cut
	line     *line                // to a model that listens, nil if none
	voice    voice                // what is being said

	titling *titling // nil unless a title is being made

	retry *time.Timer // runs after a failed commit, until advance may try again
	idle  *time.Timer // runs while there is nothing to do, until passivation
	asked bool        // for a Drain

	handed Caller // of the last command whose answer the log will bring
}

// lasting is what a restart of the room does not lose: its members, how much
// of the log they have been told, and what it waits for.
type lasting struct {
	id       chat.RoomID
	members  map[Address]member
	told     uint64               // number of the last record that was published
	informed map[uint64][]Address // by record: who need not be told it
	owed     []*proposal          // are on disk, and their callers are not yet told
	inFlight int                  // commits and deletions that the log has not answered
	deleting bool
	runs     int // how many there were
	lines    int

	pulse       *Pulse
	answering   chat.TurnStarted // what members were told of and have not been told the end of
	streamed    []byte           // what they were told of its answer
	restarts    []time.Time      // of late
	quarantined bool
}

type member struct {
	user    chat.User
	dialect assistant.Dialect
}

// unknown is lasting.told before the first instance has read the log.
const unknown = ^uint64(0)

// A Pulse counts what a room has handled of what the supervisor told it.
type Pulse struct{ atomic.Uint64 }

// Spec describes the room id to the actor system; name is the actor's.
func Spec(id chat.RoomID, name string, o *Options, p *Pulse) system.Spec[Message] {
	l := &lasting{id: id, members: make(map[Address]member), told: unknown, informed: make(map[uint64][]Address), pulse: p}
	instances := 0
	return system.Spec[Message]{
		Name: name,
		New: func() system.Actor[Message] {
			if instances++; instances > 1 {
				l.restarted(o.MaxRestarts)
			}
			return newRoom(l, o)
		},
		Children: system.Stop,
	}
}

func newRoom(l *lasting, o *Options) *Room {
	return &Room{
		Options: o, lasting: l, log: o.Logger.With("room", l.id),
		pending: make(map[string]*proposal),
	}
}

// Started implements system.Actor. What an instance before this one has handed
// to the log is waited for: only then is it known what the log says.
func (r *Room) Started(self *system.Self[Message]) {
	r.self = self
	switch {
	case r.quarantined:
		r.settle(math.MaxUint64)
		r.isolate()
	case r.inFlight == 0:
		r.load()
	}
}

// load reads the room from the log, tells the members what they missed while
// no instance was there to tell them, and turns to what has waited.
func (r *Room) load() {
	if r.quarantined {
		r.settle(math.MaxUint64)
		return
	}
	r.loaded, r.broken = true, nil
	r.shown = State{}
	if err := r.replay(); err != nil {
		r.log.Error("room cannot be read", "err", err)
		r.retryLater()
		r.broken = errUnreadable
	}
	r.settle(math.MaxUint64)
	if r.told == unknown {
		r.told = r.shown.Seq
	}
	r.head = r.shown.Clone()
	r.cut = r.savedText()
	r.advance()
	r.entitle()
	for len(r.parked) > 0 {
		r.receive(r.parked[0]) // if it panics, Stopping finds it among the others
		r.parked = r.parked[1:]
	}
	r.rest()
}

func (r *Room) replay() error {
	if err := r.restore(); err != nil {
		return err
	}
	for record, err := range Records(context.Background(), r.Log.Read(string(r.id), r.shown.Seq)) {
		if err != nil {
			return err
		}
		if err := r.show(record); err != nil {
			return err
		}
	}
	return nil
}

// Receive implements system.Actor.
func (r *Room) Receive(m Message) {
	defer r.count(m)
	r.receive(m)
	r.rest()
}

// count counts what came from the supervisor, also if it made the room panic.
func (r *Room) count(m Message) {
	switch m.(type) {
	case Command, *Wake, *Drain:
		r.pulse.Add(1)
	}
}

func (r *Room) receive(m Message) {
	switch m := m.(type) {
	case *Wake:
	case *committed:
		r.committed(m)
	case *deleted:
		r.deleted(m)
	case *Drain:
		r.drain()
	case *idleTick:
		r.passivate()
	case *retryTick:
		r.retry = nil
		if r.broken != nil {
			r.load()
			return
		}
		r.advance()
		r.entitle()
	case *delta:
		r.delta(m)
	case *answered:
		r.answered(m)
	case *prompted:
		r.prompted(m)
	case *lineDelta:
		r.lineDelta(m)
	case *lineEnded:
		r.lineEnded(m)
	case *lineIdle:
		r.lineIdle(m)
	case *unheard:
		r.heard(chat.Heard{MessageID: m.message, Error: errInaudible})
	case *steer:
		r.steer(m)
	case *overdrawn:
		r.overdrawn(m)
	case *titled:
		r.titled(m)
	case *checkpointTick:
		r.checkpoint(m.run)
	case *checkpointed:
		r.checkpointed(m)
	case Command:
		r.command(m)
	default:
		panic("room: unknown message")
	}
}

func (r *Room) command(c Command) {
	leave, leaves := c.(*Leave)
	release, releases := c.(*Release)
	switch {
	case releases:
		r.release(release)
		return
	case leaves && (r.loaded || r.quarantined):
		r.leave(leave)
		return
	case r.quarantined:
		refuse(c.caller(), errQuarantined)
		return
	case !r.loaded:
		r.parked = append(r.parked, c)
		return
	case r.broken != nil:
		refuse(c.caller(), r.broken)
		return
	}
	switch c := c.(type) {
	case *Create:
		r.create(c)
	case *Join:
		r.join(c)
	case *Send:
		r.send(c)
	case *Edit:
		r.edit(c)
	case *Respond:
		r.respond(c)
	case *AppendAudio:
		r.appendAudio(c)
	case *ClearAudio:
		r.clearAudio(c)
	case *CommitAudio:
		r.commitAudio(c)
	case *Regenerate:
		r.regenerate(c)
	case *StopTurn:
		r.stopTurn(c)
	case *Configure:
		r.configure(c)
	case *Delete:
		r.delete(c)
	case *Expire:
		r.expire(c)
	}
}

// Salvage implements system.Salvager: whoever sent the command that made the
// room panic is told so, unless the log has it: then the next instance answers.
func (r *Room) Salvage(m Message) {
	if c, ok := m.(Command); ok && c.caller() != r.handed {
		refuse(c.caller(), chat.Refuse(chat.CodeInternal, "the room failed on this command and was restarted"))
	}
}

// Stopping implements system.Actor. What was parked is refused: the mailbox
// survives a restart, this instance does not.
func (r *Room) Stopping() {
	for _, t := range []*time.Timer{r.retry, r.idle} {
		if t != nil {
			t.Stop()
		}
	}
	r.run.cancel()
	r.silence()
	r.run.release()
	r.stopTitling()
	for _, m := range r.parked {
		r.Salvage(m)
	}
}

// NoRoom answers a message to a room that cannot exist, Lost one that did not
// get to its room, and Hung one that would wait there for nobody knows how long.
func NoRoom(m Message) { answerWith(m, errNoRoom) }
func Lost(m Message)   { answerWith(m, errLost) }
func Hung(m Message)   { answerWith(m, errHung) }

func answerWith(m Message, err *chat.Error) {
	if c, ok := m.(Command); ok {
		refuse(c.caller(), err)
	}
}

func reply(c Caller, body any) {
	if c.Address != nil {
		c.Address.Deliver(Reply{Ref: c.Ref, Body: body})
	}
}

func refuse(c Caller, err *chat.Error) {
	if c.Address != nil {
		c.Address.Deliver(Reply{Ref: c.Ref, Err: err})
	}
}
