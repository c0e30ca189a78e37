package aisdk_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/aisdk"
)

// conversation is what was said: x and its two answers, then by bob, then y and its answer.
func conversation() []chat.Message {
	alice, bob := &chat.User{ID: "alice"}, &chat.User{ID: "bob"}
	old := time.Now().Add(-time.Hour)
	user := func(id string, seq uint64, by *chat.User, client, content string) chat.Message {
		return chat.Message{ID: chat.MessageID(id), Seq: seq, Role: chat.RoleUser, Author: by, ClientID: chat.ClientID(client), Content: content, Created: old}
	}
	answer := func(id string, seq uint64, to string) chat.Message {
		return chat.Message{ID: chat.MessageID(id), Seq: seq, Role: chat.RoleAssistant, Prompt: chat.MessageID(to), State: chat.StateCompleted, Content: "answer " + id, Created: old}
	}
	return []chat.Message{
		user("mx", 1, alice, "x", "first"), answer("ax", 2, "mx"), answer("ax2", 3, "mx"), user("mb", 4, bob, "b", "of bob"), answer("ab", 5, "mb"),
		user("my", 6, alice, "y", "second"), answer("ay", 7, "my"), user("mb2", 8, bob, "b2", "of bob again"),
	}
}

func body(trigger, messageID, id, content string) string {
	return fmt.Sprintf(`{"id":"c","trigger":%q,"messageId":%q,"messages":[{"id":%q,"role":"user","parts":[{"type":"text","text":%q}]}]}`, trigger, messageID, id, content)
}

// A request in the words of the SDK is one command of the room, or none if it
// was carried out before.
func TestAsk(t *testing.T) {
	const edit, again = "submit-message", "regenerate-message"
	running := chat.Turn{ID: "turn", Prompt: "my", PromptSeq: 6, By: "alice", MessageID: "answer", Attempt: 1}
	for name, test := range map[string]struct {
		body   string
		now    chat.Entered
		change func([]chat.Message) []chat.Message
		want   string // the commands
		told   string // in the stream
	}{
		"edit the last":             {body: body(edit, "y", "y", "better"), want: `edit my to "better"`},
		"edit an earlier one":       {body: body(edit, "x", "x", "better"), want: `edit mx to "better"`},
		"edit by the room's id":     {body: body(edit, "my", "my", "better"), want: `edit my to "better"`},
		"edit what is gone":         {body: body(edit, "z", "z", "better"), told: "conflict"},
		"edit what another said":    {body: body(edit, "mb", "mb", "better"), want: `edit mb to "better"`}, // which the room refuses
		"an edit that was made":     {body: body(edit, "y", "y", "second"), told: `"delta":"answer ay"`},
		"one that is answered":      {body: body(edit, "y", "y", "second"), now: chat.Entered{Turn: &running}, told: `"delta":"Hello"`},
		"one whose answer failed":   {body: body(edit, "y", "y", "second"), change: failed, want: `edit my to "second"`},
		"an earlier one, unchanged": {body: body(edit, "x", "x", "first"), want: `edit mx to "first"`},

		"regenerate":                     {body: body(again, "", "y", "second"), want: "regenerate ay"},
		"regenerate by the answer":       {body: body(again, "ay", "y", "second"), want: "regenerate ay"},
		"regenerate by the message":      {body: body(again, "y", "y", "second"), want: "regenerate ay"},
		"regenerate, once more":          {body: body(again, "older", "y", "second"), told: `"delta":"answer ay"`},
		"regenerate what is answered":    {body: body(again, "", "y", "second"), now: chat.Entered{Queued: []chat.Turn{running}}, told: `"delta":"Hello"`},
		"regenerate an earlier one":      {body: body(again, "ax2", "x", "first"), want: "regenerate ax2"},
		"regenerate what has no answer":  {body: body(again, "", "y", "second"), change: unanswered, want: `edit my to "second"`},
		"regenerate to the newest":       {body: `{"id":"c","trigger":"regenerate-message"}`, want: `edit mb2 to "of bob again"`}, // which the room refuses
		"regenerate by the answer alone": {body: `{"id":"c","trigger":"regenerate-message","messageId":"ay"}`, want: "regenerate ay"},

		"go on":              {body: goOn("answer"), now: chat.Entered{Turn: &running}, told: `"delta":"Hello"`},
		"decide":             {body: decided("answer", "c1"), now: chat.Entered{Turn: &running}, want: "decide c1 true because", told: `"delta":"Hello"`},
		"decide too late":    {body: decided("answer", "decided"), now: chat.Entered{Turn: &running}, told: `"delta":"Hello"`},
		"decide at the end":  {body: decided("ay", "c1"), told: `"delta":"answer ay"`},
		"go on with the end": {body: goOn("ay"), told: "nothing waits"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoom()
			r.now, r.messages = test.now, conversation()
			if test.change != nil {
				r.messages = test.change(r.messages)
			}
			r.records = []chat.Record{asked, queued, {Seq: 7, Event: start.Event}, ended("Hello")}
			s := serve(t, r, aisdk.Options{})
			told, err := rest(s.ask(t, "POST", "/ui/chat", test.body))
			if got := strings.Join(r.noted(), ", "); got != test.want || err != nil || !strings.Contains(told, test.told) {
				t.Errorf("commands %q, want %q; told %s, want %s; %v", got, test.want, told, test.told, err)
			}
		})
	}
}

