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
// A room never waits for its commits. It keeps its state twice. Head holds what was
// handed to the log; commands are decided on it. Shown holds what the log has
// confirmed; clients are told of nothing else. When a commit fails, its senders are
// refused and head falls back to shown. While the log does not know what became of a
// commit, its senders wait: they are refused nothing that may have been recorded, and
// nothing is proposed again. See recorder.
//
// # Beside the room
//
//	recorder    the two states, the way to the log, and what is read back of it
//	stage       the attempt at the running turn, and the voice
//	attendance  who comes and goes, and what listeners are told of that
//	vigil       who wants to know of the end of a turn, and is away
//	budget      what budgets have left for a turn
//
// # Turns
//
// Turns run one at a time, in the order in which they were queued. What is recorded
// next follows from the state alone (conversation.Moment.Next), after a commit, a
// failure, a restart and a wake-up alike. A turn.Attempt runs a turn, and a
// voice.Voice takes in speech. Both reach the room through the stage.
//
// # Failures
//
// When a room panics, the command that caused it is refused, and the running turn
// starts again without the text so far. Listeners outlive the instance; the next one
// tells them of what was committed meanwhile. A room that fails again and again is
// quarantined: see [Room.isolate].
package room

import (
	"cmp"
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
	// While the outcome is not known, done gets [persistence.ErrUnknown] ahead of that.
	Append(c persistence.Commit, done func(error))
	Delete(room string, done func(error))

	// Read yields the entries that follow after, oldest first; ReadBack those
	// before before, newest first, or from the end if it is 0. They end after
	// an error.
	Read(room string, after uint64) iter.Seq2[persistence.Entry, error]
	ReadBack(room string, before uint64) iter.Seq2[persistence.Entry, error]

	// Lookup returns the number of the entry with an idempotency key, and Message
	// that of the entry with a message.
	Lookup(room, key string) (seq uint64, ok bool, err error)
	Message(room, id string) (seq uint64, ok bool, err error)

	// Chat returns the room's row among the chats, or [persistence.ErrNotFound].
	Chat(room string) (persistence.Chat, error)

	// File returns a file of the room, or [persistence.ErrNotFound], and Chunks its bytes from
	// one of them on.
	File(room, id string) (persistence.File, error)
	Chunks(room string, f persistence.File, from int64) iter.Seq2[[]byte, error]

	// Snapshot returns the last state that a commit carried, and the number of the
	// entry that it was made at, or zero if there is none. Text returns the text
	// that commits have saved of the running turn's answer.
	Snapshot(room string) (seq uint64, state []byte, err error)
	Text(room string) ([]byte, error)
}

