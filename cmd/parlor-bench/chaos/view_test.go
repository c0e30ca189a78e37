package chaos

import (
	"strings"
	"testing"

	"parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// A told is one step of telling a view something, by default of a room with two records.
type told func(v *view) error

func say(seq uint64, answered bool) told {
	return func(v *view) error {
		m := chat.Message{ID: "m", Seq: seq, Role: chat.RoleUser, State: chat.StateCompleted}
		return v.message(m, answered, 0)
	}
}

func turn(seq uint64, state chat.State) told {
	return func(v *view) error { return v.turn("t", state, seq, false) }
}

// lostCall is the first step of a record of what becomes of a call.
func lostCall(seq uint64) told {
	return func(v *view) error { return v.step(seq, 0, 2) }
}

func start(seq uint64) told { return begin(seq, 1) }

func begin(seq uint64, attempt int) told {
	return func(v *view) error { return v.streamStart("a", attempt, seq, 0) }
}

func piece(offset int, text string) told {
	return func(v *view) error { return v.chunk("a", offset, text, false) }
}

func recorded(seq uint64, state chat.State, text string) told {
	return func(v *view) error {
		return v.message(chat.Message{ID: "a", Seq: seq, Role: chat.RoleAssistant, State: state, Content: text}, false, 0)
	}
}

func end(seq uint64) told { return func(v *view) error { return v.step(seq, 1, 3) } }

func acked(seq uint64) told {
	return func(v *view) error { v.acknowledged(&send{seq: seq}); return nil }
}

func resumed(seq uint64) told {
	return func(v *view) error { return v.resume(assistant.RoomJoined{Seq: seq, Epoch: "e"}) }
}

func recovered(v *view) error { v.recover(); return nil }

// A view takes what a room may tell, and nothing else.
func TestView(t *testing.T) {
	whole := []told{turn(3, chat.StateRunning), start(3), piece(0, "hi "), piece(3, "you")}
	ends := func(text string) []told {
		return []told{recorded(4, chat.StateCompleted, text), end(4), turn(4, chat.StateCompleted)}
	}
	for _, test := range []struct {
		name  string
		told  []told
		error string // of the last step
	}{
		{"a message and its turn", []told{say(3, false), turn(4, chat.StateQueued)}, ""},
		{"a gap", []told{say(4, false)}, "step 1 of record 4 was told after step 0 of record 3"},
		{"the same again", []told{say(3, false), say(3, false)}, "step 1 of record 3"},
		{"the own message", []told{say(3, true)}, "its own message"},
		{"an acknowledgement", []told{acked(3), turn(4, chat.StateQueued)}, ""},
		{"a call that the end of the server cut, and a decision", []told{lostCall(3), turn(3, chat.StateWaiting), lostCall(4), turn(4, chat.StateRunning)}, ""},
		{"a decision that a start follows", []told{lostCall(3), turn(3, chat.StateRunning), start(4)}, "step 2 of record 4"},
		{"an acknowledgement ahead", []told{acked(4), say(3, false), turn(5, chat.StateQueued)}, ""},
		{"an own message of another socket, and its acknowledgement", []told{say(3, false), acked(3), turn(4, chat.StateQueued)}, ""},
		{"the same the other way round", []told{acked(3), say(3, false), turn(4, chat.StateQueued)}, ""},
		{"that twice", []told{acked(3), say(3, false), say(3, false)}, "step 1 of record 3"},
		{"half a record", []told{turn(3, chat.StateRunning), say(4, false)}, "step 1 of record 4 was told after step 1 of record 3"},
		{"half a record, the rest after a recovery", []told{turn(3, chat.StateRunning), recovered, start(3), say(4, false)}, ""},
		{"half a record, all of it after a resume", []told{turn(3, chat.StateRunning), resumed(9), turn(3, chat.StateRunning), start(3)}, ""},
		{"half a record, the rest after a resume", []told{turn(3, chat.StateRunning), resumed(9), start(3)}, "step 2 of record 3"},
		{"a resume of fewer records", []told{say(3, false), resumed(2)}, "has 2 records, and 3 were told"},
		{"an acknowledgement, then the message again by a resume", []told{acked(4), resumed(9), say(3, false), say(4, true), turn(5, chat.StateQueued)}, ""},
		{"an acknowledgement, and a resume that is cut and recovered", []told{acked(4), resumed(9), say(3, false), recovered, turn(5, chat.StateQueued)}, ""},
		{"the own message after a resume", []told{resumed(2), say(3, true)}, "its own message"},
		{"an answer", append(whole, ends("hi you")...), ""},
		{"an answer that lacks its end", append(whole, turn(4, chat.StateCompleted)), "step 3 of record 4"},
		{"another answer than the streamed one", append(whole, ends("hi we")[0]), `streamed as "hi you"`},
		{"a piece that is missing", append(whole, piece(9, "!")), "offset 9 behind 6"},
		{"a piece that comes twice", append(whole, piece(3, "you")), "offset 3 behind 6"},
		{"a piece that comes twice after a return", append(whole, recovered, piece(3, "you")), "offset 3 behind 6"},
		{"the text so far after a return", append(whole, append([]told{recovered, piece(0, "hi you!")}, ends("hi you!")...)...), ""},
		{"saved text of a first attempt", []told{turn(3, chat.StateRunning), begin(3, 2), recorded(4, chat.StateStopped, "hi")}, ""},
		{"text that was never streamed", []told{turn(3, chat.StateRunning), start(3), recorded(4, chat.StateStopped, "hi")}, `streamed as ""`},
		{"the end after a return", append(whole, append([]told{recovered}, ends("hi you!")...)...), ""},
		{"another end after a return", append(whole, recovered, ends("hi we!")[0]), `streamed as "hi you"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := newView("r")
			v.enter(assistant.RoomJoined{Seq: 2, Epoch: "e"}, 0)
			for i, tell := range test.told {
				err := tell(v)
				switch last := i == len(test.told)-1; {
				case err == nil && last && test.error != "":
					t.Errorf("step %d: no error, want %q", i, test.error)
				case err != nil && (!last || test.error == "" || !strings.Contains(err.Error(), test.error)):
					t.Fatalf("step %d: got error %q, want %q", i, err, test.error)
				}
			}
		})
	}
}

// Two visitors cannot be told different things of one record.
func TestChronicle(t *testing.T) {
	c := newChronicle()
	tell := func(f fact) bool { return c.tell("r", 3, f) == nil }
	if !tell(fact{kind: started, turn: "t"}) || !tell(fact{kind: started, message: "m", attempt: 1}) {
		t.Error("two parts of a fact contradict each other")
	}
	for _, f := range []fact{
		{kind: said}, {kind: started, turn: "u"}, {kind: started, message: "n"}, {kind: started, attempt: 2},
	} {
		if tell(f) {
			t.Errorf("%v does not contradict %v", f, c.of("r")[3])
		}
	}
}
