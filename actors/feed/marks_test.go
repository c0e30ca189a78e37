package feed_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"parlor/actors/access"
	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/protocol/chat"
)

// listed returns what a user's list shows, as ids with their marks.
func listed(t *testing.T, s *actortest.Server, u *actortest.User, v chat.View) string {
	t.Helper()
	page, total, err := s.Rooms.Listed(t.Context(), u.User, v, 0, 100)
	if err != nil || total != len(page) {
		t.Fatalf("%d of %d chats, %v", len(page), total, err)
	}
	var all []string
	for _, c := range page {
		line := string(c.ID)
		if c.Pinned {
			line += "*"
		}
		if c.Folder != "" {
			line += "/" + c.Folder
		}
		all = append(all, line)
	}
	return strings.Join(all, " ")
}

func mark(t *testing.T, s *actortest.Server, u *actortest.User, id chat.ID, c chat.MarkChanges, want chat.Code) {
	t.Helper()
	_, err := s.Rooms.Mark(t.Context(), u.User, id, c)
	refusal, _ := errors.AsType[*chat.Error](err)
	if refusal == nil && err != nil || refusal != nil && refusal.Code != want || refusal == nil && want != "" {
		t.Errorf("%s marks %s: got %v, want %q", u.ID, id, err, want)
	}
}

// Marks are the user's own, over a restart, and go with the role in the chat. They are no
// events of the room.
func TestMarks(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, bob, eve := s.User("alice"), s.User("bob"), s.User("eve")
		work, none := "Work", ""
		for _, id := range []chat.ID{"a", "b", "c"} {
			alice.Create(id)
			alice.Do(id, &room.SetMember{Member: chat.Member{ID: "bob", Role: chat.RoleViewer}})
		}
		last, err := s.Log.Last(string(chat.ID("a").Room()))
		if err != nil {
			t.Fatal(err)
		}
		plain := listed(t, s, alice, chat.View{})
		mark(t, s, bob, "a", chat.MarkChanges{Pinned: new(true), Folder: &work}, "")
		mark(t, s, bob, "b", chat.MarkChanges{Archived: new(true), Folder: &work}, "")
		mark(t, s, eve, "a", chat.MarkChanges{Pinned: new(true)}, chat.CodeNotFound)
		mark(t, s, bob, "none", chat.MarkChanges{Pinned: new(true)}, chat.CodeNotFound)
		mark(t, s, bob, "a", chat.MarkChanges{}, chat.CodeInvalid)
		for _, character := range []string{"👩‍👩‍👧‍👦", "e" + strings.Repeat("\u0301", 31)} { // as long as a character may be
			mark(t, s, bob, "c", chat.MarkChanges{Folder: new(strings.Repeat(character, chat.MaxFolderLen))}, "")
		}
		mark(t, s, bob, "c", chat.MarkChanges{Folder: &none}, "")
		s.Restart()
		for name, test := range map[string]struct {
			user *actortest.User
			view chat.View
			want string
		}{
			"alice's":        {alice, chat.View{}, plain},
			"bob's":          {bob, chat.View{}, "a*/Work c"},
			"bob's archive":  {bob, chat.View{Archived: true}, "b/Work"},
			"bob's folder":   {bob, chat.View{Folder: &work}, "a*/Work"},
			"in no folder":   {bob, chat.View{Folder: &none}, "c"},
			"alice's folder": {alice, chat.View{Folder: &work}, ""},
		} {
			if got := listed(t, s, test.user, test.view); got != test.want {
				t.Errorf("%s: got %q, want %q", name, got, test.want)
			}
		}
		if now, err := s.Log.Last(string(chat.ID("a").Room())); now != last || err != nil {
			t.Errorf("the room has records up to %d, %v, want %d", now, err, last)
		}
		folders, err := s.Rooms.Folders(t.Context(), bob.User)
		if err != nil || !slices.Equal(folders, []chat.Folder{{Name: "Work", Chats: 1}}) {
			t.Errorf("folders %v, %v", folders, err)
		}
		alice.Do("a", &room.RemoveMember{Member: "bob"})
		alice.Do("a", &room.SetMember{Member: chat.Member{ID: "bob", Role: chat.RoleViewer}})
		if got := listed(t, s, bob, chat.View{}); got != "c a" && got != "a c" {
			t.Errorf("after bob was removed and let in again: %q", got)
		}
	})
}

// In development mode all chats are shared, and each user has marks of their own.
func TestMarksOfSharedChats(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create("a")
		mark(t, s, bob, "a", chat.MarkChanges{Archived: new(true)}, "")
		if got := listed(t, s, alice, chat.View{}) + "|" + listed(t, s, bob, chat.View{}) + "|" + listed(t, s, bob, chat.View{Archived: true}); got != "a||a" {
			t.Errorf("got %q", got)
		}
	})
}

// A user's connections that watch are told of the user's marks, others are not.
func TestMarksAreToldToWatchers(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create("c")
		alice.Do("c", &room.SetMember{Member: chat.Member{ID: "bob", Role: chat.RoleMember}})
		var told []string
		watcher := func(who string) room.Watcher {
			return &marksTold{func(a chat.Activity) { told = append(told, fmt.Sprintf("%s: %s %+v", who, a.Chat, a.Mark)) }}
		}
		s.Rooms.Watch(alice.User, watcher("alice"))
		s.Rooms.Watch(bob.User, watcher("bob"))
		mark(t, s, bob, "c", chat.MarkChanges{Pinned: new(true)}, "")
		if want := []string{"bob: c {Pinned:true Archived:false Folder:}"}; !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}

type marksTold struct{ note func(chat.Activity) }

func (m *marksTold) Tell(a chat.Activity) { m.note(a) }
