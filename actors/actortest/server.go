// Package actortest runs rooms on a real event log in a temporary directory,
// with people and assistants that do what a test says.
//
//	User.Do → Rooms → room → Log, a persistence.Store with faults
//	                       → Assistant, scripted
//	User ← replies, publications: noted by [User.Told], checked by a [View]
//
// It is made for bubbles of testing/synctest: time is fake, and what a user
// asks for has happened, with all that follows from it, when [User.Do] returns.
package actortest

import (
	"context"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"parlor/actors/chats"
	"parlor/actors/conversation"
	"parlor/actors/queries"
	"parlor/actors/room"
	"parlor/actors/system"
	"parlor/persistence"
	"parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// A Server is all that rooms need, and the rooms. It belongs to the goroutine
// of the test, and stops with the test.
type Server struct {
	Rooms     *chats.Chats
	Actors    *system.System
	Log       *Log
	Assistant *Assistant
	Tools     *Tools

	t       testing.TB
	path    string
	options room.Options
	quota   persistence.Quota
	users   []*User
}

// Run calls f with a new server inside a bubble.
func Run(t *testing.T, o room.Options, f func(t *testing.T, s *Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, Start(t, o)) })
}

// Start starts a server on an empty event log. Models and Provider of the
// options are the Server's own.
func Start(t testing.TB, o room.Options) *Server {
	t.Helper()
	s := &Server{
		Log: &Log{loads: make(map[string]int)}, Assistant: new(Assistant), Tools: new(Tools),
		t: t, path: filepath.Join(t.TempDir(), "parlor.db"), options: o,
	}
	s.options.Models, s.options.Provider = s.Assistant, s.Assistant
	if s.options.Tools == nil {
		s.options.Tools = s.Tools
	}
	if s.options.Encoders == nil {
		s.options.Encoders = Encoders()
	}
	s.start()
	t.Cleanup(s.stop)
	return s
}

// Encoders returns those of the assistant's wire.
func Encoders() room.Encoders {
	all := make(room.Encoders)
	for _, d := range assistant.Dialects {
		all[d.String()] = func(chat.Info) room.Encoder { return assistant.NewEncoder(d) }
	}
	return all
}

func (s *Server) start() {
	s.t.Helper()
	store, err := persistence.Open(s.path, persistence.Options{Charges: conversation.Charges, MessageID: conversation.MessageID, Quota: s.quota})
	if err != nil {
		s.t.Fatal(err)
	}
	s.Log.open(store)
	s.Actors = system.New(s.options.Logger)
	if s.Rooms, err = chats.Start(s.Actors, s.Log, s.options, queries.Reads{}); err != nil {
		s.t.Fatal(err)
	}
	synctest.Wait()
}

func (s *Server) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Rooms.Close(ctx); err != nil {
		s.t.Error(err)
	}
	if err := s.Log.Close(); err != nil {
		s.t.Error(err)
	}
}

// Restart ends the server as a crash would, without a word to anybody, and
// starts it again on what is on the disk. Nobody is a member of a room then.
func (s *Server) Restart() {
	s.t.Helper()
	s.RestartWith(func(string) error { return nil })
}

// RestartWithQuota is Restart with a quota for each owner of chats.
func (s *Server) RestartWithQuota(q persistence.Quota) {
	s.t.Helper()
	s.quota = q
	s.Restart()
}

// RestartWith is Restart with the file changed in between.
func (s *Server) RestartWith(change func(path string) error) {
	s.t.Helper()
	s.stop()
	if err := change(s.path); err != nil {
		s.t.Fatal(err)
	}
	for _, u := range s.users {
		u.forget()
	}
	s.start()
	for _, u := range s.users {
		u.reopen()
	}
}

// Records returns what the log holds of a room, and fails the test if its
// numbers are not 1, 2, 3 …
func (s *Server) Records(id chat.ID) []chat.Record {
	s.t.Helper()
	var records []chat.Record
	for entry, err := range s.Log.Store.Read(string(id.Room()), 0) {
		if err != nil {
			s.t.Fatal(err)
		}
		record, err := chat.DecodeRecord(entry.Seq, entry.Data)
		if err != nil {
			s.t.Fatal(err)
		}
		records = append(records, record)
		if entry.Seq != uint64(len(records)) {
			s.t.Errorf("record %d of chat %s has number %d", len(records), id, entry.Seq)
		}
	}
	return records
}

// Messages returns what the log holds of what was said, by anybody.
func (s *Server) Messages(id chat.ID) []chat.Message {
	s.t.Helper()
	var messages []chat.Message
	for _, r := range s.Records(id) {
		if m, ok := r.Message(); ok {
			messages = append(messages, m)
		}
	}
	return messages
}

// Turns returns the turns of a chat that were ever wanted, in that order.
func (s *Server) Turns(id chat.ID) (turns []chat.TurnID) {
	s.t.Helper()
	for _, r := range s.Records(id) {
		if e, queued := r.Event.(chat.TurnQueued); queued {
			turns = append(turns, e.TurnID)
		}
	}
	return turns
}
