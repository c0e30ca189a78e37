package mcp

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/goleak"

	"parlor/protocol/chat"
	"parlor/transport/tools"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == GuardCommand {
		os.Exit(Guard(os.Args[2:]))
	}
	goleak.VerifyTestMain(m)
}

// A request is one that a scripted server got.
type request struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Name      string          `json:"name"`
		Cursor    string          `json:"cursor"`
		URI       string          `json:"uri"`
		Arguments json.RawMessage `json:"arguments"`
		Reason    string          `json:"reason"`
		Meta      struct {
			ProgressToken any `json:"progressToken"`
		} `json:"_meta"`
	} `json:"params"`
}

// A scripted server is one on pipes, as a process would be.
type scripted struct {
	script func(s *scripted, r request) // nil answers as usual
	out    io.WriteCloser
	mu     sync.Mutex
	died   string

	*lines
	ended chan struct{}
}

// newScripted starts one. It ends when the client closes the pipes.
func newScripted(log *slog.Logger, script func(*scripted, request)) *scripted {
	fromServer, toClient := io.Pipe()
	fromClient, toServer := io.Pipe()
	s := &scripted{script: script, out: toClient, lines: newLines(fromServer, toServer, log), ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		defer toClient.Close()
		defer fromClient.Close()
		lines := bufio.NewScanner(fromClient)
		lines.Buffer(nil, 32<<20)
		for lines.Scan() {
			var r request
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				panic(err)
			}
			script(s, r)
		}
	}()
	return s
}

// write writes a line.
func (s *scripted) write(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, format+"\n", args...)
}

func (s *scripted) answer(r request, result string) {
	s.write(`{"jsonrpc":"2.0","id":%s,"result":%s}`, r.ID, result)
}

func (s *scripted) die(how string) {
	s.mu.Lock()
	s.died = how
	s.mu.Unlock()
	s.out.Close()
}

// The methods of link.

func (s *scripted) Connect(context.Context) (sdk.Connection, error) { return s.lines, nil }
func (s *scripted) versions() []string                              { return []string{"2025-11-25"} }
func (s *scripted) end()                                            { _ = s.lines.Close(); <-s.ended }
func (s *scripted) why() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.died
}

// well answers what every server has to, with one tool, and the call of a tool with its
// arguments.
func well(s *scripted, r request) {
	switch r.Method {
	case "initialize":
		s.answer(r, `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}`)
	case "tools/list":
		s.answer(r, `{"tools":[{"name":"echo","inputSchema":{"type":"object"}}]}`)
	case "tools/call":
		text, _ := json.Marshal(string(r.Params.Arguments))
		s.answer(r, fmt.Sprintf(`{"content":[{"type":"text","text":%s}]}`, text))
	}
}

// A world is a server in a bubble, with the registry that it puts its tools into.
type world struct {
	*testing.T
	server   *server
	registry *tools.Registry
	log      *strings.Builder
	starts   int
}

// inBubble starts a server whose processes behave as script says. It gets the number of the
// start, from 1.
func inBubble(t *testing.T, c Config, script func(start int, s *scripted, r request), f func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, log: new(strings.Builder)}
		log := slog.New(slog.NewTextHandler(w.log, nil))
		registry, err := tools.New(tools.Options{
			Servers: []string{"s"}, Logger: log,
			Model: func(chat.ModelID) tools.Model { return tools.Model{Tools: []string{"s/*"}} },
		})
		if err != nil {
			t.Fatal(err)
		}
		c, err = c.complete(nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		open := func() (link, error) {
			w.starts++
			n := w.starts
			return newScripted(log, func(s *scripted, r request) { script(n, s, r) }), nil
		}
		w.registry = registry
		w.server = newServer(ctx, "s", c, open, registry.Put, log)
		var running sync.WaitGroup
		running.Go(w.server.run)
		f(w)
		cancel()
		running.Wait()
		time.Sleep(startPatience) // the timer of the registry
	})
}

// started returns how often the server was started.
func (w *world) started() int {
	synctest.Wait()
	return w.starts
}

const startPatience = 11 * time.Second

// call calls a tool, and returns the text of its result or of its error.
func (w *world) call(arguments string) string {
	return w.callFor(w.Context(), arguments)
}

func (w *world) callFor(ctx context.Context, arguments string) string {
	result, err := w.registry.Run(ctx, chat.ToolRun{Call: chat.ToolCall{Name: "s/echo", Arguments: arguments}})
	switch {
	case errors.Is(err, context.Canceled):
		return "canceled"
	case err != nil:
		return "error: " + chat.AsError(err).Message
	}
	return result
}

// says fails the test unless text has all of these in it.
func (w *world) says(text string, wanted ...string) {
	w.Helper()
	for _, want := range wanted {
		if !strings.Contains(text, want) {
			w.Errorf("got %.500q, want %q in it", text, want)
		}
	}
}
