package providertest

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// A strictServer answers only what its rule allows, and keeps what it was asked.
type strictServer struct {
	t     *testing.T
	wire  *Wire
	rule  func(asked chat.Prompt) (refusal string)
	asked []chat.Prompt
}

func (s *strictServer) handle(conn net.Conn) {
	body, err := ReadRequest(conn)
	if err != nil {
		return
	}
	asked, err := s.wire.Asked(body)
	if err != nil {
		s.t.Errorf("read %s: %v", body, err)
		return
	}
	s.asked = append(s.asked, asked)
	if refusal := s.rule(asked); refusal != "" {
		fmt.Fprintf(conn, "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{\"error\":{\"message\":%q}}", refusal)
		return
	}
	_, _ = io.WriteString(conn, EventStream+s.wire.answer("Hello"))
}

// alternating refuses as the templates of some models do.
func alternating(asked chat.Prompt) string {
	next := chat.RoleUser
	for _, m := range visible(asked.Messages) {
		switch {
		case m.Role == chat.RoleSystem && next == chat.RoleUser:
			continue
		case m.Role != next || strings.TrimSpace(m.Content) == "":
			return "Conversation roles must alternate user/assistant/user/assistant/..."
		}
		next = map[chat.Role]chat.Role{chat.RoleUser: chat.RoleAssistant, chat.RoleAssistant: chat.RoleUser}[next]
	}
	return ""
}

// visible leaves out the system prompt that is none.
func visible(messages []chat.PromptMessage) []chat.PromptMessage {
	if len(messages) > 0 && messages[0].Role == chat.RoleSystem && messages[0].Content == "" {
		return messages[1:]
	}
	return messages
}

func runStrict(t *testing.T, h Harness) {
	system := chat.PromptMessage{Role: chat.RoleSystem, Content: "Today is Monday."}
	user := chat.PromptMessage{Role: chat.RoleUser, Content: "hello"}
	assistant := chat.PromptMessage{Role: chat.RoleAssistant, Content: "Good day."}
	silent := chat.PromptMessage{Role: chat.RoleAssistant}
	blank := chat.PromptMessage{Role: chat.RoleAssistant, Content: " \n"}
	for name, messages := range map[string][]chat.PromptMessage{
		"after a failed answer":          {system, user, user},
		"after an empty answer":          {system, user, silent, user},
		"after a blank answer":           {system, user, assistant, user, blank, user},
		"after several that failed":      {system, user, silent, user, user, silent, silent, user},
		"with an answer in two messages": {system, user, assistant, assistant, user},
		"begun by the assistant":         {system, assistant, user},
		"without a system prompt":        {assistant, user, user},
	} {
		t.Run("alternating "+name, func(t *testing.T) {
			s := &strictServer{t: t, wire: h.Wire, rule: alternating}
			s.answers(t, h, chat.Prompt{Model: "m1", Messages: messages}, upstream.Options{})
			if len(s.asked) != 1 {
				t.Errorf("asked %d times, want once", len(s.asked))
			}
		})
	}
	for _, words := range systemRefusals {
		t.Run("no system: "+words, func(t *testing.T) { strictSystem(t, h, words) })
	}
	for mode, want := range map[string]string{
		upstream.SystemFold: "user: Today is Monday. hello",
		upstream.SystemNone: "user: hello",
	} {
		t.Run("system "+mode, func(t *testing.T) {
			s := &strictServer{t: t, wire: h.Wire, rule: func(chat.Prompt) string { return "" }}
			p := chat.Prompt{Model: "m1", Messages: []chat.PromptMessage{system, user}}
			s.answers(t, h, p, upstream.Options{Dialect: upstream.Dialect{System: mode}})
			if got := digest(s.asked[0].Messages); got != want {
				t.Errorf("asked %q, want %q", got, want)
			}
		})
	}
}

// systemRefusals are what servers say that take no system message.
var systemRefusals = []string{
	"System role not supported",
	"Conversation roles must alternate user/assistant/user/assistant/...",
	"Developer instruction is not enabled for models/gemma-3-27b-it",
	"Unsupported value: 'messages[0].role' does not support 'system' with this model.",
	"This model doesn't support system messages. Try again without a system message.",
	"messages[0].role: Input should be 'user' or 'assistant'",
	"Only user and assistant roles are supported!",
	"messages.0.role: unexpected value",
	"Unexpected role \"system\". The Messages API accepts a top-level `system` parameter.",
	"A conversation must start with a user message.",
}

// strictSystem checks that a server which takes no system message is asked once
// more without, that nothing of the prompt is lost, and that this is remembered
// and logged once.
func strictSystem(t *testing.T, h Harness, words string) {
	var log bytes.Buffer
	s := &strictServer{t: t, wire: h.Wire, rule: func(asked chat.Prompt) string {
		if m := visible(asked.Messages); asked.Model == "m1" && m[0].Role == chat.RoleSystem {
			return words
		}
		return ""
	}}
	synctest.Test(t, func(t *testing.T) {
		p := h.piped(t, upstream.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}, s.handle)
		ask := func(m chat.ModelID, times int) {
			t.Helper()
			before := len(s.asked)
			prompt := chat.Prompt{Model: m, Messages: []chat.PromptMessage{
				{Role: chat.RoleSystem, Content: "Today is Monday."}, {Role: chat.RoleUser, Content: "hello"},
			}}
			Collect(t, p.Stream(t.Context(), prompt)).Check(t, "Hello", "", "")
			if got := len(s.asked) - before; got != times {
				t.Errorf("%s was asked %d times, want %d", m, got, times)
			}
		}
		ask("m1", 2)
		ask("m1", 1)
		ask("m2", 1)
	})
	for i, want := range []string{
		"system: Today is Monday., user: hello", "user: Today is Monday. hello", "user: Today is Monday. hello", "system: Today is Monday., user: hello",
	} {
		if got := digest(s.asked[i].Messages); got != want {
			t.Errorf("request %d was %q, want %q", i, got, want)
		}
	}
	if got := strings.Count(log.String(), "\n"); got != 1 {
		t.Errorf("%d lines in the log, want one:\n%s", got, log.String())
	}
}

// answers asks the server, which has to answer.
func (s *strictServer) answers(t *testing.T, h Harness, p chat.Prompt, o upstream.Options) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		Collect(t, h.piped(t, o, s.handle).Stream(t.Context(), p)).Check(t, "Hello", "", "")
	})
}
