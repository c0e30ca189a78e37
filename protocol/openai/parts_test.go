package openai

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"parlor/protocol/chat"
)

// life is that of a turn which waits for its caller: for two functions, for an approval, and once more
// when the server has ended while the tool ran. In between the server was killed.
func life() []told {
	call := func(id, name string, f func(*chat.ToolCall)) chat.ToolCall {
		c := chat.ToolCall{ID: id, Name: name, Arguments: `{"n":1}`}
		f(&c)
		return c
	}
	onPage := func(c *chat.ToolCall) { c.OnPage, c.Requested = true, true }
	waits := func(c *chat.ToolCall) { c.NeedsApproval = true }
	step := func(text string, calls ...chat.ToolCall) chat.Event {
		return chat.ToolsCalled{TurnID: turnID, MessageID: messageID, Content: text, Calls: calls}
	}
	ended := func(id string, state chat.ToolOutcome) chat.Event {
		return chat.ToolEnded{TurnID: turnID, CallID: id, State: state, Result: "r"}
	}
	decided := func(yes bool) chat.Event {
		return chat.ToolDecided{TurnID: turnID, CallID: "p", Approved: yes, By: "bob"}
	}
	const first, second = "I look 😀.", "I pay."
	texts := func(attempt int, before string, pieces ...string) (all []chat.Notice) {
		for _, p := range pieces {
			all = append(all, chat.Text{Turn: chat.Turn{ID: turnID, MessageID: messageID, Attempt: attempt}, Before: []byte(before), Piece: p})
			before += p
		}
		return all
	}
	var all []chat.Notice
	add := func(n ...chat.Notice) { all = append(all, n...) }
	record := func(events ...chat.Event) {
		for _, e := range events {
			add(chat.Record{Seq: uint64(100 + len(all)), At: start, Event: e})
		}
	}
	add(queued(), started(1))
	add(texts(1, "", "I look", " 😀.")...)
	record(step(first, call("a", "look", onPage), call("x", "look", func(*chat.ToolCall) {}), call("b", "look", onPage)))
	record(ended("x", chat.ToolFailed), ended("b", chat.ToolCompleted), ended("a", chat.ToolCompleted))
	add(texts(1, first, "\n\nI p")...)
	add(started(2))
	add(texts(2, first, "\n\n", "I pay.")...)
	record(step(second, call("p", "bank/pay", waits)), decided(true), chat.ToolsLost{TurnID: turnID, Calls: []string{"p"}})
	add(started(3))
	record(decided(false), ended("p", chat.ToolUnknown))
	add(texts(3, first+"\n\n"+second, "\n\nDone", ".")...)
	record(chat.TurnEnded{TurnID: turnID, MessageID: messageID, State: chat.StateCompleted, Content: first + "\n\n" + second + "\n\nDone."})
	list := make([]told, 0, len(all))
	for _, n := range all {
		list = append(list, told{notice: n})
	}
	return list
}

