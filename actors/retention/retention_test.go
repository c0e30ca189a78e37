package retention_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"parlor/actors/access"
	"parlor/actors/actortest"
	"parlor/actors/retention"
	"parlor/actors/room"
	"parlor/persistence"
	"parlor/protocol/chat"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// keep runs a keeper until the end of the test.
func keep(t *testing.T, o retention.Options) {
	k := retention.Start(o)
	t.Cleanup(k.Close)
}

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// chats are the ids of all chats, in the order of their creation.
func chats(t *testing.T, s *actortest.Server) (ids []chat.ID) {
	t.Helper()
	infos, _, err := s.Rooms.List(t.Context(), chat.User{}, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range slices.Backward(infos) {
		ids = append(ids, info.ID)
	}
	return ids
}

func wantChats(t *testing.T, s *actortest.Server, want ...chat.ID) {
	t.Helper()
	if diff := cmp.Diff(want, chats(t, s)); diff != "" {
		t.Errorf("chats (-want +got):\n%s", diff)
	}
}

// A chat goes when nothing was said in it for so long, whoever is in it, and
// its members are told.
func TestOldChatsAreDeleted(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server) {
		keep(t, retention.Options{Log: s.Log, Rooms: s.Rooms, For: time.Hour})
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create("idle")
		alice.Join("idle")
		bob.Create("used")
		pass(50 * time.Minute)
		wantChats(t, s, "idle", "used")
		bob.Send("used", "something")
		alice.Told()
		pass(15 * time.Minute)
		wantChats(t, s, "used")
		if told := alice.Told(); len(told) != 1 || !strings.Contains(told[0], "gone") && !strings.Contains(told[0], "not_found") {
			t.Errorf("the member was told %q, want that the chat is gone", told)
		}
		pass(50 * time.Minute)
		wantChats(t, s)
	})
}

// An owner can have a chat deleted sooner than the server would, and not later.
func TestChatsOwnLimit(t *testing.T) {
	for _, server := range []time.Duration{0, 3 * time.Hour} {
		var limits retention.Limits
		o := room.Options{Access: access.Policy{Shared: true}, Activity: func(a room.Activity) { limits.Note(a.Chat) }}
		actortest.Run(t, o, func(t *testing.T, s *actortest.Server) {
			keep(t, retention.Options{Log: s.Log, Rooms: s.Rooms, Limits: &limits, For: server})
			alice := s.User("alice")
			limit := func(seconds int64) *room.Configure {
				return &room.Configure{Changes: chat.Changes{RetainFor: &seconds}}
			}
			for _, id := range []chat.ID{"plain", "short", "long"} {
				alice.Create(id)
				pass(time.Second) // so that they are listed in this order
			}
			alice.Do("short", limit(7200))
			alice.Do("long", limit(10*24*3600))
			if code := alice.Refused("plain", limit(60)); code != chat.CodeInvalid {
				t.Errorf("a minute is refused as %q", code)
			}
			pass(119 * time.Minute)
			wantChats(t, s, "plain", "short", "long")
			pass(5 * time.Minute)
			wantChats(t, s, "plain", "long")
			pass(2 * time.Hour)
			if server == 0 {
				wantChats(t, s, "plain", "long")
				pass(10 * 24 * time.Hour)
				wantChats(t, s, "plain")
			} else {
				wantChats(t, s)
			}
		})
	}
}

