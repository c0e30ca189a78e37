package room_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/protocol/chat"
)

// The assistants that a message names answer, each once and in order; else the chat's model.
func TestMentions(t *testing.T) {
	const ada, bert = actortest.Model, actortest.OtherModel
	for text, want := range map[string][]chat.ModelID{
		"hello":                               {ada},
		"@bert hello":                         {bert},
		"hello @Bert.":                        {bert},
		"(@bert)":                             {bert},
		"@bert's idea":                        {bert},
		"@bert, @ada and @bert":               {bert, ada},
		"@bert,@ada":                          {bert, ada},
		"@ada\n@bert":                         {ada, bert},
		"¿@bert?":                             {bert},
		"@carl and @bertha":                   {ada},
		"write to a@bert.org or a.b@bert":     {ada},
		"@@bert @bert@ada @ bert @":           {ada},
		"https://example.com/@bert @":         {ada},
		"@bert.org":                           {ada},
		"@bert\u0301":                         {ada},
		"\xff@bert":                           {bert},
		"@carl @property @bert_ @-bert @bert": {bert},
	} {
		actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
			alice := s.User("alice")
			alice.Create(theChat)
			alice.Send(theChat, text)
			var got []chat.ModelID
			for _, m := range s.Messages(theChat) {
				if m.Role == chat.RoleAssistant {
					got = append(got, m.ModelID)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%q (-want +got):\n%s", text, diff)
			}
			if got := alice.Create(theChat).ModelID; got != ada {
				t.Errorf("%q: the chat's model is %s", text, got)
			}
		})
	}
}

// Answers say who gave them; to address somebody leaves the chat's model, and
// model_id changes it. The same goes for what is said first and asked for later.
func TestMentionsAndModels(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Do(theChat, &room.Send{Content: "@ada?", ModelID: actortest.OtherModel})
		alice.Send(theChat, "and you?")
		alice.Do(theChat, &room.Send{Content: "@ada @bert?", Quiet: true})
		alice.Do(theChat, &room.Respond{})
		var got []string
		for _, m := range s.Messages(theChat) {
			if m.Role == chat.RoleAssistant {
				got = append(got, m.Name+": "+m.Content)
			}
		}
		want := []string{"ada: You said: @ada?", "bert: You said: and you?", "ada: You said: @ada @bert?", "bert: You said: @ada @bert?"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
	})
}

// One that is addressed as if by name is told so by the limit of turns, too.
func TestMentionsFillTheQueue(t *testing.T) {
	actortest.Run(t, room.Options{MaxQueuedTurns: 2}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		s.Assistant.On("wait", actortest.Hang())
		alice.Send(theChat, "wait")
		if got := alice.Refused(theChat, &room.Send{Content: "@ada @bert"}); got != chat.CodeBusy {
			t.Errorf("got %s, want %s", got, chat.CodeBusy)
		}
		alice.Do(theChat, with(chat.PolicyInterrupt, "@ada @bert"))
		wantSaid(t, s, alice, "wait", " (stopped)", "@ada @bert", "You said: @ada @bert", "You said: @ada @bert")
	})
}
