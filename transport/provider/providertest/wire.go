package providertest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// A Wire is how the server of a provider writes an answer: events, each with
// the blank line that ends it.
type Wire struct {
	Begin   string                    // before the text; may be empty
	Text    func(inner string) string // a piece of text, given as the inside of a JSON string
	Thought func(inner string) string // a piece of what the model thinks
	Ping    string                    // says nothing

	// Call is a call of a tool, the n-th block of the answer, with its arguments in
	// pieces, each given as the inside of a JSON string. Nil if its models call none.
	Call   func(n int, id, name string, pieces ...string) string
	CallID *regexp.Regexp // matches the ids of calls that all its servers take

	Claim func(why chat.Finish) string // says that the answer ends, and why
	Last  string                       // ends the stream, after a claim
	Final bool                         // a claim ends the stream
	Usage chat.Usage                   // that one of these tells
	Error func(words string) string    // fails the answer
	Whole func(text string) string     // an answer in one piece, where a stream was wanted

	// Asked reads the body of a request, as the prompt that was asked. Calls have the id and
	// the name that the server is told, and so have tools and results.
	Asked func(body []byte) (chat.Prompt, error)
}

// end ends an answer as complete.
func (w *Wire) end() string { return w.Claim(chat.FinishStop) + w.Last }

// answer is the body of a whole answer of these pieces.
func (w *Wire) answer(pieces ...string) string {
	body := w.Begin
	for _, p := range pieces {
		body += w.Text(p)
	}
	return body + w.end()
}

// A wireCase is what a server sends on one connection, and what comes of it.
type wireCase struct {
	name     string
	sent     []string // each read at once
	open     bool     // the connection stays open after
	maxEvent int
	tools    []chat.Tool // that are offered

	text  string
	words string // of the provider that its failure repeats
}

func (w *Wire) whole() []wireCase {
	begin, hel, end := w.Begin, w.Text("Hel"), w.end()
	answer := w.answer("Hel", "lo")
	return []wireCase{
		{name: "answer", sent: []string{EventStream, begin, hel, w.Text("lo"), end}, text: "Hello"},
		{name: "answer in one segment", sent: []string{EventStream + answer}, text: "Hello"},
		{name: "answer byte by byte", sent: strings.Split(EventStream+": é\n\n"+w.answer("Hé", "😀"), ""), text: "Hé😀"},
		{name: "split UTF-8", sent: split(EventStream+w.answer("€ 😀"), "€", "😀"), text: "€ 😀"},
		{name: "split emoji", sent: []string{EventStream, begin, w.Text(`a \ud83d`), w.Text(""), w.Text(`\ude00 b`), end}, text: "a 😀 b"},
		{name: "half an emoji", sent: []string{EventStream, begin, w.Text(`a \ud83d`), end}, text: "a \ufffd"},
		{name: "line ends of CRLF", sent: []string{EventStream, strings.ReplaceAll(answer, "\n", "\r\n")}, text: "Hello"},
		{name: "open after the end", sent: []string{EventStream, answer}, open: true, text: "Hello"},
		{name: "more after the end", sent: []string{EventStream, answer + hel + hel}, open: true, text: "Hello"},
		{name: "chunked", sent: []string{chunkedStream, fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(answer), answer)}, text: "Hello"},
		{name: "no text", sent: []string{EventStream, begin, end}},
		{name: "pings", sent: []string{EventStream, w.Ping, begin, w.Ping, hel, strings.Repeat(w.Ping, 1000), end}, text: "Hel"},
		{name: "no content type", sent: []string{"HTTP/1.1 200 OK\r\n\r\n", answer}, text: "Hello"},
		{name: "10,000 comments", sent: []string{EventStream, begin, hel, strings.Repeat(": keep-alive\n\n", 10_000), end}, text: "Hel"},
		{name: "comments and blank lines over the limit", sent: []string{EventStream, begin, hel, strings.Repeat(": keep-alive\n", 1000), strings.Repeat("\n", 10_000), end}, maxEvent: 4096, text: "Hel"},
		{name: "comment over the limit", sent: []string{EventStream, ":" + strings.Repeat("x", 10_000) + "\n", answer}, maxEvent: 4096, text: "Hello"},
		{name: "event below the limit", sent: []string{EventStream, w.answer(strings.Repeat("x", 100_000))}, text: strings.Repeat("x", 100_000)},
	}
}

