package openai

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"pgregory.net/rapid"

	"parlor/protocol/chat"
)

const (
	turnID    = chat.TurnID("0198c0de-0000-7000-8000-000000000001")
	messageID = chat.MessageID("0198c0de-0000-7000-8000-000000000002")
)

var (
	responseID = ResponseID{Chat: "room-1", Turn: turnID, Seq: 7}
	start      = time.Unix(1_700_000_000, 0)
	info       = chat.Info{ID: "room-1", ModelID: "eliza"}
)

// A told is a notice as rooms tell it, and the text of the attempt before it.
type told struct {
	notice chat.Notice
	before string
}

// A script is the life of a turn: the text of each attempt, the last of which ends.
type script struct {
	attempts []string
	end      chat.TurnEnded
}

func queued() chat.Record {
	return chat.Record{Seq: 7, At: start, Event: chat.TurnQueued{TurnID: turnID, Prompt: "prompt", PromptSeq: 6, ModelID: "eliza", By: "alice"}}
}

func started(attempt int) chat.Record {
	return chat.Record{Seq: uint64(7 + attempt), At: start, Event: chat.TurnStarted{TurnID: turnID, MessageID: messageID, ModelID: "eliza", Attempt: attempt}}
}

func ended(attempts int, e chat.TurnEnded) chat.Record {
	e.TurnID, e.Prompt, e.ModelID = turnID, "prompt", "eliza"
	if attempts > 0 {
		e.MessageID = messageID
	}
	return chat.Record{Seq: uint64(8 + attempts), At: start.Add(time.Minute), Event: e}
}

// tell returns what a room tells of the script. cut returns the lengths of the pieces of a text.
func (s script) tell(cut func(string) []string) (all []told) {
	all = append(all, told{notice: queued()})
	for i, text := range s.attempts {
		all = append(all, told{notice: started(i + 1)})
		turn, before := chat.Turn{ID: turnID, MessageID: messageID, Attempt: i + 1}, ""
		for _, piece := range cut(text) {
			all = append(all, told{chat.Text{Turn: turn, Before: []byte(before), Piece: piece}, before})
			before += piece
		}
	}
	return append(all, told{notice: ended(len(s.attempts), s.end)})
}

// standing returns what a follower is told that comes when so much was told: the records, and
// the text so far as one.
func standing(all []told) (missed []told) {
	var last *chat.Text
	for _, t := range all {
		switch n := t.notice.(type) {
		case chat.Text:
			last = &n
		case chat.Record:
			missed, last = append(missed, told{notice: chat.Missed{Record: n}}), nil
		}
	}
	if last != nil {
		missed = append(missed, told{notice: chat.TextSoFar{Turn: last.Turn, Text: string(last.Before) + last.Piece}})
	}
	return missed
}

// stream feeds a stream, and returns the events.
func stream(t rapid.TB, s *Stream, all []told) (events []map[string]any) {
	t.Helper()
	encode := new(Encode)
	for _, n := range all {
		frames, err := s.Take(encode.Encode("", n.notice))
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, parse(t, frames)...)
	}
	return events
}

func parse(t rapid.TB, frames []byte) (events []map[string]any) {
	t.Helper()
	for _, f := range bytes.SplitAfter(frames, []byte("\n\n")) {
		if len(f) == 0 {
			continue
		}
		name, rest, _ := strings.Cut(strings.TrimPrefix(string(f), "event: "), "\ndata: ")
		var e map[string]any
		if err := json.Unmarshal([]byte(rest), &e); err != nil {
			t.Fatalf("%q: %v", f, err)
		}
		if e["type"] != name || strings.Count(string(f), "\n") != 3 {
			t.Fatalf("not one event: %q", f)
		}
		events = append(events, e)
	}
	return events
}

// A client folds events as the official one does.
type client struct {
	last  int64
	items []*clientItem
	final map[string]any
}

type clientItem struct {
	text      string
	part      bool
	final     string
	finalText bool
	done      bool
}

func (c *client) take(t rapid.TB, e map[string]any) {
	t.Helper()
	number := int64(e["sequence_number"].(float64))
	if number <= c.last {
		t.Fatalf("event %d after %d", number, c.last)
	}
	if c.final != nil {
		t.Fatalf("%v after the last event", e["type"])
	}
	c.last = number
	index := func() *clientItem {
		i := int(e["output_index"].(float64))
		if i >= len(c.items) {
			t.Fatalf("%v of item %d of %d", e["type"], i, len(c.items))
		}
		return c.items[i]
	}
	switch name := strings.TrimPrefix(e["type"].(string), "response."); name {
	case "created", "in_progress":
	case "output_item.added":
		if int(e["output_index"].(float64)) != len(c.items) {
			t.Fatalf("item %v is added as number %d", e["output_index"], len(c.items))
		}
		c.items = append(c.items, new(clientItem))
	case "content_part.added":
		index().part = true
	case "output_text.delta":
		if !index().part {
			t.Fatal("a delta before its part")
		}
		if d := e["delta"].(string); d == "" || strings.ContainsRune(d, '\uFFFD') {
			t.Fatalf("delta %q", d)
		}
		index().text += e["delta"].(string)
	case "output_text.done":
		index().final, index().finalText = e["text"].(string), true
	case "content_part.done":
	case "output_item.done":
		index().done = true
	default:
		c.final = e["response"].(map[string]any)
	}
}