// An edit that was made before is made once more, under another key, if it is not shown.
func TestEditAgain(t *testing.T) {
	for shown, want := range map[bool]int{false: 2, true: 1} {
		r := newRoom()
		r.messages, r.edited, r.shown, r.now.Seq = conversation(), true, shown, 8
		r.records = []chat.Record{asked, {Seq: 5, Event: chat.TurnQueued{TurnID: "turn", Prompt: "the edit"}}, queued, start, ended("Hello")}
		s := serve(t, r, aisdk.Options{})
		told, err := rest(s.ask(t, "POST", "/ui/chat", body("submit-message", "x", "x", "better")))
		if err != nil || !strings.Contains(told, `"delta":"Hello"`) {
			t.Errorf("told %s, %v", told, err)
		}
		if len(r.keys) != want || want == 2 && r.keys[0] == r.keys[1] {
			t.Errorf("shown %t: keys %q", shown, r.keys)
		}
	}
}

// A chat may hold ids of other clients that leave no room for a mark.
func TestLongIDs(t *testing.T) {
	r := newRoom()
	r.messages = conversation()
	r.messages[5].ClientID = chat.ClientID(strings.Repeat("y", chat.MaxClientIDLen))
	r.records = []chat.Record{asked, queued, start, ended("Hello")}
	s := serve(t, r, aisdk.Options{})
	r.messages = r.messages[:6]
	_, _ = rest(s.ask(t, "POST", "/ui/chat", body("regenerate-message", "", string(r.messages[5].ClientID), "second")))
	if got := strings.Join(r.noted(), ", "); got != `edit my to "second"` {
		t.Errorf("commands %s", got)
	}
	for _, key := range r.keys {
		if !key.Valid() {
			t.Errorf("key %q", key)
		}
	}
}

// Another answer is given once for a request that is repeated at once.
func TestRegenerateIsRepeated(t *testing.T) {
	r := newRoom()
	r.messages = conversation()
	r.records = []chat.Record{asked, queued, {Seq: 7, Event: start.Event}, ended("Hello")}
	s := serve(t, r, aisdk.Options{})
	for range 3 {
		if told, err := rest(s.ask(t, "POST", "/ui/chat", body("regenerate-message", "", "y", "second"))); err != nil || !strings.Contains(told, `"delta":"Hello"`) {
			t.Errorf("told %s, %v", told, err)
		}
	}
	if got := strings.Join(r.noted(), ", "); got != "regenerate ay" {
		t.Errorf("commands %s", got)
	}
}

