package actortest

import (
	"time"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// Configure gives a chat settings, by a record that is written past its room,
// which is read anew then.
func (s *Server) Configure(id chat.ID, settings chat.Settings) {
	s.t.Helper()
	records := s.Records(id)
	record := chat.Record{Seq: uint64(len(records)) + 1, At: time.Now().UTC(), Event: chat.Configured{Settings: settings}}
	data, err := record.Encode()
	if err != nil {
		s.t.Fatal(err)
	}
	done := make(chan error)
	s.Log.Store.Append(persistence.Commit{Room: string(id.Room()), After: record.Seq - 1, Entries: [][]byte{data}}, func(err error) { done <- err })
	if err := <-done; err != nil {
		s.t.Fatal(err)
	}
	s.Restart()
}
