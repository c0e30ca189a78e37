package voice_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
)

// The people of the tests, speaking to a model: as the room has them do.
func (r *room) append(by chat.UserID, model chat.ModelID, audio string) (refusal *chat.Error) {
	r.do(func() { refusal = r.voice.Append(by, model, audio) })
	return refusal
}

func (r *room) clear(by chat.UserID, model chat.ModelID) (refusal *chat.Error) {
	r.do(func() { refusal = r.voice.Clear(by, model) })
	return refusal
}

func (r *room) commit(by chat.UserID, model chat.ModelID, id chat.MessageID) (refusal *chat.Error) {
	r.do(func() { refusal = r.voice.Commit(chat.User{ID: by, Name: "name", Email: "secret"}, model, id, 7) })
	return refusal
}

// recorded returns what the speech becomes, or nil as long as it is not understood.
func (r *room) recorded(id chat.MessageID) (events []chat.Event) {
	r.do(func() {
		if s := r.voice.Find(id); s != nil {
			events = s.Intent.Events(&r.head)
		}
	})
	return events
}

func wantNotes(t *testing.T, e *ears, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, e.noted()); diff != "" {
		t.Errorf("the provider was told (-want +got):\n%s", diff)
	}
}

// wantSameNotes is wantNotes in any order.
func wantSameNotes(t *testing.T, e *ears, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, slices.Sorted(slices.Values(e.noted()))); diff != "" {
		t.Errorf("the provider was told (-want +got):\n%s", diff)
	}
}

