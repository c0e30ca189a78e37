package room_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/persistence"
	"parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// A call is a chat with a model that listens, and alice in it.
type call struct {
	*actortest.Server
	t     *testing.T
	alice *actortest.User
}

func onCall(t *testing.T, o room.Options, f func(c *call)) {
	t.Helper()
	o.Access.Shared = true
	actortest.Run(t, o, func(t *testing.T, s *actortest.Server) {
		c := &call{s, t, s.User("alice")}
		c.alice.Do(theChat, &room.Create{Chat: theChat, ModelID: actortest.ListeningModel})
		c.alice.Join(theChat)
		c.alice.Told()
		f(c)
	})
}

// line returns the last session.
func (c *call) line() *actortest.Session {
	c.t.Helper()
	all := c.Assistant.Sessions()
	if len(all) == 0 {
		c.t.Fatal("there is no session")
	}
	return all[len(all)-1]
}

// asked returns the last question of the session, and fails the test if there
// is none.
func (c *call) asked() chat.Ask {
	c.t.Helper()
	synctest.Wait()
	in := c.line().Inputs()
	if ask, ok := in[max(len(in)-1, 0)].(chat.Ask); ok {
		return ask
	}
	c.t.Fatalf("the session was told %+v", in)
	return chat.Ask{}
}

// speak says something, and returns the message that it becomes.
func (c *call) speak(u *actortest.User) chat.MessageID {
	c.t.Helper()
	u.Do(theChat, &room.AppendAudio{Audio: "AAAA"})
	return u.Do(theChat, &room.CommitAudio{}).Body.(room.Taken).MessageID
}

func (c *call) respond(u *actortest.User) { c.t.Helper(); u.Do(theChat, &room.Respond{}) }

// tell has the model tell things.
func (c *call) tell(deltas ...chat.Delta) {
	for _, d := range deltas {
		c.line().Tell(d)
	}
	synctest.Wait()
}

func (c *call) answer(id chat.MessageID, text string) {
	c.tell(chat.Delta{Answer: id, Text: text}, chat.Delta{Answer: id, Ended: &chat.Ended{State: chat.StateCompleted}})
}

func (c *call) heard(id chat.MessageID, text string) {
	c.tell(chat.Delta{Heard: &chat.Heard{MessageID: id, Text: text}})
}

// history returns what the log holds of what was said.
func (c *call) history() (lines []string) {
	for _, m := range c.Messages(theChat) {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %q %s", m.Role, m.State, m.Content, m.Modality)))
	}
	return lines
}

func (c *call) wantHistory(want ...string) {
	c.t.Helper()
	if diff := cmp.Diff(want, c.history()); diff != "" {
		c.t.Errorf("history (-want +got):\n%s", diff)
	}
}

func TestWrittenConversationOnALine(t *testing.T) {
	onCall(t, room.Options{SystemPrompt: "be kind"}, func(c *call) {
		first := c.alice.Send(theChat, "one").MessageID
		ask := c.asked()
		c.alice.Told()
		c.answer(ask.Answer, "first")
		wantTold(t, c.alice, `stream_chunk @0 "first"`, "stream_chunk @5 done", `message #5 assistant completed "first"`, "stream_end #5 completed", "turn #5 completed")
		second := c.alice.Send(theChat, "two").MessageID
		want := []chat.PromptMessage{
			{Role: chat.RoleSystem, Content: "be kind\n\nToday is Saturday, 1 January 2000 (UTC)."}, {ID: first, Role: chat.RoleUser, Content: "one"},
			{ID: ask.Answer, Role: chat.RoleAssistant, Content: "first"}, {ID: second, Role: chat.RoleUser, Content: "two"},
		}
		ask = c.asked()
		if diff := cmp.Diff(want, ask.Messages); diff != "" {
			t.Errorf("asked (-want +got):\n%s", diff)
		}
		c.tell(
			chat.Delta{Answer: ask.Answer, Text: "sec"}, chat.Delta{Answer: ask.Answer, Audio: "AAAA"},
			chat.Delta{Answer: ask.Answer, Usage: &chat.Usage{TotalTokens: 7}},
			chat.Delta{Answer: ask.Answer, Ended: &chat.Ended{State: chat.StateFailed, Error: chat.Refuse(chat.CodeProviderError, "no more")}},
		)
		c.wantHistory(`user completed "one"`, `assistant completed "first"`, `user completed "two"`, `assistant failed "sec" audio`)
		end := c.Messages(theChat)[3]
		if end.Usage == nil || end.Usage.TotalTokens != 7 || end.Error.Message != "no more" {
			t.Errorf("ended %+v", end)
		}
		if got := len(c.Assistant.Sessions()); got != 1 {
			t.Errorf("%d sessions were begun, want 1", got)
		}
	})
}

