package openai

import (
	"bytes"
	"encoding/json"
	"testing"

	"parlor/protocol/chat"
)

// TestChunks tells turns as they happen, and as they stand at any time, to completions.
func TestChunks(t *testing.T) {
	for name, test := range map[string]struct {
		script
		text, finish string
		status       int // of the error that ends it; 0: none
	}{
		"completed":               {script{[]string{"hello 😀"}, chat.TurnEnded{State: chat.StateCompleted, Content: "hello 😀"}}, "hello 😀", "stop", 0},
		"cut by its limit":        {script{[]string{"hello"}, chat.TurnEnded{State: chat.StateCompleted, Content: "hello", Finish: chat.FinishLength}}, "hello", "length", 0},
		"stopped by a member":     {script{[]string{"so far"}, chat.TurnEnded{State: chat.StateStopped, Content: "so far"}}, "so far", "stop", 0},
		"stopped while it waited": {script{nil, chat.TurnEnded{State: chat.StateStopped}}, "", "stop", 0},
		"failed":                  {script{[]string{"so far"}, chat.TurnEnded{State: chat.StateFailed, Content: "so far", Error: chat.Refuse(chat.CodeProviderTimeout, "late")}}, "so far", "", 504},
		"interrupted":             {script{[]string{""}, chat.TurnEnded{State: chat.StateInterrupted}}, "", "", 502},
		"begun anew with nothing": {script{[]string{"", "hello"}, chat.TurnEnded{State: chat.StateCompleted, Content: "hello"}}, "hello", "stop", 0},
		"begun anew":              {script{[]string{"dead", "hello"}, chat.TurnEnded{State: chat.StateCompleted, Content: "hello"}}, "dead", "", 502},
	} {
		all := test.tell(codePoints)
		for n := range len(all) {
			if name == "begun anew" && n > 0 {
				break // who comes later is told the second attempt alone
			}
			heard := all
			if n > 0 {
				heard = append(standing(all[:n]), all[n:]...)
			}
			text, finish, usage, status := complete(t, heard)
			failed := test.status > 0
			if status != test.status || finish != test.finish || usage == failed || !failed && text != test.text {
				t.Errorf("%s, from %d on: %q, %q, usage %v, status %d", name, n, text, finish, usage, status)
			}
		}
	}
}

// complete returns what a client of a completion makes of the notices.
func complete(t *testing.T, all []told) (text, finish string, usage bool, status int) {
	t.Helper()
	c, encoder := NewChunks(Completion{ID: "chatcmpl-1"}, NewTurn(responseID, info), true), new(Encode)
	for _, n := range all {
		chunks, refusal := c.Take(encoder.Encode("", n.notice))
		if refusal != nil {
			return text, finish, usage, refusal.Status
		}
		for _, line := range bytes.SplitAfter(chunks, []byte("\n\n")) {
			data, ok := bytes.CutPrefix(line, []byte("data: "))
			if !ok || string(line) == Done {
				continue
			}
			var chunk struct {
				Choices []struct {
					Delta  struct{ Content string }
					Finish string `json:"finish_reason"`
				}
			}
			if err := json.Unmarshal(data, &chunk); err != nil {
				t.Fatal(err)
			}
			usage = usage || len(chunk.Choices) == 0
			for _, choice := range chunk.Choices {
				text, finish = text+choice.Delta.Content, choice.Finish
			}
		}
	}
	if !c.Ended() {
		t.Error("it has not ended")
	}
	return text, finish, usage, 0
}
