package anthropic

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
	"parlor/transport/provider/providertest"
	"parlor/transport/provider/upstream"
)

var hello = chat.Prompt{Model: "claude", Messages: []chat.PromptMessage{{Role: chat.RoleUser, Content: "hello"}}}

func TestRequest(t *testing.T) {
	var sent *http.Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent = r
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, begun+ended+stopped)
	}))
	defer server.Close()
	c := newClient(t, server.URL+"/proxy?region=eu", Options{})
	providertest.Collect(t, c.Stream(t.Context(), hello)).Check(t, "", "", "")
	if got, want := sent.Method+" "+sent.URL.String(), "POST /proxy/v1/messages?region=eu"; got != want {
		t.Errorf("request is %s, want %s", got, want)
	}
	for name, want := range map[string]string{
		"X-Api-Key":         providertest.Key,
		"Anthropic-Version": "2023-06-01",
		"Authorization":     "",
		"Content-Type":      "application/json",
	} {
		if got := sent.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := New("api.example.com", "", Options{}); !errors.Is(err, upstream.ErrBaseURL) {
		t.Errorf("got %v, want %v", err, upstream.ErrBaseURL)
	}
	if _, err := New("", "key\n", Options{}); !errors.Is(err, upstream.ErrKey) {
		t.Errorf("got %v, want %v", err, upstream.ErrKey)
	}
}

