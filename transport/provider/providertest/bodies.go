package providertest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// head is that of a response. A header is a line, or empty.
func head(status int, header string) string {
	if header != "" {
		header += "\r\n"
	}
	return fmt.Sprintf("HTTP/1.1 %d OK\r\n%sConnection: close\r\n\r\n", status, header)
}

// zip compresses parts, each so that it can be read without the next.
func zip(parts ...string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	for _, p := range parts {
		_, _ = z.Write([]byte(p))
		_ = z.Flush()
	}
	_ = z.Close()
	return b.String()
}

// A bodyCase is a response that is another than its protocol has.
type bodyCase struct {
	name  string
	sent  []string
	open  bool
	text  string
	words string // of its failure; empty for an answer
}

func (w *Wire) odd() []bodyCase {
	const asJSON, asGzip = "Content-Type: application/json", "Content-Type: text/event-stream\r\nContent-Encoding: gzip"
	stream, whole := w.answer("Hel", "lo"), w.Whole("Hello")
	packed := zip(w.Begin, w.Text("Hel"), w.Text("lo"), w.end())
	return []bodyCase{
		{name: "stream as JSON", sent: []string{head(200, asJSON), stream}, text: "Hello"},
		{name: "stream as bytes", sent: []string{head(200, "Content-Type: application/octet-stream"), stream}, text: "Hello"},
		{name: "stream as a page", sent: []string{head(200, "Content-Type: text/html"), stream}, text: "Hello"},
		{name: "stream without a type", sent: []string{head(200, ""), stream}, text: "Hello"},
		{name: "stream with status 201", sent: []string{head(201, asJSON), stream}, open: true, text: "Hello"},
		{name: "stream behind blank lines", sent: []string{head(200, asJSON), "\n", "\r\n \n", ": hm\n", stream}, text: "Hello"},
		{name: "stream behind a byte order mark", sent: []string{head(200, asJSON), "\xef", "\xbb\xbf", stream}, text: "Hello"},
		{name: "stream byte by byte", sent: append([]string{head(200, asJSON)}, strings.Split(stream, "")...), text: "Hello"},
		{name: "whole", sent: []string{head(200, asJSON), whole}, text: "Hello"},
		{name: "whole as a stream", sent: []string{EventStream, whole}, text: "Hello"},
		{name: "whole with status 201", sent: []string{head(201, ""), "\n", whole, "\n"}, text: "Hello"},
		{name: "whole in lines", sent: []string{EventStream, strings.NewReplacer(",", ",\n\n  ", "{", "{\n").Replace(whole)}, text: "Hello"},
		{name: "whole byte by byte", sent: append([]string{head(200, asJSON)}, strings.Split(whole, "")...), text: "Hello"},
		{name: "whole as an event", sent: []string{EventStream, "data: " + whole + "\n\n"}, text: "Hello"},
		{name: "zipped stream", sent: []string{head(200, asGzip), packed[:1], packed[1:20], packed[20:]}, text: "Hello"},
		{name: "zipped stream that is not said to be", sent: []string{head(200, asJSON), packed}, open: true, text: "Hello"},
		{name: "stream that is not zipped", sent: []string{head(200, asGzip), stream}, text: "Hello"},
		{name: "zipped whole", sent: []string{head(200, asJSON+"\r\nContent-Encoding: GZIP"), zip(whole)}, text: "Hello"},
		{name: "zipped stream that is cut", sent: []string{head(200, asGzip), packed[:len(packed)-60]}, text: "*", words: "cut off"},
		{name: "zipped refusal", sent: []string{head(400, asJSON+"\r\nContent-Encoding: gzip"), zip(refusalBody)}, words: refusalWords},
		{name: "packed otherwise", sent: []string{head(200, asJSON+"\r\nContent-Encoding: br"), "\x1b\x2c\x00\xf8" + Key}, words: "encoding br"},
		{name: "packed otherwise, like JSON", sent: []string{head(200, "Content-Encoding: zstd"), "[\x2c\x00\xf8"}, words: "encoding zstd"},
		{name: "refusal packed otherwise", sent: []string{head(503, "Content-Encoding: br"), "\x1b\x2c\x00\xf8"}, words: "encoding br"},
		{name: "whole that is cut", sent: []string{head(200, asJSON), whole[:len(whole)-2]}, words: "cut off"},
		{name: "JSON of another kind", sent: []string{head(200, asJSON), "[1, 2]"}, words: "not an answer"},
		{name: "JSON of nothing", sent: []string{head(200, asJSON), "{}"}, words: "not an answer"},
		{name: "JSON of a list of models", sent: []string{head(200, asJSON), `{"object":"list","data":[{"id":"m1"}]}`}, words: "not an answer"},
		{name: "not quite JSON", sent: []string{head(200, asJSON), "{'text':'Hello'}"}, words: "not an answer"},
		{name: "page as a stream", sent: []string{EventStream, "<h1>Welcome</h1>"}, words: "something else than an event stream"},
		{name: "words as a stream", sent: []string{EventStream, "no healthy upstream"}, words: ": no healthy upstream"},
	}
}

