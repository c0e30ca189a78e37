package realtime

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
	"parlor/transport/provider/providertest"
	"parlor/transport/provider/upstream"
)

// A talk is a session under test, with both of its ends.
type talk struct {
	t   *testing.T
	srv *server
	in  chan chat.Input
	out chan chat.Delta
}

func newTalk(t *testing.T, o Options) *talk { return newGatedTalk(t, o, nil) }

func newGatedTalk(t *testing.T, o Options, g Gate) *talk {
	w := &talk{t: t, srv: newServer(t), in: make(chan chat.Input), out: make(chan chat.Delta, 1024)}
	c := w.srv.client(o)
	go func() {
		defer close(w.out)
		for d, err := range c.Session(t.Context(), chat.Prompt{Model: "m1", Input: w.in}, g) {
			if err == nil {
				w.out <- d
			}
		}
	}()
	return w
}

// in runs a test in a bubble.
func in(t *testing.T, o Options, test func(t *testing.T, w *talk)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newTalk(t, o)) })
}

func user(id chat.MessageID, text string) chat.PromptMessage {
	return chat.PromptMessage{ID: id, Role: chat.RoleUser, Content: text}
}

func assistant(id chat.MessageID, text string) chat.PromptMessage {
	return chat.PromptMessage{ID: id, Role: chat.RoleAssistant, Content: text}
}

func (w *talk) ask(answer chat.MessageID, messages ...chat.PromptMessage) {
	w.in <- chat.Ask{Answer: answer, Messages: messages}
}

// ended reads up to the end of an answer, and returns what it said.
func (w *talk) ended(answer chat.MessageID, state chat.State) (text string, last *chat.Ended) {
	w.t.Helper()
	for d := range w.out {
		if d.Answer != answer {
			w.t.Fatalf("got %+v, want a piece of %s", d, answer)
		}
		text += d.Text
		if d.Ended != nil {
			if d.Ended.State != state {
				w.t.Fatalf("%s ended %s (%v), want %s", answer, d.Ended.State, d.Ended.Error, state)
			}
			return text, d.Ended
		}
	}
	w.t.Fatal("the session ended")
	return "", nil
}

func (w *talk) noPeer() {
	w.t.Helper()
	synctest.Wait()
	select {
	case <-w.srv.peers:
		w.t.Error("there is a new connection")
	default:
	}
}

// answer answers the next question.
func (p *peer) answer(text string) []chat.PromptMessage {
	known := p.Asked()
	p.Say(text)
	p.Finish(chat.Usage{})
	return known
}

func knows(t *testing.T, got []chat.PromptMessage, want ...chat.PromptMessage) {
	t.Helper()
	for i := range want {
		want[i].ID = ""
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("conversation differs (-want +got):\n%s", diff)
	}
}

func TestConfiguration(t *testing.T) {
	in(t, Options{Voice: "marin"}, func(t *testing.T, w *talk) {
		w.ask("a1", user("m1", "hello"))
		p := <-w.srv.peers
		got, err := json.Marshal(p.until("session.update").Session)
		if err != nil {
			t.Fatal(err)
		}
		want := `{"type":"realtime","output_modalities":["audio"],"audio":{` +
			`"input":{"format":{"type":"audio/pcm","rate":24000},"transcription":{"model":"gpt-4o-mini-transcribe"},"turn_detection":null},` +
			`"output":{"format":{"type":"audio/pcm","rate":24000},"voice":"marin"}}}`
		if string(got) != want {
			t.Errorf("session is\n%s, want\n%s", got, want)
		}
	})
}

func TestConfigurationRefused(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *talk) {
		w.ask("a1", user("m1", "hello"))
		p := <-w.srv.peers
		e := p.until("session.update")
		p.send(map[string]any{"type": "error", "error": map[string]any{"message": "no such voice", "event_id": e.EventID}})
		_, end := w.ended("a1", chat.StateFailed)
		if !strings.Contains(end.Error.Message, "no such voice") {
			t.Errorf("failed with %v", end.Error)
		}
		p.Gone()
	})
}

