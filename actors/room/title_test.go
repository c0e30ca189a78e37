package room_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parlor/actors/access"
	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/actors/title"
	"parlor/protocol/chat"
)

// configured returns all changes of the settings.
func configured(s *actortest.Server) (all []chat.Configured) {
	for _, r := range s.Records(theChat) {
		if e, ok := r.Event.(chat.Configured); ok {
			all = append(all, e)
		}
	}
	return all
}

// titlesPrompt is what an assistant is asked for a title of a chat that began so.
func titlesPrompt(question, answer string) string {
	return "Question:\n" + question + "\n\nAnswer:\n" + answer
}

func onlyTitle(t *testing.T, s *actortest.Server, want string) chat.Configured {
	t.Helper()
	all := configured(s)
	if len(all) != 1 || all[0].Settings.Title != want {
		t.Fatalf("configured %+v, want the title %q", all, want)
	}
	return all[0]
}

// The model is asked once, when the first turn has completed, and the owner is
// charged. Turns do not wait for it.
func TestTitle(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}, Titles: title.Policy{On: true, Model: actortest.OtherModel}}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create(theChat)
		alice.Join(theChat)
		s.Assistant.On("fail", actortest.Fail(func(context.Context) error { return chat.Refuse(chat.CodeProviderError, "no") }, "oh"))
		s.Assistant.On("hello", actortest.Say("Hi."))
		s.Assistant.On(titlesPrompt("fail", "Hi."), actortest.Slowly(time.Second, "\"A\nfine ", "title.\""))
		bob.Send(theChat, "fail")
		if n := len(s.Assistant.Prompts()); n != 1 {
			t.Fatalf("%d prompts after a turn that failed, want 1", n)
		}
		bob.Send(theChat, "hello")
		alice.Send(theChat, "meanwhile")
		if got := contents(s); got[len(got)-1] != "You said: meanwhile" {
			t.Errorf("a turn waits for the title: %q", got)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		title := onlyTitle(t, s, "A fine title")
		if title.By != "" || title.ModelID != actortest.OtherModel || title.Usage == nil {
			t.Errorf("recorded %+v", title)
		}
		alice.Send(theChat, "more")
		onlyTitle(t, s, "A fine title")
		for _, p := range s.Assistant.Prompts() {
			if asks := p.Model == actortest.OtherModel; asks != (p.MaxTokens > 0) {
				t.Errorf("prompt %+v", p)
			}
		}
		for _, c := range charges(t, s) {
			if c.Model == string(actortest.OtherModel) && (c.User != "alice" || c.Turns != 0 || c.Tokens() != 5) {
				t.Errorf("charged %+v", c)
			}
		}
	})
}

// A title that somebody gives, also one that is taken away, is never
// overwritten. What was spent is recorded.
func TestTitleByHandStays(t *testing.T) {
	actortest.Run(t, room.Options{Titles: title.Policy{On: true}}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		s.Assistant.On(titlesPrompt("hello", "You said: hello"), actortest.Slowly(time.Second, "made"))
		alice.Send(theChat, "hello")
		mine, none := "mine", ""
		alice.Do(theChat, &room.Configure{Changes: chat.Changes{Title: &mine}})
		time.Sleep(time.Minute)
		synctest.Wait()
		all := configured(s)
		if len(all) != 2 || all[0].By != "alice" || all[1].Settings.Title != "mine" || all[1].Usage == nil {
			t.Errorf("configured %+v", all)
		}
		reply := alice.Do(theChat, &room.Configure{Changes: chat.Changes{Title: &none}})
		if got := reply.Body.(room.Configured).Chat.Title; got != "" {
			t.Errorf("answered %q", got)
		}
		alice.Send(theChat, "more")
		s.Restart()
		alice.Join(theChat)
		if n := len(configured(s)); n != 3 {
			t.Errorf("configured %d times, want 3", n)
		}
	})
}

// Without a model, or when it fails, the first words are the title; a full disk
// or a crash meanwhile costs time, and no second title.
func TestTitleWithoutModel(t *testing.T) {
	words := strings.Repeat("word ", 20)
	want := strings.TrimSpace(strings.Repeat("word ", 15)) + "…"
	for name, titles := range map[string]title.Policy{
		"unable": {On: true, Able: func(chat.Model) bool { return false }},
		"gone":   {On: true, Model: "gone"},
		"fails":  {On: true},
	} {
		t.Run(name, func(t *testing.T) {
			actortest.Run(t, room.Options{Titles: titles}, func(t *testing.T, s *actortest.Server) {
				s.Assistant.On(words, actortest.Slowly(time.Second, "yes"))
				s.Assistant.On(titlesPrompt(words, "yes"), actortest.Fail(func(context.Context) error { panic("no") }))
				alice := s.User("alice")
				alice.Create(theChat)
				alice.Send(theChat, words)
				time.Sleep(time.Second - time.Millisecond)
				s.Log.Fault(diskFull)
				time.Sleep(5 * time.Second)
				s.Log.Fault(nil)
				time.Sleep(5 * time.Second)
				synctest.Wait()
				onlyTitle(t, s, want)
				s.Restart()
				alice.Join(theChat)
				if title := onlyTitle(t, s, want); name != "fails" && title.ModelID != "" {
					t.Errorf("recorded %+v", title)
				}
			})
		})
	}
}

func TestTitleSurvivesACrash(t *testing.T) {
	actortest.Run(t, room.Options{Titles: title.Policy{On: true}}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		asked := titlesPrompt("hello", "You said: hello")
		s.Assistant.On(asked, actortest.Hang())
		alice.Send(theChat, "hello")
		s.Assistant.On(asked, actortest.Say("made"))
		s.Restart()
		if n := len(configured(s)); n != 0 {
			t.Errorf("configured %d times", n)
		}
		alice.Join(theChat) // which wakes the room
		synctest.Wait()
		onlyTitle(t, s, "made")
	})
}

func TestConfigure(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		alice.Told()
		title, policy := "  a \n title ", chat.PolicyReject
		reply := alice.Do(theChat, &room.Configure{Changes: chat.Changes{Title: &title, Policy: &policy}})
		if got := reply.Body.(room.Configured).Chat; got.Title != "a title" || got.Policy != policy || got.Owner != "alice" {
			t.Errorf("answered %+v", got)
		}
		wantTold(t, alice, "room_updated ")
		if info, err := s.Rooms.Get(t.Context(), alice.User, theChat); err != nil || info.Title != "a title" {
			t.Errorf("listed as %+v, %v", info, err)
		}
		if got := alice.Refused(theChat, &room.Configure{}); got != chat.CodeInvalid {
			t.Errorf("nothing to change: %s", got)
		}
		if got := s.User("mallory").Refused(theChat, &room.Configure{Changes: chat.Changes{Title: &title}}); got != chat.CodeNotFound {
			t.Errorf("another user: %s", got)
		}
	})
}

// A message that was taken back is not in the title, and no model reads it.
func TestTitleOfAnEditedChat(t *testing.T) {
	actortest.Run(t, room.Options{Titles: title.Policy{On: true}}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		s.Assistant.On("my password", actortest.Hang())
		s.Assistant.On(titlesPrompt("hello", "You said: hello"), actortest.Say("Hello"))
		alice.Do(theChat, edit(alice.Send(theChat, "my password"), "hello"))
		onlyTitle(t, s, "Hello")
	})
}