// No chat is read where none can be deleted, until one gets a limit of its own, and then again
// when it has none.
func TestNothingToDoCostsNothing(t *testing.T) {
	var limits retention.Limits
	o := room.Options{Access: access.Policy{Shared: true}, Activity: func(a room.Activity) { limits.Note(a.Chat) }}
	actortest.Run(t, o, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create("chat")
		log := &counted{Log: s.Log}
		keep(t, retention.Options{Log: log, Rooms: s.Rooms, Limits: &limits, Bytes: 1 << 40})
		pass(5 * time.Minute)
		reads := func() int64 {
			before := log.reads.Load()
			pass(time.Hour)
			return log.reads.Load() - before
		}
		if n := reads(); n != 0 {
			t.Errorf("%d reads in an hour where no chat has a limit", n)
		}
		day := int64(24 * 3600)
		alice.Do("chat", &room.Configure{Changes: chat.Changes{RetainFor: &day}})
		if n := reads(); n < 50 {
			t.Errorf("%d reads in an hour where a chat has a limit, want one a minute", n)
		}
		day = 0
		alice.Do("chat", &room.Configure{Changes: chat.Changes{RetainFor: &day}})
		pass(5 * time.Minute)
		if n := reads(); n != 0 {
			t.Errorf("%d reads in an hour after the limit was taken away", n)
		}
	})
}

// counted counts what is read of chats.
type counted struct {
	retention.Log
	reads atomic.Int64
}

func (c *counted) ChatsAfter(after string, limit int) ([]string, error) {
	c.reads.Add(1)
	return c.Log.ChatsAfter(after, limit)
}

func (c *counted) Chat(room string) (persistence.Chat, error) {
	c.reads.Add(1)
	return c.Log.Chat(room)
}

func (c *counted) ReadBack(room string, before uint64) iter.Seq2[persistence.Entry, error] {
	c.reads.Add(1)
	return c.Log.ReadBack(room, before)
}

// The chats that were idle longest go, until the file is small enough; those
// that somebody is in, or that have a turn, stay.
func TestLargeFileIsShrunk(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		s.Assistant.On("hang", actortest.Hang("…"))
		var used [9]int64
		for i := range 8 {
			used[i] = inUse(t, s)
			id := chat.ID(fmt.Sprint("chat-", i))
			bob.Create(id)
			bob.Send(id, strings.Repeat("x", 50_000))
			pass(time.Minute)
		}
		used[8] = inUse(t, s)
		alice.Join("chat-0")
		bob.Send("chat-1", "hang")
		bob.Send("chat-2", "later than the others")
		perChat := (used[8] - used[2]) / 6
		keep(t, retention.Options{Log: s.Log, Rooms: s.Rooms, Bytes: inUse(t, s) - perChat*5/2, Deletes: 2})
		pass(10 * time.Second)
		got := chats(t, s)
		want := []chat.ID{"chat-0", "chat-1", "chat-2", "chat-6", "chat-7"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("chats (-want +got):\n%s", diff)
		}
		pass(5 * time.Minute)
		if diff := cmp.Diff(want, chats(t, s)); diff != "" {
			t.Errorf("chats after more rounds (-want +got):\n%s", diff)
		}
	})
}

// One user who writes much in a chat that is in use costs nobody else a chat, and loses
// those that are not in use.
func TestNobodyLosesChatsToAnother(t *testing.T) {
	var log bytes.Buffer
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server) {
		mallory := s.User("mallory")
		want := []chat.ID{}
		for i := range 5 {
			id := chat.ID(fmt.Sprint("mallory-", i))
			mallory.Create(id)
			mallory.Send(id, strings.Repeat("x", 50_000))
			for _, u := range []chat.UserID{"alice", "bob"} {
				id := chat.ID(fmt.Sprint(u, "-", i))
				s.User(u).Create(id)
				s.User(u).Send(id, strings.Repeat("x", 20_000))
				want = append(want, id)
			}
			pass(time.Minute)
		}
		mallory.Join("mallory-0")
		limit := inUse(t, s)
		keep(t, retention.Options{Log: s.Log, Rooms: s.Rooms, Bytes: limit, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for range 40 {
			mallory.Send("mallory-0", strings.Repeat("x", 50_000))
			pass(time.Minute)
		}
		pass(time.Hour)
		want = append(want, "mallory-0")
		got := chats(t, s)
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("chats (-want +got):\n%s", diff)
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 1 {
			t.Errorf("logged %d warnings:\n%s", n, log.String())
		}
	})
}