// TestParts: each part of a turn that waits for its caller is a response, and asks for what it waits for.
func TestParts(t *testing.T) {
	texts := []string{"I look 😀.", "I pay.", "", "Done."}
	asks := []string{
		`{"id":"fc_a","type":"function_call","status":"completed","call_id":"call_a_7","name":"look","arguments":"{\"n\":1}"} {"id":"fc_b","type":"function_call","status":"completed","call_id":"call_b_7","name":"look","arguments":"{\"n\":1}"}`,
		`{"id":"mcpr_p_7","type":"mcp_approval_request","server_label":"bank","name":"pay","arguments":"{\"n\":1}"}`,
		`{"id":"mcpr_p_7","type":"mcp_approval_request","server_label":"bank","name":"pay","arguments":"{\"n\":1}","parlor_lost":true}`,
		"",
	}
	for part := range texts {
		id := ResponseID{Chat: "room-1", Turn: turnID, Seq: 7, Part: part, Functions: true}
		all := stream(t, NewStream(NewTurn(id, info), Begin), life())
		turn := NewTurn(id, info)
		for _, one := range life() {
			if r, is := one.notice.(chat.Record); is {
				turn.Take(r)
			}
		}
		response := turn.Response(turn.Text())
		var got []string
		text := ""
		for _, item := range response.Output {
			if m, is := item.(Item); is {
				for _, p := range m.Content {
					text += p.Text
				}
				continue
			}
			b, _ := json.Marshal(item)
			got = append(got, string(b))
		}
		if text != texts[part] || strings.Join(got, " ") != asks[part] || response.Status != statusCompleted {
			t.Errorf("part %d: %s, %q and %s", part, response.Status, text, got)
		}
		told, _ := json.Marshal(all[len(all)-1]["response"])
		now, _ := json.Marshal(response)
		var a, b any
		_, _ = json.Unmarshal(told, &a), json.Unmarshal(now, &b)
		if x, y := encode(a), encode(b); !bytes.Equal(x, y) {
			t.Errorf("part %d: told\n%s\nand now\n%s", part, x, y)
		}
		if last := turn.Last(turn.Text()); int64(all[len(all)-1]["sequence_number"].(float64)) != last {
			t.Errorf("part %d: the last event has %v, and Last is %d", part, all[len(all)-1]["sequence_number"], last)
		}
		resumed(t, id, all)
	}
}

// resumed checks that a stream goes on behind each of its events, also if the pieces of the text were not heard live.
func resumed(t *testing.T, id ResponseID, all []map[string]any) {
	t.Helper()
	before := Begin
	for i, e := range all {
		number := int64(e["sequence_number"].(float64))
		if number <= before {
			t.Fatalf("%s: event %d after %d", id, number, before)
		}
		before = number
		rest := stream(t, NewStream(NewTurn(id, info), number), life())
		if names(rest) != names(all[i+1:]) {
			t.Errorf("%s behind %d: %s, want %s", id, number, names(rest), names(all[i+1:]))
		}
		records := slices.DeleteFunc(life(), func(one told) bool { _, text := one.notice.(chat.Text); return text })
		quiet := stream(t, NewStream(NewTurn(id, info), number), records)
		if len(quiet) > 0 && joinedDeltas(quiet) != joinedDeltas(rest) || len(quiet) == 0 && len(rest) > 0 {
			t.Errorf("%s behind %d, from the log alone: %q, want %q", id, number, joinedDeltas(quiet), joinedDeltas(rest))
		}
	}
}

func names(events []map[string]any) string {
	var all []string
	for _, e := range events {
		all = append(all, strings.TrimPrefix(e["type"].(string), "response."))
	}
	return strings.Join(all, " ")
}

// joinedDeltas is the text of the last attempt.
func joinedDeltas(events []map[string]any) (text string) {
	for _, e := range events {
		switch e["type"] {
		case "response.in_progress":
			text = ""
		case nameDelta:
			text += e["delta"].(string)
		}
	}
	return text
}

// TestNoFunctions: a program without functions of its own is not told of calls that a page runs, and one that asks for
// completions is not asked for approvals.
func TestNoFunctions(t *testing.T) {
	for _, c := range []struct {
		turn Turn
		want int
	}{
		{NewTurn(ResponseID{Chat: "room-1", Turn: turnID, Seq: 7}, info), 1},
		{NewTurn(ResponseID{Chat: "room-1", Turn: turnID, Seq: 7}, info).OfCompletion(), 0},
		{NewTurn(ResponseID{Chat: "room-1", Turn: turnID, Seq: 7, Functions: true}, info).OfCompletion(), 2},
	} {
		for _, one := range life() {
			if r, is := one.notice.(chat.Record); is {
				c.turn.Take(r)
			}
		}
		if got := len(c.turn.Asked()); got != c.want {
			t.Errorf("asked for %d calls, want %d", got, c.want)
		}
	}
}