func TestInstructionsAreThoseOfTheTurn(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *talk) {
		system := chat.PromptMessage{Role: chat.RoleSystem, Content: "It is Sunday."}
		w.ask("a1", system, user("m1", "hello"))
		p := <-w.srv.peers
		e := p.asked()
		if got := e.Response.Instructions; got != "It is Sunday." {
			t.Errorf("instructions are %q", got)
		}
		knows(t, p.conversation(), user("", "hello"))
	})
}

func TestConversationBecomesWhatIsAsked(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *talk) {
		w.ask("a1", user("m1", "one"))
		p := <-w.srv.peers
		p.answer("first")
		w.ended("a1", chat.StateCompleted)
		w.ask("a2", user("m1", "one"), assistant("a1", "first"), user("m2", "two"))
		p.answer("second")
		w.ended("a2", chat.StateCompleted)

		// The second message was edited, something older came in, and m1 without
		// an id of ours stands for itself.
		edited := []chat.PromptMessage{
			{Role: chat.RoleUser, Content: "before"}, user("m1", "one"), assistant("a1", "first"), user("m2b", "2"),
		}
		w.ask("a3", edited...)
		knows(t, p.answer("third"), edited...)
		w.ended("a3", chat.StateCompleted)

		edited[1] = user("m1", "alice: one") // there are two of them now
		edited = append(edited, assistant("a3", "third"), user("m3", "three"))
		w.ask("a4", edited...)
		knows(t, p.answer("fourth"), edited...)
		w.ended("a4", chat.StateCompleted)
	})
}

func TestRenewal(t *testing.T) {
	const age = 10 * time.Minute
	in(t, Options{MaxAge: age, Silence: time.Hour}, func(t *testing.T, w *talk) {
		w.ask("a1", user("m1", "one"))
		first := <-w.srv.peers
		first.Asked()
		first.Say("fir")
		time.Sleep(age + time.Minute)
		w.noPeer() // while it answers
		first.Say("st")
		first.Finish(chat.Usage{})
		w.ended("a1", chat.StateCompleted)
		second := <-w.srv.peers
		first.Gone()

		conversation := []chat.PromptMessage{user("m1", "one"), assistant("a1", "first"), user("m2", "two")}
		w.ask("a2", conversation...)
		knows(t, second.answer("second"), conversation...)
		w.ended("a2", chat.StateCompleted)

		time.Sleep(age + time.Minute)
		third := <-w.srv.peers // without anybody asking
		second.Gone()
		w.in <- chat.AudioAppend{Audio: "AAAA"}
		time.Sleep(age + time.Minute)
		w.noPeer() // while somebody speaks
		w.in <- chat.AudioClear{}
		<-w.srv.peers
		third.Gone()
	})
}

// TestRenewalWithoutATranscript checks that words that never come do not keep a
// connection until the provider ends it, in the midst of an answer perhaps.
func TestRenewalWithoutATranscript(t *testing.T) {
	in(t, Options{MaxAge: 10 * time.Minute}, func(t *testing.T, w *talk) {
		w.in <- chat.AudioAppend{Audio: "AAAA"}
		w.in <- chat.AudioCommit{MessageID: "s1"}
		first := <-w.srv.peers
		first.Committed()
		time.Sleep(12 * time.Minute)
		if len(w.srv.peers) == 0 {
			t.Fatal("the connection is still the old one")
		}
		first.Gone()
		if d := <-w.out; d.Heard == nil || d.Heard.MessageID != "s1" || d.Heard.Error == nil {
			t.Errorf("got %+v, want word that s1 was not written down", d)
		}
	})
}

// TestRenewalThatFails checks that a provider out of reach is asked for a new
// connection no more often than for any other.
func TestRenewalThatFails(t *testing.T) {
	in(t, Options{MaxAge: 10 * time.Minute, Retries: 2}, func(t *testing.T, w *talk) {
		w.ask("a1", user("m1", "one"))
		p := <-w.srv.peers
		p.answer("first")
		w.ended("a1", chat.StateCompleted)
		w.srv.refusal.Store(&providertest.Refusal{Status: http.StatusServiceUnavailable})
		before := w.srv.dials.Load()
		time.Sleep(time.Hour)
		if got := w.srv.dials.Load() - before; got != 3 {
			t.Errorf("dialed %d times, want once and 2 retries", got)
		}
	})
}

