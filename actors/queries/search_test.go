package queries_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
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

// searched returns all that a search finds, in pages of limit, and how many pages.
func searched(t testing.TB, r *chats.Chats, u chat.User, text string, limit int) (found []chat.Found, pages int) {
	t.Helper()
	for cursor := ""; ; pages++ {
		page, err := r.Search(t.Context(), u, chat.SearchQuery{Text: text, Limit: limit, Cursor: cursor})
		if err != nil {
			t.Fatalf("search for %q: %v", text, err)
		}
		if len(page.Results) > limit || page.More != (page.Cursor != "") {
			t.Fatalf("a page of %d: %d, %v, %q", limit, len(page.Results), page.More, page.Cursor)
		}
		if found = append(found, page.Results...); !page.More {
			return found, pages + 1
		}
		cursor = page.Cursor
	}
}

// lines are what was found, in order.
func lines(found []chat.Found) string {
	var all []string
	for _, f := range found {
		who := "title"
		if f.Author != nil {
			who = string(f.Author.ID)
		} else if f.MessageID != "" {
			who = string(f.Role)
		}
		all = append(all, fmt.Sprintf("%s %s: %s", f.Chat, who, f.Snippet))
	}
	return strings.Join(all, "\n")
}

// A search finds what its user may read, and nothing that edits, withdrawals or the end of
// a role have taken out, in pages of any size.
func TestSearch(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, bob, eve := s.User("alice"), s.User("bob"), s.User("eve")
		s.Assistant.On("Who was Zürich named after?", actortest.Slowly(time.Second, "ZURICH was ", "a customs station"))
		for _, id := range []chat.ID{"old", "new", "private"} {
			alice.Create(id)
			time.Sleep(time.Second)
		}
		alice.Do("old", &room.SetMember{Member: chat.Member{ID: "bob", Role: chat.RoleViewer}})
		alice.Do("new", &room.SetMember{Member: chat.Member{ID: "bob", Role: chat.RoleMember}})
		title := "To Zurich"
		alice.Do("new", &room.Configure{Changes: chat.Changes{Title: &title}})
		alice.Do("old", &room.Send{Content: "a train to Zürich?", Quiet: true})
		said := alice.Do("old", &room.Send{Content: "a flight to Zürich", Quiet: true}).Body.(room.Sent)
		alice.Do("old", &room.Edit{Replaces: said.MessageID, Content: "a boat to Zürich"})
		alice.Send("new", "Who was Zürich named after?")
		withdrawn := alice.Send("new", "or Zurich, Kansas?") // which waits
		alice.Do("new", &room.Withdraw{MessageID: withdrawn.MessageID})
		bob.Do("new", &room.Send{Content: "after zurich, I think", Quiet: true})
		alice.Do("private", &room.Send{Content: "zurich in secret", Quiet: true})
		time.Sleep(5 * time.Second)

		shared := strings.Join([]string{
			"new title: To Zurich",
			"new assistant: ZURICH was a customs station",
			"new bob: after zurich, I think",
			"new alice: Who was Zürich named after?",
			"old assistant: You said: a boat to Zürich",
			"old alice: a boat to Zürich",
			"old alice: a train to Zürich?",
		}, "\n")
		for range 2 {
			for _, limit := range []int{1, 2, 100} {
				for user, want := range map[*actortest.User]string{alice: "private alice: zurich in secret\n" + shared, bob: shared, eve: ""} {
					found, _ := searched(t, s.Rooms, user.User, "zurich", limit)
					if got := lines(found); got != want {
						t.Errorf("%s, pages of %d: got\n%s\nwant\n%s", user.ID, limit, got, want)
					}
				}
			}
			s.Restart()
		}
		found, _ := searched(t, s.Rooms, bob.User, `train "to zurich"`, 10)
		if len(found) != 1 || !slices.Equal(found[0].Hits, []chat.Hit{{Start: 2, End: 7}, {Start: 8, End: 17}}) {
			t.Errorf("a phrase and a word: %+v", found)
		}
		inOne := func(u chat.User, id chat.ID) (all []chat.Found, err error) {
			for q := (chat.SearchQuery{Text: "zurich", Limit: 1, Chat: id}); ; {
				page, err := s.Rooms.Search(t.Context(), u, q)
				if all = append(all, page.Results...); err != nil || !page.More {
					return all, err
				}
				q.Cursor = page.Cursor
			}
		}
		if found, err := inOne(bob.User, "new"); err != nil || lines(found) != strings.Join(strings.Split(shared, "\n")[1:4], "\n") {
			t.Errorf("in one chat: %v\n%s", err, lines(found))
		}
		if found, err := inOne(bob.User, "private"); err == nil || len(found) > 0 {
			t.Errorf("in a chat of others: %v\n%s", err, lines(found))
		}
		alice.Do("old", &room.RemoveMember{Member: "bob"})
		alice.Do("new", &room.Delete{})
		if found, _ := searched(t, s.Rooms, bob.User, "zurich", 10); len(found) != 0 {
			t.Errorf("after bob was removed: %+v", found)
		}
	})
}

