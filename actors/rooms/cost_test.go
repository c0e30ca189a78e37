package rooms_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"parlor/actors/access"
	"parlor/actors/actortest"
	"parlor/actors/chats"
	"parlor/actors/queries"
	"parlor/actors/room"
	"parlor/actors/system"
	"parlor/persistence"
	"parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// A costLog counts what commands read of the log, besides its entries.
type costLog struct {
	*actortest.ReadLog
	lookups atomic.Int64
}

func (l *costLog) Lookup(room, key string) (uint64, bool, error) {
	l.lookups.Add(1)
	return l.ReadLog.Lookup(room, key)
}

func (l *costLog) Message(room, id string) (uint64, bool, error) {
	l.lookups.Add(1)
	return l.ReadLog.Message(room, id)
}

// costModels counts how often models are looked for.
type costModels struct {
	*actortest.Assistant
	asked atomic.Int64
}

func (m *costModels) Named(name string) (chat.ModelID, bool) {
	m.asked.Add(1)
	return m.Assistant.Named(name)
}

func (m *costModels) Model(id chat.ModelID) (chat.Model, bool) {
	m.asked.Add(1)
	return m.Assistant.Model(id)
}

// A site is a room with a long history, whose work is counted.
type site struct {
	t      testing.TB
	r      *chats.Chats
	log    *costLog
	models *costModels
	owner  chat.User
	inbox  actortest.Replies
	at     room.Address
	answer chat.MessageID // in the log
	said   chat.MessageID // likewise, by the owner
}

