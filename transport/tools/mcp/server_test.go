package mcp

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/tools"
)

// Lines that are no message end nothing, and a flood of them does not fill the log.
func TestStrayLines(t *testing.T) {
	inBubble(t, Config{}, func(_ int, s *scripted, r request) {
		for range 1000 {
			s.write("Listening on stdin")
		}
		s.write(`{"level":30,"msg":"a line of a log"}`)
		s.write(`{"jsonrpc":"2.0","id":1,"resu`)
		s.write(`{"jsonrpc":"2.0","id":9999,"result":{}}`)
		s.write(``)
		well(s, r)
	}, func(w *world) {
		for i := range 3 {
			w.says(w.call(fmt.Sprint(`{"n":`, i, `}`)), fmt.Sprint(`{"n":`, i, `}`))
		}
		if n := strings.Count(w.log.String(), "no message"); n != 1 || w.started() != 1 {
			w.Errorf("%d lines in the log, %d starts", n, w.started())
		}
	})
}

// An answer that is too long fails its call alone, wherever its id is.
func TestAnswerTooLong(t *testing.T) {
	inBubble(t, Config{}, func(_ int, s *scripted, r request) {
		long := fmt.Sprintf(`{"content":[{"type":"text","text":%q}]}`, strings.Repeat("x", maxMessage))
		switch string(r.Params.Arguments) {
		case `{"id":"first"}`:
			s.answer(r, long)
		case `{"id":"last"}`:
			s.write(`{"result":%s,"jsonrpc":"2.0","id":%s}`, long, r.ID)
		default:
			well(s, r)
		}
	}, func(w *world) {
		w.says(w.call(`{"id":"first"}`), "error", "at most 4194304 are read")
		w.says(w.call(`{"id":"last"}`), "error", "at most 4194304 are read")
		w.says(w.call(`{}`), "{}")
	})
}

// A process that ends in a call has nobody know what came of it. Calls fail at once until it
// is started again, after pauses that grow; what ends five times is started less often, and for a call.
func TestRestarts(t *testing.T) {
	alive := false
	inBubble(t, Config{}, func(start int, s *scripted, r request) {
		switch {
		case start > 1 && !alive, r.Method == "tools/call" && start == 1:
			s.die("its process has ended: exit status 7" + lastWordsMark + "KEY=abc is wrong")
		default:
			well(s, r)
		}
	}, func(w *world) {
		begun := time.Now()
		first, second := w.call(`{}`), w.call(`{}`)
		w.says(first, "nobody knows", "exit status 7")
		w.says(second, "not run", "restarting", "exit status 7")
		if strings.Contains(first+second, "KEY") || !strings.Contains(w.server.status().Error, "KEY=abc is wrong") {
			w.Errorf("members are told %q, %q, the operator %+v", first, second, w.server.status())
		}
		if took := time.Since(begun); took > 2*maxAwait {
			w.Errorf("the calls took %s", took)
		}
		time.Sleep(30 * time.Second)
		if w.started() != maxFailures || w.server.status().State != Failed {
			w.Errorf("%d starts, %+v", w.started(), w.server.status())
		}
		time.Sleep(time.Hour)
		before := w.started() // nobody calls a server whose tools were never listed
		if before < 50 || before > 90 || strings.Count(w.log.String(), "level=ERROR") != 1 {
			w.Errorf("%d starts, %s", before, w.log)
		}
		w.says(w.call(`{}`), "not run", "failed", "exit status 7")
		alive = true
		w.says(w.call(`{}`), "{}")
		if w.started() != before+2 || w.server.status().State != Connected {
			w.Errorf("%d starts, %+v", w.started(), w.server.status())
		}
		if n := len(w.registry.Offered("m", nil)); n != 1 {
			w.Errorf("%d tools are offered", n)
		}
	})
}

// The pauses between starts are about 1, 2, 4 and 8 seconds.
func TestPauses(t *testing.T) {
	s := &server{}
	var got []time.Duration
	for _, s.failures = range []int{1, 2, 3, maxFailures - 1} {
		got = append(got, s.nextPause())
	}
	if want := "[1s 2s 4s 8s]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	s.remote, s.failures = true, 1
	if s.nextPause() != 0 {
		t.Error("a session with a URL is not made anew at once")
	}
}

