// Package room is the actor that orders and remembers one conversation.
//
//	command → conversation decides on head → log.Append ┐
//	                                                     │ fsync, shared by all rooms
//	listeners ← publish ← fold into shown ← committed ─────┘
//
//	turn.Attempt: provider stream → notices → listeners;  its end → the same path as a command
//
// # Recorded before shown
//
// A room never waits for its commits. It keeps its state twice: head, with what
// has been handed to the log, which commands are decided on; and shown, with
// what the log has confirmed, which is all that anybody is told. When a commit
// fails, what it held is refused to its senders and head falls back to shown.
// See recorder.
//
// # Turns
//
// Turns run one at a time in the order in which they were queued. What is to be
// recorded next follows from the state alone (conversation.Moment.Next): after a
// commit, a failure, a restart and a wake-up alike. An attempt at a turn is a
// turn.Attempt, what is being said a voice.Voice; the stage is their way back
// into the room.
//
// # Failures
//
// A panic costs the command that caused it, which is refused, and the text of
// the running turn, which starts again. Members stay: they outlive the
// instance, and get what was committed while it was down. A room that keeps
// failing is quarantined: see [Room.isolate].
package room

import (
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"parlor/actors/access"
	"parlor/actors/conversation"
	"parlor/actors/ledger"
	"parlor/actors/system"
	"parlor/actors/title"
	"parlor/actors/turn"
	"parlor/actors/voice"
	"parlor/persistence"
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

	// Lookup returns the entry that an idempotency key led to, Message the one
	// that holds a message.
	Lookup(room, key string) (seq uint64, ok bool, err error)
	Message(room, id string) (seq uint64, ok bool, err error)

	// Snapshot returns the last state that a commit carried and the number of
	// the entry that it was made at, zero if there is none; Text what commits
	// have kept of the running turn's answer.
	Snapshot(room string) (seq uint64, state []byte, err error)
	Text(room string) ([]byte, error)
}

// Options configure the rooms of a server; they are shared by all of them.
// Log, Models, Provider, Encoders, Idle and Awake have no default.
type Options struct {
	Log       Log
	Models    conversation.Models
	Provider  turn.Provider
	Encoders  Encoders
	Directory *Directory   // of those who send commands. Nil is empty
	Logger    *slog.Logger // nil discards

	// Access says who may do what. The zero value lets the owner of a chat in.
	Access access.Policy

	// TurnPolicy is that of chats which have none. Empty means [chat.PolicyQueue].
	TurnPolicy chat.Policy

	// SystemPrompt opens every prompt, if it is not empty.
	SystemPrompt string

	// Titles are for chats that nobody gives one.
	Titles title.Policy

	// Ledger knows what people may still use. Nil knows no limits.
	Ledger *ledger.Ledger

	// Epoch names the file that the log is in. A client that kept numbers of
	// records from another file, an older copy say, must not resume with them.
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
	IdleTimeout     time.Duration // without listeners and work, until passivation. Zero means 5 minutes

	// The parts of the options that other packages need.
	rules  *conversation.Rules
	turns  *turn.Options
	voices *voice.Options
	titles *title.Options
}

// WithDefaults returns o with its zeros replaced.
func (o Options) WithDefaults() Options {
	def(&o.Logger, slog.New(slog.DiscardHandler))
	def(&o.Turns, new(sync.WaitGroup))
	def(&o.Directory, new(Directory))
	def(&o.TurnPolicy, chat.PolicyQueue)
	def(&o.ContextWindow, conversation.DefaultContextWindow)
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
	o.share()
	return o
}

// share makes of o what other packages need of it.
func (o *Options) share() {
	budgets := o.Ledger
	o.rules = &conversation.Rules{
		Models: o.Models, NewID: newID, TurnPolicy: o.TurnPolicy,
		MaxMessageBytes: o.MaxMessageBytes, MaxQueuedTurns: o.MaxQueuedTurns, MaxAttempts: o.MaxAttempts,
		RepeatTools: repeatsTools(),
		Afford: func(room chat.RoomID, user chat.UserID, model chat.ModelID) *chat.Error {
			return budgets.Check(ledger.Account{User: user, Room: room, Model: model})
		},
	}
	o.turns = &turn.Options{
		Provider: o.Provider, Models: o.Models, Log: o.Log, Ledger: budgets, Logger: o.Logger, Goroutines: o.Turns,
		SystemPrompt: o.SystemPrompt, ContextWindow: o.ContextWindow, MaxAnswerBytes: o.MaxAnswerBytes,
		Timeout: o.TurnTimeout, CheckpointEvery: o.CheckpointEvery, CheckpointBytes: o.CheckpointBytes,
	}
	o.voices = &voice.Options{
		Provider: o.Provider, Models: o.Models, Logger: o.Logger, Goroutines: o.Turns,
		MaxAudioBytes: o.MaxAudioBytes, MaxMessageBytes: o.MaxMessageBytes, MaxUnheard: o.MaxUnheard,
		HearTimeout: o.HearTimeout, LineIdle: o.LineIdle,
	}
	o.titles = &title.Options{
		Policy: o.Titles, Provider: o.Provider, Models: o.Models, Log: o.Log, Ledger: budgets, Logger: o.Logger, Goroutines: o.Turns,
	}
}

func def[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// now is the time as records keep it.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// A Room is the actor: it is made by [Spec], runs on one goroutine at a time,
// that of its mailbox, and ends when its supervisor lets it or stops.
type Room struct {
	*Options
	*lasting
	self *system.Self[Message]
	log  *slog.Logger

	loaded  bool        // the recorder's states are what the log says
	broken  *chat.Error // why the log cannot be read; every command is refused with it
	waiting []Message   // what came before the room was loaded

	records     recorder
	stage       *stage
	title       titling
	passivation passivation
	quiet       *conversation.Plan // what was said quietly last, by this instance
}

// lasting is what a restart of the room does not lose: its listeners, how much
// of the log they have been told, and what it waits for.
type lasting struct {
	id       chat.RoomID
	audience audience
	authors  map[chat.MessageID]Address // of messages that are not published
	children int                        // how many were started: attempts, lines to models, titles

	published  uint64      // the last record that the listeners were told
	answerable []*proposal // are on disk, and their callers are not answered yet
	inFlight   int         // commits and deletions that the log has not answered
	deleting   bool

	pulse       *Pulse
	answering   chat.TurnStarted // what listeners were told of and have not been told the end of
	streamed    []byte           // what they were told of its answer
	restarts    []time.Time      // of late
	quarantined bool
}

// unknown is lasting.published before the first instance has read the log.
const unknown = ^uint64(0)

// A Pulse counts what a room has handled of what the supervisor told it.
type Pulse struct{ atomic.Uint64 }

// Spec describes the room id to the actor system; name is the actor's.
func Spec(id chat.RoomID, name string, o *Options, p *Pulse) system.Spec[Message] {
	l := &lasting{id: id, published: unknown, authors: make(map[chat.MessageID]Address), pulse: p}
	instances := 0
	return system.Spec[Message]{
		Name: name,
		New: func() system.Actor[Message] {
			if instances++; instances > 1 {
				l.restarted(o.MaxRestarts)
			}
			return &Room{Options: o, lasting: l, log: o.Logger.With("room", l.id)}
		},
		Children: system.Stop,
	}
}
