package openai

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/provider/providertest"
	"parlor/transport/provider/upstream"
)

var hello = chat.Prompt{Model: "m1", Messages: []chat.PromptMessage{{Role: chat.RoleUser, Content: "hello"}}}

// streams are what only this protocol says, and what comes of it. A case that
// ends complete also says whether the usage came through.
var streams = []struct {
	name string
	sent []string

	text     string
	complete bool
	usage    bool
	message  string // of the provider_error, if not complete
}{
	{name: "content of another type", sent: []string{`data: {"choices":[{"delta":{"content":["a"]}}]}` + "\n\n"}, message: "something that is not an answer"},
	{name: "parts of thought and of text", sent: []string{
		`data: {"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}]}}]}` + "\n\n",
		`data: {"choices":[{"delta":{"content":[{"type":"text","text":"Hel"}]}}]}` + "\n\n", lo, stop, end}, text: "Hello", complete: true},
	{name: "more after DONE", sent: []string{hel, stop, end, lo, lo}, text: "Hel", complete: true},
	{name: "end without DONE", sent: []string{hel, stop}, text: "Hel", complete: true},
	{name: "DONE as a string", sent: []string{hel, stop, "data: \"[done]\"\n\n", lo}, text: "Hel", complete: true},
	{name: "DONE without its blank line", sent: []string{hel, stop, "data: [DONE]"}, text: "Hel", complete: true},
	{name: "usage with the finish", sent: []string{hel, `data: {"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8}}` + "\n\n", end}, text: "Hel", complete: true, usage: true},
	{name: "usage without its sum", sent: []string{hel, stop, `data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5}}` + "\n\n", end}, text: "Hel", complete: true, usage: true},
	{name: "usage in every chunk", sent: []string{usage358, hel, usage358, stop, usage358, end}, text: "Hel", complete: true, usage: true},
	{name: "text with the finish", sent: []string{hel, `data: {"choices":[{"delta":{"content":"lo"},"finish_reason":"stop"}]}` + "\n\n", end}, text: "Hello", complete: true},
	{name: "finish for length", sent: []string{hel, strings.Replace(stop, "stop", "length", 1), end}, text: "Hel", complete: true},
	{name: "finish by content filter", sent: []string{hel, strings.Replace(stop, "stop", "content_filter", 1), end}, text: "Hel", complete: true},
	{name: "refusal", sent: []string{`data: {"choices":[{"delta":{"content":null,"refusal":"I will not."}}]}` + "\n\n", stop, end}, text: "I will not.", complete: true},
	{name: "no text", sent: []string{stop, end}, complete: true},
	{name: "empty choices", sent: []string{"data: {\"choices\":[]}\n\ndata: {}\n\n", hel, stop, end}, text: "Hel", complete: true},
	{name: "empty events", sent: []string{"event: ping\n\n", "data:\n\n", hel, stop, end}, text: "Hel", complete: true},
	{name: "another choice", sent: []string{hel, strings.Replace(lo, `"index":0`, `"index":1`, 1), stop, end}, text: "Hel", complete: true},
	{name: "unusual members", sent: []string{`data: {"id":7,"created":1.5,"object":null,"error":null,"choices":[{"delta":{"content":"Hel","x":1}}]}` + "\n\n", stop, end}, text: "Hel", complete: true},

	{name: "usage in fractions", sent: []string{hel, stop, `data: {"choices":[],"usage":{"prompt_tokens":3.5}}` + "\n\n", end}, text: "Hel", complete: true},
	{name: "usage past counting", sent: []string{hel, stop, `data: {"choices":[],"usage":{"prompt_tokens":99999999999999999999}}` + "\n\n", end}, text: "Hel", complete: true},
	{name: "usage of another type", sent: []string{hel, `data: {"choices":[],"usage":[]}` + "\n\n", stop, end}, text: "Hel", complete: true},
	{name: "no usage", sent: []string{hel, `data: {"choices":[],"usage":null}` + "\n\n", stop, end}, text: "Hel", complete: true},

	{name: "messages for deltas", sent: []string{strings.ReplaceAll(hel+lo, "delta", "message"), stop, end}, text: "Hello", complete: true},
	{name: "a message behind deltas", sent: []string{hel, lo, `data: {"choices":[{"delta":{},"message":{"content":"Hello"},"finish_reason":"stop"}]}` + "\n\n", end}, text: "Hello", complete: true},
	{name: "a delta and a message", sent: []string{`data: {"choices":[{"delta":{"content":"Hel"},"message":{"content":"Hel"}}]}` + "\n\n", lo, stop, end}, text: "Hello", complete: true},
	{name: "old completions", sent: []string{`data: {"choices":[{"text":"Hel","index":0,"logprobs":null,"finish_reason":null}]}` + "\n\n", `data: {"choices":[{"text":"lo","finish_reason":"stop"}]}` + "\n\n", end}, text: "Hello", complete: true},
	{name: "a completion without a reason", sent: []string{`{"choices":[{"message":{"content":"Hello"}}],"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8}}`}, text: "Hello", complete: true, usage: true},
	{name: "a completion of two", sent: []string{`{"choices":[{"index":0,"message":{"content":"Hello"},"finish_reason":"stop"},{"index":1,"message":{"content":"Hi"},"finish_reason":"stop"}]}`}, text: "Hello", complete: true},
	{name: "lines of JSON", sent: []string{strings.ReplaceAll(hel+lo+stop+usage358, "data: ", "")}, text: "Hello", complete: true, usage: true},
	{name: "lines of JSON that end too early", sent: []string{strings.ReplaceAll(hel+lo, "data: ", "")}, text: "Hello", message: "the answer was cut off"},
	{name: "no blank lines", sent: []string{strings.ReplaceAll(hel+lo+stop+end, "\n\n", "\n")}, text: "Hello", complete: true},
	{name: "an error that is none", sent: []string{strings.Replace(hel, `"choices"`, `"error":false,"choices"`, 1), strings.Replace(lo, `"choices"`, `"error":"","choices"`, 1), stop, end}, text: "Hello", complete: true},
	{name: "error of the choice", sent: []string{hel, `data: {"choices":[{"delta":{},"error":{"message":"overloaded"},"finish_reason":"error"}]}` + "\n\n"}, text: "Hel", message: "the provider failed: overloaded"},

	{name: "DONE without a finish", sent: []string{hel, end}, text: "Hel", message: "the answer was cut off"},
	{name: "usage without a finish", sent: []string{hel, usage358, end}, text: "Hel", message: "the answer was cut off"},
	{name: "error as text", sent: []string{hel, `data: {"error":"overloaded"}` + "\n\n"}, text: "Hel", message: "the provider failed: overloaded"},
	{name: "error as the event", sent: []string{hel, `data: {"object":"error","message":"too long","type":"BadRequestError","code":400}` + "\n\n", end}, text: "Hel", message: "the provider failed: too long"},
	{name: "error event in JSON", sent: []string{hel, "event: error\ndata: {\"detail\":\"overloaded\"}\n\n"}, text: "Hel", message: "the provider failed: overloaded"},
	{name: "error with choices", sent: []string{hel, `data: {"error":{"code":502,"message":"overloaded"},"choices":[{"delta":{"content":""},"finish_reason":"error"}]}` + "\n\n"}, text: "Hel", message: "the provider failed: overloaded"},
	{name: "error after the finish", sent: []string{hel, stop, `data: {"error":{"message":"overloaded"}}` + "\n\n"}, text: "Hel", message: "the provider failed: overloaded"},
	{name: "finish reason error", sent: []string{hel, strings.Replace(stop, "stop", "error", 1)}, text: "Hel", message: "ended the answer with an error"},
	{name: "error without a message", sent: []string{hel, `data: {"error":{"code":503}}` + "\n\n"}, text: "Hel", message: "the provider failed"},
}