// A spoken question is recorded ahead of its answer, whichever is there first.
func TestSpokenQuestion(t *testing.T) {
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprintf("late %v", late), func(t *testing.T) {
			onCall(t, room.Options{}, func(c *call) {
				question := c.speak(c.alice)
				c.respond(c.alice)
				ask := c.asked()
				if diff := cmp.Diff([]chat.PromptMessage{{ID: question, Role: chat.RoleUser}}, ask.Messages[1:]); diff != "" {
					t.Errorf("asked (-want +got):\n%s", diff)
				}
				if late {
					c.answer(ask.Answer, "noon")
					c.wantHistory()
				}
				c.heard(question, "what time is it?")
				if !late {
					c.answer(ask.Answer, "noon")
				}
				c.wantHistory(`user completed "what time is it?" audio`, `assistant completed "noon"`)
				if seq, end := c.Messages(theChat)[0].Seq, onlyEnd(t, c.Server); end.PromptSeq != seq {
					t.Errorf("the answer is one to record %d, want %d", end.PromptSeq, seq)
				}
				if got := c.Messages(theChat)[0]; got.ID != question || got.Author.ID != "alice" {
					t.Errorf("recorded %+v", got)
				}
			})
		})
	}
}

// That several people talk is no reason to put words into a mouth that has not
// been understood.
func TestSpokenQuestionAmongSeveral(t *testing.T) {
	onCall(t, room.Options{TurnPolicy: chat.PolicyReject}, func(c *call) {
		bob := c.User("bob")
		bob.Join(theChat)
		bob.Do(theChat, &room.Send{Content: "hello", Quiet: true})
		question := c.speak(c.alice)
		c.respond(c.alice)
		ask := c.asked()
		if got := ask.Messages[len(ask.Messages)-1]; got.ID != question || got.Content != "" {
			t.Errorf("asked %+v", got)
		}
		if got := ask.Messages[len(ask.Messages)-2]; got.Content != "bob: hello" {
			t.Errorf("asked %+v", got)
		}
		c.tell(chat.Delta{Answer: ask.Answer, Text: "hel"})
		c.respond(bob) // interrupts, whatever the policy, though the turn waits for its prompt
		c.heard(question, "hi")
		c.wantHistory(`user completed "hello"`, `user completed "hi" audio`, `assistant stopped "hel"`)
		c.asked()
	})
}

// Speech may be understood while its answer is on the way to the disk. The answer belongs
// to it, behind the earlier messages.
func TestHeardBeforeTheAnswerBegins(t *testing.T) {
	onCall(t, room.Options{}, func(c *call) {
		c.alice.Send(theChat, "one")
		c.answer(c.asked().Answer, "first")
		question := c.speak(c.alice)
		hold := make(chan struct{})
		c.Log.Fault(func(commit persistence.Commit) error {
			if len(commit.Entries) > 0 && chat.Says(commit.Entries[0]) {
				<-hold
			}
			return nil
		})
		started := c.Log.Hold()
		c.alice.Tell(theChat, &room.Respond{})
		synctest.Wait()
		c.heard(question, "two?")
		started()
		synctest.Wait()
		defer c.Log.Hold()() // the disk is slow with what was said
		close(hold)
		var got []string
		ask := c.asked()
		for _, m := range ask.Messages[1:] {
			got = append(got, m.Content)
		}
		if diff := cmp.Diff([]string{"one", "first", ""}, got); diff != "" { // the session has heard the last
			t.Errorf("asked (-want +got):\n%s", diff)
		}
	})
}

