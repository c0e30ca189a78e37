package api_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
	"parlor/transport/api"
)

var update = flag.Bool("update", false, "rewrite testdata/wire.txt with what the API answers")

const wireFile = "testdata/wire.txt"

// TestWire plays the requests of a file against the API and compares the
// answers with those in the file.
func TestWire(t *testing.T) {
	old, err := os.ReadFile(wireFile)
	if err != nil {
		t.Fatal(err)
	}
	mux := newMux(t, conversation(), api.Options{})
	var out strings.Builder
	for line := range strings.Lines(string(old)) {
		if strings.HasPrefix(line, "#") || line == "\n" {
			out.WriteString(line)
		}
		request, ok := strings.CutPrefix(line, "> ")
		if !ok {
			continue
		}
		// user method path body
		word := strings.SplitN(strings.TrimSpace(request)+" ", " ", 4)
		r := httptest.NewRequest(word[1], word[2], strings.NewReader(strings.TrimSpace(word[3])))
		r.Header.Set("X-Parlor-User", word[0])
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		fmt.Fprintf(&out, "> %s%d %s\n", request, w.Code, indent(t, w.Body.Bytes()))
	}
	if *update {
		if err := os.WriteFile(wireFile, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(old), out.String()); diff != "" {
		t.Errorf("%s (-want +got), rewrite it with -update:\n%s", wireFile, diff)
	}
}

func indent(t *testing.T, body []byte) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, body, "", "  "); err != nil {
		t.Fatalf("the answer is not JSON: %v: %q", err, body)
	}
	return b.String()
}

// conversation is the world that the requests of the file meet.
func conversation() *chats {
	c := &chats{messages: map[chat.ID][]chat.Message{}}
	for i, owner := range []chat.UserID{"alice", "bob", "alice"} {
		c.infos = append(c.infos, chat.Info{
			ID: chat.ID(fmt.Sprintf("chat-%d", i+1)), Owner: owner, ModelID: elisa.ID, APISource: "aisuite",
			Created: t0.Add(time.Duration(i) * time.Hour),
		})
	}
	c.infos[2].ModelID, c.infos[2].APISource = "retired", "anthropic"
	at := func(seconds int) time.Time { return t0.Add(time.Duration(seconds) * time.Second) }
	c.files = []chat.File{
		{ID: "f1", Name: "notes.md", Type: "text/markdown", Size: 12, Tokens: 3, Lines: 2, By: "alice", Created: t0},
		{ID: "f2", Name: "cat.png", Type: "image/png", Size: 34, Tokens: 1600, By: "alice", Created: t0},
	}
	c.messages["chat-1"] = []chat.Message{
		{ID: "m1", Seq: 2, Role: chat.RoleUser, Content: "Hello", Author: &chat.User{ID: "alice", Name: "Alice"}, State: chat.StateCompleted, ClientID: "c1", Created: at(0)},
		{ID: "m2", Seq: 5, Role: chat.RoleAssistant, Content: "Tell me more.", ModelID: elisa.ID, State: chat.StateCompleted, Usage: &chat.Usage{PromptTokens: 3, CompletionTokens: 4, TotalTokens: 7}, Created: at(1)},
		{ID: "m3", Seq: 6, Role: chat.RoleUser, Content: "Why?", Files: c.files, Author: &chat.User{ID: "alice", Name: "Alice"}, ModelID: hidden.ID, State: chat.StateCompleted, Created: at(2)},
		{ID: "m4", Seq: 9, Role: chat.RoleAssistant, ModelID: hidden.ID, State: chat.StateFailed, Error: chat.Refuse(chat.CodeProviderTimeout, "The assistant did not answer in time."), Created: at(3)},
		{ID: "m5", Seq: 12, Role: chat.RoleAssistant, Content: "Beca", ModelID: hidden.ID, State: chat.StateStopped, Calls: []chat.Called{
			{ID: "c1", Name: "pay", Arguments: `{"sum":1}`, State: chat.ToolDenied, Result: "a person has denied this call", By: "alice", At: 2}, {ID: "c2", Name: "look", Arguments: `{"a":`, State: chat.ToolFailed, Result: "no", At: 4, Cut: true},
		}, Cut: []chat.CutFile{{ID: "f2", Name: "cat.png", Tokens: 1600, Reason: "the assistant does not see images"}}, Created: at(4)},
	}
	return c
}