func goOn(answer string) string {
	return fmt.Sprintf(`{"id":"c","trigger":"submit-message","messageId":%q,"messages":[{"id":%[1]q,"role":"assistant","parts":[]}]}`, answer)
}

func decided(answer, call string) string {
	return fmt.Sprintf(`{"id":"c","trigger":"submit-message","messageId":%q,"messages":[{"id":%[1]q,"role":"assistant","parts":[
		{"type":"dynamic-tool","toolCallId":%q,"state":"approval-responded","approval":{"id":"x","approved":true,"reason":"because"}}]}]}`, answer, call)
}

func failed(messages []chat.Message) []chat.Message {
	messages[6].State = chat.StateFailed
	return messages
}

func unanswered(messages []chat.Message) []chat.Message { return messages[:6] }

// A conversation of many pages is searched to its beginning.
func TestFindsInLongHistory(t *testing.T) {
	r := newRoom()
	r.messages = conversation()[:3]
	for i := range uint64(200) {
		r.messages = append(r.messages, chat.Message{ID: "m", Seq: 10 + i, Role: chat.RoleUser, Author: &chat.User{ID: "bob"}})
	}
	r.records = []chat.Record{asked, queued, start, ended("Hello")}
	s := serve(t, r, aisdk.Options{})
	_, _ = rest(s.ask(t, "POST", "/ui/chat", body("submit-message", "x", "x", "better")))
	if got := strings.Join(r.noted(), ", "); got != `edit mx to "better"` {
		t.Errorf("commands %s", got)
	}
}

// An answer that was to be given anew, and has failed, is given anew once more.
func TestRegenerateAfterFailure(t *testing.T) {
	for name, request := range map[string]string{
		"the newest": body("regenerate-message", "", "y", "second"),
		"by its id":  body("regenerate-message", "ay", "y", "second"),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoom()
			r.messages, r.again, r.now.Seq = conversation(), true, 8
			failed := chat.Record{Seq: 5, Event: chat.TurnEnded{TurnID: "failed", State: chat.StateFailed}}
			r.records = []chat.Record{asked, failed, queued, {Seq: 7, Event: start.Event}, ended("Hello")}
			s := serve(t, r, aisdk.Options{})
			for range 2 { // of which the second is a repetition
				if told, err := rest(s.ask(t, "POST", "/ui/chat", request)); err != nil || !strings.Contains(told, `"delta":"Hello"`) {
					t.Errorf("told %s, %v", told, err)
				}
			}
			if len(r.keys) < 2 || r.keys[0] == r.keys[1] || !r.keys[1].Valid() {
				t.Errorf("keys %q", r.keys)
			}
		})
	}
}

// A resume tells no answer to a message of another branch.
func TestResumeInAnotherBranch(t *testing.T) {
	for name, test := range map[string]struct {
		branched uint64
		seq      uint64 // of the message that is shown
		want     int
	}{
		"no branches":       {0, 8, http.StatusOK},
		"an earlier choice": {3, 8, http.StatusOK},
		"the same branch":   {9, 4, http.StatusOK},
		"another branch":    {9, 8, http.StatusNoContent},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoom()
			r.now = chat.Entered{Turn: &chat.Turn{ID: "turn", Prompt: "question", PromptSeq: 4, By: "alice"}, Branched: test.branched}
			r.messages = []chat.Message{{ID: "question", Seq: test.seq, Role: chat.RoleUser}}
			r.records = []chat.Record{asked, queued, start, ended("Hello")}
			answer := serve(t, r, aisdk.Options{}).ask(t, "GET", "/ui/chat/c/stream", "")
			if answer.StatusCode != test.want {
				t.Errorf("status %d", answer.StatusCode)
			}
		})
	}
}