func (w *Wire) failures() []wireCase {
	begin, hel, failed := w.Begin, w.Text("Hel"), w.Error("overloaded, "+Key)
	return []wireCase{
		{name: "cut between events", sent: []string{EventStream, begin, hel}, text: "Hel"},
		{name: "cut in an event", sent: []string{EventStream, begin, hel, hel[:len(hel)/2]}, text: "Hel"},
		{name: "cut in a chunked body", sent: []string{chunkedStream, "1000\r\n" + begin + hel}, text: "Hel"},
		{name: "cut before the text", sent: []string{EventStream, begin}},
		{name: "cut in an emoji", sent: []string{EventStream, begin, w.Text(`a \ud83d`)}, text: "a \ufffd"},
		{name: "no body", sent: []string{EventStream}},
		{name: "no response", sent: nil},
		{name: "not HTTP", sent: []string{"220 mail.example ESMTP\r\n"}},
		{name: "the key instead of HTTP", sent: []string{"Bearer " + Key + "\r\n"}},
		{name: "error in band", sent: []string{EventStream, begin, hel, failed}, open: true, text: "Hel", words: "overloaded"},
		{name: "error first", sent: []string{EventStream, failed}, open: true, words: "overloaded"},
		{name: "error after a comment", sent: []string{EventStream, ": PROCESSING\n\n", failed}, open: true, words: "overloaded"},
		{name: "error right after a comment", sent: []string{EventStream, ": PROCESSING\n", failed}, open: true, words: "overloaded"},
		{name: "error event", sent: []string{EventStream, begin, hel, "event: error\ndata: overloaded\n\n"}, open: true, text: "Hel", words: "overloaded"},
		{name: "bare JSON for a stream", sent: []string{EventStream, ": PROCESSING\n", refusalBody}, words: refusalWords},
		{name: "not JSON", sent: []string{EventStream, begin, hel, "data: Lo and behold\n\n"}, open: true, text: "Hel"},
		{name: "event over the limit", sent: []string{EventStream, begin, hel, "data: " + strings.Repeat("x", 10_000)}, open: true, maxEvent: 4096, text: "Hel"},
		{name: "a page", sent: []string{"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", "<h1>Welcome to nginx!</h1>\n"}, words: "text/html"},
		{name: "a page called a stream", sent: []string{EventStream, "<h1>Welcome to nginx!</h1>\n"}},
		{name: "JSON for a stream", sent: []string{"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", refusalBody}, words: refusalWords},
	}
}

func runWire(t *testing.T, h Harness) {
	for _, test := range h.Wire.whole() {
		t.Run(test.name, func(t *testing.T) {
			got := h.outcome(t, test)
			got.Check(t, test.text, "", "")
			if got.Usage == nil || *got.Usage != h.Wire.Usage {
				t.Errorf("usage is %+v, want %+v", got.Usage, h.Wire.Usage)
			}
		})
	}
	for _, test := range h.Wire.failures() {
		t.Run(test.name, func(t *testing.T) {
			h.outcome(t, test).Check(t, test.text, chat.CodeProviderError, test.words)
		})
	}
	for _, r := range refusals {
		t.Run(fmt.Sprint(r.Status), func(t *testing.T) { wireRefused(t, h, r) })
	}
	t.Run("side by side", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { wireSideBySide(t, h) })
	})
	t.Run("request", func(t *testing.T) { wireRequest(t, h) })
	t.Run("redirect is not followed", func(t *testing.T) { wireRedirect(t, h) })
	t.Run("connection that went stale", func(t *testing.T) { wireStale(t, h) })
}

// outcome is what comes of what a server sends.
func (h Harness) outcome(t *testing.T, test wireCase) (got Outcome) {
	synctest.Test(t, func(t *testing.T) {
		p := h.piped(t, upstream.Options{MaxEvent: test.maxEvent}, Answer(test.open, test.sent...))
		asked := hello
		asked.Tools = test.tools
		got = Collect(t, p.Stream(t.Context(), asked))
	})
	return got
}

// wireRefused wants the provider's own words without its key, and what a guard
// needs to know to ask again.
func wireRefused(t *testing.T, h Harness, r Refusal) {
	head := fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: application/json\r\n", r.Status, http.StatusText(r.Status))
	for name := range r.Header {
		head += name + ": " + r.Header.Get(name) + "\r\n"
	}
	got := h.outcome(t, wireCase{sent: []string{head + "\r\n" + r.Body}})
	got.Check(t, "", chat.CodeProviderError, refusalWords)
	checkRetryable(t, got.Err, r)
}