// newSite fills a room with n records, has it woken, and a turn run so that the
// room remembers what prompts need.
func newSite(t testing.TB, n int, text string, limits queries.Reads) (s *site, stop func()) {
	t.Helper()
	store, err := persistence.Open(filepath.Join(t.TempDir(), "parlor.db"), persistence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	actortest.Fill(t, store, theChat, n, text)
	s = &site{
		t: t, log: &costLog{ReadLog: &actortest.ReadLog{Store: store}}, models: &costModels{Assistant: new(actortest.Assistant)},
		owner: chat.User{ID: "owner"}, inbox: make(actortest.Replies, 4096),
	}
	s.r, err = chats.Start(system.New(nil), s.log, room.Options{
		Models: s.models, Provider: s.models, Encoders: actortest.Encoders(), Access: access.Policy{Shared: true}, MaxQueuedTurns: 1 << 20,
	}, limits)
	if err != nil {
		t.Fatal(err)
	}
	s.at = s.r.Open(s.inbox)
	for record, err := range s.r.Records(context.Background(), s.owner, theChat.Room(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		switch e := record.Event.(type) {
		case chat.MessageAdded:
			s.said = e.MessageID
		case chat.TurnEnded:
			s.answer = e.MessageID
		}
	}
	return s, func() {
		if err := s.r.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
}

// do sends a command and returns the reply.
func (s *site) do(command func(room.Caller) room.Message) room.Reply {
	s.r.Tell(theChat.Room(), command(room.Caller{User: s.owner, Address: s.at}))
	return <-s.inbox
}

// commands are all that a client can send to a room, at the limits of their input.
func (s *site) commands() map[string]func(room.Caller) room.Message {
	n := 0
	next := func() chat.ClientID { n++; return chat.ClientID(fmt.Sprint("client-", n)) }
	var names strings.Builder
	for i := 0; names.Len() < 64<<10-8; i++ {
		fmt.Fprintf(&names, "@b%d ", i)
	}
	audio := strings.Repeat("AAAA", 16<<10)
	return map[string]func(room.Caller) room.Message{
		"create": func(c room.Caller) room.Message {
			return &room.Create{Caller: c, Chat: theChat, ModelID: actortest.Model}
		},
		"join":  func(c room.Caller) room.Message { return &room.Join{Caller: c, Encoder: assistant.Documented.String()} },
		"leave": func(c room.Caller) room.Message { return &room.Leave{Caller: c} },
		"send": func(c room.Caller) room.Message {
			return &room.Send{Caller: c, Content: "hi", ClientID: next(), Quiet: true}
		},
		"send, repeated": func(c room.Caller) room.Message {
			return &room.Send{Caller: c, Content: "hi", ClientID: "client-1", Quiet: true}
		},
		"send, one name": func(c room.Caller) room.Message {
			return &room.Send{Caller: c, Content: strings.Repeat("@a ", 21<<10), Quiet: true}
		},
		"send, many names": func(c room.Caller) room.Message { return &room.Send{Caller: c, Content: names.String(), Quiet: true} },
		"respond":          func(c room.Caller) room.Message { return &room.Respond{Caller: c} },
		"edit": func(c room.Caller) room.Message {
			return &room.Edit{Caller: c, Replaces: s.said, Content: "hi", ClientID: next()}
		},
		"edit, unknown":    func(c room.Caller) room.Message { return &room.Edit{Caller: c, Replaces: "nothing", Content: "hi"} },
		"regenerate":       func(c room.Caller) room.Message { return &room.Regenerate{Caller: c, Answer: s.answer} },
		"regenerate, none": func(c room.Caller) room.Message { return &room.Regenerate{Caller: c, Answer: "nothing"} },
		"stop":             func(c room.Caller) room.Message { return &room.StopTurn{Caller: c} },
		"stop, unknown":    func(c room.Caller) room.Message { return &room.StopTurn{Caller: c, TurnID: "nothing"} },
		"configure":        func(c room.Caller) room.Message { return &room.Configure{Caller: c, Changes: chat.Changes{}} },
		"append audio":     func(c room.Caller) room.Message { return &room.AppendAudio{Caller: c, Audio: audio} },
		"commit audio":     func(c room.Caller) room.Message { return &room.CommitAudio{Caller: c} },
		"expire, not yet":  func(c room.Caller) room.Message { return &room.Expire{Caller: c, Before: time.Unix(0, 0)} },
		"release":          func(c room.Caller) room.Message { return &room.Release{Caller: c} },
	}
}

// Besides the commit that it leads to, a command costs at most so many reads of the
// log by key, records that are read, and looks at the list of models. None grows
// with the history, and only names in the message with its length.
func TestCommandsHaveANamedCost(t *testing.T) {
	const lookups, records, models = 2, 2, 8
	synctest.Test(t, func(t *testing.T) {
		s, stop := newSite(t, 2000, strings.Repeat("x", 1<<10), queries.Reads{})
		defer stop()
		s.do(func(c room.Caller) room.Message { return &room.Send{Caller: c, Content: "wake up", Quiet: true} })
		for name, command := range s.commands() {
			synctest.Wait()
			entries, keys, asked := s.log.Entries.Load(), s.log.lookups.Load(), s.models.asked.Load()
			s.do(command)
			// A turn may follow: it reads its prompt, see TestTurnsReadNothingBack.
			if n := s.log.lookups.Load() - keys; n > lookups {
				t.Errorf("%s: %d look-ups, want at most %d", name, n, lookups)
			}
			if n := s.log.Entries.Load() - entries; n > records && name != "respond" && name != "regenerate" {
				t.Errorf("%s: %d records read, want at most %d", name, n, records)
			}
			limit := int64(models)
			if name == "send, many names" || name == "respond" { // to that

				limit += 64 << 10 / int64(len("@b000 "))
			}
			if n := s.models.asked.Load() - asked; n > limit {
				t.Errorf("%s: %d looks at the models, want at most %d", name, n, limit)
			}
		}
	})
}

// A turn of a room that has run one reads nothing of the log: what its prompt is
// made of is in memory, however long the chat is.
func TestTurnsReadNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stop := newSite(t, 2000, strings.Repeat("x", 1<<10), queries.Reads{})
		defer stop()
		turn := func() (read int64) {
			before := s.log.Entries.Load()
			s.do(func(c room.Caller) room.Message { return &room.Send{Caller: c, Content: "hello"} })
			synctest.Wait()
			return s.log.Entries.Load() - before
		}
		turn() // wakes the room, which reads its log
		for range 5 {
			if n := turn(); n > 0 {
				t.Errorf("a turn reads %d records", n)
			}
		}
	})
}

// A room in which no turn has run for long gives back what it has kept for prompts,
// also while somebody listens.
func TestPromptsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stop := newSite(t, 400, strings.Repeat("x", 1<<10), queries.Reads{})
		defer stop()
		s.do(func(c room.Caller) room.Message { return &room.Join{Caller: c, Encoder: assistant.Documented.String()} })
		turn := func() (read int64) {
			before := s.log.Entries.Load()
			s.do(func(c room.Caller) room.Message { return &room.Send{Caller: c, Content: "hello"} })
			synctest.Wait()
			return s.log.Entries.Load() - before
		}
		turn()
		if n := turn(); n > 0 {
			t.Errorf("a turn reads %d records", n)
		}
		time.Sleep(6 * time.Minute)
		if n := turn(); n == 0 {
			t.Error("a turn behind a long pause reads nothing: the room has kept all")
		}
	})
}

// BenchmarkCommand measures each command at the limits of its input, in a room
// with 2,000 records of 8 KiB.
func BenchmarkCommand(b *testing.B) {
	s, stop := newSite(b, 2000, strings.Repeat("x", 8<<10), queries.Reads{})
	defer stop()
	for name, command := range s.commands() {
		b.Run(strings.ReplaceAll(name, " ", "_"), func(b *testing.B) {
			for b.Loop() {
				s.do(command)
			}
		})
	}
}