func TestReconnection(t *testing.T) {
	o := Options{Retries: 3, Backoff: time.Second, MaxBackoff: 3 * time.Second}
	in(t, o, func(t *testing.T, w *talk) {
		w.ask("a1", user("m1", "one"))
		p := <-w.srv.peers
		p.answer("first")
		w.ended("a1", chat.StateCompleted)
		after := make(map[time.Duration]bool)
		for _, want := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second} {
			start := time.Now()
			p.HangUp()
			p = <-w.srv.peers
			got := time.Since(start)
			if got < want/2 || got > want {
				t.Errorf("connected again after %v, want %v at most and half of it at least", got, want)
			}
			after[got] = true
		}
		if after[time.Second] && after[2*time.Second] && after[3*time.Second] {
			t.Error("all sessions of a provider would come back together")
		}
		p.HangUp()
		time.Sleep(time.Hour)
		w.noPeer() // until somebody needs it
		conversation := []chat.PromptMessage{user("m1", "one"), assistant("a1", "first"), user("m2", "two")}
		w.ask("a2", conversation...)
		p = <-w.srv.peers
		knows(t, p.answer("second"), conversation...)
		w.ended("a2", chat.StateCompleted)
	})
}

func TestAskedAgainBeforeTheFirstPiece(t *testing.T) {
	in(t, Options{Retries: 1}, func(t *testing.T, w *talk) {
		w.ask("a1", user("m1", "one"))
		p := <-w.srv.peers
		p.Asked()
		p.HangUp()
		if d := <-w.out; d.Answer != "a1" || d.Retrying == nil {
			t.Errorf("got %+v, want word of a retry", d)
		}
		p = <-w.srv.peers
		knows(t, p.answer("first"), user("", "one"))
		if text, _ := w.ended("a1", chat.StateCompleted); text != "first" {
			t.Errorf("answer is %q", text)
		}

		w.ask("a2", user("m1", "one"), assistant("a1", "first"), user("m2", "two"))
		p.Asked()
		p.HangUp()
		p = <-w.srv.peers
		p.Asked()
		p.send(map[string]any{"type": "error", "error": map[string]any{"message": "the session has lived long enough"}})
		p.HangUp()
		<-w.out
		_, end := w.ended("a2", chat.StateFailed)
		if !strings.Contains(end.Error.Message, "long enough") {
			t.Errorf("failed with %v", end.Error)
		}
	})
}

// TestErrorThatIsOver checks that what the provider said long ago is not taken
// for the end of its connection.
func TestErrorThatIsOver(t *testing.T) {
	in(t, Options{Retries: 1}, func(t *testing.T, w *talk) {
		w.ask("a1", user("m1", "one"))
		p := <-w.srv.peers
		p.Asked()
		w.in <- chat.Cancel{Answer: "a1"}
		w.ended("a1", chat.StateStopped)
		e := p.until("response.cancel")
		p.Finish(chat.Usage{}) // before the provider read that
		tooLate := map[string]any{"type": "invalid_request_error", "code": "response_cancel_not_active", "message": "no active response"}
		tooLate["event_id"] = e.EventID
		p.send(map[string]any{"type": "error", "error": tooLate})
		tooLate["event_id"] = nil
		p.send(map[string]any{"type": "error", "error": tooLate})
		synctest.Wait()

		w.ask("a2", user("m2", "two"))
		p.Asked()
		p.HangUp()
		if d := <-w.out; d.Retrying == nil || !strings.Contains(d.Retrying.Message, "connection to the provider broke") {
			t.Errorf("got %+v, want word of a retry", d)
		}
		p = <-w.srv.peers
		p.answer("second")
		w.ended("a2", chat.StateCompleted)
	})
}

// TestSessionExpired checks that the provider's limit costs no answer of which
// nothing was told, though it is called an invalid request.
func TestSessionExpired(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *talk) {
		w.ask("a1", user("m1", "one"))
		p := <-w.srv.peers
		p.asked()
		p.send(map[string]any{"type": "error", "error": map[string]any{
			"type": "invalid_request_error", "code": "session_expired", "message": "Your session hit the maximum duration of 60 minutes.",
		}})
		if d := <-w.out; d.Retrying == nil {
			t.Errorf("got %+v, want word of a retry", d)
		}
		p.Gone()
		p = <-w.srv.peers
		p.answer("first")
		w.ended("a1", chat.StateCompleted)
	})
}

