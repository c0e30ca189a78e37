package mcp

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"parlor/protocol/chat"
)

// library is a server with resources and prompts, and without tools. It has as many books
// as the test says at the moment.
func library(books *int) func(int, *scripted, request) {
	return func(_ int, s *scripted, r request) {
		switch {
		case r.Method == "initialize":
			s.answer(r, `{"protocolVersion":"2025-11-25","capabilities":{"resources":{},"prompts":{}},"serverInfo":{"name":"s","version":"1"}}`)
		case r.Method == "resources/list" && *books == 0:
			s.answer(r, `{"resources":[]}`)
		case r.Method == "resources/list" && r.Params.Cursor == "":
			s.answer(r, `{"resources":[null,{"uri":"book://1","name":"one\u001b[31m","mimeType":"text/plain","description":"two\nlines `+strings.Repeat("x", 1000)+`"}],"nextCursor":"p2"}`)
		case r.Method == "resources/list":
			s.answer(r, `{"resources":[{"uri":"book://2","name":"two"}]}`)
		case r.Method == "resources/templates/list" && *books > 0:
			s.answer(r, `{"resourceTemplates":[{"uriTemplate":"book://{n}","name":"any"}]}`)
		case r.Method == "resources/read" && r.Params.URI == "book://1":
			s.answer(r, `{"contents":[{"uri":"book://1","text":"Once upon a time"},{"uri":"book://1/cover","mimeType":"image/png","blob":"AAAA"}]}`)
		case r.Method == "prompts/list":
			s.answer(r, `{"prompts":[null,{"name":""},{"name":"bad\u0007"},{"name":"review","title":"Review","description":"Has a book reviewed.","arguments":[null,{"name":"book","required":true}]}]}`)
		case r.Method == "prompts/get" && r.Params.Name == "review":
			s.answer(r, fmt.Sprintf(`{"messages":[{"role":"user","content":{"type":"text","text":%q}},{"role":"system","content":{"type":"image","mimeType":"image/png","data":"AAAA"}}]}`, "Review "+string(r.Params.Arguments)))
		case r.Method == "prompts/get" && r.Params.Name == "long":
			s.answer(r, fmt.Sprintf(`{"messages":[{"role":"user","content":{"type":"text","text":%q}}]}`, strings.Repeat("x", maxPromptText+1)))
		case r.Method == "prompts/get" && r.Params.Name == "hang":
		case r.ID != nil:
			s.write(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no %s\u001b[31m"}}`, r.ID, r.Method)
		}
	}
}

func (w *world) offered() (names string) {
	for _, t := range w.registry.Offered("m", nil) {
		names += " " + t.Name
	}
	return names
}

func (w *world) run(tool, arguments string) string {
	call := chat.ToolCall{Name: tool, Arguments: arguments}
	if wrong := w.registry.Check("m", nil, call); wrong != "" {
		return "wrong: " + wrong
	}
	result, err := w.registry.Run(w.Context(), chat.ToolRun{Call: call})
	if err != nil {
		return "error: " + chat.AsError(err).Message
	}
	return result
}

// The resources of a server are read with two tools, which are there as long as it has any,
// and which nobody is asked about.
func TestResources(t *testing.T) {
	books := 0
	var connected *scripted
	serve := library(&books)
	inBubble(t, Config{}, func(start int, s *scripted, r request) {
		if connected == nil {
			connected = s
		}
		serve(start, s, r)
	}, func(w *world) {
		if got := w.offered(); got != "" || w.started() != 1 || w.server.status().State != Connected {
			w.Errorf("without books there is%s, %+v", got, w.server.status())
		}
		books = 2
		connected.write(`{"jsonrpc":"2.0","method":"notifications/resources/list_changed"}`)
		time.Sleep(2 * settle)
		if got := w.offered(); got != " s/list_resources s/read_resource" || w.registry.Approval("m", chat.ToolCall{Name: "s/read_resource"}) != chat.ApprovalNever {
			w.Errorf("offered are%s", got)
		}
		first := w.run("s/list_resources", `{}`)
		w.says(first, `the cursor "p2"`, "book://1 · one[31m · text/plain · two lines", "template book://{n} · any")
		if len(first) > 1000 {
			w.Errorf("the list has %d bytes", len(first))
		}
		if got := w.run("s/list_resources", `{"cursor":"p2"}`); got != "book://2 · two" {
			w.Errorf("the second page is %q", got)
		}
		w.says(w.run("s/read_resource", `{"uri":"book://1"}`), "[book://1]\nOnce upon a time\n[the file book://1/cover, image/png, 3 bytes")
		w.says(w.run("s/read_resource", `{"uri":"book://9"}`), "error: the tool failed: no resources/read[31m")
		w.says(w.run("s/read_resource", `{}`), "wrong: ", "uri")
	})
}

// Prompts are listed to people, who have them filled in. What cannot be used is left out or
// refused, and a server that is not there hides no other.
func TestPrompts(t *testing.T) {
	books := 0
	inBubble(t, Config{}, library(&books), func(w *world) {
		w.started()
		servers := &Servers{callers: map[string]caller{"s": w.server.within, "gone": (&server{name: "gone"}).ofAll}}
		list, missing := servers.Prompts(w.Context(), "alice")
		if len(list) != 1 || list[0].Server != "s" || list[0].Name != "review" || len(list[0].Arguments) != 1 || !list[0].Arguments[0].Required {
			w.Errorf("listed are %+v", list)
		}
		if len(missing) != 1 || missing[0].Server != "gone" || !strings.Contains(missing[0].Reason, "has not answered within 10s") {
			w.Errorf("missing are %+v", missing)
		}
		messages, err := servers.Prompt(w.Context(), "alice", "s", "review", map[string]string{"book": "one"})
		if want := `[{user Review {"book":"one"}} {user [an image, image/png, 3 bytes, which cannot be shown here]}]`; err != nil || fmt.Sprint(messages) != want {
			w.Errorf("got %v, %v", messages, err)
		}
		for name, want := range map[string]string{"none": "no prompts/get[31m", "long": "more than 262144 bytes", "hang": "has not answered within 10s"} {
			_, err := servers.Prompt(w.Context(), "alice", "s", name, nil)
			if refusal := chat.AsError(err); err == nil || refusal.Code != chat.CodeProviderError {
				w.Errorf("%s: %v", name, err)
			} else {
				w.says(refusal.Message, want)
			}
		}
		if _, err := servers.Prompt(w.Context(), "alice", "none", "x", nil); chat.AsError(err).Code != chat.CodeNotFound {
			w.Errorf("another server: %v", err)
		}
	})
}
