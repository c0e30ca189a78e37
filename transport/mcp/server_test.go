package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"parlor/protocol/chat"
	"parlor/transport/live"
)

// connect returns the official client, which speaks the newest version of the protocol.
func (e *edge) connect(t *testing.T) *sdk.ClientSession {
	t.Helper()
	client := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &sdk.StreamableClientTransport{Endpoint: e.url, MaxRetries: -1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	return session
}

// use returns what a tool says, or its error.
func use(t *testing.T, session *sdk.ClientSession, name string, arguments any) (text string, failed bool) {
	t.Helper()
	result, err := session.CallTool(t.Context(), &sdk.CallToolParams{Name: name, Arguments: arguments})
	if err != nil {
		return err.Error(), true
	}
	return result.Content[0].(*sdk.TextContent).Text, result.IsError
}

// TestSchemas: providers of models refuse what is not flat.
func TestSchemas(t *testing.T) {
	list, err := newEdge(t, new(fake)).connect(t).ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	all, _ := json.Marshal(list.Tools)
	if found := regexp.MustCompile(`"(\$\w+|anyOf|oneOf|allOf|not)":|"type":\[`).Find(all); found != nil || len(list.Tools) != 5 || len(all) > 8<<10 {
		t.Errorf("%d tools in %d bytes with %s:\n%s", len(list.Tools), len(all), found, all)
	}
}

func TestTools(t *testing.T) {
	e := newEdge(t, new(fake))
	session := e.connect(t)
	for _, c := range []struct{ tool, arguments, want string }{
		{"rooms_list", `{"limit":1}`, `{"rooms":[{"room":"0","title":"","members":0,"assistant":"","created":"0001-01-01T00:00:00.000Z"}],"total":45,"cursor":"1"}`},
		{"rooms_list", `{"cursor":"45"}`, `{"rooms":[],"total":45}`},
		{"rooms_list", `{"cursor":"x"}`, "invalid: cursor is not one that this tool takes: leave it out to begin anew"},
		{"rooms_list", `{"limit":1000}`, `validating "arguments".*limit.*`},
		{"rooms_list", `{"all":true}`, `validating "arguments".*all.*`},
		{"room_search", `{"query":"hey"}`, `{"results":[{"room":"c","title":"","message_id":"m","at":"","snippet":"hey","read":"b8"}],"cursor":"more"}`},
		{"room_search", `{}`, `validating "arguments".*query.*`},
		{"room_post", `{"room":"c","text":" "}`, "invalid: text is empty"},
		{"room_post", `{"room":"d","text":"hi"}`, "not_found: there is no such chat"},
		{"room_post", `{"room":"c","text":"hi","client_id":"a b"}`, "invalid: client_id .*"},
		{"room_post", `{"room":"c","text":"hi","client_id":"one","answer":false}`, `{"message_id":"m","repeated":false,"answers":1,"cursor":"e.3"}`},
		{"room_read", `{"room":"d"}`, "not_found: there is no such chat"},
		{"room_read", `{"room":"c"}`, `{"room":"c","title":"","messages":[],"cursor":"e.0"}`},
		{"room_delete", `{}`, `.*unknown tool "room_delete".*`},
	} {
		got, _ := use(t, session, c.tool, json.RawMessage(c.arguments))
		if got != c.want && !regexp.MustCompile("^(?s)"+c.want+"$").MatchString(got) {
			t.Errorf("%s %s: got %s, want %s", c.tool, c.arguments, got, c.want)
		}
	}
	if len(e.said) != 1 || e.said[0].ClientID != "one" || e.said[0].Answer == nil || *e.said[0].Answer {
		t.Errorf("said %+v", e.said)
	}
}

func TestReadOnly(t *testing.T) {
	e := newEdge(t, new(fake))
	e.in.ReadOnly = true
	session := e.connect(t)
	if text, failed := use(t, session, "room_read", map[string]any{"room": "c"}); failed {
		t.Error(text)
	}
	if text, failed := use(t, session, "room_post", map[string]any{"room": "c", "text": "hi"}); !failed || text != "forbidden: this API key may only read" || len(e.said) > 0 {
		t.Error(text, e.said)
	}
}

// Neither a bug nor an error of the server ends it, or says what is inside.
func TestFailures(t *testing.T) {
	for _, failure := range []error{errPanic, errors.New("open /var/secret: no")} {
		session := newEdge(t, &fake{failure: failure}).connect(t)
		for range 2 {
			text, failed := use(t, session, "rooms_list", nil)
			if !failed || !strings.Contains(text, "something went wrong in the server") || strings.Contains(text, "secret") {
				t.Errorf("%v: %s", failure, text)
			}
		}
	}
}

// A request that is refused reaches no room.
func TestRefusedRequests(t *testing.T) {
	e := newEdge(t, new(fake))
	for want, body := range map[string]string{
		"batches are not supported": " [" + toolCall("room_post", `{"room":"c","text":"hi"}`) + "]",
		"larger than 10000 bytes":   strings.Repeat(" ", 10_001),
		"no such method":            `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{}}}`,
		"malformed payload":         "{",
	} {
		if got := e.post(t, e.request(t.Context(), body)); !strings.Contains(got, want) || len(e.said) > 0 {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func (e *edge) post(t *testing.T, r *http.Request) string {
	t.Helper()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// A proxy on this computer passes on the name that the internet knows the server by.
func TestBehindProxy(t *testing.T) {
	e := newEdge(t, new(fake))
	r := e.request(t.Context(), toolCall("rooms_list", "{}"))
	r.Host = "chat.example.com"
	if got := e.post(t, r); !strings.Contains(got, `"total":45`) {
		t.Error(got)
	}
}

// A wait ends with the client, also in versions of the protocol in which the SDK goes on.
func TestClientGone(t *testing.T) {
	e := newEdge(t, &fake{following: make(chan struct{}), left: make(chan error, 1)})
	ctx, hangUp := context.WithCancel(t.Context())
	go func() {
		<-e.following
		hangUp()
	}()
	if response, err := http.DefaultClient.Do(e.request(ctx, toolCall("room_wait", `{"room":"c"}`))); err == nil {
		_, err = io.ReadAll(response.Body)
		response.Body.Close()
		if err == nil {
			t.Error("an answer")
		}
	}
	if err := <-e.left; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// An agent is told that its sign-in has ended while it waits.
func TestSignedOut(t *testing.T) {
	e := newEdge(t, &fake{following: make(chan struct{})})
	go func() {
		<-e.following
		e.end()
	}()
	got := e.post(t, e.request(t.Context(), toolCall("room_wait", `{"room":"c"}`)))
	if !strings.Contains(got, live.ErrSignedOut.Message) || !strings.Contains(got, string(chat.CodeUnauthenticated)) {
		t.Error(got)
	}
}