func TestRetryWaitsAsLongAsTheProviderAsks(t *testing.T) {
	in(t, Options{Retries: 1}, func(t *testing.T, w *talk) {
		w.srv.refusal.Store(&providertest.Refusal{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"7"}}})
		start := time.Now()
		w.ask("a1", user("m1", "one"))
		<-w.out
		w.srv.refusal.Store(nil)
		p := <-w.srv.peers
		if got := time.Since(start); got < 7*time.Second || got > 8*time.Second {
			t.Errorf("asked again after %v", got)
		}
		p.answer("first")
		w.ended("a1", chat.StateCompleted)
	})
}

// Nobody waits for centuries because a provider asks for them.
func TestNoRetryAfterTooLong(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *talk) {
		w.srv.refusal.Store(&providertest.Refusal{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"4000000000"}}})
		start := time.Now()
		w.ask("a1", user("m1", "one"))
		if _, end := w.ended("a1", chat.StateFailed); !strings.Contains(end.Error.Message, "4000000000") || time.Since(start) != 0 {
			t.Errorf("failed with %v after %v", end.Error, time.Since(start))
		}
	})
}

func TestProviderThatSaysNothingFirst(t *testing.T) {
	in(t, Options{FirstToken: 2 * time.Second}, func(t *testing.T, w *talk) {
		w.srv.mute.Store(true)
		w.ask("a1", user("m1", "one"))
		p := <-w.srv.peers
		p.answer("first")
		w.ended("a1", chat.StateCompleted)
		p.HangUp()

		start := time.Now()
		w.ask("a2", user("m1", "one"), user("m2", "two"))
		if _, end := w.ended("a2", chat.StateFailed); end.Error.Code != chat.CodeProviderTimeout || time.Since(start) > 3*time.Second {
			t.Errorf("failed with %v after %v", end.Error, time.Since(start))
		}
	})
}

func TestUsageThatIsNone(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *talk) {
		w.ask("a1", user("m1", "one"))
		p := <-w.srv.peers
		p.Asked()
		p.Say("first")
		p.done("completed", map[string]any{"usage": map[string]any{"total_tokens": 1.5}})
		if text, _ := w.ended("a1", chat.StateCompleted); text != "first" {
			t.Errorf("got %q", text)
		}
	})
}

func TestCancelBeforeTheResponseExists(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *talk) {
		w.ask("a1", user("m1", "one"))
		p := <-w.srv.peers
		p.asked()
		w.in <- chat.Cancel{Answer: "a1"}
		w.ended("a1", chat.StateStopped)
		w.ask("a2", user("m1", "one"), user("m2", "two"))
		synctest.Wait()
		if len(p.in) > 0 {
			t.Errorf("the provider was sent %+v", <-p.in)
		}
		p.begin()
		if e := p.until("response.cancel"); e.ResponseID != "resp_1" {
			t.Errorf("cancelled %q", e.ResponseID)
		}
		p.Say("too late")
		synctest.Wait()
		if len(p.in) > 0 {
			t.Errorf("the provider was sent %+v", <-p.in)
		}
		p.Stop()
		p.answer("second")
		if text, _ := w.ended("a2", chat.StateCompleted); text != "second" {
			t.Errorf("answer is %q", text)
		}
	})
}

func TestCancelThatIsIgnoredCostsTheConnection(t *testing.T) {
	in(t, Options{Cancel: 2 * time.Second}, func(t *testing.T, w *talk) {
		w.ask("a1", user("m1", "one"))
		p := <-w.srv.peers
		p.Asked()
		p.Say("fir")
		<-w.out
		w.in <- chat.Cancel{Answer: "a1"}
		w.ended("a1", chat.StateStopped)
		start := time.Now()
		conversation := []chat.PromptMessage{user("m1", "one"), assistant("a1", "fir"), user("m2", "two")}
		w.ask("a2", conversation...)
		next := <-w.srv.peers
		p.Gone()
		if got := time.Since(start); got != 2*time.Second {
			t.Errorf("asked elsewhere after %v", got)
		}
		knows(t, next.answer("second"), conversation...)
		w.ended("a2", chat.StateCompleted)
	})
}