// check compares what the client has with the end of the script.
func (c *client) check(t rapid.TB, s script, whole bool) {
	t.Helper()
	if c.final == nil {
		t.Fatal("no last event")
	}
	output := c.final["output"].([]any)
	if len(output) != len(s.attempts) || len(c.items) != len(output) {
		t.Fatalf("%d items, %d in the output, of %d attempts", len(c.items), len(output), len(s.attempts))
	}
	for i, item := range c.items {
		parts := output[i].(map[string]any)["content"].([]any)
		switch {
		case !item.done:
			t.Fatalf("item %d is not done", i)
		case i < len(output)-1 && len(parts) != 0:
			t.Fatalf("dead item %d holds %v", i, parts)
		case i < len(output)-1:
		case !item.finalText || item.final != s.end.Content || parts[0].(map[string]any)["text"] != s.end.Content:
			t.Fatalf("the text is %q, and %v, want %q", item.final, parts, s.end.Content)
		case whole && item.text != s.end.Content:
			t.Fatalf("the deltas are %q, want %q", item.text, s.end.Content)
		}
	}
}

// codePoints cuts a text behind each code point.
func codePoints(text string) (pieces []string) {
	for _, r := range text {
		pieces = append(pieces, string(r))
	}
	return pieces
}

func TestResumeAtEveryPlace(t *testing.T) {
	for _, s := range []script{
		{[]string{"hello 😀 world"}, chat.TurnEnded{State: chat.StateCompleted, Content: "hello 😀 world"}},
		{[]string{"", "x"}, chat.TurnEnded{State: chat.StateCompleted, Content: "x"}},
		{[]string{"a 😀 dead one", "another", "the 𝕎hole"}, chat.TurnEnded{State: chat.StateCompleted, Content: "the 𝕎hole"}},
		{[]string{"so far"}, chat.TurnEnded{State: chat.StateStopped, Content: "so far"}},
		{[]string{""}, chat.TurnEnded{State: chat.StateFailed}},
		{[]string{"dead", "more was seen"}, chat.TurnEnded{State: chat.StateInterrupted, Content: "more"}},
		{nil, chat.TurnEnded{State: chat.StateStopped}},
		{nil, chat.TurnEnded{State: chat.StateFailed}},
	} {
		resumed := 0
		all := s.tell(codePoints)
		for cut := range all {
			// One client hears the beginning, and another stream tells the rest.
			for _, rest := range [][]told{
				append(standing(all[:cut+1]), all[cut+1:]...),
				standing(all),
			} {
				c := client{last: Begin}
				for _, e := range stream(t, NewStream(NewTurn(responseID, info), Begin), all[:cut+1]) {
					c.take(t, e)
				}
				for _, e := range stream(t, NewStream(NewTurn(responseID, info), c.last), rest) {
					c.take(t, e)
				}
				c.check(t, s, s.end.State != chat.StateInterrupted)
				resumed++
			}
		}
		if resumed != 2*len(all) {
			t.Errorf("%d cuts of %d", resumed, 2*len(all))
		}
	}
}

// Any number that the client may have leads to the rest, however the text was cut.
func TestResumeProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.RuneFrom([]rune("ab é😀𝕎\n"))).Filter(func(s string) bool { return len(s) < 60 })
		s := script{attempts: rapid.SliceOfN(text, 1, 3).Draw(t, "attempts")}
		s.end = chat.TurnEnded{State: chat.StateCompleted, Content: s.attempts[len(s.attempts)-1]}
		recut := func(text string) (pieces []string) {
			for text != "" {
				runes := []rune(text)
				n := rapid.IntRange(1, len(runes)).Draw(t, "piece")
				pieces, text = append(pieces, string(runes[:n])), string(runes[n:])
			}
			return pieces
		}
		c := client{last: Begin}
		events := stream(t, NewStream(NewTurn(responseID, info), Begin), s.tell(recut))
		n := rapid.IntRange(0, len(events)).Draw(t, "heard")
		for _, e := range events[:n] {
			c.take(t, e)
		}
		all := s.tell(recut)
		joined := rapid.IntRange(0, len(all)).Draw(t, "joined")
		for _, e := range stream(t, NewStream(NewTurn(responseID, info), c.last), append(standing(all[:joined]), all[joined:]...)) {
			c.take(t, e)
		}
		c.check(t, s, true)
	})
}

