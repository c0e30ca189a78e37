package queries_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
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
	"parlor/protocol/chat"
)

// withReads calls f in a bubble with rooms that everybody may read: theChat,
// which has n records, and "small", which has 5.
func withReads(t *testing.T, limits queries.Reads, n int, text string, f func(t *testing.T, r *chats.Chats, log *actortest.ReadLog)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store, err := persistence.Open(filepath.Join(t.TempDir(), "parlor.db"), persistence.Options{})
		if err != nil {
			t.Fatal(err)
		}
		actortest.Fill(t, store, theChat, n, text)
		actortest.Fill(t, store, "small", 5, "hello")
		log, models := &actortest.ReadLog{Store: store}, new(actortest.Assistant)
		r, err := chats.Start(system.New(nil), log, room.Options{Models: models, Provider: models, Access: access.Policy{Shared: true}}, limits)
		if err != nil {
			t.Fatal(err)
		}
		f(t, r, log)
		if err := r.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
}

// The reads of clients that are gone are dropped: those that wait read nothing,
// and those that run no more than the entry that they are at.
func TestReadsThatNobodyWaitsForAreDropped(t *testing.T) {
	const sockets, each = 10, 120
	withReads(t, queries.Reads{AtOnce: 4, PerUser: 2}, 400, "hello", func(t *testing.T, r *chats.Chats, log *actortest.ReadLog) {
		held, release := log.Hold(theChat)
		ctx, closeSockets := context.WithCancel(t.Context())
		var ended atomic.Int64
		for i := range sockets * each {
			u := chat.User{ID: chat.UserID(fmt.Sprint("user-", i%sockets))}
			go func() {
				if _, _, err := r.History(ctx, u, theChat.Room(), 0, 50); !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
				ended.Add(1)
			}()
		}
		synctest.Wait()
		if n := held.Load(); n != 4 {
			t.Errorf("%d reads run, want 4", n)
		}
		closeSockets()
		synctest.Wait()
		if n := ended.Load(); n != sockets*each-4 {
			t.Errorf("%d ended at once, want all but 4 of %d", n, sockets*each)
		}
		before := log.Entries.Load()
		release()
		synctest.Wait()
		if n := log.Entries.Load() - before; n > 0 || ended.Load() != sockets*each {
			t.Errorf("%d entries were read for nobody, %d reads ended", n, ended.Load())
		}
	})
}

// A query whose context ends reads no further.
func TestReadsEndWithTheirContext(t *testing.T) {
	owner := chat.User{ID: "owner"}
	charges := make([]persistence.Charge, 400)
	for i := range charges {
		charges[i] = persistence.Charge{User: fmt.Sprint("user-", i), Room: string(theChat.Room()), Model: "m", Count: persistence.Count{Turns: 1}}
	}
	for name, query := range map[string]func(ctx context.Context, r *chats.Chats) error{
		"history": func(ctx context.Context, r *chats.Chats) error {
			_, _, err := r.History(ctx, owner, theChat.Room(), 0, 50)
			return err
		},
		"messages": func(ctx context.Context, r *chats.Chats) (err error) {
			for _, err = range r.Messages(ctx, owner, theChat, 0, 1000) {
			}
			return err
		},
		"records": func(ctx context.Context, r *chats.Chats) (err error) {
			for _, err = range r.Records(ctx, owner, theChat.Room(), 10) {
			}
			return err
		},
		"usage": func(ctx context.Context, r *chats.Chats) error {
			_, err := r.Usage(ctx, owner, chat.UsageQuery{By: chat.UsageByDay})
			return err
		},
	} {
		for _, at := range []int64{1, 40, 300} {
			withReads(t, queries.Reads{}, 400, "hello", func(t *testing.T, r *chats.Chats, log *actortest.ReadLog) {
				actortest.Write(t, log.Store, persistence.Commit{Room: string(theChat.Room()), After: 400, Charges: charges})
				ctx, cancel := context.WithCancel(t.Context())
				log.Before.Store(func(string) {
					if log.Entries.Load() == at {
						cancel()
					}
				})
				if err := query(ctx, r); !errors.Is(err, context.Canceled) {
					t.Errorf("%s: got %v", name, err)
				}
				if n := log.Entries.Load(); n != at {
					t.Errorf("%s, which ended at entry %d, read %d", name, at, n)
				}
				if err := query(ctx, r); !errors.Is(err, context.Canceled) || log.Entries.Load() != at {
					t.Errorf("%s, ended before it began: got %v, read %d", name, err, log.Entries.Load()-at)
				}
			})
		}
	}
}

