// Package recovery remembers sockets whose clients may come back: the part of
// Socket.IO's connection state recovery that outlives connections and servers.
//
//	join    → Table.Save  → store, under a hash of the private id
//	cut off → Table.Lost    the window begins
//	CONNECT → Table.Claim → the session, and the end of the socket that had it
//
// What a client has missed is not kept here: rooms have it in their logs.
//
// # Restarts
//
// Nothing is written when a connection is lost, so a crash loses nothing
// either: a new Table counts the window of every session from its own start.
package recovery

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"time"

	"parlor/persistence"
	"parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// A Session is what a socket gets back.
type Session struct {
	SID   string      `json:"sid"`
	User  chat.UserID `json:"user"`
	Guest bool        `json:"guest,omitempty"` // see [chat.User]
	Rooms []Room      `json:"rooms"`
}

// A Room is one that the socket has joined.
type Room struct {
	ID      chat.RoomID       `json:"id"`
	Dialect assistant.Dialect `json:"dialect"`
}

// An Owner is the socket that has a session. Owners are comparable.
type Owner interface {
	// Supersede tells the owner that its client has come back and the session
	// belongs to another socket. It may be called from any goroutine and must
	// not block.
	Supersede()
}

// A Store keeps sessions. See [persistence.Store].
type Store interface {
	PutSession(key string, value []byte, done func(error))
	DeleteSessions(keys []string, done func(error))
	Session(key string) (value []byte, ok bool, err error)
	Sessions() iter.Seq2[persistence.Session, error]
}

// Options configure a [Table]. Store has no default.
type Options struct {
	Store  Store
	Logger *slog.Logger // nil discards

	Window      time.Duration // from the loss of a connection until its session is forgotten. Zero means 2 minutes
	MaxSessions int           // remembered at once; further sockets cannot be recovered. Zero means 100,000
}

// The errors of [Table.Save], besides those of the store.
var (
	ErrFull       = errors.New("recovery: too many sessions")
	ErrSuperseded = errors.New("recovery: the session belongs to another socket")
)

// A Table is the sessions that there are. Its methods may be called from any
// goroutine. Whoever opened the Table closes it, before its store.
type Table struct {
	o    Options
	stop chan struct{}
	done chan struct{}

	mu       sync.Mutex
	sessions map[key]entry
}

// key is a hash of a private id: who reads the file, or a backup of it, must
// not be able to take sessions over.
type key [16]byte

func keyOf(pid string) key {
	sum := sha256.Sum256([]byte(pid))
	return key(sum[:])
}

// entry is a session in memory. One without an owner is lost since lost.
type entry struct {
	owner Owner
	lost  time.Time
}

// Open returns a table of what the store remembers, and starts to sweep it.
func Open(o Options) (*Table, error) {
	if o.Window == 0 {
		o.Window = 2 * time.Minute
	}
	if o.MaxSessions == 0 {
		o.MaxSessions = 100_000
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	t := &Table{o: o, stop: make(chan struct{}), done: make(chan struct{}), sessions: make(map[key]entry)}
	now := time.Now()
	for s, err := range o.Store.Sessions() {
		if err != nil {
			return nil, fmt.Errorf("read the sessions: %w", err)
		}
		if len(s.Key) == len(key{}) {
			t.sessions[key([]byte(s.Key))] = entry{lost: now}
		}
	}
	go t.run()
	return t, nil
}

// Close stops the sweeping and waits for it. A nil Table needs no closing.
func (t *Table) Close() {
	if t == nil {
		return
	}
	close(t.stop)
	<-t.done
}

// NewID returns an id that nobody can guess.
func NewID() string { return rand.Text() }

// Claim makes owner the one that has the session with this private id, if
// there is one of the same user and in time. The socket that had it is told.
func (t *Table) Claim(pid string, user chat.User, owner Owner) (Session, bool) {
	k := keyOf(pid)
	if !t.known(k) {
		return Session{}, false
	}
	s, err := t.read(k)
	if err != nil {
		t.o.Logger.Error("a session cannot be read", "err", err)
		return Session{}, false
	}
	same := s.User == user.ID || s.Guest && user.Guest
	if s.SID == "" || !same || !t.own(k, owner) {
		return Session{}, false
	}
	return s, true
}

func (t *Table) known(k key) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.sessions[k]
	return ok && !t.expired(e)
}

func (t *Table) expired(e entry) bool { return e.owner == nil && time.Since(e.lost) > t.o.Window }

// read returns no session if the first Save has not come to the disk.
func (t *Table) read(k key) (s Session, err error) {
	value, ok, err := t.o.Store.Session(string(k[:]))
	if err == nil && ok {
		err = json.Unmarshal(value, &s)
	}
	return s, err
}

// own makes owner the session's, unless it has been forgotten meanwhile.
func (t *Table) own(k key, owner Owner) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.sessions[k]
	if !ok || t.expired(e) {
		return false
	}
	t.sessions[k] = entry{owner: owner}
	if e.owner != nil {
		e.owner.Supersede()
	}
	return true
}

// Save remembers the session. The first Save makes owner the one that has it,
// and further ones have to be its. done is called once, on any goroutine and
// in the order of the calls of one owner, when the session is on disk or with
// why it is not; it should do no more than send a message.
func (t *Table) Save(pid string, owner Owner, s Session, done func(error)) {
	k := keyOf(pid)
	if err := t.admit(k, owner); err != nil {
		done(err)
		return
	}
	value, err := json.Marshal(s)
	if err != nil {
		panic("recovery: encode a session: " + err.Error())
	}
	t.o.Store.PutSession(string(k[:]), value, func(err error) {
		if err != nil {
			t.o.Logger.Warn("a client could not come back: its session cannot be saved", "err", err)
		}
		done(err)
	})
}

func (t *Table) admit(k key, owner Owner) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.sessions[k]
	switch {
	case ok && e.owner != owner:
		return ErrSuperseded
	case !ok && len(t.sessions) >= t.o.MaxSessions:
		return ErrFull
	}
	t.sessions[k] = entry{owner: owner}
	return nil
}

// Lost begins the window in which the client may come back, if the session is
// owner's.
func (t *Table) Lost(pid string, owner Owner) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := keyOf(pid)
	if e, ok := t.sessions[k]; ok && e.owner == owner {
		t.sessions[k] = entry{lost: time.Now()}
	}
}

// Forget removes the session, if it is owner's.
func (t *Table) Forget(pid string, owner Owner) {
	t.mu.Lock()
	k := keyOf(pid)
	e, ok := t.sessions[k]
	ours := ok && e.owner == owner
	if ours {
		delete(t.sessions, k)
	}
	t.mu.Unlock()
	if ours {
		t.remove([]key{k})
	}
}