// Options configure the rooms of a server; they are shared by all of them.
// Log, Models, Provider, Encoders, Idle and Awake have no default.
type Options struct {
	Log       Log
	Models    conversation.Models
	Provider  turn.Provider
	Tools     turn.Tools // that models may call. Nil is none
	Encoders  Encoders
	Directory *Directory   // of the addresses of callers. Nil is empty
	Logger    *slog.Logger // nil discards

	// Access says who may do what. The zero value lets the owner of a chat in.
	Access access.Policy

	// TurnPolicy is for chats that have none. Empty means [chat.PolicyQueue].
	TurnPolicy chat.Policy

	// SystemPrompt opens every prompt, if it is not empty.
	SystemPrompt string

	// Titles are for chats that nobody gives one.
	Titles title.Policy

	// Ledger knows what is left of budgets. Nil knows no limits.
	Ledger *ledger.Ledger

	// Currency is that of the prices of models.
	Currency string

	// Epoch names the file that the log is in. A client that kept numbers of
	// records from another file, an older copy say, must not resume with them.
	Epoch string

	// Idle asks the supervisor for a [Drain]; Awake tells it that the room
	// has work again and goes on. Both only send a message.
	Idle, Awake func(chat.RoomID)

	// Activity is called when something was recorded, or the chat was deleted. It must
	// not block. Nil is not called.
	Activity func(Activity)

	// Ended is called when an answer has ended that somebody did not stay for. It must not
	// block. Nil is not called.
	Ended func(Ended)

	// Asked is called when a call of a tool begins to wait for a member, and nobody is there
	// who may decide. It must not block. Nil is not called.
	Asked func(Asked)

	// Meter counts what happens. Nil counts nothing.
	Meter Meter

	// Tracer follows the attempts at turns. Nil is nobody.
	Tracer turn.Tracer

	// Departed is called when a guest has no role in the chat any more, or the chat was
	// deleted. It must not block. Nil is not called.
	Departed func(chat.UserID)

	// Turns is counted up while a turn's goroutine runs.
	Turns *sync.WaitGroup

	// Drained says that no turn begins any more, since the server is about to stop. Nil is
	// never.
	Drained *atomic.Bool

	// Running is counted up while there is an attempt at a turn, until its end is on disk.
	Running *atomic.Int64

	// ContextWindow is the number of tokens that a model can read, for models that
	// do not say. Zero means 32 Ki.
	ContextWindow int

	// FileShare is how much of that the files in a conversation may take, in percent. Zero
	// means 50.
	FileShare int

	// PDF reads the text of PDF files. Nil reads none, and they are refused.
	PDF PDF

	MaxFileBytes    int64 // of a file. Zero means 10 MiB
	MaxImageBytes   int64 // of an image. Zero means 4 MiB
	MaxFiles        int   // of a chat. Zero means 500
	MaxMessageFiles int   // that a message brings. Zero means 10

	MaxAwake        int           // rooms that one user has in use at once; past it another is refused as busy. Zero means 1000
	MaxMessageBytes int           // of a user's message. Zero means 64 KiB
	MaxAnswerBytes  int           // of an answer: past it the turn fails. Zero means 256 KiB
	MaxBranches     int           // of a chat. Zero means any number
	MaxMembers      int           // of a chat, with its owner. Zero means any number
	MaxListed       int           // users of whom listeners are told that they are there; of others the number. Zero means 100
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
	LineIdle        time.Duration // without use, until a line to a model ends. Zero means 2 minutes
	IdleTimeout     time.Duration // without listeners and work, until passivation. Zero means 5 minutes
	ApprovalExpiry  time.Duration // after which a call is denied about which no member has decided. Zero means 7 days
	PageGrace       time.Duration // that a page has to come, or to come back, for a call which no page runs. Zero means 30 seconds

	// The parts of the options that other packages need.
	rules  *conversation.Rules
	turns  *turn.Options
	voices *voice.Options
	titles *title.Options
}

// WithDefaults returns o with its zeros replaced.
func (o Options) WithDefaults() Options {
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.Turns = cmp.Or(o.Turns, new(sync.WaitGroup))
	o.Drained = cmp.Or(o.Drained, new(atomic.Bool))
	o.Running = cmp.Or(o.Running, new(atomic.Int64))
	if o.Activity == nil {
		o.Activity = func(Activity) {}
	}
	if o.Meter == nil {
		o.Meter = unmetered{}
	}
	if o.Departed == nil {
		o.Departed = func(chat.UserID) {}
	}
	o.Directory = cmp.Or(o.Directory, new(Directory))
	if o.Tools == nil {
		o.Tools = turn.NoTools{}
	}
	o.TurnPolicy = cmp.Or(o.TurnPolicy, chat.PolicyQueue)
	o.ContextWindow = cmp.Or(o.ContextWindow, conversation.DefaultContextWindow)
	o.MaxFileBytes = cmp.Or(o.MaxFileBytes, 10<<20)
	o.MaxImageBytes = cmp.Or(o.MaxImageBytes, 4<<20)
	o.MaxFiles = cmp.Or(o.MaxFiles, 500)
	o.MaxMessageFiles = cmp.Or(o.MaxMessageFiles, 10)
	o.MaxAwake = cmp.Or(o.MaxAwake, 1000)
	o.MaxMessageBytes = cmp.Or(o.MaxMessageBytes, 64<<10)
	o.MaxAnswerBytes = cmp.Or(o.MaxAnswerBytes, 256<<10)
	o.MaxListed = cmp.Or(o.MaxListed, 100)
	o.MaxQueuedTurns = cmp.Or(o.MaxQueuedTurns, 256)
	o.MaxAttempts = cmp.Or(o.MaxAttempts, 3)
	o.TurnTimeout = cmp.Or(o.TurnTimeout, 10*time.Minute)
	o.RetryDelay = cmp.Or(o.RetryDelay, time.Second)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 5*time.Minute)
	o.ApprovalExpiry = cmp.Or(o.ApprovalExpiry, 7*24*time.Hour)
	o.PageGrace = cmp.Or(o.PageGrace, 30*time.Second)
	o.CheckpointEvery = cmp.Or(o.CheckpointEvery, time.Second)
	o.CheckpointBytes = cmp.Or(o.CheckpointBytes, 4<<10)
	o.SnapshotEvery = cmp.Or(o.SnapshotEvery, 64)
	o.MaxRestarts = cmp.Or(o.MaxRestarts, 10)
	o.MaxAudioBytes = cmp.Or(o.MaxAudioBytes, 64<<10)
	o.MaxUnheard = cmp.Or(o.MaxUnheard, 8)
	o.HearTimeout = cmp.Or(o.HearTimeout, 10*time.Second)
	o.LineIdle = cmp.Or(o.LineIdle, 2*time.Minute)
	o.share()
	return o
}