func TestErrorLeavesTheSessionOpen(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *talk) {
		w.ask("a1", user("m1", "one"))
		p := <-w.srv.peers
		p.Asked()
		p.send(map[string]any{"type": "error", "error": map[string]any{"message": "by the way"}})
		p.Say("first")
		p.Finish(chat.Usage{})
		w.ended("a1", chat.StateCompleted)

		w.ask("a2", user("m1", "one"), assistant("a1", "first"), user("m2", "two"))
		e := p.asked()
		p.send(map[string]any{"type": "error", "error": map[string]any{"message": "not today", "event_id": e.EventID}})
		if _, end := w.ended("a2", chat.StateFailed); !strings.Contains(end.Error.Message, "not today") {
			t.Errorf("failed with %v", end.Error)
		}
		w.ask("a3", user("m1", "one"), assistant("a1", "first"), user("m2", "two"))
		p.answer("third")
		w.ended("a3", chat.StateCompleted)
	})
}

// TestReasons checks what becomes of an answer by the reason for its end.
func TestReasons(t *testing.T) {
	for _, test := range []struct {
		status, reason string
		state          chat.State
		finish         chat.Finish
	}{
		{"completed", "", chat.StateCompleted, chat.FinishStop},
		{"incomplete", "max_output_tokens", chat.StateCompleted, chat.FinishLength},
		{"incomplete", "content_filter", chat.StateCompleted, chat.FinishFilter},
		{"incomplete", "weather", chat.StateFailed, ""},
		{"failed", "content_filter", chat.StateFailed, ""},
	} {
		t.Run(test.status+" "+test.reason, func(t *testing.T) {
			in(t, Options{}, func(t *testing.T, w *talk) {
				w.ask("a1", user("m1", "one"))
				p := <-w.srv.peers
				p.Asked()
				p.Say("first")
				p.done(test.status, map[string]any{"status_details": map[string]any{"reason": test.reason}})
				text, finish := "", chat.Finish("")
				for d := range w.out {
					text += d.Text
					if d.Finish != "" {
						finish = d.Finish
					}
					if d.Ended == nil {
						continue
					}
					if text != "first" || d.Ended.State != test.state || finish != test.finish {
						t.Errorf("got %q, %s because of %q, want %s because of %q", text, d.Ended.State, finish, test.state, test.finish)
					}
					if e := d.Ended.Error; e != nil && !strings.Contains(e.Message, test.reason) {
						t.Errorf("failed with %v", e)
					}
					return
				}
			})
		})
	}
}

// TestFormsOfErrors checks that the words of an error reach people in any form,
// and that it does not cost the connection.
func TestFormsOfErrors(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *talk) {
		var p *peer
		for i, form := range []string{`"overloaded"`, `{"message":"overloaded","code":503}`, `{"type":"overloaded","message":null}`, `{"message":"overloaded","event_id":{}}`} {
			id := chat.MessageID("a" + string(rune('1'+i)))
			w.ask(id, user("m1", "one"))
			if p == nil {
				p = <-w.srv.peers
			}
			p.Asked()
			p.Send(`{"type":"response.done","response":{"id":"` + p.response() + `","status":"failed","status_details":{"error":` + form + `}}}`)
			if _, end := w.ended(id, chat.StateFailed); !strings.Contains(end.Error.Message, "overloaded") {
				t.Errorf("%s: failed with %v", form, end.Error)
			}
		}
		if got := w.srv.dials.Load(); got != 1 {
			t.Errorf("%d connections", got)
		}
	})
}

// TestThought cuts the tags around a thought, and an emoji behind them.
func TestThought(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *talk) {
		w.ask("a1", user("m1", "one"))
		p := <-w.srv.peers
		p.Asked()
		for _, piece := range []string{"<thi", "nk>h", "m</think", ">\n\nfir", "st "} {
			p.Say(piece)
		}
		p.Send(`{"type":"response.output_text.delta","response_id":"` + p.response() + `","delta":"\ud83d"}`)
		p.Finish(chat.Usage{})
		text, thought := "", ""
		for d := range w.out {
			text, thought = text+d.Text, thought+d.Thought
			if d.Ended != nil {
				break
			}
		}
		if text != "first \ufffd" || thought != "hm" {
			t.Errorf("got text %q, thought %q", text, thought)
		}
	})
}