func wantCode(t *testing.T, what string, refusal *chat.Error, want chat.Code) {
	t.Helper()
	var got chat.Code
	if refusal != nil {
		got = refusal.Code
	}
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// Speech becomes one message when it is understood, no longer than a message may be.
func TestSpeechBecomesAMessage(t *testing.T) {
	speaking(t, func(r *room, e *ears) {
		wantCode(t, "append", r.append("alice", "ear", "AAAA"), "")
		wantCode(t, "commit", r.commit("alice", "ear", "m"), "")
		wantNotes(t, e, "session with ear", "chat.AudioAppend", "chat.AudioCommit")
		if got := r.recorded("m"); got != nil {
			t.Errorf("recorded before it was understood: %+v", got)
		}
		e.say <- chat.Delta{Heard: &chat.Heard{MessageID: "other", Text: "of nobody"}}
		e.say <- chat.Delta{Heard: &chat.Heard{MessageID: "m", Text: "1234567é and more"}}
		e.say <- chat.Delta{Heard: &chat.Heard{MessageID: "m", Text: "again"}}
		want := []chat.Event{chat.MessageAdded{
			MessageID: "m", Author: chat.User{ID: "alice", Name: "name"}, Content: "1234567", ModelID: "ear", Duplex: true, Modality: chat.ModalityAudio,
		}}
		synctest.Wait()
		if diff := cmp.Diff(want, r.recorded("m")); diff != "" {
			t.Errorf("recorded (-want +got):\n%s", diff)
		}
		r.do(func() {
			if r.advanced != 1 {
				t.Errorf("the room looked %d times for what is to be recorded, want once", r.advanced)
			}
			r.voice.Recorded("m")
			if len(r.voice.Unheard()) != 0 {
				t.Error("it is kept when it was recorded")
			}
		})
	})
}

// Speech that is not understood in time, or never will be, is recorded without words.
func TestSpeechIsNotUnderstood(t *testing.T) {
	for name, test := range map[string]func(r *room, e *ears){
		"in time": func(*room, *ears) { time.Sleep(10 * time.Second) },
		"by the model": func(_ *room, e *ears) {
			e.say <- chat.Delta{Heard: &chat.Heard{MessageID: "m", Error: chat.Refuse(chat.CodeProviderError, "?")}}
		},
		"as the session ends": func(_ *room, e *ears) { e.fail <- errors.New("reset by peer") },
		"as another model is asked": func(r *room, e *ears) {
			r.do(func() { r.voice.LineTo("ear-2") })
		},
	} {
		t.Run(name, func(t *testing.T) {
			speaking(t, func(r *room, e *ears) {
				r.commit("alice", "ear", "m")
				test(r, e)
				synctest.Wait()
				got := r.recorded("m")
				if len(got) != 1 || got[0].(chat.MessageAdded).Content != "" {
					t.Errorf("recorded %+v", got)
				}
			})
		})
	}
}

// One speaks at a time, and has not finished before a pause.
func TestSpeakers(t *testing.T) {
	speaking(t, func(r *room, e *ears) {
		r.append("alice", "ear", "AAAA")
		wantCode(t, "over somebody", r.append("bob", "ear", "AAAA"), chat.CodeBusy)
		wantCode(t, "clear what somebody says", r.clear("bob", "ear"), chat.CodeBusy)
		wantCode(t, "commit what somebody says", r.commit("bob", "ear", "m"), chat.CodeBusy)
		time.Sleep(2 * time.Second)
		wantCode(t, "go on", r.append("alice", "ear", "AAAA"), "")
		time.Sleep(2999 * time.Millisecond)
		wantCode(t, "before the pause is over", r.append("bob", "ear", "AAAA"), chat.CodeBusy)
		time.Sleep(time.Millisecond)
		e.noted()
		wantCode(t, "behind the pause", r.append("bob", "ear", "AAAA"), "")
		wantNotes(t, e, "chat.AudioClear", "chat.AudioAppend") // what alice has not finished is forgotten
		wantCode(t, "finish", r.commit("bob", "ear", "m"), "")
		wantCode(t, "behind somebody who has finished", r.append("alice", "ear", "AAAA"), "")
	})
}

func TestSpeechIsRefused(t *testing.T) {
	speaking(t, func(r *room, e *ears) {
		wantCode(t, "to a model that reads", r.append("alice", "eye", "AAAA"), chat.CodeInvalid)
		wantCode(t, "too long a piece", r.append("alice", "ear", "AAAAAAAAAAAA"), chat.CodeTooLarge)
		wantCode(t, "one", r.commit("alice", "ear", "1"), "")
		wantCode(t, "two", r.commit("alice", "ear", "2"), "")
		wantCode(t, "too many that wait to be understood", r.commit("alice", "ear", "3"), chat.CodeBusy)
		wantNotes(t, e, "session with ear", "chat.AudioCommit", "chat.AudioCommit")
	})
}

// A session that takes in nothing is not fed for ever: speech is refused while there
// is room for what must not be lost, and when there is none the session is ended.
func TestDeafSession(t *testing.T) {
	speaking(t, func(r *room, e *ears) {
		e.deaf = true
		n := 0
		for r.append("alice", "ear", "AAAA") == nil {
			n++
		}
		if n != 48 {
			t.Errorf("%d pieces were taken, want 48", n)
		}
		r.do(func() {
			line := r.voice.LineTo("ear")
			for range 16 {
				line.Cancel("answer")
			}
		})
		wantNotes(t, e, "session with ear")
		r.do(func() { r.voice.LineTo("ear").Ask("answer", chat.Prompt{}) })
		wantNotes(t, e, "end of a session with ear")
		r.do(func() {
			if got := r.voice.Model(); got != "" {
				t.Errorf("there is a line to %q", got)
			}
		})
	})
}

// A session ends when nobody has used it for a while.
func TestIdleLine(t *testing.T) {
	speaking(t, func(r *room, e *ears) {
		r.append("alice", "ear", "AAAA")
		time.Sleep(59 * time.Second)
		r.clear("alice", "ear")
		time.Sleep(59 * time.Second)
		e.say <- chat.Delta{Answer: "of old", Text: "words"} // it speaks, which is use too
		time.Sleep(59 * time.Second)
		wantNotes(t, e, "session with ear", "chat.AudioAppend", "chat.AudioClear")
		time.Sleep(2 * time.Second)
		wantNotes(t, e, "end of a session with ear")
		wantCode(t, "speak again", r.append("bob", "ear", "AAAA"), "") // alice had not finished, on a line that is gone
		wantNotes(t, e, "session with ear", "chat.AudioAppend")
	})
}

// A session that was replaced is not heard any more.
func TestLineIsReplaced(t *testing.T) {
	speaking(t, func(r *room, e *ears) {
		r.commit("alice", "ear", "m")
		wantNotes(t, e, "session with ear", "chat.AudioCommit")
		r.do(func() { r.voice.LineTo("ear-2") })
		wantSameNotes(t, e, "end of a session with ear", "session with ear-2") // neither waits for the other
		r.do(func() {
			if r.voice.Model() != "ear-2" || r.voice.LineTo("eye") != nil || r.voice.Model() != "ear-2" {
				t.Errorf("there is a line to %q", r.voice.Model())
			}
		})
	})
}

// Last is what may be answered next: the newest speech behind the last message that
// is not on its way to the disk.
func TestLast(t *testing.T) {
	speaking(t, func(r *room, e *ears) {
		last := func(seq uint64, generation int) (id chat.MessageID) {
			r.do(func() {
				if s := r.voice.Last(seq, generation); s != nil {
					id = s.ID
				}
			})
			return id
		}
		if got := last(0, 1); got != "" {
			t.Errorf("got %q where nobody has spoken", got)
		}
		r.commit("alice", "ear", "1") // behind record 7
		r.commit("alice", "ear", "2")
		for _, test := range []struct {
			seq        uint64
			generation int
			want       chat.MessageID
		}{{7, 1, "2"}, {8, 1, ""}} {
			if got := last(test.seq, test.generation); got != test.want {
				t.Errorf("behind record %d: got %q, want %q", test.seq, got, test.want)
			}
		}
		e.say <- chat.Delta{Heard: &chat.Heard{MessageID: "2", Text: "two"}}
		synctest.Wait()
		r.do(func() { r.voice.Find("2").Intent.Propose(&r.head, 1) })
		if got := last(7, 1); got != "1" {
			t.Errorf("while 2 is on its way: got %q", got)
		}
		if got := last(7, 2); got != "2" {
			t.Errorf("when that has failed: got %q", got)
		}
	})
}