// While one user's reads fill all that they may, another user's begins at once;
// a user with too many is refused; and Close waits for those that run.
func TestReadsAreBoundedByUser(t *testing.T) {
	withReads(t, queries.Reads{AtOnce: 2, PerUser: 1, Waiting: 100}, 100, "hello", func(t *testing.T, r *chats.Chats, log *actortest.ReadLog) {
		mallory, bob := chat.User{ID: "mallory"}, chat.User{ID: "bob"}
		held, release := log.Hold(theChat)
		var busy, answered atomic.Int64
		for range 103 {
			go func() {
				switch _, _, err := r.History(t.Context(), mallory, theChat.Room(), 0, 10); {
				case err == nil:
					answered.Add(1)
				case chat.AsError(err).Code == chat.CodeBusy:
					busy.Add(1)
				default:
					t.Error(err)
				}
			}()
		}
		synctest.Wait()
		if held.Load() != 1 || busy.Load() != 2 {
			t.Errorf("%d run, %d were refused, want 1 and 2", held.Load(), busy.Load())
		}
		if messages, _, err := r.History(t.Context(), bob, chat.ID("small").Room(), 0, 10); err != nil || len(messages) != 2 {
			t.Errorf("another user: %d messages, %v", len(messages), err)
		}
		if _, err := r.Get(t.Context(), mallory, theChat); err != nil {
			t.Errorf("a cheap query: %v", err)
		}
		closed := make(chan error, 1)
		go func() { closed <- r.Close(t.Context()) }()
		synctest.Wait()
		if len(closed) > 0 || busy.Load() != 102 {
			t.Errorf("closed with a read that runs: %v; %d were refused, want 102", len(closed) > 0, busy.Load())
		}
		release()
		err := <-closed
		synctest.Wait()
		if err != nil || answered.Load() != 1 {
			t.Errorf("closed: %v, %d were answered", err, answered.Load())
		}
		if _, _, err := r.History(t.Context(), bob, theChat.Room(), 0, 10); chat.AsError(err).Code != chat.CodeBusy {
			t.Errorf("after Close: %v", err)
		}
	})
}

// A loop that is slow to take what is read keeps no other query waiting.
func TestSlowLoopsHoldNoPlace(t *testing.T) {
	withReads(t, queries.Reads{AtOnce: 1}, 200, "hello", func(t *testing.T, r *chats.Chats, log *actortest.ReadLog) {
		u := chat.User{ID: "owner"}
		messages, records := 0, 0
		go func() {
			for _, err := range r.Messages(t.Context(), u, theChat, 0, 1000) {
				if messages++; err != nil {
					t.Error(err)
				}
				time.Sleep(time.Hour)
			}
		}()
		go func() {
			for _, err := range r.Records(t.Context(), u, theChat.Room(), 0) {
				if records++; err != nil {
					t.Error(err)
				}
				time.Sleep(time.Hour)
			}
		}()
		for range 300 {
			begin := time.Now()
			if _, _, err := r.History(t.Context(), u, theChat.Room(), 0, 50); err != nil || time.Since(begin) > 0 {
				t.Fatalf("history: %v, after %v", err, time.Since(begin))
			}
			time.Sleep(time.Hour)
		}
		synctest.Wait()
		if messages != 99 || records != 200 {
			t.Errorf("%d messages and %d records, want 99 and 200", messages, records)
		}
	})
}