// The speaker is told what was understood, and the others that somebody spoke.
func TestWhoIsToldWhatWasHeard(t *testing.T) {
	onCall(t, room.Options{}, func(c *call) {
		bob, carol := c.User("bob"), c.User("carol")
		bob.JoinAs(theChat, assistant.SPA)
		carol.JoinAs(theChat, assistant.SPA)
		question := c.speak(bob)
		for _, u := range []*actortest.User{c.alice, bob, carol} {
			u.Told()
		}
		c.heard(question, "hello")
		wantTold(t, c.alice, `message #2 user completed "hello"`)
		wantTold(t, bob, `conversation.item.input_audio_transcription.completed ""`)
		wantTold(t, carol, `user.message ""`)
	})
}

func TestWhatNobodyUnderstandsIsRecordedWithoutWords(t *testing.T) {
	onCall(t, room.Options{HearTimeout: 5 * time.Second}, func(c *call) {
		silent := c.speak(c.alice)
		c.respond(c.alice)
		c.answer(c.asked().Answer, "pardon?")
		c.wantHistory()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		c.wantHistory(`user completed "" audio`, `assistant completed "pardon?"`)
		c.heard(silent, "too late")
		failed := c.speak(c.alice)
		c.tell(chat.Delta{Heard: &chat.Heard{MessageID: failed, Error: chat.Refuse(chat.CodeProviderError, "mumbled")}})
		c.wantHistory(`user completed "" audio`, `assistant completed "pardon?"`, `user completed "" audio`)
	})
}

func TestBargeIn(t *testing.T) {
	for name, speak := range map[string]func(*call, *actortest.User){
		"append": func(_ *call, u *actortest.User) { u.Do(theChat, &room.AppendAudio{Audio: "AAAA"}) },
		"commit": func(_ *call, u *actortest.User) { u.Do(theChat, &room.CommitAudio{}) },
		"text": func(c *call, u *actortest.User) {
			u.Do(theChat, &room.Send{Content: "wait", Quiet: true})
			c.respond(u)
		},
	} {
		t.Run(name, func(t *testing.T) {
			onCall(t, room.Options{}, func(c *call) {
				bob := c.User("bob")
				bob.Join(theChat)
				c.alice.Send(theChat, "count")
				ask := c.asked()
				c.tell(chat.Delta{Answer: ask.Answer, Text: "one"})
				speak(c, bob)
				c.wantHistory(append([]string{`user completed "count"`}, map[bool][]string{
					true:  {`user completed "wait"`, `assistant stopped "one"`},
					false: {`assistant stopped "one"`},
				}[name == "text"]...)...)
				end := onlyEnd(t, c.Server)
				if end.By != "bob" || end.Reason != "barge-in" || !end.Duplex {
					t.Errorf("ended %+v", end)
				}
				if got := c.line().Inputs()[0]; got != (chat.Cancel{Answer: ask.Answer}) {
					t.Errorf("the session was told %+v", got)
				}
				c.tell(chat.Delta{Answer: ask.Answer, Text: " two"}) // was on its way
				if got := onlyEnd(t, c.Server).Content; got != "one" {
					t.Errorf("recorded %q", got)
				}
			})
		})
	}
}

