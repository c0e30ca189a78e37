package aisdk

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"parlor/protocol/chat"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var (
	at   = time.UnixMilli(1_700_000_000_123)
	turn = chat.Turn{ID: "turn", Prompt: "question", PromptSeq: 4, ModelID: "model", By: "alice", MessageID: "answer", Attempt: 1}

	said    = record(4, chat.MessageAdded{MessageID: "question", Author: chat.User{ID: "alice"}, Content: "hi", ClientID: "a1"})
	queued  = record(5, chat.TurnQueued{TurnID: "turn", Prompt: "question", PromptSeq: 4, ModelID: "model", By: "alice"})
	started = record(6, chat.TurnStarted{TurnID: "turn", MessageID: "answer", ModelID: "model", Name: "ada", Attempt: 1})
	again   = record(7, chat.TurnStarted{TurnID: "turn", MessageID: "answer", ModelID: "model", Name: "ada", Attempt: 2})
)

func record(seq uint64, e chat.Event) chat.Record { return chat.Record{Seq: seq, At: at, Event: e} }

func ended(state chat.State, text string, change ...func(*chat.TurnEnded)) chat.Record {
	e := chat.TurnEnded{TurnID: "turn", MessageID: "answer", Prompt: "question", PromptSeq: 4, ModelID: "model", Name: "ada", State: state, Content: text}
	for _, c := range change {
		c(&e)
	}
	return record(9, e)
}

func text(before, piece string) chat.Notice {
	return chat.Text{Turn: turn, Before: []byte(before), Piece: piece}
}

func thought(before, piece string) chat.Notice {
	return chat.Thought{Turn: turn, Before: []byte(before), Piece: piece}
}

// Calls of tools in the turn become parts of the answer.
var (
	calls     = record(7, chat.ToolsCalled{TurnID: "turn", MessageID: "answer", Content: "Look.", Calls: []chat.ToolCall{{ID: "c1", Name: "look", Arguments: `{"a":1}`}, {ID: "c2", Name: "pay", Arguments: `{"sum":`, NeedsApproval: true}}})
	looked    = record(8, chat.ToolEnded{TurnID: "turn", CallID: "c1", Name: "look", State: chat.ToolCompleted, Result: "seen"})
	approved  = record(9, chat.ToolDecided{TurnID: "turn", CallID: "c2", Approved: true, Args: `{"sum":2}`, By: "bob"})
	paid      = record(10, chat.ToolEnded{TurnID: "turn", CallID: "c2", Name: "pay", State: chat.ToolFailed, Result: "no money"})
	denied    = record(10, chat.ToolEnded{TurnID: "turn", CallID: "c2", Name: "pay", State: chat.ToolDenied, Result: "a person has denied this call"})
	lost      = record(8, chat.ToolsLost{TurnID: "turn", Calls: []string{"c1"}})
	afterward = ended("completed", "Look.\n\nDone.", func(e *chat.TurnEnded) { e.Steps, e.Thought = 1, "Hm" })
	afterText = chat.Text{Turn: turn, Before: []byte("Look."), Piece: "\n\nDone."}
)

// missed returns the records as those that a follower has missed, behind how the room stands.
func missed(records ...chat.Notice) []chat.Notice {
	all := []chat.Notice{chat.Entered{Seq: records[len(records)-1].(chat.Record).Seq}}
	for _, r := range records {
		all = append(all, chat.Missed{Record: r.(chat.Record)})
	}
	return all
}