// errorsOf are the forms in which servers write errors instead of a piece.
func errorsOf(words string) map[string]string {
	return map[string]string{
		"field":                    `error: {"message":"` + words + `"}` + "\n\n",
		"field of words":           "error: " + words + "\n\n",
		"field without its end":    `error:{"error":{"message":"` + words + `"}}`,
		"bare JSON":                `{"error":{"message":"` + words + `"}}` + "\n",
		"bare JSON, wide":          `{"error": {"code": 503, "message": "` + words + `"}}` + "\n\n",
		"bare JSON, no end":        `{"error":"` + words + `"}`,
		"event of JSON":            `event: error` + "\n" + `data: {"detail":"` + words + `"}` + "\n\n",
		"object":                   `data: {"error":{"message":"` + words + `"}}` + "\n\n",
		"object with a status":     `data: {"message":"` + words + `","status":503}` + "\n\n",
		"object of details":        `data: {"detail":[{"loc":["body"],"msg":"` + words + `"}]}` + "\n\n",
		"list":                     `data: [{"error":{"message":"` + words + `"}}]` + "\n\n",
		"list of errors":           `data: {"errors":[{"message":"` + words + `"}]}` + "\n\n",
		"object in text":           `data: {"error":{"message":"{\"error\":{\"message\":\"` + words + `\"}}"}}` + "\n\n",
		"stream in text":           `data: {"error":{"message":"data: {\"error\":{\"message\":\"` + words + `\"}}\n\n"}}` + "\n\n",
		"object behind an event":   "data: \n" + `data: {"error":{"message":"` + words + `"}}` + "\n\n",
		"event of an error object": `event: error` + "\n" + `data: {"error":{"message":"` + words + `"}}` + "\n\n",
	}
}

func runBodies(t *testing.T, h Harness) {
	w := h.Wire
	for _, test := range w.odd() {
		t.Run(test.name, func(t *testing.T) {
			got := h.outcome(t, wireCase{sent: test.sent, open: test.open})
			switch {
			case test.text == "*":
				got.Check(t, got.Text, chat.CodeProviderError, test.words)
			case test.words != "":
				got.Check(t, test.text, chat.CodeProviderError, test.words)
			default:
				got.Check(t, test.text, "", "")
			}
		})
	}
	for name, sent := range errorsOf("overloaded, " + Key) {
		t.Run("error as "+name, func(t *testing.T) {
			h.outcome(t, wireCase{sent: []string{EventStream, sent}}).Check(t, "", chat.CodeProviderError, "the provider failed: overloaded")
			h.outcome(t, wireCase{sent: []string{EventStream, w.Begin + w.Text("Hel"), sent}}).Check(t, "Hel", chat.CodeProviderError, "the provider failed: overloaded")
		})
	}
	for name, sent := range map[string]string{
		"stream":        EventStream + "data: x\n\ndata: {\"secret\":[1\n\n",
		"stream of 400": head(400, "Content-Type: text/event-stream") + w.Begin + w.Text("secret") + w.end(),
		"answer of 400": head(400, "") + w.Whole("secret"),
		"cut answer":    head(500, "") + w.Whole("secret")[:len(w.Whole("secret"))-2],
		"reported data": EventStream + "event: error\ndata: {\"secret\":1\n\n",
		"error stream":  EventStream + "event: error\ndata: data: {\"secret\":\n\n",
		"error in text": EventStream + `data: {"error":{"message":"data: {\"secret\":1}"}}` + "\n\n",
	} {
		t.Run("raw data is not shown: "+name, func(t *testing.T) {
			got := h.outcome(t, wireCase{sent: []string{sent}})
			got.Check(t, "", chat.CodeProviderError, "")
			if said := chat.AsError(got.Err).Message; strings.ContainsAny(said, "{}[]") || strings.Contains(said, "secret") || strings.Contains(said, "data:") {
				t.Errorf("people are shown %q", said)
			}
		})
	}
	runLasting(t, h)
}

// runLasting checks that what cannot succeed is asked once.
func runLasting(t *testing.T, h Harness) {
	const invalid = `{"error":{"message":"no","type":"invalid_request_error"}}`
	const long = `{"error":{"message":"This model's maximum context length is 8192 tokens. However, you requested 9000 tokens."}}`
	for name, sent := range map[string]string{
		"a refusal":                 head(400, "") + invalid,
		"a refusal as JSON":         head(200, "") + invalid,
		"a refusal in a stream":     EventStream + "data: " + invalid + "\n\n",
		"a refusal as an event":     EventStream + "event: error\ndata: " + invalid + "\n\n",
		"a refusal as a field":      EventStream + "error: " + invalid + "\n\n",
		"a refusal of 500":          head(500, "") + invalid,
		"a status":                  EventStream + `data: {"error":{"message":"no","code":"400"}}` + "\n\n",
		"a status by its name":      EventStream + `data: {"error":{"message":"no","status":"INVALID_ARGUMENT"}}` + "\n\n",
		"a context too long":        head(400, "") + long,
		"a context of 500":          head(500, "") + long,
		"a context as JSON":         head(200, "") + long,
		"a context in a stream":     EventStream + "data: " + long + "\n\n",
		"a prompt that is too long": EventStream + `data: {"error":{"type":"api_error","message":"prompt is too long: 210000 tokens"}}` + "\n\n",
	} {
		t.Run("asked once after "+name, func(t *testing.T) {
			err := h.outcome(t, wireCase{sent: []string{sent}}).Err
			if f, ok := err.(*upstream.Failure); !ok || f.Retryable {
				t.Errorf("got %#v, want a failure that comes again", err)
			}
		})
	}
}
