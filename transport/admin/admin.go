// Package admin lets administrators see a running server, and do something about it.
//
//	GET  …/admin/runtime…   → Service → Tree, History, Providers: counters and queues, read where they are
//	GET  …/admin/runtime/users/…/export → audit log → Users
//	POST …/admin/runtime/actions → audit log (begun) → Rooms, Tree, Users → audit log (done or failed)
//	parlor top → control socket → Service.Answer
//
// # Audit
//
// An action is carried out only once it is in the audit log, on the disk. What came of it is
// noted behind that. If the server ends in between, the entry says that the action has begun.
package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"parlor/protocol/admin"
	"parlor/protocol/chat"
	"parlor/transport/live"
)

// A Tree looks at the actors.
type Tree interface {
	Actors(q admin.Query) admin.Page
	Room(id chat.RoomID) ([]admin.Actor, bool)
	Attention(limit int) []admin.Actor
	Count(kind string) int
	Cost() admin.Cost

	// Disconnect closes the connection of a session, if there is such a one.
	Disconnect(id string) bool

	// Follow tells what happens in a room until ctx ends or the chat is gone.
	Follow(ctx context.Context, by chat.User, id chat.RoomID, tell func(admin.Event) error) error
}

// Rooms are what administrators do something about. They need no role in a chat.
type Rooms interface {
	Halt(ctx context.Context, by chat.User, id chat.RoomID, turn chat.TurnID, reason string) (stopped chat.TurnID, err error)
	Restart(ctx context.Context, by chat.User, id chat.RoomID) error
	Release(ctx context.Context, id chat.RoomID) (was bool, err error)
}

// Users are those whom the server knows, or who have a connection.
type Users interface {
	Find(text string, limit int) []admin.User
	Count() int

	// Revoke shuts a user out, in whatever way they sign in, or lets them in again.
	// A restored one is not deleted.
	Revoke(ctx context.Context, u chat.UserID, revoked bool) error

	// Delete shuts a user out, and has the next start take the user out of the data file.
	Delete(ctx context.Context, u chat.UserID) error

	// Export writes what is kept of a user.
	Export(ctx context.Context, w io.Writer, u chat.UserID) error
}

// Options configure a [Service]. Only Logger has a default, which discards.
type Options struct {
	Tree      Tree
	Rooms     Rooms
	Users     Users
	Store     Store
	Streams   *live.Streams
	History   func() (series []admin.Point, now admin.Point, all admin.Totals)
	Providers func() []admin.Provider
	Ready     func() string // why the server takes no requests, or nothing

	Version     string
	Development bool
	MaxEntries  int           // of the audit log
	KeepAlive   time.Duration // between signs of life of those who follow a room
	Logger      *slog.Logger
}

// A Service answers administrators. Its methods may be called from any goroutine.
type Service struct {
	Options
	started time.Time
}

// New returns a Service.
func New(o Options) *Service {
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	return &Service{Options: o, started: time.Now()}
}

// attention is how many rooms an overview names.
const attention = 20

// Overview says how the server is.
func (s *Service) Overview() admin.Overview {
	o := admin.Overview{
		Version: s.Version, Started: s.started.UTC(), Development: s.Development, Ready: cmp.Or(s.Ready(), "ready"),
		Counts: make(map[string]int), Users: s.Users.Count(), Providers: s.Providers(),
		Attention: s.Tree.Attention(attention), Cost: s.Tree.Cost(),
	}
	o.Series, o.Now, o.Totals = s.History()
	for _, kind := range []string{admin.KindSupervisor, admin.KindRoom, admin.KindTurn, admin.KindLine, admin.KindSession} {
		o.Counts[kind] = s.Tree.Count(kind)
	}
	o.Counts[admin.KindStream] = s.Streams.Count()
	if o.Attention == nil {
		o.Attention = []admin.Actor{}
	}
	return o
}

// Actors returns a page of the actors of a kind, or of the streams.
func (s *Service) Actors(q admin.Query) (admin.Page, error) {
	q.Kind, q.Sort = cmp.Or(q.Kind, admin.KindRoom), cmp.Or(q.Sort, admin.ByQueue)
	q.Limit = min(max(q.Limit, 0), admin.MaxPage)
	switch q.Kind {
	case admin.KindSupervisor, admin.KindRoom, admin.KindTurn, admin.KindLine, admin.KindSession:
	case admin.KindStream:
		shown, total := s.Streams.Show(strings.ToLower(q.Text), cmp.Or(q.Limit, defaultPage))
		return admin.Page{Actors: orEmpty(shown), Total: total, TakenAt: time.Now().UTC()}, nil
	default:
		return admin.Page{}, chat.Refuse(chat.CodeInvalid, fmt.Sprintf("there is no kind %q", q.Kind))
	}
	if !q.Sort.Valid() {
		return admin.Page{}, chat.Refuse(chat.CodeInvalid, fmt.Sprintf("there is no order %q", q.Sort))
	}
	q.Limit = cmp.Or(q.Limit, defaultPage)
	return s.Tree.Actors(q), nil
}

// defaultPage is how many actors a page has unless the request says otherwise.
const defaultPage = 50

// found is how many of each sort a search returns.
const found = 20

// Find finds users, rooms and connections by a part of an id, an owner or an address.
func (s *Service) Find(text string) (admin.Found, error) {
	text = strings.ToLower(strings.TrimSpace(text))
	if text == "" {
		return admin.Found{}, chat.Refuse(chat.CodeInvalid, "q must not be empty")
	}
	f := admin.Found{
		Users:       s.Users.Find(text, found),
		Rooms:       s.Tree.Actors(admin.Query{Kind: admin.KindRoom, Text: text, Sort: admin.BySince, Limit: found}).Actors,
		Connections: s.Tree.Actors(admin.Query{Kind: admin.KindSession, Text: text, Sort: admin.BySince, Limit: found}).Actors,
	}
	streams, _ := s.Streams.Show(text, found)
	f.Connections = append(f.Connections, streams...)
	if f.Users == nil {
		f.Users = []admin.User{}
	}
	return f, nil
}

// errAway is the answer about rooms that are not in memory.
var errAway = chat.Refuse(chat.CodeNotFound, "this room is not in memory: nothing runs in it")

// Room returns the actors of a room.
func (s *Service) Room(id chat.RoomID) (admin.Page, error) {
	actors, ok := s.Tree.Room(id)
	if !ok {
		return admin.Page{}, errAway
	}
	return admin.Page{Actors: actors, Total: len(actors), TakenAt: time.Now().UTC()}, nil
}

func orEmpty(actors []admin.Actor) []admin.Actor {
	if actors == nil {
		return []admin.Actor{}
	}
	return actors
}

// A Top is what parlor top shows.
type Top struct {
	Overview admin.Overview `json:"overview"`
	Page     admin.Page     `json:"page"`
}

// Answer answers a [admin.Query], as JSON, of an operator at the control socket.
func (s *Service) Answer(_ context.Context, query []byte) ([]byte, error) {
	var q admin.Query
	if err := json.Unmarshal(query, &q); err != nil {
		return nil, err
	}
	page, err := s.Actors(q)
	if err != nil {
		return nil, err
	}
	return json.Marshal(Top{s.Overview(), page})
}