func TestStreams(t *testing.T) {
	for _, test := range streams {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := ask(t, providertest.Answer(false, append([]string{providertest.EventStream}, test.sent...)...))
				if test.complete {
					got.Check(t, test.text, "", "")
				} else {
					got.Check(t, test.text, chat.CodeProviderError, test.message)
				}
				switch {
				case test.usage && (got.Usage == nil || *got.Usage != counted):
					t.Errorf("usage is %+v, want %+v", got.Usage, counted)
				case !test.usage && got.Usage != nil:
					t.Errorf("usage is %+v, want none", got.Usage)
				}
			})
		})
	}
}

// ask asks a server that answers with handle.
func ask(t *testing.T, handle providertest.Handler) providertest.Outcome {
	c := newClient(t, "http://provider.example/v1", Options{DialContext: providertest.Pipe(t, handle)})
	return providertest.Collect(t, c.Stream(t.Context(), hello))
}

// TestThought checks the forms that servers have for what a model thinks.
func TestThought(t *testing.T) {
	for _, delta := range []string{
		`"reasoning_content":"hm"`,
		`"reasoning":"hm","content":null`,
		`"reasoning":"hm","reasoning_content":"hm","content":""`,
		`"reasoning":"hm","reasoning_details":[{"type":"reasoning.text","text":"hm"}]`,
		`"reasoning_details":[{"type":"reasoning.summary","summary":"h"},{"type":"reasoning.text","text":"m"},{"type":"reasoning.encrypted","data":"x"}]`,
		`"reasoning":{"effort":"low"},"reasoning_text":"hm"`,
		`"thinking":"hm"`,
		`"content":[{"type":"thinking","thinking":[{"type":"text","text":"h"},{"type":"text","text":"m"}]}]`,
		`"content":[{"type":"thinking","thinking":"hm"}]`,
		`"content":[{"type":"reasoning","text":"hm"},{"type":"reference","reference_ids":[1]}]`,
		`"content":"<think>hm</think>"`,
	} {
		t.Run(delta, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := ask(t, providertest.Answer(false, providertest.EventStream, `data: {"choices":[{"delta":{`+delta+`}}]}`+"\n\n", hel+lo+stop+end))
				got.Check(t, "Hello", "", "")
				if got.Thought != "hm" {
					t.Errorf("thought is %q", got.Thought)
				}
			})
		})
	}
}

