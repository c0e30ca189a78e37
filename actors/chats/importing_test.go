package chats_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/persistence"
	"parlor/protocol/chat"
	"parlor/protocol/exports"
)

// importAs imports a file as a user does.
func importAs(t *testing.T, s *actortest.Server, u chat.User, file string) (chat.Info, error) {
	found, err := exports.ReadOne([]byte(file), u, chat.MakeID(u.ID, [8]byte{1, 2, byte(len(file))}), time.Now())
	if err != nil {
		return chat.Info{}, err
	}
	records, err := found.Records(make(exports.Notes))
	if err != nil {
		return chat.Info{}, err
	}
	t.Helper()
	return s.Rooms.Import(t.Context(), u, records)
}

// export returns what a member exports of a chat.
func export(t *testing.T, s *actortest.Server, u chat.User, id chat.ID) exports.One {
	t.Helper()
	info, err := s.Rooms.Get(t.Context(), u, id)
	if err != nil {
		t.Fatal(err)
	}
	one := exports.NewOne(info)
	for m, err := range s.Rooms.MessagesOf(t.Context(), u, id, "", 0, 1000) {
		if err != nil {
			t.Fatal(err)
		}
		one.Add(m)
	}
	return one
}

// The export of one member becomes a chat of another, in which only that one is known. It can
// be talked in, and costs nobody anything.
func TestImport(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create("a")
		title := "A title"
		alice.Do("a", &room.Configure{Changes: chat.Changes{Title: &title}})
		alice.Send("a", "hello")
		alice.Send("a", "again")
		said := export(t, s, alice.User, "a")
		file, _ := json.Marshal(said)
		info, err := importAs(t, s, bob.User, string(file))
		if err != nil {
			t.Fatal(err)
		}
		if info.Owner != "bob" || info.Title != title || info.RoleOf("alice") != "" {
			t.Errorf("imported: %+v", info)
		}
		again := export(t, s, bob.User, info.ID)
		for i, m := range said.Messages {
			got := again.Messages[i]
			if m.Role == chat.RoleUser && !strings.HasPrefix(got.Author, "imported:") {
				t.Errorf("message %d is by %q, who has not said it here", i, got.Author)
			}
			got.Author, m.Author = "", ""
			got.AuthorName, m.AuthorName = "", ""
			if diff := cmp.Diff(m, got); diff != "" {
				t.Errorf("message %d (-exported +imported):\n%s", i, diff)
			}
		}
		if report, _ := s.Rooms.Usage(t.Context(), bob.User, chat.UsageQuery{By: chat.UsageByDay}); report.Total.TotalTokens != 0 {
			t.Errorf("the import has cost %+v", report.Total)
		}
		if code := alice.Refused(info.ID, &room.Join{}); code != chat.CodeNotFound {
			t.Errorf("the one who had said it is %s", code)
		}
		bob.Send(info.ID, "and more")
		if n := len(export(t, s, bob.User, info.ID).Messages); n != len(said.Messages)+2 {
			t.Errorf("%d messages after one more and its answer", n)
		}
	})
}

// An import is refused if a member could not have said it here, or if the quota does not allow it.
func TestImportRefuses(t *testing.T) {
	actortest.Run(t, room.Options{MaxMessageBytes: 10, MaxAnswerBytes: 20}, func(t *testing.T, s *actortest.Server) {
		bob := s.User("bob")
		user := func(text string) string {
			return `{"parlor_chat":1,"title":"x","created_timestamp":"2026-01-01T00:00:00Z","messages":[{"role":"user","content":"` + text + `"}]}`
		}
		for name, file := range map[string]string{
			"no JSON":          "a,b",
			"another format":   `{"messages":[]}`,
			"another version":  `{"parlor_chat":2}`,
			"another role":     strings.Replace(user("x"), "user", "system", 1),
			"an odd time":      strings.Replace(user("x"), "2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z", 1),
			"a long message":   user("more than ten"),
			"a long answer":    strings.Replace(user("more than twenty bytes of it"), `"user"`, `"assistant"`, 1),
			"a message number": strings.Replace(user("x"), `"x"}`, `7}`, 1),
		} {
			if info, err := importAs(t, s, bob.User, file); err == nil {
				t.Errorf("%s was imported: %+v", name, info)
			}
		}
		if _, err := importAs(t, s, chat.User{}, user("x")); err == nil {
			t.Error("nobody in particular has imported a chat")
		}
		s.RestartWithQuota(persistence.Quota{Chats: 1})
		if _, err := importAs(t, s, bob.User, user("one")); err != nil {
			t.Error(err)
		}
		if _, err := importAs(t, s, bob.User, user("another")); chat.AsError(err) == nil || chat.AsError(err).Code != chat.CodeQuotaExceeded {
			t.Errorf("past the quota: %v", err)
		}
	})
}