// The numbers are those of the package comment.
func TestNumbers(t *testing.T) {
	s := script{[]string{"dead", "a😀b"}, chat.TurnEnded{State: chat.StateCompleted, Content: "a😀b"}}
	var got []string
	for _, e := range stream(t, NewStream(NewTurn(responseID, info), Begin), s.tell(codePoints)) {
		got = append(got, fmt.Sprintf("%v %s", int64(e["sequence_number"].(float64)), strings.TrimPrefix(e["type"].(string), "response.")))
	}
	want := []string{
		"0 created", "1 in_progress", "2 output_item.added", "3 content_part.added",
		"4 output_text.delta", "5 output_text.delta", "6 output_text.delta", "7 output_text.delta",
		"16777216 output_item.done", "16777217 in_progress", "16777218 output_item.added", "16777219 content_part.added",
		"16777220 output_text.delta", "16777222 output_text.delta", "16777223 output_text.delta",
		"16777224 output_text.done", "16777225 content_part.done", "16777226 output_item.done", "16777227 completed",
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
}

// Last is the number of the last event at any time.
func TestLast(t *testing.T) {
	s := script{[]string{"dead", "a😀b"}, chat.TurnEnded{State: chat.StateFailed, Content: "a😀"}}
	all := s.tell(codePoints)
	for n := 1; n <= len(all); n++ {
		events := stream(t, NewStream(NewTurn(responseID, info), Begin), all[:n])
		turn, text := NewTurn(responseID, info), ""
		for _, one := range all[:n] {
			switch e := one.notice.(type) {
			case chat.Record:
				turn.Take(e)
				text = ""
			case chat.Text:
				text = string(e.Before) + e.Piece
			}
		}
		got, want := turn.Last(text), int64(events[len(events)-1]["sequence_number"].(float64))
		if got != want && !(text == "" && got == want+1) { // the beginning of a text is told with its first words
			t.Errorf("after %d notices: Last %d, the last event has %d", n, got, want)
		}
	}
}

// A follower that is too slow is told the text so far again, in place of the pieces that were
// dropped.
func TestTextSoFarAgain(t *testing.T) {
	s := script{[]string{"a 😀 dead one", "the 𝕎hole"}, chat.TurnEnded{State: chat.StateCompleted, Content: "the 𝕎hole"}}
	all := s.tell(codePoints)
	for cut := range all {
		for dropped := 0; cut+dropped < len(all); dropped++ {
			to := cut + dropped
			heard := slices.Clone(all[:cut+1])
			for _, n := range all[cut+1 : to+1] { // records are read from the log
				if _, recorded := n.notice.(chat.Record); recorded {
					heard = append(heard, n)
				}
			}
			if _, runs := all[to].notice.(chat.Text); runs {
				now := standing(all[:to+1])
				heard = append(heard, now[len(now)-1])
			}
			c := client{last: Begin}
			for _, e := range stream(t, NewStream(NewTurn(responseID, info), Begin), append(heard, all[to+1:]...)) {
				c.take(t, e)
			}
			c.check(t, s, true)
		}
	}
}

func TestOthersAreNotTold(t *testing.T) {
	s := NewStream(NewTurn(responseID, info), Begin)
	other := chat.Turn{ID: "another", MessageID: "m", Attempt: 1}
	events := stream(t, s, []told{
		{notice: chat.Record{Seq: 5, Event: chat.TurnStarted{TurnID: "another", MessageID: "m", Attempt: 1}}},
		{notice: chat.Text{Turn: other, Piece: "hi"}},
		{notice: chat.TextSoFar{Turn: other, Text: "hi"}},
		{notice: chat.Record{Seq: 6, Event: chat.MessageAdded{Content: "hi"}}},
		{notice: chat.Speech{Audio: "AA"}},
	})
	if len(events) != 0 {
		t.Errorf("told %v", events)
	}
}

func FuzzStream(f *testing.F) {
	f.Add("hello 😀", "dead", uint32(5))
	f.Add("\x00\u2028</script>", "", uint32(1<<24+4))
	f.Fuzz(func(t *testing.T, text, dead string, after uint32) {
		text, dead = strings.ToValidUTF8(text, "\uFFFD"), strings.ToValidUTF8(dead, "\uFFFD")
		s := script{[]string{dead, text}, chat.TurnEnded{State: chat.StateCompleted, Content: text}}
		c := client{last: int64(after)}
		joined := ""
		for _, e := range stream(t, NewStream(NewTurn(responseID, info), int64(after)), standing(s.tell(codePoints))) {
			if number := int64(e["sequence_number"].(float64)); number <= c.last {
				t.Fatalf("event %d after %d", number, c.last)
			} else {
				c.last = number
			}
			if e["type"] == nameDelta {
				joined += e["delta"].(string)
			}
		}
		if n := len(utf16.Encode([]rune(joined))); n != units(joined) || !strings.HasSuffix(text, joined) {
			t.Errorf("%q is not the end of %q", joined, text)
		}
	})
}