// A stop does not wait for a question to be written down.
func TestStopWhileUnheard(t *testing.T) {
	onCall(t, room.Options{}, func(c *call) {
		question := c.speak(c.alice)
		c.respond(c.alice)
		ask := c.asked()
		c.tell(chat.Delta{Answer: ask.Answer, Text: "no"})
		c.alice.Stop(theChat, "")
		c.wantHistory(`assistant stopped "no"`)
		c.heard(question, "what time is it?")
		c.wantHistory(`assistant stopped "no"`, `user completed "what time is it?" audio`)
	})
}

// A crash loses what was said and not written down: its turn ends, and the next
// one goes on.
func TestRestartLosesSpeech(t *testing.T) {
	onCall(t, room.Options{}, func(c *call) {
		c.speak(c.alice)
		c.respond(c.alice)
		c.answer(c.asked().Answer, "noon")
		c.Restart()
		end := onlyEnd(t, c.Server)
		if end.State != chat.StateInterrupted || !strings.Contains(end.Reason, "lost") {
			t.Errorf("ended %+v", end)
		}
		c.alice.Join(theChat)
		c.alice.Send(theChat, "hello?")
		c.answer(c.asked().Answer, "hello!")
		if got := c.history(); got[len(got)-1] != `assistant completed "hello!"` {
			t.Errorf("history is %q", got)
		}
	})
}

// A disk that refuses a transcript gets it again.
func TestTranscriptOutlivesAFailedCommit(t *testing.T) {
	onCall(t, room.Options{}, func(c *call) {
		question := c.speak(c.alice)
		c.respond(c.alice)
		ask := c.asked()
		c.Log.Fault(func(persistence.Commit) error { return persistence.ErrUnavailable })
		c.heard(question, "what time is it?")
		c.answer(ask.Answer, "noon")
		c.wantHistory()
		c.Log.Fault(nil)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		c.wantHistory(`user completed "what time is it?" audio`, `assistant completed "noon"`)
	})
}

func TestOneSpeaksAtATime(t *testing.T) {
	onCall(t, room.Options{}, func(c *call) {
		bob := c.User("bob")
		bob.Join(theChat)
		c.alice.Do(theChat, &room.AppendAudio{Audio: "AAAA"})
		for _, command := range []room.Command{&room.AppendAudio{Audio: "BBBB"}, &room.ClearAudio{}, &room.CommitAudio{}} {
			if got := bob.Refused(theChat, command); got != chat.CodeBusy {
				t.Errorf("%T was refused as %s", command, got)
			}
		}
		time.Sleep(3 * time.Second) // alice has left her sentence
		bob.Do(theChat, &room.AppendAudio{Audio: "BBBB"})
		want := []chat.Input{chat.AudioAppend{Audio: "AAAA"}, chat.AudioClear{}, chat.AudioAppend{Audio: "BBBB"}}
		if diff := cmp.Diff(want, c.line().Inputs()); diff != "" {
			t.Errorf("the session was told (-want +got):\n%s", diff)
		}
	})
}

// In a chat with a model that does not listen, one speaks to another one that does.
func TestSpeechNamesItsModel(t *testing.T) {
	onCall(t, room.Options{}, func(c *call) {
		c.alice.Do(theChat, &room.Send{Content: "in writing", ModelID: actortest.Model, Quiet: true})
		const ear = actortest.ListeningModel
		c.alice.Do(theChat, &room.ClearAudio{ModelID: ear})
		c.alice.Do(theChat, &room.AppendAudio{ModelID: ear, Audio: "AAAA"})
		question := c.alice.Do(theChat, &room.CommitAudio{ModelID: ear}).Body.(room.Taken).MessageID
		c.respond(c.alice)
		ask := c.asked()
		c.heard(question, "what time is it?")
		c.answer(ask.Answer, "noon")
		c.wantHistory(`user completed "in writing"`, `user completed "what time is it?" audio`, `assistant completed "noon"`)
		c.alice.Do(theChat, &room.AppendAudio{Audio: "BBBB"}) // the chat's model is now the one that listens
	})
}