// A call ends with its time: without progress after the one, with it after the other. The
// session goes on.
func TestTimes(t *testing.T) {
	var cancelled []string
	inBubble(t, Config{IdleTimeout: tools.Duration(10 * time.Second), TotalTimeout: tools.Duration(time.Minute)}, func(_ int, s *scripted, r request) {
		switch {
		case r.Method == "notifications/cancelled":
			cancelled = append(cancelled, r.Params.Reason)
		case string(r.Params.Arguments) == `{"hang":true}`:
		case string(r.Params.Arguments) == `{"progress":true}`:
			go func() {
				for i := range 20 {
					time.Sleep(9 * time.Second)
					s.write(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%q,"progress":%d}}`, r.Params.Meta.ProgressToken, i)
				}
			}()
		default:
			well(s, r)
		}
	}, func(w *world) {
		for arguments, want := range map[string]time.Duration{`{"hang":true}`: 10 * time.Second, `{"progress":true}`: time.Minute} {
			begun := time.Now()
			w.says(w.call(arguments), "nobody knows")
			if took := time.Since(begun); took != want {
				w.Errorf("%s took %s, want %s", arguments, took, want)
			}
		}
		ctx, cancel := context.WithCancel(w.Context())
		time.AfterFunc(time.Second, cancel)
		if got := w.callFor(ctx, `{"hang":true}`); got != "canceled" {
			w.Errorf("a call that is cancelled: %s", got)
		}
		w.says(w.call(`{}`), "{}")
		time.Sleep(time.Hour) // late progress is dropped
		synctest.Wait()
		if w.started() != 1 || len(cancelled) != 3 {
			w.Errorf("%d starts, cancelled: %q", w.started(), cancelled)
		}
	})
}

// The progress that a server tells of a call is passed on, without control characters, until
// the call ends.
func TestProgress(t *testing.T) {
	inBubble(t, Config{}, func(_ int, s *scripted, r request) {
		if r.Method == "tools/call" {
			for i := range 3 {
				s.write(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%q,"progress":%d,"total":3,"message":"step \u001b[31m%d"}}`, r.Params.Meta.ProgressToken, i+1, i+1)
			}
			s.write(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"another","progress":9}}`)
			time.Sleep(time.Second)
			defer func() {
				time.Sleep(time.Second) // so that the answer has arrived
				s.write(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%q,"progress":4}}`, r.Params.Meta.ProgressToken)
			}()
		}
		well(s, r)
	}, func(w *world) {
		var told []chat.ToolProgress
		_, err := w.registry.Run(w.Context(), chat.ToolRun{
			Call:     chat.ToolCall{Name: "s/echo", Arguments: `{}`},
			Progress: func(p chat.ToolProgress) { told = append(told, p) },
		})
		time.Sleep(2 * time.Second)
		if want := "[{1 3 step [31m1} {2 3 step [31m2} {3 3 step [31m3}]"; err != nil || fmt.Sprint(told) != want {
			t.Errorf("told %v, %v, want %s", told, err, want)
		}
	})
}

// A server that never answers, or not the first list, is given up after its time, and the
// answers of models do not wait for that.
func TestSilence(t *testing.T) {
	for _, silent := range []string{"initialize", "tools/list"} {
		inBubble(t, Config{}, func(_ int, s *scripted, r request) {
			if r.Method != silent {
				well(s, r)
			}
		}, func(w *world) {
			begun := time.Now()
			w.registry.Offered("m", nil)
			if took := time.Since(begun); took > 10*time.Second {
				w.Errorf("the tools were waited for %s", took)
			}
			time.Sleep(DefaultStart - 10*time.Second)
			synctest.Wait()
			if now := w.server.status(); now.State != Restarting || now.Error == "" {
				w.Errorf("%s: %+v", silent, now)
			}
		})
	}
}