// share makes the options of the packages that a room is made of.
func (o *Options) share() {
	budgets := o.Ledger
	o.rules = &conversation.Rules{
		Models: o.Models, NewID: newID, TurnPolicy: o.TurnPolicy,
		MaxMessageBytes: o.MaxMessageBytes, MaxQueuedTurns: o.MaxQueuedTurns, MaxMembers: o.MaxMembers, MaxBranches: o.MaxBranches, MaxAttempts: o.MaxAttempts,
		RepeatTools: repeatsTools(), Repeatable: repeatable(o.Tools.Repeatable), Resting: o.Drained.Load,
		Afford: func(room chat.RoomID, user chat.UserID, model chat.ModelID) *chat.Error {
			return budgets.Check(ledger.Account{User: user, Room: room, Model: model})
		},
	}
	o.turns = &turn.Options{
		Provider: o.Provider, Tools: o.Tools, Models: o.Models, Log: o.Log, Ledger: budgets, Logger: o.Logger, Goroutines: o.Turns,
		SystemPrompt: o.SystemPrompt, ContextWindow: o.ContextWindow, FileShare: o.FileShare, MaxAnswerBytes: o.MaxAnswerBytes,
		FirstToken: o.Meter.FirstToken, Tracer: o.Tracer,
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

// now is the time as records keep it.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// A Room is the actor. [Spec] makes it. It runs on one goroutine at a time, that of
// its mailbox, and ends when its supervisor consents or stops.
type Room struct {
	*Options
	*lasting
	self *system.Self[Message]

	asleep  bool        // it is the first instance, and nobody has needed its state yet
	loaded  bool        // the recorder's states are what the log says
	broken  *chat.Error // why the log cannot be read; every command is refused with it
	waiting []Message   // commands that came before the room was loaded

	records     recorder
	stage       *stage
	title       titling
	passivation passivation
	attendance  attendance
	vigil       vigil
	budget      budget
	lastQuiet   *conversation.Plan // the last Quiet message, if this instance has planned it
}

// lasting is the part of a room that outlives an instance: the listeners, how much of
// the log they have been told, and the commits that the log has not answered.
type lasting struct {
	id       chat.RoomID
	audience audience
	pages    pages
	presence presence
	authors  map[chat.MessageID]Address // of messages that are not published yet
	children int                        // attempts, lines and titles that were started so far

	lastPublished uint64      // the last record that the listeners were told
	unreplied     []*proposal // are on disk, and their callers have no reply yet
	idle          []string    // idempotency keys of the last stops that found nothing to stop
	inFlight      int         // commits and deletions that the log has not answered
	deleting      bool

	pulse         *Pulse
	announcedTurn chat.TurnStarted // of which listeners were told the start and not the end
	announcedText []byte           // the part of its answer that they were told
	restarts      []time.Time      // within restartWindow
	killed        bool             // the next restart is an operator's, and does not count
	quarantined   bool
}

// unknown is lasting.lastPublished before the first instance has read the log.
const unknown = ^uint64(0)

// log returns a logger that names the room.
func (r *Room) log() *slog.Logger { return r.Logger.With("room", r.id) }

// Spec describes the room id to the actor system; name is the actor's.
func Spec(id chat.RoomID, name string, o *Options, p *Pulse) system.Spec[Message] {
	l := &lasting{id: id, lastPublished: unknown, pulse: p}
	instances := 0
	return system.Spec[Message]{
		Name: name, Kind: Kind, About: p,
		New: func() system.Actor[Message] {
			if instances++; instances > 1 {
				l.restarted(o.MaxRestarts)
			}
			return &Room{Options: o, lasting: l, asleep: instances == 1}
		},
		Children: system.Stop,
	}
}