// TestThinkingAloudIsNoSilence sends what models think, which is no answer.
func TestThinkingAloudIsNoSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ask(t, func(conn net.Conn) {
			providertest.ReadRequest(conn)
			io.WriteString(conn, providertest.EventStream)
			for range 5 {
				time.Sleep(upstream.DefaultFirstToken - time.Second)
				io.WriteString(conn, `data: {"choices":[{"delta":{"reasoning_content":"hm"}}]}`+"\n\n")
			}
			io.WriteString(conn, hel+stop+end)
		}).Check(t, "Hel", "", "")
	})
}

// withFinish is a chunk with a finish_reason, given in JSON.
func withFinish(delta, reason string) string {
	return `data: {"choices":[{"index":0,"delta":{` + delta + `},"finish_reason":` + reason + `}]}` + "\n\n"
}

func textWithFinish(s, reason string) string { return withFinish(`"content":"`+s+`"`, reason) }

const call = `"tool_calls":[{"index":0,"id":"c","function":{"name":"f"}}]`

// claims are a finish_reason in all its places, and what is made of it.
var claims = []struct {
	name   string
	sent   []string // with a gap behind each but the last
	hang   bool
	text   string
	finish chat.Finish
	failed string
}{
	{name: "with every chunk", sent: []string{textWithFinish("one ", `"stop"`), textWithFinish("two ", `"stop"`), textWithFinish("three", `"stop"`) + end}, text: "one two three", finish: "stop"},
	{name: "of tools, then text", sent: []string{textWithFinish("Let me look. ", `"tool_calls"`), textWithFinish("It is noon.", `"stop"`) + end}, text: "Let me look. It is noon.", finish: "stop"},
	{name: "then calls", sent: []string{textWithFinish("a", `"stop"`), withFinish(call, "null") + end}, text: "a", failed: "finish: lenient"},
	{name: "then nothing", sent: []string{textWithFinish("a", `"stop"`), textWithFinish("", "null") + withFinish("", `""`) + end}, text: "a", finish: "stop"},
	{name: "with text, then silence", sent: []string{textWithFinish("The dose is 5", `"stop"`)}, hang: true, text: "The dose is 5", failed: "in time"},
	{name: "in capitals", sent: []string{textWithFinish("a", `"MAX_TOKENS"`) + end}, text: "a", finish: "length"},
	{name: "of a kind", sent: []string{textWithFinish("a", `"content_filter: RECITATION"`) + end}, text: "a", finish: "content_filter"},
	{name: "that nobody knows", sent: []string{textWithFinish("a", `"tired"`) + end}, text: "a", finish: "stop"},
	{name: "of another type", sent: []string{textWithFinish("a", `7`) + textWithFinish("b", `"null"`) + textWithFinish("c", `"stop"`) + end}, text: "abc", finish: "stop"},
	{name: "by another name", sent: []string{strings.Replace(textWithFinish("a", `"stop"`), "finish_reason", "finishReason", 1) + usage358 + end}, text: "a", failed: "finish: lenient"},
	{name: "of a refusal", sent: []string{withFinish(`"refusal":"No."`, "null"), stop + end}, text: "No.", finish: "refusal"},
	{name: "of a failure", sent: []string{textWithFinish("a", `"insufficient_system_resource"`)}, text: "a", failed: "with an error"},
}

// TestClaims checks that a finish_reason is a claim.
func TestClaims(t *testing.T) {
	const gap = 6500 * time.Millisecond
	for _, test := range claims {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := ask(t, func(conn net.Conn) {
					providertest.ReadRequest(conn)
					io.WriteString(conn, providertest.EventStream)
					for i, s := range test.sent {
						if i > 0 {
							time.Sleep(gap)
						}
						io.WriteString(conn, s)
					}
					if test.hang {
						providertest.UntilClosed(conn)
					}
				})
				if test.failed == "" {
					got.Check(t, test.text, "", "")
				} else if got.Text != test.text || got.Err == nil || !strings.Contains(got.Err.Error(), test.failed) {
					t.Errorf("got %q, %v; want %q, %q", got.Text, got.Err, test.text, test.failed)
				}
				if test.failed == "" && got.Finish != test.finish {
					t.Errorf("ended because of %q, want %q", got.Finish, test.finish)
				}
			})
		})
	}
}

func FuzzAnswer(f *testing.F) { providertest.Fuzz(f, harness) }