func TestSpeechIsRefused(t *testing.T) {
	onCall(t, room.Options{MaxAudioBytes: 8, MaxUnheard: 1}, func(c *call) {
		if got := c.alice.Refused(theChat, &room.AppendAudio{Audio: "AAAAAAAAAAAA"}); got != chat.CodeTooLarge {
			t.Errorf("a piece that is too large was refused as %s", got)
		}
		c.speak(c.alice)
		if got := c.alice.Refused(theChat, &room.CommitAudio{}); got != chat.CodeBusy {
			t.Errorf("too much was refused as %s", got)
		}
		c.alice.Do(theChat, &room.Send{Content: "in writing", ModelID: actortest.Model, Quiet: true})
		if got := c.alice.Refused(theChat, &room.AppendAudio{Audio: "AAAA"}); got != chat.CodeInvalid {
			t.Errorf("speech to a model that does not listen was refused as %s", got)
		}
	})
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, mallory := s.User("alice"), s.User("mallory")
		alice.Do(theChat, &room.Create{Chat: theChat, ModelID: actortest.ListeningModel})
		if got := mallory.Refused(theChat, &room.AppendAudio{Audio: "AAAA"}); got != chat.CodeNotFound {
			t.Errorf("a stranger's speech was refused as %s", got)
		}
		if len(s.Assistant.Sessions()) > 0 {
			t.Error("a session was begun")
		}
	})
}

// A session that takes in nothing costs its room a bounded amount of speech.
func TestSpeechIsBounded(t *testing.T) {
	onCall(t, room.Options{}, func(c *call) {
		c.alice.Send(theChat, "hello")
		c.asked()
		c.line().Deafen()
		refused := 0
		for range 200 {
			if r := c.alice.Do(theChat, &room.AppendAudio{Audio: "AAAA"}); r.Err != nil {
				refused++
			}
		}
		if refused < 100 {
			t.Errorf("%d of 200 pieces were refused", refused)
		}
	})
}

func TestLineEnds(t *testing.T) {
	onCall(t, room.Options{LineIdle: time.Minute, IdleTimeout: time.Hour}, func(c *call) {
		c.alice.Send(theChat, "one")
		c.answer(c.asked().Answer, "first")
		first := c.line()
		time.Sleep(59 * time.Second)
		c.alice.Send(theChat, "two")
		ask := c.asked()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if first.Over() {
			t.Error("the session ended in an answer")
		}
		c.answer(ask.Answer, "second")
		time.Sleep(2*time.Minute + time.Second)
		synctest.Wait()
		if !first.Over() {
			t.Error("a session that nobody uses goes on")
		}

		c.alice.Send(theChat, "three")
		second := c.line()
		question := c.speak(c.alice)
		second.Fail(errors.New("dial tcp 10.0.0.1: no route"))
		synctest.Wait()
		c.alice.Send(theChat, "four")
		ask = c.asked()
		third := c.line()
		c.answer(ask.Answer, "fourth")
		if third == second {
			t.Error("a session that has ended is asked")
		}
		for _, m := range c.Messages(theChat) {
			if m.ID == question && m.Content != "" {
				t.Errorf("recorded %+v", m)
			}
			if m.Error != nil && strings.Contains(m.Error.Message, "10.0.0.1") {
				t.Errorf("told %v", m.Error)
			}
		}

		c.alice.Do(theChat, &room.Send{Content: "five", ModelID: actortest.Model})
		c.alice.Do(theChat, &room.Delete{})
		synctest.Wait()
		if !third.Over() {
			t.Error("the session outlives the room")
		}
	})
}

