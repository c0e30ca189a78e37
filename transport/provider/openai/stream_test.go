package openai

import (
	"bytes"
	"net"
	"strings"
	"testing"

	"github.com/tmaxmax/go-sse"

	"parlor/protocol/chat"
)

// streams are what a provider may send on one connection, and what comes of
// it. A case that ends complete also says whether the usage came through.
var streams = []struct {
	name     string
	sent     []string // each one TCP segment
	open     bool     // the connection stays open after
	maxEvent int

	text     string
	complete bool
	usage    bool
	message  string // of the provider_error, if not complete
}{
	{name: "answer", sent: []string{eventStream, hel, lo, stop, usage357, end}, text: "Hello", complete: true, usage: true},
	{name: "answer in one segment", sent: []string{eventStream + hel + lo + stop + usage357 + end}, text: "Hello", complete: true, usage: true},
	{name: "answer byte by byte", sent: strings.Split(eventStream+": é\n\n"+strings.Replace(hel, "Hel", "Hé😀", 1)+stop+end, ""), text: "Hé😀", complete: true},
	{name: "split UTF-8", sent: []string{eventStream, "data: {\"choices\":[{\"delta\":{\"content\":\"\xe2\x82", "\xac \xf0\x9f", "\x98\x80\"}}]}\n\n", stop, end}, text: "€ 😀", complete: true},
	{name: "split emoji", sent: []string{eventStream, `data: {"choices":[{"delta":{"content":"a \ud83d"}}]}` + "\n\n", `data: {"choices":[{"delta":{}}]}` + "\n\n", `data: {"choices":[{"delta":{"content":"\ude00 b"}}]}` + "\n\n", stop, end}, text: "a 😀 b", complete: true},
	{name: "half an emoji", sent: []string{eventStream, `data: {"choices":[{"delta":{"content":"a \ud83d"}}]}` + "\n\n", stop, end}, text: "a \ufffd", complete: true},
	{name: "half an emoji, then a cut", sent: []string{eventStream, `data: {"choices":[{"delta":{"content":"a \ud83d"}}]}` + "\n\n"}, text: "a \ufffd", message: "the answer was cut off"},
	{name: "content of another type", sent: []string{eventStream, `data: {"choices":[{"delta":{"content":["a"]}}]}` + "\n\n"}, message: "something that is not an answer"},
	{name: "line ends of CRLF", sent: []string{eventStream, strings.ReplaceAll(hel+stop+end, "\n", "\r\n")}, text: "Hel", complete: true},
	{name: "open after DONE", sent: []string{eventStream, hel, stop, end}, open: true, text: "Hel", complete: true},
	{name: "more after DONE", sent: []string{eventStream, hel, stop, end, lo, lo}, open: true, text: "Hel", complete: true},
	{name: "end without DONE", sent: []string{eventStream, hel, stop}, text: "Hel", complete: true},
	{name: "cut after the finish", sent: []string{chunkedStream, "1000\r\n" + hel + stop}, text: "Hel", complete: true},
	{name: "DONE without its blank line", sent: []string{eventStream, hel, stop, "data: [DONE]"}, text: "Hel", complete: true},
	{name: "usage with the finish", sent: []string{eventStream, hel, `data: {"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8}}` + "\n\n", end}, text: "Hel", complete: true, usage: true},
	{name: "usage in every chunk", sent: []string{eventStream, usage357, hel, usage357, stop, usage357, end}, text: "Hel", complete: true, usage: true},
	{name: "text with the finish", sent: []string{eventStream, hel, `data: {"choices":[{"delta":{"content":"lo"},"finish_reason":"stop"}]}` + "\n\n", end}, text: "Hello", complete: true},
	{name: "finish for length", sent: []string{eventStream, hel, strings.Replace(stop, "stop", "length", 1), end}, text: "Hel", complete: true},
	{name: "finish by content filter", sent: []string{eventStream, hel, strings.Replace(stop, "stop", "content_filter", 1), end}, text: "Hel", complete: true},
	{name: "refusal", sent: []string{eventStream, `data: {"choices":[{"delta":{"content":null,"refusal":"I will not."}}]}` + "\n\n", stop, end}, text: "I will not.", complete: true},
	{name: "no text", sent: []string{eventStream, stop, end}, complete: true},
	{name: "empty choices", sent: []string{eventStream, "data: {\"choices\":[]}\n\ndata: {}\n\n", hel, stop, end}, text: "Hel", complete: true},
	{name: "empty events", sent: []string{eventStream, "event: ping\n\n", "data:\n\n", hel, stop, end}, text: "Hel", complete: true},
	{name: "another choice", sent: []string{eventStream, hel, strings.Replace(lo, `"index":0`, `"index":1`, 1), stop, end}, text: "Hel", complete: true},
	{name: "unusual members", sent: []string{eventStream, `data: {"id":7,"created":1.5,"object":null,"error":null,"choices":[{"delta":{"content":"Hel","x":1}}]}` + "\n\n", stop, end}, text: "Hel", complete: true},
	{name: "no content type", sent: []string{"HTTP/1.1 200 OK\r\n\r\n", hel, stop, end}, text: "Hel", complete: true},
	{name: "10,000 comments", sent: []string{eventStream, hel, strings.Repeat(": keep-alive\n\n", 10_000), stop, end}, text: "Hel", complete: true},
	{name: "comments and blank lines over the limit", sent: []string{eventStream, hel, strings.Repeat(": keep-alive\n", 1000), strings.Repeat("\n", 10_000), stop, end}, maxEvent: 4096, text: "Hel", complete: true},
	{name: "comment over the limit", sent: []string{eventStream, ":" + strings.Repeat("x", 10_000) + "\n", hel, stop, end}, maxEvent: 4096, text: "Hel", complete: true},
	{name: "event below the limit", sent: []string{eventStream, strings.Replace(hel, "Hel", strings.Repeat("x", 100_000), 1), stop, end}, text: strings.Repeat("x", 100_000), complete: true},

	{name: "cut between events", sent: []string{eventStream, hel}, text: "Hel", message: "the answer was cut off"},
	{name: "cut in an event", sent: []string{eventStream, hel, lo[:20]}, text: "Hel", message: "the answer was cut off"},
	{name: "cut in a chunked body", sent: []string{chunkedStream, "1000\r\n" + hel}, text: "Hel", message: "the answer was cut off"},
	{name: "cut before anything", sent: []string{eventStream}, message: "the answer was cut off"},
	{name: "DONE without a finish", sent: []string{eventStream, hel, end}, text: "Hel", message: "the answer was cut off"},
	{name: "usage without a finish", sent: []string{eventStream, hel, usage357, end}, text: "Hel", message: "the answer was cut off"},
	{name: "no response", sent: nil, message: "closed the connection without an answer"},
	{name: "not HTTP", sent: []string{"220 mail.example ESMTP\r\n"}, message: "cannot be reached"},
	{name: "the key instead of HTTP", sent: []string{"Bearer " + testKey + "\r\n"}, message: "cannot be reached"},
	{name: "the key as a type", sent: []string{"HTTP/1.1 200 OK\r\nContent-Type: " + testKey + "\r\n\r\n"}, message: "with [redacted] instead of an event stream"},
	{name: "error in band", sent: []string{eventStream, hel, `data: {"error":{"message":"overloaded","type":"server_error","code":503}}` + "\n\n"}, open: true, text: "Hel", message: "the provider failed: overloaded"},
	{name: "error after a comment", sent: []string{eventStream, ": PROCESSING\n\n", `data: {"error":{"message":"overloaded"}}` + "\n\n"}, open: true, message: "the provider failed: overloaded"},
	{name: "error right after a comment", sent: []string{eventStream, ": PROCESSING\n" + `data: {"error":{"message":"overloaded"}}` + "\n\n"}, open: true, message: "the provider failed: overloaded"},
	{name: "error as text", sent: []string{eventStream, hel, `data: {"error":"overloaded"}` + "\n\n"}, text: "Hel", message: "the provider failed: overloaded"},
	{name: "error event", sent: []string{eventStream, hel, "event: error\ndata: overloaded\n\n"}, open: true, text: "Hel", message: "the provider failed: overloaded"},
	{name: "error event in JSON", sent: []string{eventStream, hel, "event: error\ndata: {\"detail\":\"overloaded\"}\n\n"}, text: "Hel", message: "the provider failed: overloaded"},
	{name: "error with choices", sent: []string{eventStream, hel, `data: {"error":{"code":502,"message":"overloaded"},"choices":[{"delta":{"content":""},"finish_reason":"error"}]}` + "\n\n"}, text: "Hel", message: "the provider failed: overloaded"},
	{name: "error after the finish", sent: []string{eventStream, hel, stop, `data: {"error":{"message":"overloaded"}}` + "\n\n"}, text: "Hel", message: "the provider failed: overloaded"},
	{name: "finish reason error", sent: []string{eventStream, hel, strings.Replace(stop, "stop", "error", 1)}, text: "Hel", message: "ended the answer with an error"},
	{name: "error without a message", sent: []string{eventStream, hel, `data: {"error":{"code":503}}` + "\n\n"}, text: "Hel", message: "the provider failed"},
	{name: "bare JSON for a stream", sent: []string{eventStream, ": PROCESSING\n", `{"error":{"message":"overloaded"}}`}, message: "the provider failed: overloaded"},
	{name: "not JSON", sent: []string{eventStream, hel, "data: Lo and behold\n\n"}, open: true, text: "Hel", message: "something that is not an answer"},
	{name: "event over the limit", sent: []string{eventStream, hel, "data: " + strings.Repeat("x", 10_000)}, open: true, maxEvent: 4096, text: "Hel", message: "an event of more than 4096 bytes"},
	{name: "HTML", sent: []string{"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", "<h1>Welcome to nginx!</h1>\n"}, message: "with text/html instead of an event stream"},
	{name: "HTML called a stream", sent: []string{eventStream, "<h1>Welcome to nginx!</h1>\n"}, message: "the answer was cut off"},
	{name: "JSON for a stream", sent: []string{"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", `{"error":"no streaming here"}`}, message: "with application/json instead of an event stream: no streaming here"},
}