// scenes are what a room tells to the stream of one answer.
var scenes = []struct {
	name    string
	notices []chat.Notice
	want    State
}{
	{"an answer", []chat.Notice{said, queued, started, text("", "<Hel"), text("<Hel", "lo> 😀"), ended("completed", "<Hello> 😀", func(e *chat.TurnEnded) {
		e.Finish, e.Usage = chat.FinishStop, &chat.Usage{PromptTokens: 3, CompletionTokens: 2, TotalTokens: 5}
	})}, Over},
	{"an answer that was thought about", []chat.Notice{said, queued, started, thought("", "Hm"), thought("Hm", "m."), text("", "Yes."), ended("completed", "Yes.", func(e *chat.TurnEnded) { e.Thought = "Hmm." })}, Over},
	{"an answer of which the beginning was missed", []chat.Notice{chat.Missed{Record: said}, chat.Missed{Record: queued}, chat.Missed{Record: started},
		chat.TextSoFar{Turn: turn, Text: "Hello", Thought: "Hm"}, text("Hello", " world"), ended("completed", "Hello world", func(e *chat.TurnEnded) { e.Thought = "Hm" })}, Over},
	{"an answer that was missed as a whole", []chat.Notice{chat.Missed{Record: said}, chat.Missed{Record: queued}, chat.Missed{Record: started}, chat.Missed{Record: ended("completed", "Hello", func(e *chat.TurnEnded) { e.Thought = "Hm" })}}, Over},
	{"an answer after a crash", []chat.Notice{chat.Missed{Record: said}, chat.Missed{Record: queued}, chat.Missed{Record: started}, chat.Missed{Record: again}, text("", "an older attempt"),
		chat.Text{Turn: chat.Turn{ID: "turn", MessageID: "answer", Attempt: 2}, Piece: "Anew"}, ended("completed", "Anew")}, Over},
	{"an answer that a crash has cut", []chat.Notice{chat.Missed{Record: said}, chat.Missed{Record: queued}, chat.Missed{Record: started}, chat.TextSoFar{Turn: turn, Text: "Hel", Cut: true},
		again, chat.Text{Turn: chat.Turn{ID: "turn", MessageID: "answer", Attempt: 2}, Piece: "Anew"}, ended("completed", "Anew")}, Over},
	{"another attempt in the middle", []chat.Notice{said, queued, started, text("", "Hel"), again}, Wrong},
	{"another text at the end", []chat.Notice{said, queued, started, text("", "Hel"), ended("completed", "Held")}, Over},
	{"a text that was taken back", []chat.Notice{said, queued, started, text("", "Hel"), ended("completed", "Hal")}, Wrong},
	{"an answer that is stopped", []chat.Notice{said, queued, started, text("", "Hel"), ended("stopped", "Hel", func(e *chat.TurnEnded) { e.By, e.Reason = "bob", "enough" })}, Over},
	{"a turn that is stopped while it waits", []chat.Notice{said, queued, ended("stopped", "", func(e *chat.TurnEnded) { e.MessageID, e.By = "", "bob" })}, Over},
	{"an answer that fails", []chat.Notice{said, queued, started, text("", "Hel"), ended("failed", "Hel", func(e *chat.TurnEnded) { e.Error = chat.Refuse(chat.CodeProviderError, "the provider is out of order") })}, Over},
	{"an answer that was interrupted", []chat.Notice{said, queued, started, ended("interrupted", "Hel", func(e *chat.TurnEnded) { e.Reason = "the server was restarted too often" })}, Over},
	{"a turn that fails before it starts", []chat.Notice{said, queued, ended("failed", "", func(e *chat.TurnEnded) {
		e.MessageID, e.Error = "", chat.Refuse(chat.CodeBudgetExceeded, "no tokens are left")
	})}, Over},
	{"a tool of the provider", []chat.Notice{said, queued, started, text("", "Let me look."),
		record(7, chat.ToolStarted{TurnID: "turn", MessageID: "answer", Tool: chat.ToolCall{ID: "c1", Name: "search"}}), text("Let me look.", "Found."), ended("completed", "Let me look.Found.")}, Over},
	{"a call waits for approval", []chat.Notice{said, queued, started, text("", "Look."), calls, looked}, Over},
	{"a call that shows progress", []chat.Notice{said, queued, started, text("", "Look."), calls,
		chat.ToolNews{MessageID: "answer", CallID: "c1", Name: "look", ToolProgress: chat.ToolProgress{Progress: 1, Total: 3, Message: "still"}},
		chat.ToolNews{MessageID: "another", CallID: "other"}, looked}, Over},
	{"a call that waited and was denied", append(missed(said, queued, started, calls, looked, denied), afterText, afterward), Over},
	{"a call that waits since long ago", append(missed(said, queued, started, calls, looked, again), chat.TextSoFar{Turn: turn, Text: "Look."}), Over},
	{"a call that was approved with other arguments", append(missed(said, queued, started, calls, looked, again, approved, paid), chat.TextSoFar{Turn: turn}, afterText, afterward), Over},
	{"a call that the end of the server has cut", missed(said, queued, started, calls, lost), Over},
	{"two steps", []chat.Notice{said, queued, started, thought("", "Hm"), record(7, chat.ToolsCalled{TurnID: "turn", Calls: []chat.ToolCall{{ID: "c1", Name: "look"}}}), looked,
		record(8, chat.ToolsCalled{TurnID: "turn", Calls: []chat.ToolCall{{ID: "c3", Name: "look"}}}), record(8, chat.ToolEnded{CallID: "c3", State: chat.ToolStopped, Result: "stopped"}), text("", "Done."), ended("completed", "Done.", func(e *chat.TurnEnded) { e.Thought = "Hm" })}, Over},
	{"a provider that has trouble", []chat.Notice{said, queued, started,
		chat.Progress{MessageID: "answer", Retrying: chat.Refuse(chat.CodeProviderError, "busy"), Model: "other", Health: &chat.Health{Provider: "p", State: chat.ProviderOpen, RetryAt: at}},
		chat.Progress{MessageID: "another", Model: "other"}, text("", "Yes"), ended("completed", "Yes")}, Over},
	{"a message that wants no answer", []chat.Notice{record(4, chat.MessageAdded{MessageID: "question", Unasked: true}), queued}, Over},
	{"a message that the running turn takes in", []chat.Notice{record(4, chat.MessageAdded{MessageID: "question", Steers: "other"}), text("", "not ours"),
		record(5, chat.TurnSteered{TurnID: "other", Messages: []chat.MessageID{"before", "question"}})}, Over},
	{"a message that the running turn does not take in", []chat.Notice{record(4, chat.MessageAdded{MessageID: "question", Steers: "other"}),
		record(5, chat.TurnEnded{TurnID: "other", MessageID: "m", State: chat.StateStopped}),
		record(6, chat.TurnQueued{TurnID: "turn", Prompt: "another that came later", PromptSeq: 5}), started, text("", "Both"), ended("completed", "Both")}, Over},
	{"two models answer", []chat.Notice{said, queued, record(6, chat.TurnQueued{TurnID: "second", Prompt: "question"}), started, text("", "I do"), ended("completed", "I do"),
		record(9, chat.TurnStarted{TurnID: "second", MessageID: "answer 2", Attempt: 1})}, Over},
	{"the chat is renamed meanwhile", []chat.Notice{said, queued, started, record(7, chat.Configured{Settings: chat.Settings{Title: "A title"}}), ended("completed", "Yes")}, Over},
	{"the chat is deleted", []chat.Notice{said, queued, started, text("", "Hel"), chat.Removal{}}, Over},
	{"the room fails", []chat.Notice{said, queued, started, text("", "Hel"), chat.Failure{Error: chat.Refuse(chat.CodeQuarantined, "the room has failed too often")}}, Over},
	{"others talk", []chat.Notice{said, queued, started, record(7, chat.MessageAdded{MessageID: "other", Content: "hello"}), record(8, chat.TurnQueued{TurnID: "other", Prompt: "other"}),
		chat.Text{Turn: chat.Turn{ID: "other", MessageID: "x", Attempt: 1}, Piece: "not ours"}, chat.Speech{}, chat.Presence{}, chat.TextSoFar{Turn: chat.Turn{ID: "other"}, Text: "no"}}, Going},
}