// A page is no longer than it may be as JSON, however short its text seems; one
// message always fits.
func TestHistoryCountsEncodedBytes(t *testing.T) {
	for name, test := range map[string]struct {
		text    string
		records int
	}{
		"control characters": {strings.Repeat("\x01", 4<<10), 81},
		"quotation marks":    {strings.Repeat(`"`, 16<<10), 41},
		"a little":           {"hello", 1601},
		"too much":           {strings.Repeat("\x01", 32<<10), 13},
	} {
		withReads(t, queries.Reads{}, test.records, test.text, func(t *testing.T, r *chats.Chats, _ *actortest.ReadLog) {
			var smallest, pages, n int
			for before, more := uint64(0), true; more; pages++ {
				var page []chat.Message
				var err error
				if page, more, err = r.History(t.Context(), chat.User{ID: "owner"}, theChat.Room(), before, 500); err != nil || len(page) == 0 {
					t.Fatalf("%s: %d messages, %v", name, len(page), err)
				}
				b, err := json.Marshal(page)
				if err != nil || len(b) > queries.MaxHistoryBytes && len(page) > 1 {
					t.Errorf("%s: %d messages in %d bytes, %v", name, len(page), len(b), err)
				}
				if more && len(page) > 1 && (smallest == 0 || len(b) < smallest) {
					smallest = len(b)
				}
				n += len(page)
				before = page[0].Seq
			}
			if n != test.records/2 {
				t.Errorf("%s: %d messages in %d pages, want %d", name, n, pages, test.records/2)
			}
			if smallest > 0 && smallest < queries.MaxHistoryBytes/2 {
				t.Errorf("%s: a page of %d bytes", name, smallest)
			}
		})
	}
}

// The messages that edits have taken out are looked for once, and from then on only in
// the records that follow.
func TestEditsAreReadOnce(t *testing.T) {
	withReads(t, queries.Reads{}, 5000, "hello", func(t *testing.T, r *chats.Chats, log *actortest.ReadLog) {
		read := func(want int64) {
			t.Helper()
			before := log.Entries.Load()
			messages, _, err := r.History(t.Context(), chat.User{ID: "owner"}, theChat.Room(), 0, 10)
			if n := log.Entries.Load() - before; err != nil || len(messages) != 10 || n > want {
				t.Errorf("%d messages, %v; %d entries were read, want at most %d", len(messages), err, n, want)
			}
		}
		read(5000 + 30)
		read(30)
		replies := make(actortest.Replies, 1)
		owner := room.Caller{User: chat.User{ID: "owner"}, Address: r.Open(replies)}
		r.Tell(theChat.Room(), &room.Send{Caller: owner, Content: "more", Quiet: true})
		if reply := <-replies; reply.Err != nil {
			t.Fatal(reply.Err)
		}
		synctest.Wait() // the room reads too
		read(31)
	})
}

// A page of a branch costs what the branch is long, however much stands in others between
// its parts.
func TestBranchesArePassedOver(t *testing.T) {
	withReads(t, queries.Reads{}, 10, "hello", func(t *testing.T, r *chats.Chats, log *actortest.ReadLog) {
		replies := make(actortest.Replies, 1)
		owner := room.Caller{User: chat.User{ID: "owner"}, Address: r.Open(replies)}
		do := func(m room.Message) room.Reply {
			t.Helper()
			r.Tell(theChat.Room(), m)
			reply := <-replies
			if reply.Err != nil {
				t.Fatal(reply.Err)
			}
			return reply
		}
		first := do(&room.Send{Caller: owner, Content: "first", Quiet: true}).Body.(room.Sent)
		last := first
		edits := 3000
		if testing.Short() {
			edits = 300
		}
		for range edits {
			last = do(&room.Edit{Caller: owner, Replaces: last.MessageID, Content: "again", Answer: new(bool)}).Body.(room.Sent)
		}
		read := func(want int64, branch chat.MessageID, place int) {
			t.Helper()
			before := log.Entries.Load()
			messages, more, err := r.HistoryOf(t.Context(), owner.User, theChat.Room(), branch, 0, 50)
			if n := log.Entries.Load() - before; err != nil || more || n > want {
				t.Fatalf("%d messages, %v; %d entries were read, want at most %d", len(messages), err, n, want)
			}
			m := messages[len(messages)-1]
			if s := m.Siblings; s == nil || s.Place != place || s.Count != edits+1 || len(s.IDs) != chat.MaxSiblings || !slices.Contains(s.IDs, m.ID) {
				t.Fatalf("siblings %+v of %s", s, m.ID)
			}
		}
		read(int64(4*edits), "", edits+1)
		read(300, "", edits+1)
		read(300, first.MessageID, 1)
		do(&room.Select{Caller: owner, MessageID: first.MessageID})
		read(300, "", 1)
	})
}