func TestStreams(t *testing.T) {
	for _, test := range streams {
		t.Run(test.name, func(t *testing.T) {
			url := serveConns(t, func(conn net.Conn) {
				if readRequest(conn) != nil {
					return
				}
				for _, segment := range test.sent {
					if _, err := conn.Write([]byte(segment)); err != nil {
						return
					}
				}
				if test.open {
					untilClosed(conn)
				}
			})
			c := newClient(t, url, Options{MaxEvent: test.maxEvent})

			got := collect(t, c.Stream(t.Context(), hello))

			if test.complete {
				got.check(t, test.text, "", "")
			} else {
				got.check(t, test.text, chat.CodeProviderError, test.message)
			}
			switch {
			case test.usage && (got.usage == nil || *got.usage != counted):
				t.Errorf("usage is %+v, want %+v", got.usage, counted)
			case !test.usage && got.usage != nil:
				t.Errorf("usage is %+v, want none", got.usage)
			}
		})
	}
}

// FuzzStream checks that any body ends in an answer with a finish_reason or in
// one error.
func FuzzStream(f *testing.F) {
	for _, test := range streams {
		f.Add([]byte(strings.ReplaceAll(strings.Join(test.sent, ""), eventStream, "")))
	}
	c, err := New("", testKey, Options{MaxEvent: 4096})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s := stream{client: c, watchdog: newWatchdog(t.Context(), DefaultFirstToken)}
		defer s.watchdog.stop()
		got := collect(t, func(yield func(chat.Delta, error) bool) {
			s.yield = yield
			s.run(bytes.NewReader(body))
		})
		if got.err == nil && !s.finished {
			t.Error("complete without a finish_reason")
		}
		got.check(t, got.text, codeOf(got.err), "")
	})
}

func codeOf(err error) chat.Code {
	if err == nil {
		return ""
	}
	return chat.AsError(err).Code
}

// FuzzLines checks that lines takes no event away.
func FuzzLines(f *testing.F) {
	for _, test := range streams {
		f.Add([]byte(strings.ReplaceAll(strings.Join(test.sent, ""), eventStream, "")))
	}
	f.Add([]byte("\r\n\r\n: a\r\rdata: b\r\n:c\r\ndata: d\r\n\r\n\r\n:e\n\nevent: f\n\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		if bytes.Contains(body, []byte("\xef\xbb\xbf")) {
			t.Skip("a byte order mark is one only at the start")
		}
		body = append(body, "\n\n"...) // an unfinished last line is an error to go-sse
		want := eventsOf(t, sse.Read(bytes.NewReader(body), nil))
		got := eventsOf(t, sse.Read(&lines{r: bytes.NewReader(body)}, nil))
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func eventsOf(t *testing.T, events func(func(sse.Event, error) bool)) []string {
	var all []string
	for ev, err := range events {
		if err != nil {
			t.Skip("over the limit of go-sse")
		}
		all = append(all, ev.Type+"="+ev.Data)
	}
	return all
}
