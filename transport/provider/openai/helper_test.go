package openai

import (
	"bufio"
	"errors"
	"io"
	"iter"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"parlor/protocol/chat"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testKey = "sk-test-0123456789abcdef"

// hello is the prompt of most tests.
var hello = chat.Prompt{Model: "m1", Messages: []chat.PromptMessage{{Role: chat.RoleUser, Content: "hello"}}}

// What providers send. Without a length, the end of the connection ends the
// body; that is the case in which a cut looks like an end.
const (
	eventStream   = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nConnection: close\r\n\r\n"
	chunkedStream = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
	hel           = `data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"}}]}` + "\n\n"
	lo            = `data: {"choices":[{"index":0,"delta":{"content":"lo"}}]}` + "\n\n"
	stop          = `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}` + "\n\n"
	usage357      = `data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8}}` + "\n\n"
	end           = "data: [DONE]\n\n"
)

var counted = chat.Usage{PromptTokens: 3, CompletionTokens: 5, TotalTokens: 8}

// serveConns answers each connection with handle, in a goroutine of its own,
// and closes it after; it returns the base URL. The test waits for all of them.
func serveConns(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				handle(conn)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		wg.Wait()
	})
	return "http://" + ln.Addr().String() + "/v1"
}

// readRequest reads one request and its body off conn.
func readRequest(conn net.Conn) error {
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, req.Body)
	return err
}

// untilClosed waits until the peer has closed conn.
func untilClosed(conn net.Conn) { io.Copy(io.Discard, conn) }

func newClient(t *testing.T, baseURL string, o Options) *Client {
	t.Helper()
	c, err := New(baseURL, testKey, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// An outcome is all that a stream yielded.
type outcome struct {
	text  string
	usage *chat.Usage
	err   error
}

// collect reads a stream to its end and checks what holds for every stream:
// usage comes once, after all text, an error once and as the last.
func collect(t *testing.T, answer iter.Seq2[chat.Delta, error]) outcome {
	t.Helper()
	var o outcome
	for d, err := range answer {
		switch {
		case o.err != nil:
			t.Fatalf("yielded %+v, %v after the error %v", d, err, o.err)
		case err != nil && d != (chat.Delta{}):
			t.Fatalf("yielded %+v together with %v", d, err)
		case o.usage != nil:
			t.Fatalf("yielded %+v, %v after the usage", d, err)
		}
		o.text += d.Text
		o.usage, o.err = d.Usage, err
	}
	return o
}

// check compares an outcome; code and message are those of a *chat.Error, and
// the message needs only to be contained.
func (o outcome) check(t *testing.T, text string, code chat.Code, message string) {
	t.Helper()
	if o.text != text {
		t.Errorf("text is %q, want %q", o.text, text)
	}
	var e *chat.Error
	switch {
	case code == "" && o.err != nil:
		t.Errorf("error %v, want none", o.err)
	case code == "":
	case !errors.As(o.err, &e):
		t.Errorf("error %v, want code %s", o.err, code)
	case e.Code != code || !strings.Contains(e.Message, message):
		t.Errorf("error %v, want code %s and %q in it", e, code, message)
	}
	if o.err != nil && strings.Contains(o.err.Error(), testKey) {
		t.Errorf("the key is in the error %q", o.err)
	}
}
