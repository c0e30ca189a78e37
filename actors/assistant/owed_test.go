package assistant_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/protocol/chat"
)

// theirs returns what v heard of its own message "mine": the acknowledgements, and
// events that show the message.
func theirs(v *visitor) (acknowledged, shown []string) {
	for _, h := range v.heard {
		switch {
		case strings.HasPrefix(h, "message_sent "):
			acknowledged = append(acknowledged, h)
		case h == "message A mine", h == "receive_message A mine":
			shown = append(shown, h)
		}
	}
	return acknowledged, shown
}

// A page whose acknowledgement was lost is owed that, and no echo: its bubble is there
// already, and its spinner waits for the acknowledgement. So it is if the message is on
// disk when the page comes back, if it gets there later, and after a crash. Other tabs
// are shown the message.
func TestOwedAcknowledgement(t *testing.T) {
	for _, dialect := range []string{"spa", ""} {
		for _, when := range []string{"before", "after", "crash"} {
			t.Run(dialect+" "+when, func(t *testing.T) {
				runRecoverable(t, func(t *testing.T, s *recoverable) {
					s.User("bob").Create(theChat)
					page, tab := s.visit("alice"), s.visit("alice")
					page.joinAs(dialect)
					tab.joinAs(dialect)
					release := func() {}
					if when == "after" {
						release = s.Log.Hold()
					}
					page.Say(fmt.Sprintf(`2%s["send_message",%s]`, prefix, sbawText("17", "16", "mine")))
					page.cut()
					if when == "crash" {
						s.crash()
						tab.connect()
					}
					page.heard = nil
					page.connect()
					release()
					page.listen()
					tab.listen()
					want := []string{"message_sent 17"}
					if dialect == "" {
						want = append(want, "message_sent A")
					}
					if got, shown := theirs(page); !page.recovered || !slices.Equal(got, want) || len(shown) > 0 {
						t.Errorf("recovered %v, acknowledged %q, want %q; shown %q", page.recovered, got, want, shown)
					}
					if i, j := slices.Index(page.heard, "message_sent 17"), slices.Index(page.heard, "receive_message A You said: mine"); i < 0 || j < i {
						t.Errorf("heard %q", page.heard)
					}
					if _, shown := theirs(tab); !slices.Contains(shown, "receive_message A mine") {
						t.Errorf("the other tab heard %q", tab.heard)
					}
					page.cut()
					page.heard = nil
					page.connect()
					if got, shown := theirs(page); len(got)+len(shown) > 0 {
						t.Errorf("told once more: %q", page.heard)
					}
				})
			})
		}
	}
}

// The two steps of the realtime family are acknowledged in the same way.
func TestOwedAcknowledgementOfAQuestion(t *testing.T) {
	runRecoverable(t, func(t *testing.T, s *recoverable) {
		s.User("bob").Create(theChat)
		page := s.visit("alice")
		page.joinAs("spa")
		page.Say(fmt.Sprintf(`2%s["send_message",%s]`, prefix, realtimeText("18", "16", "mine")))
		page.hearUpTo("message_sent 18")
		page.Say(fmt.Sprintf(`2%s["send_message",%s]`, prefix, realtimeRespond("19")))
		page.cut()
		page.heard = nil
		page.connect()
		if got := strings.Join(page.heard, ", "); !page.recovered || got != "connect, message_sent 19, receive_message A You said: mine" {
			t.Errorf("recovered %v, heard %s", page.recovered, got)
		}
	})
}

// A page is owed the words of what was said aloud, for the bubble that waits for them, also a
// page that has another connection by then.
func TestOwedTranscription(t *testing.T) {
	runRecoverable(t, func(t *testing.T, s *recoverable) {
		s.User("bob").Do(theChat, &room.Create{Chat: theChat, ModelID: actortest.ListeningModel})
		page := s.visit("alice")
		page.joinAs("spa")
		speech := func(kind string) string {
			return fmt.Sprintf(`2%s["send_message",{"room_id":%q,"message":{"type":"input_audio_buffer.%s}}]`, prefix, theRoom, kind)
		}
		page.Say(speech(`append","id":"1","data":{"audio":"AAAA"}`))
		page.Say(speech(`commit","id":"2"`))
		page.hearUpTo("message_sent 1")
		page.cut()
		line := s.Assistant.Sessions()[0]
		var said chat.MessageID
		for _, input := range line.Inputs() {
			if commit, ok := input.(chat.AudioCommit); ok {
				said = commit.MessageID
			}
		}
		page.heard = nil
		page.connect()
		line.Tell(chat.Delta{Heard: &chat.Heard{MessageID: said, Text: "mine"}})
		page.listen()
		if got := strings.Join(page.heard, ", "); got != "connect, message_sent 2, receive_message A mine" {
			t.Errorf("heard %s", got)
		}
	})
}

// joinAs joins the chat in a dialect.
func (v *visitor) joinAs(dialect string) {
	v.t.Helper()
	v.Say(fmt.Sprintf(`2%s["join_room",{"room_id":%q,"dialect":%q}]`, prefix, theRoom, dialect))
	v.listen()
}

// A page whose message nobody was asked to answer is told that together with the
// acknowledgement, and its spinner is off.
func TestOwedAcknowledgementOfAnUnaskedMessage(t *testing.T) {
	runRecoverable(t, func(t *testing.T, s *recoverable) {
		bob := s.User("bob")
		bob.Create(theChat)
		none := chat.AnswerNone
		bob.Do(theChat, &room.Configure{Changes: chat.Changes{Answers: &none}})
		page := s.visit("alice")
		page.joinAs("spa")
		page.Say(fmt.Sprintf(`2%s["send_message",%s]`, prefix, sbawText("17", "16", "mine")))
		page.Say(fmt.Sprintf(`2%s["send_message",%s]`, prefix, realtimeText("18", "17", "mine too")))
		page.cut()
		page.heard = nil
		page.connect()
		if got := strings.Join(page.heard, ", "); got != "connect, message_sent 17, receive_message A (No assistant was asked.), message_sent 18" {
			t.Errorf("heard %s", got)
		}
	})
}