// Refused searches name what is wrong.
func TestSearchRefuses(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		for _, q := range []chat.SearchQuery{{Text: " "}, {Text: "x", Cursor: "!"}, {Text: "x", Cursor: "AA"}, {Text: "x", Cursor: strings.Repeat("A", 10_000)}} {
			q.Limit = 10
			_, err := s.Rooms.Search(t.Context(), chat.User{ID: "alice"}, q)
			if refusal, ok := errors.AsType[*chat.Error](err); !ok || refusal.Code != chat.CodeInvalid {
				t.Errorf("%.50v: got %v", q, err)
			}
		}
		_, err := s.Rooms.Search(t.Context(), chat.User{}, chat.SearchQuery{Text: "x", Limit: 10})
		if refusal, ok := errors.AsType[*chat.Error](err); !ok || refusal.Code != chat.CodeUnauthenticated {
			t.Errorf("nobody: got %v", err)
		}
	})
}

// A page reads as many bytes as it may, the next one goes on behind them, and all together
// read every record once, however small the pages are.
func TestSearchWork(t *testing.T) {
	const records, text = 400, 1000
	for _, limit := range []int{1, 64 << 10, 8 << 20} {
		withReads(t, queries.Reads{SearchBytes: limit}, records, strings.Repeat("x", text), func(t *testing.T, r *chats.Chats, log *actortest.ReadLog) {
			cursor, read := "", int64(0)
			for more := true; more; {
				page, err := r.Search(t.Context(), chat.User{ID: "alice"}, chat.SearchQuery{Text: "zebra", Limit: 10, Cursor: cursor})
				if err != nil {
					t.Fatal(err)
				}
				now := log.Entries.Load()
				if most := int64(limit/(text/2)) + 4; now-read > most { // half of the records are messages, the others short
					t.Fatalf("a page of %d bytes read %d records, want at most %d", limit, now-read, most)
				}
				read, more, cursor = now, page.More, page.Cursor
			}
			if want := int64(records + 5); read != want {
				t.Errorf("pages of %d bytes: %d records were read, want %d", limit, read, want)
			}
		})
	}
}

// A search whose client is gone ends at the record that it is at. Chats of others are not
// read.
func TestSearchIsDropped(t *testing.T) {
	withReads(t, queries.Reads{}, 400, "x", func(t *testing.T, r *chats.Chats, log *actortest.ReadLog) {
		ctx, leave := context.WithCancel(t.Context())
		log.Before.Store(func(string) {
			if log.Entries.Load() == 10 {
				leave()
			}
		})
		_, err := r.Search(ctx, chat.User{ID: "alice"}, chat.SearchQuery{Text: "zebra", Limit: 10})
		if read := log.Entries.Load(); !errors.Is(err, context.Canceled) || read > 10 {
			t.Errorf("%d records were read, %v", read, err)
		}
	})
}

func TestSearchReadsNoChatOfOthers(t *testing.T) {
	store, err := persistence.Open(filepath.Join(t.TempDir(), "parlor.db"), persistence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	actortest.Fill(t, store, theChat, 50, "zebra")
	log, models := &actortest.ReadLog{Store: store}, new(actortest.Assistant)
	r, err := chats.Start(system.New(nil), log, room.Options{Models: models, Provider: models}, queries.Reads{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(context.Background())
	if found, _ := searched(t, r, chat.User{ID: "stranger"}, "zebra", 10); len(found) != 0 || log.Entries.Load() != 0 {
		t.Errorf("found %d, read %d records", len(found), log.Entries.Load())
	}
	if found, _ := searched(t, r, chat.User{ID: "owner"}, "zebra", 10); len(found) == 0 {
		t.Error("the owner found nothing")
	}
}

// Records that cannot be read are left out, and the rest is found.
func TestSearchLeavesOutWhatIsDamaged(t *testing.T) {
	withReads(t, queries.Reads{}, 20, "zebra", func(t *testing.T, r *chats.Chats, log *actortest.ReadLog) {
		before, _ := searched(t, r, chat.User{ID: "alice"}, "zebra", 100)
		entry := []byte(`{"type":"message_added","at":"2026-01-02T03:04:05Z","data":{"message_id":5,"content":"zebra"}}`)
		actortest.Write(t, log.Store, persistence.Commit{Room: string(theChat.Room()), After: 20, Entries: [][]byte{entry}})
		row := persistence.Chat{Room: "rnothing", Owner: "alice", Created: time.Now(), Info: []byte("{")}
		actortest.Write(t, log.Store, persistence.Commit{Room: row.Room, Chat: &row, Entries: [][]byte{entry}})
		after, _ := searched(t, r, chat.User{ID: "alice"}, "zebra", 100)
		if len(before) == 0 || lines(after) != lines(before) {
			t.Errorf("found\n%s\nwant\n%s", lines(after), lines(before))
		}
	})
}

// BenchmarkSearch looks for a word that is not there in 2,000 chats of 20 KB each, and
// reports how long a page takes, and how long all of them do.
func BenchmarkSearch(b *testing.B) {
	store, err := persistence.Open(filepath.Join(b.TempDir(), "parlor.db"), persistence.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	text := strings.Repeat("Größere Änderungen überprüft, the quick brown fox jumps over it.\n", 30)
	for i := range 2000 {
		actortest.Fill(b, store, chat.ID(fmt.Sprintf("chat-%d", i)), 20, text)
	}
	models := new(actortest.Assistant)
	r, err := chats.Start(system.New(nil), store, room.Options{Models: models, Provider: models, Access: access.Policy{}}, queries.Reads{})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close(context.Background())
	pages := 0
	for b.Loop() {
		_, pages = searched(b, r, chat.User{ID: "owner"}, "zebra", 20)
	}
	b.ReportMetric(float64(pages), "pages")
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N*pages), "ms/page")
}