// A session that fails in an answer fails that answer.
func TestLineFails(t *testing.T) {
	onCall(t, room.Options{}, func(c *call) {
		c.alice.Send(theChat, "one")
		ask := c.asked()
		c.tell(chat.Delta{Answer: ask.Answer, Text: "fir"})
		c.line().Fail(chat.Refuse(chat.CodeProviderError, "overloaded"))
		synctest.Wait()
		end := onlyEnd(t, c.Server)
		if end.State != chat.StateFailed || end.Error.Message != "overloaded" || end.Content != "fir" {
			t.Errorf("ended %+v", end)
		}
	})
}

// A model that cannot hear is asked when the question was written down.
func TestSpeechForAModelThatReads(t *testing.T) {
	onCall(t, room.Options{}, func(c *call) {
		question := c.speak(c.alice)
		c.respond(c.alice)
		c.asked()
		c.alice.Stop(theChat, "")
		c.heard(question, "what time is it?")
		c.alice.Do(theChat, &room.Regenerate{Answer: answerTo(c.Server, theChat, question), ModelID: actortest.Model})
		if got := c.history(); got[len(got)-1] != `assistant completed "You said: what time is it?"` {
			t.Errorf("history is %q", got)
		}
	})
}

// Another model has another session. What the one before was told and had not
// written down is lost, and nothing else.
func TestModelSwitch(t *testing.T) {
	onCall(t, room.Options{}, func(c *call) {
		c.speak(c.alice)
		first := c.line()
		c.alice.Do(theChat, &room.Send{Content: "and you?", ModelID: actortest.OtherListeningModel})
		ask := c.asked()
		if !first.Over() || c.line() == first {
			t.Error("the session with the other model goes on")
		}
		c.answer(ask.Answer, "me too")
		c.wantHistory(`user completed "and you?"`, `user completed "" audio`, `assistant completed "me too"`)
		if all := starts(c.Server); len(all) != 1 {
			t.Errorf("%d turns were started: %+v", len(all), all)
		}

		c.alice.Send(theChat, "count")
		c.asked()
		c.alice.Do(theChat, &room.Send{Content: "stop", ModelID: actortest.ListeningModel, Quiet: true})
		c.alice.Do(theChat, &room.AppendAudio{Audio: "AAAA"})
		if last := c.Messages(theChat)[5]; last.State != chat.StateStopped || last.Reason != "barge-in" {
			t.Errorf("ended %+v", last)
		}
	})
}

func TestTurnTimeOnALine(t *testing.T) {
	onCall(t, room.Options{TurnTimeout: time.Minute}, func(c *call) {
		c.alice.Send(theChat, "one")
		ask := c.asked()
		time.Sleep(time.Minute)
		synctest.Wait()
		if end := onlyEnd(t, c.Server); end.State != chat.StateFailed || end.Error.Code != chat.CodeProviderTimeout {
			t.Errorf("ended %+v", end)
		}
		if diff := cmp.Diff([]chat.Input{chat.Cancel{Answer: ask.Answer}}, c.line().Inputs()); diff != "" {
			t.Errorf("the session was told (-want +got):\n%s", diff)
		}
	})
}

// The SPA is told of an answer as it comes, in a bubble of its own.
func TestLiveDialect(t *testing.T) {
	onCall(t, room.Options{}, func(c *call) {
		bob := c.User("bob")
		bob.JoinAs(theChat, assistant.SPA)
		bob.Do(theChat, &room.Send{Content: "one", Quiet: true})
		c.respond(bob)
		ask := c.asked()
		bob.Told()
		c.tell(chat.Delta{Answer: ask.Answer, Audio: "AAAA"})
		c.answer(ask.Answer, "first")
		wantTold(t, bob, `response.audio.delta ""`, `response.audio_transcript.delta ""`, `response.audio_transcript.done ""`, `response.done ""`)

		bob.Do(theChat, &room.Send{Content: "two", Correlation: "1"}) // in the format with a spinner
		ask = c.asked()
		bob.Told()
		c.answer(ask.Answer, "second")
		wantTold(t, bob, `sbaw.text_message.assistant "second" stop`)
	})
}
