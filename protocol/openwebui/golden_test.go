package openwebui

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var (
	theTime = time.Date(2026, 1, 31, 15, 4, 5, 0, time.UTC)
	theTurn = chat.Turn{ID: "t1", MessageID: "m2", ModelID: "eliza", Correlation: Correlation("chosen"), Attempt: 1}
	theChat = chat.Info{ID: "the-chat", Room: chat.ID("the-chat").Room()}
)

func ended(e chat.TurnEnded) chat.Record {
	e.TurnID, e.MessageID, e.ModelID, e.Correlation = theTurn.ID, theTurn.MessageID, theTurn.ModelID, theTurn.Correlation
	return chat.Record{Seq: 9, At: theTime, Event: e}
}

// conversation is all that a room can tell.
func conversation() []chat.Notice {
	return []chat.Notice{
		chat.Record{Seq: 2, At: theTime, Event: chat.MessageAdded{MessageID: "m1", Author: chat.User{ID: "alice", Name: "Alice"}, Content: "a <b> \"c\""}},
		chat.Record{Seq: 3, At: theTime, Event: chat.TurnQueued{TurnID: theTurn.ID, Prompt: "m1", Correlation: theTurn.Correlation}},
		chat.Record{Seq: 4, At: theTime, Event: chat.TurnStarted{TurnID: theTurn.ID, MessageID: theTurn.MessageID, ModelID: "eliza", Attempt: 1}},
		chat.Progress{MessageID: theTurn.MessageID, Retrying: chat.Refuse(chat.CodeBusy, "it is busy")},
		chat.Thought{Turn: theTurn, Piece: "Let me\nsee"},
		chat.Text{Turn: theTurn, Piece: "It is "},
		chat.Text{Turn: theTurn, Before: []byte("It is "), Piece: "<42>"},
		chat.Record{Seq: 5, At: theTime, Event: chat.ToolStarted{TurnID: theTurn.ID, MessageID: theTurn.MessageID, Tool: chat.ToolCall{ID: "c", Name: "search"}}},
		chat.Record{Seq: 6, At: theTime, Event: chat.TurnStarted{TurnID: theTurn.ID, MessageID: theTurn.MessageID, ModelID: "eliza", Attempt: 2}},
		chat.TextSoFar{Turn: theTurn, Text: "It is", Thought: "Hm"},
		chat.Record{Seq: 7, At: theTime, Event: chat.ToolsCalled{MessageID: theTurn.MessageID, Calls: []chat.ToolCall{{ID: "a", Name: "look"}, {ID: "b", Name: "pay", NeedsApproval: true}}}},
		chat.Record{Seq: 8, At: theTime, Event: chat.ToolsLost{Calls: []string{"a"}}},
		chat.Record{Seq: 8, At: theTime, Event: chat.ToolDecided{CallID: "b", Name: "pay", Approved: true}},
		chat.ToolNews{MessageID: theTurn.MessageID, CallID: "b", Name: "pay", ToolProgress: chat.ToolProgress{Progress: 1, Total: 2, Message: "counting"}},
		chat.Record{Seq: 8, At: theTime, Event: chat.ToolEnded{CallID: "b", Name: "pay", State: chat.ToolCompleted, Result: "paid"}},
		ended(chat.TurnEnded{State: chat.StateCompleted, Finish: chat.FinishStop, Content: "It is 42", Thought: "Hm", Usage: &chat.Usage{PromptTokens: 1, CompletionTokens: 2, TotalTokens: 3}}),
		chat.Record{Seq: 10, At: theTime, Event: chat.Configured{Settings: chat.Settings{Title: "Numbers"}}},
		chat.Record{Seq: 11, At: theTime, Event: chat.Configured{Settings: chat.Settings{Title: "Numbers", ReadOnly: true}}},
		ended(chat.TurnEnded{State: chat.StateStopped, Content: "It", By: "bob"}),
		ended(chat.TurnEnded{State: chat.StateFailed, Error: chat.Refuse(chat.CodeProviderError, "it failed")}),
		ended(chat.TurnEnded{State: chat.StateInterrupted}),
		chat.Failure{Error: chat.Refuse(chat.CodeQuarantined, "out of service"), Turn: chat.TurnStarted{TurnID: theTurn.ID, MessageID: theTurn.MessageID}},
		chat.Failure{Error: chat.Refuse(chat.CodeQuarantined, "out of service")},
		chat.Removal{Left: true},
		chat.Removal{},
		chat.Presence{Whole: true},
	}
}

// TestGolden compares what listeners of each form are told of a conversation with the files
// in testdata, which -update rewrites.
func TestGolden(t *testing.T) {
	for _, f := range []Form{Old, New, Old | New | Room | Messages, Old | Cumulative} {
		t.Run(f.String(), func(t *testing.T) {
			e := NewEncoder(f, theChat)
			var told strings.Builder
			for _, n := range conversation() {
				for _, frame := range e.Frames(n) {
					told.Write(frame.Data)
					told.WriteByte('\n')
				}
			}
			file := filepath.Join("testdata", f.String()+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(told.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(told.String(), "\n")); diff != "" {
				t.Errorf("(-file +told):\n%s", diff)
			}
		})
	}
}