func TestSpeech(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *talk) {
		w.in <- chat.AudioAppend{Audio: "AAAA"}
		w.in <- chat.AudioCommit{MessageID: "s1"}
		w.ask("a1", user("s1", "")) // not written down yet
		p := <-w.srv.peers
		p.Committed()
		knows(t, p.answer("first"), user("", ""))
		w.ended("a1", chat.StateCompleted)
		p.send(map[string]any{
			"type": "conversation.item.input_audio_transcription.failed", "item_id": p.item,
			"error": map[string]any{"message": "mumbled, " + testKey},
		})
		d := <-w.out
		if d.Heard == nil || d.Heard.MessageID != "s1" || d.Heard.Error == nil || strings.Contains(d.Heard.Error.Message, testKey) {
			t.Errorf("got %+v", d)
		}

		w.in <- chat.AudioCommit{MessageID: "s2"}
		p.Committed()
		p.send(map[string]any{"type": "conversation.item.input_audio_transcription.completed", "item_id": p.item, "transcript": "yes"})
		if d := <-w.out; d.Heard == nil || d.Heard.Text != "yes" || d.Heard.MessageID != "s2" {
			t.Errorf("got %+v", d)
		}
	})
}

func TestSpeechGoesWithTheConnection(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *talk) {
		deaf := func(id chat.MessageID) {
			t.Helper()
			if d := <-w.out; d.Heard == nil || d.Heard.MessageID != id || d.Heard.Error == nil {
				t.Errorf("got %+v, want that %s was not heard", d, id)
			}
		}
		w.in <- chat.AudioAppend{Audio: "AAAA"}
		w.in <- chat.AudioCommit{MessageID: "s1"}
		p := <-w.srv.peers
		p.Committed()
		w.in <- chat.AudioAppend{Audio: "BBBB"}
		synctest.Wait()
		p.HangUp()
		deaf("s1")
		p = <-w.srv.peers
		w.in <- chat.AudioAppend{Audio: "CCCC"} // the rest of what was lost
		w.in <- chat.AudioCommit{MessageID: "s2"}
		deaf("s2")
		w.ask("a1", user("s2", ""))
		w.ended("a1", chat.StateFailed)
		w.in <- chat.AudioAppend{Audio: "DDDD"}
		w.in <- chat.AudioCommit{MessageID: "s3"}
		if got := p.Committed(); got != "DDDD" {
			t.Errorf("heard %q", got)
		}
	})
}

func TestCommitThatIsRefused(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *talk) {
		w.ask("a1", user("m1", "one"))
		p := <-w.srv.peers
		p.answer("first")
		w.ended("a1", chat.StateCompleted)
		w.in <- chat.AudioCommit{MessageID: "s1"}
		var e clientEvent
		for e = range p.in {
			if e.Type == "input_audio_buffer.commit" {
				break
			}
		}
		p.send(map[string]any{"type": "error", "error": map[string]any{
			"code": "input_audio_buffer_commit_empty", "message": "the buffer is too small", "event_id": e.EventID,
		}})
		if d := <-w.out; d.Heard == nil || d.Heard.Error == nil || !strings.Contains(d.Heard.Error.Message, "too small") {
			t.Errorf("got %+v", d)
		}
	})
}

