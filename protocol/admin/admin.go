// Package admin is what administrators see of a running server, and what they do to it.
//
// It holds no words of any chat: being an administrator opens none. A chat is its id, its
// owner, and what happens in it.
package admin

import (
	"time"

	"parlor/protocol/chat"
)

// The kinds of actors, and of answers that go on for long.
const (
	KindSupervisor = "supervisor"
	KindRoom       = "room"
	KindTurn       = "turn"
	KindLine       = "line"
	KindSession    = "session"
	KindStream     = "stream" // no actor: an answer of HTTP that goes on
)

// The states of actors.
const (
	StateIdle        = "idle"
	StateOpen        = "open"      // a room with listeners, or a connection that has signed in
	StateStranger    = "stranger"  // a connection that has not signed in
	StateWorking     = "working"   // something waits in its mailbox
	StateAnswering   = "answering" // a room in which a turn runs
	StateWaiting     = "waiting"   // a room in which a call of a tool waits for a member
	StateRestarting  = "restarting"
	StateQuarantined = "quarantined"
	StateHung        = "hung"
)

// An Actor is a node of the tree.
type Actor struct {
	ID       string    `json:"id"` // its path: the part in front of the last "/" is its parent
	Kind     string    `json:"kind"`
	State    string    `json:"state"`
	Queue    int       `json:"queue"` // messages that wait in its mailbox
	Restarts int       `json:"restarts"`
	Since    time.Time `json:"since"`
	Failure  *Failure  `json:"last_failure,omitempty"`
	Room     *Room     `json:"room,omitempty"`
	Client   *Client   `json:"client,omitempty"`
}

// A Failure is a panic of an actor. Its stack is in the log.
type Failure struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

// A Room is what is known of a room in memory.
type Room struct {
	ID        chat.RoomID `json:"room_id"`
	Chat      chat.ID     `json:"chat_id,omitempty"` // empty: it is not known yet
	Owner     chat.UserID `json:"owner,omitempty"`
	Listeners int         `json:"listeners"`
	Turns     int         `json:"open_turns"`
	Waiting   int         `json:"approvals_waiting"`
	Running   *Turn       `json:"running_turn,omitempty"`
}

// A Turn is one that runs.
type Turn struct {
	ID      chat.TurnID  `json:"turn_id"`
	ModelID chat.ModelID `json:"model_id"`
	By      chat.UserID  `json:"by"`
	Attempt int          `json:"attempt"`
	Since   time.Time    `json:"since"`
}

// A Client is whose a connection is.
type Client struct {
	User     chat.UserID `json:"user_id,omitempty"` // empty: it has not signed in
	Remote   string      `json:"remote"`
	UnderWay int         `json:"under_way"`         // events that are not done
	Request  string      `json:"request,omitempty"` // of a stream
}

// A Sort is an order of actors. Those of which there is most come first.
type Sort string

const (
	ByQueue    Sort = "queue"
	ByRestarts Sort = "restarts"
	ByFailure  Sort = "failure" // the last one first
	BySince    Sort = "since"   // the newest first
	ByTurn     Sort = "turn"    // rooms with a running turn first, the longest first
)

// Valid reports whether there is such an order.
func (s Sort) Valid() bool {
	switch s {
	case ByQueue, ByRestarts, ByFailure, BySince, ByTurn:
		return true
	}
	return false
}

// A Query asks for a page of the actors of a kind.
type Query struct {
	Kind   string `json:"kind"`
	Text   string `json:"text,omitempty"`   // that an id, an owner, a user or an address contains
	Parent string `json:"parent,omitempty"` // whose children are meant
	Sort   Sort   `json:"sort,omitempty"`
	Offset int    `json:"offset,omitempty"`
	Limit  int    `json:"limit,omitempty"`
}

// MaxPage limits the actors of a page.
const MaxPage = 200

// A Page is a part of what a query has found.
type Page struct {
	Actors  []Actor   `json:"actors"`
	Total   int       `json:"total"` // that the query has found
	TakenAt time.Time `json:"taken_at"`
}

// A User is somebody who has a connection, owns a room in memory, or is known to the server.
type User struct {
	ID          chat.UserID `json:"user_id"`
	Name        string      `json:"name,omitempty"`
	Known       bool        `json:"known"` // to the server itself, by parlor user
	Revoked     bool        `json:"revoked"`
	Admin       bool        `json:"admin"`
	Connections int         `json:"connections"`
}

// By says who wants something done, and from where. Without a user it is an operator at the
// control socket.
type By struct {
	chat.User
	From string
}

// A Found is what a search has found, at most [MaxPage] of each.
type Found struct {
	Users       []User  `json:"users"`
	Rooms       []Actor `json:"rooms"`
	Connections []Actor `json:"connections"`
}

// A Provider is how one fares.
type Provider struct {
	Name     string             `json:"name"`
	State    chat.ProviderState `json:"state"`
	RetryAt  *time.Time         `json:"retry_at,omitempty"`
	InFlight int64              `json:"in_flight"`
	Requests map[string]uint64  `json:"requests"` // by how they ended
	Retries  uint64             `json:"retries"`
}

// A Point is how the server was at one time. Rates are those of the time since the point
// before, and quantiles too; they are nil if nothing happened in it.
type Point struct {
	At          time.Time `json:"at"`
	Connections int       `json:"connections"`
	Sessions    int       `json:"sessions"`
	Rooms       int       `json:"rooms"`
	Answering   int       `json:"answering"`
	Goroutines  int       `json:"goroutines"`
	HeapBytes   uint64    `json:"heap_bytes"`
	FileBytes   int64     `json:"storage_bytes"`
	Processor   float64   `json:"cpu"` // of one processor, 1 is all of it
	Turns       float64   `json:"turns_per_second"`
	Failures    float64   `json:"failed_turns_per_second"`
	Tokens      float64   `json:"tokens_per_second"`
	Commits     float64   `json:"commits_per_second"`
	Changes     float64   `json:"changes_per_second"`
	CommitP50   *float64  `json:"commit_p50_seconds"`
	CommitP99   *float64  `json:"commit_p99_seconds"`
	FirstP50    *float64  `json:"first_token_p50_seconds"`
	FirstP99    *float64  `json:"first_token_p99_seconds"`
	DeliverP50  *float64  `json:"delivery_p50_seconds"`
	DeliverP99  *float64  `json:"delivery_p99_seconds"`
}

// Totals are what has happened since the start.
type Totals struct {
	Turns          map[string]uint64 `json:"turns"` // by end
	Tokens         uint64            `json:"tokens"`
	Restarts       uint64            `json:"restarts"`
	SlowConsumers  uint64            `json:"slow_consumers"`
	Resumed        uint64            `json:"resumes_complete"`
	Anew           uint64            `json:"resumes_anew"`
	CommitFailures uint64            `json:"commit_failures"`
}

// An Overview is the first page.
type Overview struct {
	Version     string         `json:"version"`
	Started     time.Time      `json:"started"`
	Development bool           `json:"development"`
	Ready       string         `json:"ready"` // "ready", or why not
	Now         Point          `json:"now"`
	Series      []Point        `json:"series"` // oldest first
	Totals      Totals         `json:"totals"`
	Counts      map[string]int `json:"counts"` // actors and streams, by kind
	Users       int            `json:"users"`  // who have a connection
	Providers   []Provider     `json:"providers"`
	Attention   []Actor        `json:"attention"` // rooms that fail, hang or have much to do
	Cost        Cost           `json:"cost"`
}

// A Cost is what it has cost to look.
type Cost struct {
	Looks   uint64  `json:"looks"`
	Seconds float64 `json:"seconds"`
}