func TestGoldenAnswers(t *testing.T) {
	var got strings.Builder
	for _, scene := range scenes {
		fmt.Fprintf(&got, "-- %s --\n", scene.name)
		a := AnswerTo("question")
		for _, n := range scene.notices {
			for _, p := range a.Tell(n) {
				fmt.Fprintf(&got, "%s\n", p)
			}
		}
		if a.State() != scene.want {
			t.Errorf("%s: the stream is %d, want %d", scene.name, a.State(), scene.want)
		}
	}
	golden(t, "testdata/answers.txt", got.String())
}

// A client that has decided is told what is new to it, and one of version 5 nothing that it
// does not know.
func TestGoldenGoingOn(t *testing.T) {
	has := map[string]Known{"c1": {State: "output-available"}, "c2": {State: "approval-responded"}}
	called := chat.Message{ID: "answer", Role: chat.RoleAssistant, Prompt: "question", Content: "Look.\n\nDone.", Thought: "Hm", State: chat.StateCompleted, Calls: []chat.Called{
		{ID: "c1", Name: "look", Arguments: "{}", State: chat.ToolCompleted, Result: "seen", At: 5}, {ID: "c2", Name: "pay", Arguments: "{}", State: chat.ToolDenied, Result: "no", At: 5},
	}}
	var got strings.Builder
	write := func(title string, parts ...[]Part) {
		fmt.Fprintf(&got, "-- %s --\n", title)
		for _, p := range slices.Concat(parts...) {
			fmt.Fprintf(&got, "%s\n", p)
		}
	}
	tell := func(a *Answer, notices ...chat.Notice) (all []Part) {
		for _, n := range notices {
			all = append(all, a.Tell(n)...)
		}
		return all
	}
	goOn := func(known map[string]Known, notices ...chat.Notice) []Part {
		a := AnswerOf(turn)
		a.GoOn(known)
		return tell(a, notices...)
	}
	write("approved", goOn(has, append(missed(said, queued, started, calls, looked, approved), chat.TextSoFar{Turn: turn, Text: "Look.", Thought: "Hm"}, paid, afterText, afterward)...))
	write("approved, and ended since", goOn(has, missed(said, queued, started, calls, looked, approved, paid, afterward)...))
	write("not the one that waits", goOn(map[string]Known{"c1": {State: "output-available"}, "c2": {State: "approval-requested"}}, missed(said, queued, started, calls, looked)...))
	write("ended long since", Whole(called, has, false))
	write("all of it", Whole(called, nil, false))
	old := AnswerTo("question")
	old.Old()
	write("version 5", tell(old, said, queued, started, text("", "Look."), calls, looked, approved, denied, afterText, afterward), Whole(called, nil, true))
	golden(t, "testdata/goingon.txt", got.String())
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-file +got):\n%s", file, diff)
	}
}