// A consumer that does not take anything costs audio, and not the connection.
func TestSlowConsumer(t *testing.T) {
	const buffer = 1000
	synctest.Test(t, func(t *testing.T) {
		w := &talk{t: t, srv: newServer(t), in: make(chan chat.Input), out: make(chan chat.Delta)}
		c := w.srv.client(Options{MaxBuffer: buffer})
		go func() {
			defer close(w.out)
			for d := range c.Stream(t.Context(), chat.Prompt{Model: "m1", Input: w.in}) {
				select {
				case w.out <- d:
				case <-t.Context().Done():
					return
				}
			}
		}()
		w.ask("a1", user("m1", "one"))
		p := <-w.srv.peers
		pongs := 0
		p.ws.SetPongHandler(func(string) error { pongs++; return nil })
		p.Asked()
		for range 10 {
			p.Speak(strings.Repeat("A", buffer/4), "word ")
			p.ws.WriteControl(9, nil, time.Now().Add(time.Second))
		}
		p.Finish(chat.Usage{})
		synctest.Wait()
		if pongs != 10 {
			t.Errorf("%d of 10 pings were answered", pongs)
		}
		text, audio := "", 0
		for d := range w.out {
			text, audio = text+d.Text, audio+len(d.Audio)
			if d.Ended != nil {
				if d.Ended.State != chat.StateCompleted {
					t.Errorf("ended %+v", d.Ended)
				}
				break
			}
		}
		if text != strings.Repeat("word ", 10) || audio > buffer || audio < buffer/2 {
			t.Errorf("got %q and %d bytes of audio", text, audio)
		}

		w.ask("a2", user("m1", "one"), assistant("a1", text), user("m2", "two"))
		p.Asked()
		for range 5 {
			p.Say(strings.Repeat("B", buffer/4))
		}
		p.Cancelled()
		if _, end := w.ended("a2", chat.StateFailed); end.Error.Message != errSlow.Err.Message {
			t.Errorf("failed with %v", end.Error)
		}
	})
}

func TestDeadConnectionIsNoticed(t *testing.T) {
	in(t, Options{Heartbeat: 10 * time.Second, Retries: 1, Backoff: time.Second}, func(t *testing.T, w *talk) {
		w.ask("a1", user("m1", "one"))
		p := <-w.srv.peers
		p.answer("first")
		w.ended("a1", chat.StateCompleted)
		time.Sleep(30 * time.Minute)
		w.noPeer() // pongs keep it
		p.deaf.Store(true)
		start := time.Now()
		<-w.srv.peers
		if got := time.Since(start); got > 32*time.Second {
			t.Errorf("replaced after %v", got)
		}
	})
}

func TestReadLimit(t *testing.T) {
	in(t, Options{MaxEvent: 1000}, func(t *testing.T, w *talk) {
		w.ask("a1", user("m1", "one"))
		p := <-w.srv.peers
		p.Asked()
		p.Say(strings.Repeat("A", 2000))
		if _, end := w.ended("a1", chat.StateFailed); !strings.Contains(end.Error.Message, "too long") {
			t.Errorf("failed with %v", end.Error)
		}
	})
}

func TestConnectLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t)
		c := srv.client(Options{Connect: 2 * time.Second, Retries: -1})
		c.dialer.NetDialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		start := time.Now()
		var err error
		for _, err = range c.Stream(t.Context(), chat.Prompt{Model: "m1", Messages: []chat.PromptMessage{user("m1", "one")}}) {
		}
		if e := chat.AsError(err); e == nil || e.Code != chat.CodeProviderTimeout || time.Since(start) != 2*time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

func TestOneAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t)
		c := srv.client(Options{})
		go func() {
			p := <-srv.peers
			if got := p.until("session.update").Session.Modalities; len(got) != 1 || got[0] != written {
				t.Errorf("modalities are %v", got)
			}
			p.Asked()
			p.Say("fir")
			p.Say("st")
			p.Finish(chat.Usage{PromptTokens: 1, CompletionTokens: 2, TotalTokens: 3})
		}()
		o := providertest.Collect(t, c.Stream(t.Context(), chat.Prompt{Model: "m1", Messages: []chat.PromptMessage{user("m1", "one")}}))
		o.Check(t, "first", "", "")
		if o.Usage == nil || o.Usage.TotalTokens != 3 {
			t.Errorf("usage is %+v", o.Usage)
		}
	})
}

func TestNew(t *testing.T) {
	for _, base := range []string{"x", "ftp://h", "http://u:p@h", "http://h/#f"} {
		if _, err := New(base, "", Options{}); !errors.Is(err, upstream.ErrBaseURL) {
			t.Errorf("New(%q): %v", base, err)
		}
	}
	if _, err := New("", "a\nb", Options{}); err != upstream.ErrKey {
		t.Errorf("New with a bad key: %v", err)
	}
}