func inUse(t *testing.T, s *actortest.Server) int64 {
	t.Helper()
	usage, err := s.Log.Usage()
	if err != nil {
		t.Fatal(err)
	}
	return usage.UsedBytes
}

// A chat that cannot be read, or deleted, does not keep others from it.
func TestUnreadableChatsAreLeft(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server) {
		s.User("alice").Create("a")
		s.User("alice").Create("b")
		s.Log.Fault(func(persistence.Commit) error { return persistence.ErrUnavailable })
		keep(t, retention.Options{Log: s.Log, Rooms: s.Rooms, For: time.Hour})
		pass(2 * time.Hour)
		wantChats(t, s, "a", "b")
		s.Log.Fault(nil)
		pass(2 * time.Hour)
		wantChats(t, s)
	})
}

// many is a log of many old chats, and their rooms. It counts what a step
// asks of it.
type many struct {
	names []string
	entry []byte
	looks int
	gone  map[string]bool
	most  int // of one step
	at    time.Time
	step  int
}

func (m *many) count() {
	if now := time.Now(); !now.Equal(m.at) { // a bubble's time stands still within a step
		m.at, m.step = now, 0
	}
	m.step++
	m.most = max(m.most, m.step)
}

func (m *many) ChatsAfter(after string, limit int) ([]string, error) {
	at, found := slices.BinarySearch(m.names, after)
	if found {
		at++
	}
	return m.names[at:min(len(m.names), at+limit)], nil
}

func (m *many) ReadBack(string, uint64) iter.Seq2[persistence.Entry, error] {
	m.count()
	m.looks++
	return func(yield func(persistence.Entry, error) bool) { yield(persistence.Entry{Seq: 1, Data: m.entry}, nil) }
}

func (m *many) Chat(room string) (persistence.Chat, error) {
	return persistence.Chat{Room: room, Owner: "alice"}, nil
}

func (m *many) Share(string) (persistence.Share, error) {
	return persistence.Share{Bytes: int64(len(m.names) - len(m.gone))}, nil
}

func (m *many) Shares() iter.Seq2[persistence.Owned, error] {
	return func(yield func(persistence.Owned, error) bool) {
		share, _ := m.Share("alice")
		yield(persistence.Owned{Owner: "alice", Share: share}, nil)
	}
}

func (m *many) Usage() (persistence.Usage, error) {
	return persistence.Usage{UsedBytes: int64(len(m.names) - len(m.gone))}, nil
}

func (m *many) Expire(_ context.Context, id chat.RoomID, _ time.Time, _ bool) (bool, error) {
	m.count()
	if m.gone[string(id)] {
		return false, errors.New("deleted twice")
	}
	m.gone[string(id)] = true
	return true, nil
}

// However many chats there are, a step is small; a round comes to all of them.
func TestStepsAreBounded(t *testing.T) {
	const n = 20_000
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("room-%06d", i)
	}
	for name, o := range map[string]retention.Options{"age": {For: time.Hour}, "size": {Bytes: n - 500}, "nothing to do": {For: 1e6 * time.Hour}} {
		synctest.Test(t, func(t *testing.T) {
			entry, err := chat.Record{At: time.Now().Add(-2 * time.Hour), Event: chat.Created{}}.Encode()
			if err != nil {
				t.Fatal(err)
			}
			m := &many{names: names, entry: entry, gone: make(map[string]bool)}
			o.Log, o.Rooms = m, m
			k := retention.Start(o)
			pass(150 * time.Second)
			k.Close()
			if m.most > 210 {
				t.Errorf("%s: a step looked at or deleted %d chats", name, m.most)
			}
			switch want := map[string]int{"age": 1500, "size": 500, "nothing to do": 0}[name]; {
			case name == "age" && len(m.gone) < want-100, name != "age" && len(m.gone) != want:
				t.Errorf("%s: %d chats deleted, want %d", name, len(m.gone), want)
			case name != "age" && m.looks < n:
				t.Errorf("%s: only %d chats were looked at", name, m.looks)
			}
		})
	}
}