// A client does with parts what useChat does, and fails where that would.
type client struct {
	t        interface{ Fatalf(string, ...any) }
	message  string
	text     map[string]string // by kind
	open     map[string]string // kind by id
	tools    map[string]bool
	finished bool
}

func newClient(t interface{ Fatalf(string, ...any) }) *client {
	return &client{t: t, text: map[string]string{}, open: map[string]string{}, tools: map[string]bool{}}
}

func (c *client) take(raw Part) {
	var p struct {
		Type, ID, Delta  string
		Message          string         `json:"messageId"`
		Metadata         map[string]any `json:"messageMetadata"`
		Call             string         `json:"toolCallId"`
		Error            string         `json:"errorText"`
		Dynamic          bool
		Transient        bool
		FinishReason     string
		InputTextDelta   *string
		ProviderExecuted bool
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		c.t.Fatalf("%s: %v", raw, err)
	}
	if c.finished {
		c.t.Fatalf("%s after the end", raw)
	}
	kind, phase, _ := strings.Cut(p.Type, "-")
	switch {
	case p.Type == "start":
		if c.message != "" || p.Message == "" {
			c.t.Fatalf("%s starts a second message", raw)
		}
		c.message = p.Message
	case kind == "data":
		if !p.Transient {
			c.t.Fatalf("%s stays in the message", raw)
		}
	case p.Type == "start-step", p.Type == "finish-step", p.Type == "abort", p.Type == "message-metadata":
	case kind == "text" || kind == "reasoning":
		c.takeText(raw, kind, phase, p.ID, p.Delta)
	case p.Type == "tool-input-available" && p.Dynamic:
		c.tools[p.Call] = true
	case (p.Type == "tool-output-available" || p.Type == "tool-output-error") && p.Dynamic && c.tools[p.Call]:
		delete(c.tools, p.Call)
	case p.Type == "finish":
		c.finished = true
		if p.Metadata != nil && c.message == "" {
			c.t.Fatalf("%s shows a message that is none", raw)
		}
		if len(c.open)+len(c.tools) > 0 {
			c.t.Fatalf("%s, while %v and %v are open", raw, c.open, c.tools)
		}
	case p.Type == "error" && p.Error != "":
		c.finished = true
	default:
		c.t.Fatalf("%s is not for all versions", raw)
	}
}