// Changes of the list are followed, many of them at once as one.
func TestListChanges(t *testing.T) {
	lists := 0
	inBubble(t, Config{}, func(_ int, s *scripted, r request) {
		switch {
		case r.Method == "tools/list":
			lists++
			s.answer(r, fmt.Sprintf(`{"tools":[{"name":"echo"},{"name":"tool%d"}]}`, lists))
		case r.Method == "tools/call":
			for range 5000 {
				s.write(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
			}
			fallthrough
		default:
			well(s, r)
		}
	}, func(w *world) {
		w.call(`{}`)
		time.Sleep(10 * settle)
		synctest.Wait()
		names := ""
		for _, tool := range w.registry.Offered("m", nil) {
			names += tool.Name + " "
		}
		if want := fmt.Sprintf("s/echo s/tool%d ", lists); names != want || lists < 2 || lists > 4 {
			w.Errorf("got %s after %d lists, want %s", names, lists, want)
		}
	})
}

// A tool that cannot be offered is left out, and the others stay. A list has an end.
func TestBadTools(t *testing.T) {
	pages := 0
	inBubble(t, Config{}, func(_ int, s *scripted, r request) {
		if r.Method != "tools/list" {
			well(s, r)
			return
		}
		pages++
		s.answer(r, `{"tools":[{"name":"a"},{"name":""},{"name":"a"},{"name":"b","inputSchema":{"type":"string"}},{"name":"c","inputSchema":true},`+`{"name":"bad name/é"},{"name":"x\u001b[31m"},{"name":"read","annotations":{"readOnlyHint":true,"idempotentHint":true}}],"nextCursor":"`+strings.Repeat("n", pages)+`"}`)
	}, func(w *world) {
		w.call(`{}`)
		synctest.Wait()
		names := ""
		for _, tool := range w.registry.Offered("m", nil) {
			names += tool.Name + " "
		}
		if want := "s/a s/bad name/é s/read "; names != want || pages != maxPages {
			w.Errorf("got %q of %d pages, want %q", names, pages, want)
		}
		got := []chat.Approval{w.registry.Approval("m", chat.ToolCall{Name: "s/a"}), w.registry.Approval("m", chat.ToolCall{Name: "s/read"})}
		if got[0] != chat.ApprovalAsk || got[1] != chat.ApprovalNever || w.registry.Repeatable("s/read") {
			w.Errorf("approvals %v, repeatable %v", got, w.registry.Repeatable("s/read"))
		}
	})
}

// Failures of all kinds are told to the model, and what a server asks for itself is refused.
func TestFailures(t *testing.T) {
	var refused []string
	inBubble(t, Config{}, func(_ int, s *scripted, r request) {
		switch string(r.Params.Arguments) {
		case `{"how":"error"}`:
			s.write(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32602,"message":"getaddrinfo ENOTFOUND\u0000"}}`, r.ID)
		case `{"how":"result"}`:
			s.answer(r, `{"isError":true,"content":[{"type":"text","text":"access \u001b[31mdenied"}]}`)
		case `{"how":"content"}`:
			s.answer(r, `{"content":[{"type":"hologram"}]}`)
		case `{"how":"null"}`:
			s.answer(r, `null`)
		case `{"how":"asks"}`:
			for i, method := range []string{"sampling/createMessage", "elicitation/create", "nothing/known"} {
				s.write(`{"jsonrpc":"2.0","id":"s%d","method":%q,"params":{"messages":[],"maxTokens":1,"message":"x","requestedSchema":{"type":"object"}}}`, i, method)
			}
			well(s, r)
		case ``:
			if r.Method == "" {
				refused = append(refused, string(r.ID))
			}
			well(s, r)
		default:
			well(s, r)
		}
	}, func(w *world) {
		for how, want := range map[string]string{"error": "error: the tool failed: getaddrinfo ENOTFOUND", "result": "error: access [31mdenied", "content": "error: ", "null": ""} {
			got := w.call(`{"how":"` + how + `"}`)
			w.says(got, want)
			if strings.ContainsAny(got, "\x00\x1b") {
				w.Errorf("%s: %q", how, got)
			}
		}
		w.call(`{"how":"asks"}`)
		synctest.Wait()
		if len(refused) != 3 || w.started() != 1 {
			w.Errorf("refused %q, %d starts", refused, w.started())
		}
		for _, arguments := range []string{"", "null", " "} {
			w.says(w.call(arguments), "{}")
		}
	})
}

// A handler that panics ends neither the process nor the session.
func TestPanic(t *testing.T) {
	inBubble(t, Config{}, func(_ int, s *scripted, r request) {
		if r.Method == "tools/call" {
			s.write(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"bad","progress":1}}`)
		}
		well(s, r)
	}, func(w *world) {
		w.call(`{}`)
		synctest.Wait() // its progress has come
		panicked := 0
		w.server.session.progress.Store("bad", func(chat.ToolProgress) { panicked++; panic("a bug") })
		for range 3 {
			w.says(w.call(`{}`), "{}")
		}
		if w.started() != 1 || panicked != 3 || !strings.Contains(w.log.String(), "a bug") {
			w.Errorf("%d starts, %d panics", w.starts, panicked)
		}
	})
}