// wireSideBySide asks a server that repeats what it is asked, a piece at a time.
func wireSideBySide(t *testing.T, h Harness) {
	p := h.piped(t, upstream.Options{}, func(conn net.Conn) {
		body, err := ReadRequest(conn)
		if err != nil {
			return
		}
		asked, err := h.Wire.Asked(body)
		if err != nil {
			t.Errorf("read %s: %v", body, err)
			return
		}
		text := h.Wire.Text(asked.Messages[len(asked.Messages)-1].Content)
		for _, s := range []string{EventStream, h.Wire.Begin, text, text, h.Wire.end()} {
			time.Sleep(time.Second)
			_, _ = io.WriteString(conn, s)
		}
	})
	var wg sync.WaitGroup
	for i := range sideBySide {
		wg.Go(func() {
			text := fmt.Sprint("prompt ", i, ". ")
			Collect(t, p.Stream(t.Context(), said(text))).Check(t, text+text, "", "")
		})
	}
	wg.Wait()
}

// wireRequest asks the provider everything that a prompt can hold.
func wireRequest(t *testing.T, h Harness) {
	prompt := chat.Prompt{Model: "m1", MaxTokens: 321, Messages: []chat.PromptMessage{
		{ID: "s1", Role: chat.RoleSystem, Content: "be short"},
		{ID: "s2", Role: chat.RoleSystem, Content: "be kind"},
		{ID: "u1", Role: chat.RoleUser, Content: "Grüße <b>"},
		{ID: "a1", Role: chat.RoleAssistant, Content: ""},
		{ID: "u2", Role: chat.RoleUser, Content: "?"},
		{ID: "a2", Role: chat.RoleAssistant, Content: "Yes."},
		{ID: "u3", Role: chat.RoleUser, Content: "Why?"},
	}}
	before := fmt.Sprintf("%+v", prompt)
	var asked []byte
	synctest.Test(t, func(t *testing.T) {
		p := h.piped(t, upstream.Options{}, func(conn net.Conn) {
			asked, _ = ReadRequest(conn)
			_, _ = io.WriteString(conn, EventStream+h.Wire.answer("Hello"))
		})
		Collect(t, p.Stream(t.Context(), prompt)).Check(t, "Hello", "", "")
	})
	if after := fmt.Sprintf("%+v", prompt); after != before {
		t.Errorf("the prompt was changed to %s", after)
	}
	got, err := h.Wire.Asked(asked)
	if err != nil {
		t.Fatalf("read %s: %v", asked, err)
	}
	if got.Model != "m1" || got.MaxTokens != 321 {
		t.Errorf("asked %s for %d tokens", got.Model, got.MaxTokens)
	}
	want := "system: be short be kind, user: Grüße <b> ?, assistant: Yes., user: Why?"
	if got := digest(got.Messages); got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
}

// digest is a conversation in one line. Protocols differ in whether messages of
// one role may follow each other, and in whether one may be empty.
func digest(messages []chat.PromptMessage) string {
	var parts []string
	var last chat.Role
	for _, m := range messages {
		words := strings.Join(strings.Fields(m.Content), " ")
		switch {
		case words == "":
			continue
		case m.Role == last:
			parts[len(parts)-1] += " " + words
			continue
		}
		last = m.Role
		parts = append(parts, string(m.Role)+": "+words)
	}
	return strings.Join(parts, ", ")
}

func wireRedirect(t *testing.T, h Harness) {
	const head = "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://elsewhere.example/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	var hosts []string
	synctest.Test(t, func(t *testing.T) {
		dial := Pipe(t, Answer(false, head))
		o := upstream.Options{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			hosts = append(hosts, address)
			return dial(ctx, network, address)
		}}
		p := h.open(t, nowhere, o)
		Collect(t, p.Stream(t.Context(), hello)).Check(t, "", chat.CodeProviderError, "307")
	})
	if !slices.Equal(hosts, []string{"provider.example:80"}) {
		t.Errorf("connected to %q", hosts)
	}
}

// wireStale closes a kept connection just when it is used again.
func wireStale(t *testing.T, h Harness) {
	var conns atomic.Int32
	synctest.Test(t, func(t *testing.T) {
		p := h.piped(t, upstream.Options{}, func(conn net.Conn) {
			if conns.Add(1) > 1 {
				Answer(false, EventStream+h.Wire.answer("Hello"))(conn)
				return
			}
			if _, err := ReadRequest(conn); err != nil {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\n\r\nno")
			_, _ = ReadRequest(conn)
		})
		Collect(t, p.Stream(t.Context(), hello)).Check(t, "", chat.CodeProviderError, "429")
		time.Sleep(time.Millisecond) // the connection goes back to the pool
		Collect(t, p.Stream(t.Context(), hello)).Check(t, "Hello", "", "")
	})
	if n := conns.Load(); n != 2 {
		t.Errorf("%d connections, want 2: the first was not kept", n)
	}
}

// split cuts s in the middle of each of the characters.
func split(s string, chars ...string) []string {
	var parts []string
	for _, c := range chars {
		at := strings.Index(s, c) + 2
		parts = append(parts, s[:at])
		s = s[at:]
	}
	return append(parts, s)
}