// TestAnswersFit: answers to calls that are not there, or are there twice, are refused, and so are missing outputs.
func TestAnswersFit(t *testing.T) {
	id := ResponseID{Chat: "room-1", Turn: turnID, Seq: 7, Functions: true}
	turn := NewTurn(id, info)
	for _, one := range life() {
		if r, is := one.notice.(chat.Record); is && !turn.Ended() {
			turn.Take(r)
		}
	}
	output := func(call string, seq uint64) Answer { return Answer{Param: call, ID: call, Call: call, Seq: seq} }
	for _, c := range []struct {
		answers []Answer
		param   string
	}{
		{[]Answer{output("a", 7), output("b", 7)}, ""}, {[]Answer{output("b", 7), output("a", 7)}, ""},
		{[]Answer{output("a", 7)}, "input"}, {[]Answer{output("a", 7), output("a", 7), output("b", 7)}, "a"},
		{[]Answer{output("a", 7), output("b", 7), output("x", 7)}, "x"}, {[]Answer{output("a", 8), output("b", 7)}, "a"},
		{[]Answer{{Param: "p", Call: "a", Seq: 7, Approval: true}}, "p"}, {[]Answer{{Param: "none"}}, "none"},
	} {
		refusal := turn.Fit(c.answers)
		if c.param == "" != (refusal == nil) || refusal != nil && (refusal.Param != c.param || refusal.Status != 400) {
			t.Errorf("%v: %v", c.answers, refusal)
		}
	}
}

func TestDecodeChoice(t *testing.T) {
	look := chat.ToolChoice{Mode: chat.ToolsRequired, Name: "look"}
	for raw, want := range map[string]Choosing{
		`"auto"`: {}, `"none"`: {Choice: chat.ToolChoice{Mode: chat.ToolsNone}}, `"required"`: {Choice: chat.ToolChoice{Mode: chat.ToolsRequired}},
		`{"type":"function","name":"look"}`: {Choice: look}, `{"type":"function","function":{"name":"look"}}`: {Choice: look},
		`{"type":"mcp","server_label":"bank","name":"pay"}`:                                                                       {Choice: chat.ToolChoice{Mode: chat.ToolsRequired, Name: "bank/pay"}},
		`{"type":"mcp","server_label":"parlor","name":"look"}`:                                                                    {Choice: look},
		`{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"look"},{"type":"mcp","server_label":"bank"}]}`: {Only: []string{"look", "bank"}},
		`{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[]}}`:                                                 {Choice: chat.ToolChoice{Mode: chat.ToolsRequired}, Only: []string{}},
	} {
		got, refusal := choosing(json.RawMessage(raw))
		if refusal != nil || got.Choice != want.Choice || !slices.Equal(got.Only, want.Only) || (got.Only == nil) != (want.Only == nil) {
			t.Errorf("%s: %+v, %v", raw, got, refusal)
		}
	}
	for _, raw := range []string{`"any"`, `""`, `7`, `[]`, `{}`, `{"type":"function"}`, `{"type":"file_search"}`, `{"type":"mcp","server_label":"parlor"}`,
		`{"type":"allowed_tools"}`, `{"type":"allowed_tools","mode":"auto","tools":[{"type":"custom","name":"x"}]}`, `{"type":"allowed_tools","mode":"auto","tools":7}`} {
		if _, refusal := choosing(json.RawMessage(raw)); refusal == nil || refusal.Code != string(chat.CodeToolChoice) || refusal.Status != 400 {
			t.Errorf("%s is taken: %v", raw, refusal)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add(`[{"type":"function_call_output","call_id":"call_a_7","output":"x"}]`)
	f.Add(`[{"type":"mcp_approval_response","approval_request_id":"mcpr_a_7","approve":true},{"role":"assistant"}]`)
	f.Fuzz(func(t *testing.T, raw string) {
		all, _ := answers(json.RawMessage(raw))
		for _, a := range all {
			prefix := callPrefix
			if a.Approval {
				prefix = approvalPrefix
			}
			if a.Call != "" && (a.Seq == 0 || !strings.HasPrefix(a.ID, prefix)) {
				t.Errorf("%s: %+v", raw, a)
			}
		}
	})
}