func TestConversations(t *testing.T) {
	const (
		system    = chat.RoleSystem
		user      = chat.RoleUser
		assistant = chat.RoleAssistant
	)
	type m = chat.PromptMessage
	for _, test := range []struct {
		name     string
		messages []m
		want     string // in JSON: system and messages
	}{
		{"plain", []m{{Role: user, Content: "a"}}, `{"messages":[{"role":"user","content":"a"}]}`},
		{"system prompts", []m{{Role: system, Content: "s"}, {Role: user, Content: "a"}, {Role: system, Content: "t"}}, `{"system":"s\n\nt","messages":[{"role":"user","content":"a"}]}`},
		{"neighbours", []m{{Role: user, Content: "a"}, {Role: user, Content: "b"}, {Role: assistant, Content: "c"}, {Role: assistant, Content: "d"}, {Role: user, Content: "e"}},
			`{"messages":[{"role":"user","content":"a\n\nb"},{"role":"assistant","content":"c\n\nd"},{"role":"user","content":"e"}]}`},
		{"neighbours over a system prompt", []m{{Role: user, Content: "a"}, {Role: system, Content: "s"}, {Role: user, Content: "b"}}, `{"system":"s","messages":[{"role":"user","content":"a\n\nb"}]}`},
		{"nothing to see", []m{{Role: system, Content: " "}, {Role: user, Content: "a"}, {Role: assistant, Content: "\n"}, {Role: user, Content: "b"}}, `{"messages":[{"role":"user","content":"a\n\nb"}]}`},
		{"an assistant begins", []m{{Role: assistant, Content: "Hello."}, {Role: user, Content: "a"}}, `{"messages":[{"role":"user","content":"(The conversation begins.)"},{"role":"assistant","content":"Hello."},{"role":"user","content":"a"}]}`},
		{"none", nil, `{"messages":[]}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			var body []byte
			synctest.Test(t, func(t *testing.T) {
				c := newClient(t, "http://provider.example", Options{DialContext: providertest.Pipe(t, func(conn net.Conn) {
					body, _ = providertest.ReadRequest(conn)
					io.WriteString(conn, providertest.EventStream+begun+ended+stopped)
				})})
				providertest.Collect(t, c.Stream(t.Context(), chat.Prompt{Model: "claude", Messages: test.messages})).Check(t, "", "", "")
			})
			want := strings.Replace(test.want, "{", `{"model":"claude","max_tokens":8192,"stream":true,`, 1)
			if diff := cmp.Diff(want, string(body)); diff != "" {
				t.Errorf("request differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStreams(t *testing.T) {
	const thinking = "event: content_block_start\n" + `data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}` + "\n\n" +
		"event: content_block_delta\n" + `data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}` + "\n\n" +
		"event: content_block_delta\n" + `data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQB"}}` + "\n\n" + closed
	for _, test := range []struct {
		name, sent, text string
		usage            *chat.Usage // nil for an answer that is cut off
	}{
		{"thinking", begun + thinking + opened + text("Hel") + closed + ended + stopped, "Hel", &counted},
		{"two blocks", begun + opened + text("Hel") + closed + opened + text("lo") + closed + ended + stopped, "Hello", &counted},
		{"text at the start of a block", begun + strings.Replace(opened, `"text":""`, `"text":"Hel"`, 1) + ended + stopped, "Hel", &counted},
		{"unknown events", begun + "event: news\ndata: {\"type\":\"news\",\"delta\":{\"text\":\"x\"}}\n\n" + opened + text("Hel") + ended + stopped, "Hel", &counted},
		{"unknown deltas", begun + opened + strings.Replace(text("x"), "text_delta", "news_delta", 1) + text("Hel") + ended + stopped, "Hel", &counted},
		{"no names of events", "data: " + `{"type":"message_start","message":{"usage":{"input_tokens":1}}}` + "\n\n" + text("Hel") + ended + stopped, "Hel", &chat.Usage{PromptTokens: 1, CompletionTokens: 15, TotalTokens: 16}},
		{"usage of the prompt at the end", begun + text("Hel") + strings.Replace(ended, `"output_tokens"`, `"input_tokens":4,"cache_read_input_tokens":null,"output_tokens"`, 1) + stopped, "Hel", &chat.Usage{PromptTokens: 124, CompletionTokens: 15, TotalTokens: 139}},
		{"usage that is none", begun + text("Hel") + strings.Replace(ended, `{"output_tokens":15}`, `[15]`, 1) + stopped, "Hel", &chat.Usage{PromptTokens: 123, CompletionTokens: 1, TotalTokens: 124}},
		{"stopped for another reason", begun + text("Hel") + strings.Replace(ended, "end_turn", "refusal", 1) + stopped, "Hel", &counted},
		{"end without message_stop", begun + text("Hel") + ended, "Hel", &counted},
		{"more after the end", begun + text("Hel") + ended + stopped + text("lo"), "Hel", &counted},
		{"stop without a reason", begun + text("Hel") + closed + stopped, "Hel", nil},
		{"delta without a reason", begun + text("Hel") + strings.Replace(ended, `"end_turn"`, "null", 1) + stopped, "Hel", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := ask(t, providertest.Answer(false, providertest.EventStream, test.sent))
				if test.usage == nil {
					got.Check(t, test.text, chat.CodeProviderError, "the answer was cut off")
				} else {
					got.Check(t, test.text, "", "")
				}
				if diff := cmp.Diff(test.usage, got.Usage); diff != "" {
					t.Errorf("usage differs (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestTool: that a tool began to run at Anthropic is told before what follows.
func TestTool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const tool = "event: content_block_start\n" + `data: {"type":"content_block_start","index":1,"content_block":{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{}}}` + "\n\n"
		c := newClient(t, "http://provider.example", Options{DialContext: providertest.Pipe(t, providertest.Answer(false, providertest.EventStream, begun+text("Hel")+closed+tool+closed+text("lo")+ended+stopped))})
		var got []chat.Delta
		for d, err := range c.Stream(t.Context(), hello) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, d)
		}
		want := []chat.Delta{{Text: "Hel"}, {Tool: &chat.ToolCall{ID: "srvtoolu_1", Name: "web_search"}}, {Text: "lo"}, {Finish: chat.FinishStop}, {Usage: &counted}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("deltas (-want +got):\n%s", diff)
		}
	})
}

// ask asks a server that answers with handle.
func ask(t *testing.T, handle providertest.Handler) providertest.Outcome {
	c := newClient(t, "http://provider.example", Options{DialContext: providertest.Pipe(t, handle)})
	return providertest.Collect(t, c.Stream(t.Context(), hello))
}

// TestSignsOfLife tells what a model says of its thoughts from pings, which
// its server sends on its own, and which extend the wait up to a limit.
func TestSignsOfLife(t *testing.T) {
	thought := strings.NewReplacer("text_delta", "thinking_delta", `"text"`, `"thinking"`).Replace(text("hm"))
	for _, test := range []struct {
		name, event string
		times       int
		text        string
		code        chat.Code
	}{
		{"thoughts", thought, 3, "Hel", ""},
		{"pings", ping, 2, "Hel", ""},
		{"pings for longer than upstream.DefaultKeptAlive", ping, 3, "", chat.CodeProviderTimeout},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ask(t, func(conn net.Conn) {
					providertest.ReadRequest(conn)
					io.WriteString(conn, providertest.EventStream+begun)
					for range test.times {
						time.Sleep(upstream.DefaultFirstToken - time.Second)
						io.WriteString(conn, test.event)
					}
					io.WriteString(conn, opened+text("Hel")+ended+stopped)
				}).Check(t, test.text, test.code, "")
			})
		})
	}
}
