// Package recovery keeps seats for clients that may come back: the part of Socket.IO's
// connection state recovery that outlives connections and servers.
//
//	join       → Table.Save  → store, under a hash of the private id
//	connection lost → Table.Lost → the window begins
//	CONNECT    → Table.Claim → the seat, and the end of the socket that had it
//
// A [Seat] holds the ids and the rooms of one socket. Events that its client has missed
// are not part of it: rooms have them in their logs. Package resume knows what the
// places in a seat mean.
//
// # Restarts
//
// Nothing is written when a connection is lost, so a crash loses nothing. A new Table
// counts the window of every seat from its own start.
//
// # Shares
//
// A user has a share of the seats. When it is used up, a further seat takes the place of
// the user's own oldest one. When all seats are used up, it takes the place of one of the
// user who has the most.
package recovery

import (
	"cmp"
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
	"parlor/protocol/chat"
)

// An Owner is the socket to which a seat belongs. Owners are comparable.
type Owner interface {
	// Displace tells the owner that its client has come back, and that the seat now
	// belongs to another socket. It may be called from any goroutine and must not
	// block.
	Displace()
}

// A Store keeps seats. See [persistence.Store], which calls them sessions, and
// [Memory].
type Store interface {
	PutSession(key string, value []byte, done func(error))
	DeleteSessions(keys []string, done func(error))
	Session(key string) (value []byte, ok bool, err error)
	Sessions() iter.Seq2[persistence.Session, error]
	Epoch() string
}

// Options configure a [Table]. Store has no default.
type Options struct {
	Store  Store
	Logger *slog.Logger // nil discards

	Window   time.Duration // from the loss of a connection to the removal of its seat. Zero means 2 minutes
	MaxSeats int           // at once. Zero means 100,000

	// MaxSeatsPerUser is the share of one user. Zero means a hundredth of MaxSeats, but
	// at least 16.
	MaxSeatsPerUser int
}

// The errors of [Table.Save], besides those of the store.
var (
	ErrFull      = errors.New("recovery: too many seats of connected clients")
	ErrDisplaced = errors.New("recovery: another socket has the seat")
)

// A Table knows all seats. Its methods may be called from any goroutine.
// The caller of Open closes the Table, before its store.
type Table struct {
	o    Options
	stop chan struct{}
	done chan struct{}

	mu    sync.Mutex
	seats seats
}

// key is a hash of a private id: somebody who reads the file, or a backup of
// it, must not be able to take seats over.
type key [16]byte

func keyOf(pid string) key {
	sum := sha256.Sum256([]byte(pid))
	return key(sum[:])
}

// Open returns a table of the seats that the store keeps, and starts to sweep it.
func Open(o Options) (*Table, error) {
	o.Window = cmp.Or(o.Window, 2*time.Minute)
	o.MaxSeats = cmp.Or(o.MaxSeats, 100_000)
	o.MaxSeatsPerUser = min(o.MaxSeats, cmp.Or(o.MaxSeatsPerUser, max(16, o.MaxSeats/100)))
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	t := &Table{o: o, stop: make(chan struct{}), done: make(chan struct{})}
	now := time.Now()
	for s, err := range o.Store.Sessions() {
		if err != nil {
			return nil, fmt.Errorf("read the seats: %w", err)
		}
		if len(s.Key) == len(key{}) {
			t.seats.put(key([]byte(s.Key)), userOf(s.Value), nil, now)
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

// Epoch names the file that the seats are in.
func (t *Table) Epoch() string { return t.o.Store.Epoch() }

// NewID returns an id that nobody can guess.
func NewID() string { return rand.Text() }

// Claim gives owner the seat with this private id, if it is of the same user and its
// window is not over. The socket that had the seat is displaced.
func (t *Table) Claim(pid string, user chat.User, owner Owner) (Seat, bool) {
	k := keyOf(pid)
	if !t.known(k) {
		return Seat{}, false
	}
	s, err := t.read(k)
	if err != nil {
		t.o.Logger.Error("a seat cannot be read", "err", err)
		return Seat{}, false
	}
	same := s.User == user.ID || s.Guest && user.Guest
	if s.SID == "" || !same || !t.own(k, owner) {
		return Seat{}, false
	}
	return s, true
}

func (t *Table) known(k key) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.seats.byKey[k]
	return ok && !t.expired(e)
}

func (t *Table) expired(e *entry) bool { return e.owner == nil && time.Since(e.lost) > t.o.Window }

// read returns the zero Seat if the first Save has not reached the disk.
func (t *Table) read(k key) (s Seat, err error) {
	value, ok, err := t.o.Store.Session(string(k[:]))
	if err == nil && ok {
		err = json.Unmarshal(value, &s)
	}
	return s, err
}

// own gives owner the seat, unless it was removed meanwhile.
func (t *Table) own(k key, owner Owner) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.seats.byKey[k]
	if !ok || t.expired(e) {
		return false
	}
	if e.owner != nil {
		e.owner.Displace()
	}
	e.give(owner, time.Time{})
	return true
}

// Save stores the seat. After the first Save the seat belongs to owner, and only its
// owner may save it. done is called once, on any goroutine, when the seat is on disk or
// cannot be stored; calls of one owner are answered in their order. done should do no
// more than send a message.
func (t *Table) Save(pid string, owner Owner, s Seat, done func(error)) {
	k := keyOf(pid)
	givenUp, err := t.admit(k, s.User, owner)
	if err != nil {
		done(err)
		return
	}
	if givenUp != nil {
		t.remove([]*entry{givenUp})
	}
	t.o.Store.PutSession(string(k[:]), s.encode(), func(err error) {
		if err != nil {
			t.o.Logger.Warn("a client could not come back: its seat cannot be saved", "err", err)
		}
		done(err)
	})
}

// admit gives the seat to owner, if it is new. For it another seat may have to be given
// up.
func (t *Table) admit(k key, user chat.UserID, owner Owner) (givenUp *entry, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch e, ok := t.seats.byKey[k]; {
	case ok && e.owner != owner:
		return nil, ErrDisplaced
	case ok:
		return nil, nil
	}
	givenUp, ok := t.seats.makePlace(user, t.o.MaxSeats, t.o.MaxSeatsPerUser)
	if !ok {
		return nil, ErrFull
	}
	if givenUp != nil {
		t.seats.drop(givenUp)
		t.note(givenUp.share)
	}
	t.seats.put(k, user, owner, time.Time{})
	return givenUp, nil
}

// noteEvery is how often the log says of one user that seats are given up.
const noteEvery = time.Minute

func (t *Table) note(s *share) {
	s.givenUp++
	if now := time.Now(); now.After(s.nextNoted) {
		t.o.Logger.Warn("a user has used up a share of the clients that may come back: the oldest cannot come back any more", "user", s.user, "share", t.o.MaxSeatsPerUser, "given up", s.givenUp)
		s.givenUp, s.nextNoted = 0, now.Add(noteEvery)
	}
}

// Lost begins the window in which the client may come back, if owner has the
// seat.
func (t *Table) Lost(pid string, owner Owner) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := keyOf(pid)
	if e, ok := t.seats.byKey[k]; ok && e.owner == owner {
		e.give(nil, time.Now())
	}
}

// Forget removes the seat, if owner has it.
func (t *Table) Forget(pid string, owner Owner) {
	t.mu.Lock()
	e, ok := t.seats.byKey[keyOf(pid)]
	ours := ok && e.owner == owner
	if ours {
		t.seats.drop(e)
	}
	t.mu.Unlock()
	if ours {
		t.remove([]*entry{e})
	}
}