func (c *client) takeText(raw Part, kind, phase, id, delta string) {
	switch phase {
	case "start":
		if c.message == "" || c.open[id] != "" {
			c.t.Fatalf("%s in no message, or twice", raw)
		}
		c.open[id] = kind
		return
	case "delta":
		c.text[kind] += delta
	}
	if c.open[id] != kind {
		c.t.Fatalf("%s without its start", raw)
	}
	if phase == "end" {
		delete(c.open, id)
	}
}

// For anything that a room tells, useChat gets parts that it understands, and the text that is
// recorded in the end, or the connection is reset.
func TestModelAnswers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, a := newClient(t), AnswerTo("question")
		tell := func(n chat.Notice) {
			for _, p := range a.Tell(n) {
				c.take(p)
			}
		}
		tell(said)
		tell(queued)
		now, told, thinks := turn, "", ""
		calls, steps := 0, "" // those that were made, and the text of the steps that have ended in them
		tell(started)
		for range rapid.IntRange(0, 20).Draw(t, "notices") {
			piece := rapid.StringN(0, 5, -1).Draw(t, "piece")
			if told == steps && piece != "" {
				piece = chat.Between(steps) + piece
			}
			switch rapid.IntRange(0, 11).Draw(t, "notice") {
			case 0, 1, 2:
				tell(chat.Text{Turn: now, Before: []byte(told), Piece: piece})
				told += piece
			case 3:
				tell(chat.Thought{Turn: now, Before: []byte(thinks), Piece: piece})
				thinks += piece
			case 4: // the follower has joined again
				told += piece
				tell(chat.TextSoFar{Turn: now, Text: told, Thought: thinks})
			case 5: // and is told what it knows
				tell(chat.Text{Turn: now, Before: nil, Piece: told})
			case 6:
				tell(record(7, chat.ToolStarted{TurnID: "turn", Tool: chat.ToolCall{ID: fmt.Sprint("c", len(c.tools)), Name: "n"}}))
			case 7:
				tell(chat.Progress{MessageID: "answer", Model: "other"})
			case 8:
				now.Attempt++
				told, thinks = steps, ""
				tell(record(7, chat.TurnStarted{TurnID: "turn", MessageID: "answer", Attempt: now.Attempt}))
				tell(chat.Text{Turn: now, Piece: steps})
			case 9:
				tell(record(8, chat.MessageAdded{MessageID: "other"}))
			case 10:
				tell(chat.TextSoFar{Turn: now, Text: told + "lost", Thought: thinks, Cut: true})
			case 11:
				calls++
				id := fmt.Sprint("call ", calls)
				said := strings.TrimPrefix(told[len(steps):], chat.Between(steps))
				tell(record(7, chat.ToolsCalled{TurnID: "turn", MessageID: "answer", Content: said, Calls: []chat.ToolCall{{ID: id, Name: "n"}}}))
				tell(record(7, chat.ToolEnded{TurnID: "turn", CallID: id, State: rapid.SampledFrom([]chat.ToolOutcome{chat.ToolCompleted, chat.ToolFailed}).Draw(t, "outcome")}))
				steps = told
			}
		}
		state := rapid.SampledFrom([]chat.State{chat.StateCompleted, chat.StateStopped, chat.StateFailed, chat.StateInterrupted}).Draw(t, "state")
		tell(ended(state, told, func(e *chat.TurnEnded) { e.Thought = thinks }))
		switch {
		case a.State() == Wrong:
			if c.finished {
				t.Fatal("a stream ended well, and wrong")
			}
		case !c.finished || c.text["text"] != told || !strings.HasSuffix(c.text["reasoning"], thinks) || calls == 0 && c.text["reasoning"] != thinks:
			t.Fatalf("told %q and %q, want %q and %q", c.text["text"], c.text["reasoning"], told, thinks)
		}
	})
}

// BenchmarkDelta measures a piece of an answer, from the notice to the event of one stream.
func BenchmarkDelta(b *testing.B) {
	a := AnswerTo("question")
	for _, n := range []chat.Notice{said, queued, started} {
		a.Tell(n)
	}
	before := make([]byte, 0, 64<<10)
	var event []byte
	b.ReportAllocs()
	for b.Loop() {
		if len(before) > 60<<10 {
			before, a.text.len = before[:0], 0
		}
		for _, p := range a.Tell(chat.Text{Turn: turn, Before: before, Piece: " word"}) {
			event = AppendEvent(event[:0], p)
		}
		before = append(before, " word"...)
	}
}
