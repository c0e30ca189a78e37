package realtime

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
)

var lookup = chat.Tool{Name: "look up", Schema: []byte(`{"type":"object"}`)}

func (w *talk) askWith(answer chat.MessageID, messages ...chat.PromptMessage) {
	w.in <- chat.Ask{Answer: answer, Messages: messages, Tools: []chat.Tool{lookup}}
}

// called reads up to the end of an answer, and returns its calls.
func (w *talk) called(state chat.State) (calls []string) {
	w.t.Helper()
	for d := range w.out {
		if d.Calls != nil {
			for _, c := range d.Calls.List {
				calls = append(calls, c.Given+" "+c.Name+" "+c.Arguments)
			}
		}
		if d.Ended != nil {
			if d.Ended.State != state {
				w.t.Errorf("ended %s (%v), want %s", d.Ended.State, d.Ended.Error, state)
			}
			return calls
		}
	}
	return calls
}

// TestPlacesOfACall: servers tell the name and the arguments of a call in some of several
// places. It is whole at whichever comes first with arguments, once.
func TestPlacesOfACall(t *testing.T) {
	const (
		added     = `{"type":"response.output_item.added","response_id":"resp_1","item":{"id":"i1","type":"function_call","call_id":"c1","name":"look_up","arguments":""}}`
		nameless  = `{"type":"response.output_item.added","response_id":"resp_1","item":{"id":"i1","type":"function_call","call_id":"c1"}}`
		piece1    = `{"type":"response.function_call_arguments.delta","response_id":"resp_1","item_id":"i1","call_id":"c1","delta":"{\"a\":"}`
		piece2    = `{"type":"response.function_call_arguments.delta","response_id":"resp_1","item_id":"i1","call_id":"c1","delta":"\"\ud83d"}`
		piece3    = `{"type":"response.function_call_arguments.delta","response_id":"resp_1","item_id":"i1","call_id":"c1","delta":"\ude00\"}"}`
		done      = `{"type":"response.function_call_arguments.done","response_id":"resp_1","item_id":"i1","call_id":"c1","arguments":"{\"a\":\"😀\"}"}`
		doneNamed = `{"type":"response.function_call_arguments.done","response_id":"resp_1","item_id":"i1","call_id":"c1","name":"look_up","arguments":"{\"a\":\"😀\"}"}`
		doneEmpty = `{"type":"response.function_call_arguments.done","response_id":"resp_1","item_id":"i1","call_id":"c1","arguments":""}`
		itemDone  = `{"type":"response.output_item.done","response_id":"resp_1","item":{"id":"i1","type":"function_call","call_id":"c1","name":"look_up","arguments":"{\"a\":\"😀\"}"}}`
		itemEmpty = `{"type":"response.output_item.done","response_id":"resp_1","item":{"id":"i1","type":"function_call","call_id":"c1","name":"look_up","arguments":""}}`
		known     = `{"type":"conversation.item.done","item":{"id":"i1","type":"function_call","call_id":"c1","name":"look_up","arguments":"{\"a\":\"😀\"}"}}`
		created   = `{"type":"conversation.item.created","item":{"id":"i1","type":"function_call","call_id":"c1","name":"look_up","arguments":""}}`
		end       = `{"type":"response.done","response":{"id":"resp_1","status":"completed","output":null}}`
		endAll    = `{"type":"response.done","response":{"id":"resp_1","status":"completed","output":[{"id":"i1","type":"function_call","call_id":"c1","name":"look_up","arguments":"{\"a\":\"😀\"}"}]}}`
		cut       = `{"type":"response.done","response":{"id":"resp_1","status":"incomplete","status_details":{"reason":"max_output_tokens"}}}`
		cancelled = `{"type":"response.done","response":{"id":"resp_1","status":"cancelled"}}`
		failed    = `{"type":"response.done","response":{"id":"resp_1","status":"failed"}}`
	)
	const smile = `c1 look up {"a":"😀"}`
	for _, test := range []struct {
		name  string
		sent  []string
		want  []string
		state chat.State
	}{
		{"all places", []string{added, created, piece1, piece2, piece3, done, itemDone, known, endAll}, []string{smile}, chat.StateCompleted},
		{"pieces alone", []string{added, piece1, piece2, piece3, end}, []string{smile}, chat.StateCompleted},
		{"arguments.done alone", []string{added, done, end}, []string{smile}, chat.StateCompleted},
		{"the name in arguments.done", []string{nameless, doneNamed, end}, []string{smile}, chat.StateCompleted},
		{"arguments.done first", []string{doneNamed, end}, []string{smile}, chat.StateCompleted},
		{"conversation.item.done alone", []string{known, end}, []string{smile}, chat.StateCompleted},
		{"arguments lost but for conversation.item.done", []string{added, doneEmpty, itemEmpty, known, end}, []string{smile}, chat.StateCompleted},
		{"response.done alone", []string{endAll}, []string{smile}, chat.StateCompleted},
		{"no arguments", []string{added, doneEmpty, itemEmpty, end}, []string{"c1 look up {}"}, chat.StateCompleted},
		{"no name", []string{nameless, done, end}, nil, chat.StateCompleted},
		{"cut", []string{added, piece1, cut}, []string{`c1 look up {"a":`}, chat.StateCompleted},
		{"cancelled", []string{added, done, cancelled}, nil, chat.StateStopped},
		{"failed", []string{added, done, failed}, nil, chat.StateFailed},
		{"no end", []string{added, done}, []string{smile}, chat.StateCompleted},
		{"no end, and no arguments", []string{added}, nil, chat.StateFailed},
	} {
		t.Run(test.name, func(t *testing.T) {
			in(t, Options{}, func(t *testing.T, w *talk) {
				w.askWith("a1", user("m1", "hello"))
				p := <-w.srv.peers
				p.asked()
				p.responses++
				p.Send(`{"type":"response.created","response":{"id":"resp_1"}}`)
				for _, event := range test.sent {
					p.Send(event)
				}
				if diff := cmp.Diff(test.want, w.called(test.state)); diff != "" {
					t.Errorf("calls (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestActiveResponse: while the provider gives another answer, it refuses the next one. That
// is asked for again.
func TestActiveResponse(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *talk) {
		w.ask("a1", user("m1", "hello"))
		p := <-w.srv.peers
		for range 3 {
			e := p.asked()
			p.send(map[string]any{"type": "error", "error": map[string]any{"code": activeResponse, "message": "one at a time", "event_id": e.EventID}})
		}
		p.answer("Hello")
		if text, _ := w.ended("a1", chat.StateCompleted); text != "Hello" {
			t.Errorf("got %q", text)
		}
		w.ask("a2", user("m1", "hello"), assistant("a1", "Hello"), user("m2", "again"))
		begin := time.Now()
		for range maxBusy + 1 {
			e := p.asked()
			p.send(map[string]any{"type": "error", "error": map[string]any{"code": activeResponse, "message": "one at a time", "event_id": e.EventID}})
		}
		w.ended("a2", chat.StateFailed)
		if took := time.Since(begin); took < time.Second || took > time.Minute {
			t.Errorf("gave up after %s", took)
		}
	})
}

// TestToolsRefused: a server that takes no tools is asked without, from then on.
func TestToolsRefused(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *talk) {
		w.askWith("a1", user("m1", "hello"))
		p := <-w.srv.peers
		e := p.asked()
		if tool := e.Response.Tools[0]; tool.Name != "look_up" || !strings.Contains(string(tool.Parameters), "properties") {
			t.Errorf("offered %+v", tool)
		}
		p.send(map[string]any{"type": "error", "error": map[string]any{"message": "Unknown parameter: 'response.tools'.", "event_id": e.EventID}})
		for n, id := range []chat.MessageID{"a1", "a2"} {
			if n > 0 {
				w.askWith(id, user("m1", "hello"), assistant("a1", "Hello"), user("m2", "again"))
			}
			if e := p.asked(); e.Response.Tools != nil {
				t.Errorf("offered %+v", e.Response.Tools)
			}
			p.begin()
			p.Say("Hello")
			p.Finish(chat.Usage{})
			w.ended(id, chat.StateCompleted)
		}
	})
}
