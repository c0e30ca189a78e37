package conversation_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"parlor/actors/conversation"
	"parlor/protocol/chat"
)

// checkMemory checks that a tail takes little more than prompts have used.
func checkMemory(t rapid.TB, tail *conversation.Tail) {
	t.Helper()
	records, bytes, used := tail.Memory()
	if limit := 2*used + conversation.TailSlack(); bytes > limit && records > 1 {
		t.Errorf("the tail takes %d bytes, want at most %d", bytes, limit)
	}
}

// A longChat is one whose turns are composed as a room does it.
type longChat struct {
	t    *testing.T
	tail conversation.Tail
	chronicle
	added int // records that the tail has taken in
}

func (c *longChat) question(prompt uint64) conversation.Question {
	m, _ := c.records[prompt-1].Message()
	return conversation.Question{
		Turn:   chat.Turn{ID: "t", Prompt: m.ID, PromptSeq: prompt, ModelID: "m"},
		Models: models{"m": {ID: "m"}}, Window: 8 << 10, System: "Be kind.",
	}
}

// take has the tail take in what was recorded.
func (c *longChat) take() {
	for ; c.added < len(c.records); c.added++ {
		c.tail.Add(c.records[c.added])
	}
}

// compose answers the message that is record prompt, and returns how many records
// were read back for that.
func (c *longChat) compose(prompt uint64) (p conversation.Composed, read int) {
	c.t.Helper()
	return c.ask(c.question(prompt))
}

func (c *longChat) ask(q conversation.Question) (p conversation.Composed, read int) {
	c.t.Helper()
	c.take()
	p, err := conversation.Compose(c.t.Context(), q, c.tail, back(c.records, &read))
	if err != nil {
		c.t.Fatal(err)
	}
	c.tail.Use(p)
	checkMemory(c.t, &c.tail)
	return p, read
}

// say adds a message that wants an answer later, and converse lets people talk.
func (c *longChat) say(bytes int) (prompt uint64) {
	return c.add(chat.MessageAdded{MessageID: chat.MessageID(fmt.Sprint("message ", len(c.records))), Content: strings.Repeat("x", bytes)})
}

func (c *longChat) converse(exchanges int) (prompt uint64) {
	for range exchanges {
		c.exchange(len(c.records), "alice", "m", 1000, 3000)
	}
	return c.say(100)
}

// wake has the tail forget everything, as a room does that leaves memory.
func (c *longChat) wake() {
	c.tail, c.added = conversation.NewTail(uint64(len(c.records))), len(c.records)
}

// Once a prompt was composed the next one reads nothing from the log, and what is
// remembered does not grow with the conversation.
func TestTailGrowsWithPromptsOnly(t *testing.T) {
	c := &longChat{t: t}
	if _, read := c.compose(c.converse(0)); read > 0 {
		t.Errorf("a new chat read %d records", read)
	}
	c.converse(200)
	c.wake()
	if _, read := c.compose(c.say(10)); read < 20 || read > 100 {
		t.Errorf("a room that has come back read %d records, want about a window", read)
	}
	for range 200 {
		if _, read := c.compose(c.converse(1)); read > 0 {
			t.Fatalf("the next prompt read %d records, of %d", read, len(c.records))
		}
	}
}

// An old message that is answered anew is looked for in the log, and all that
// stands behind it is not kept.
func TestTailForgetsWhatIsFarAway(t *testing.T) {
	c := &longChat{t: t}
	c.compose(c.converse(200))
	_, before, _ := c.tail.Memory()
	p, read := c.compose(c.records[0].Seq)
	if read < 500 || len(p.Messages) != 2 {
		t.Errorf("read %d records, and composed %d messages", read, len(p.Messages))
	}
	if _, after, _ := c.tail.Memory(); after > before {
		t.Errorf("the tail has grown from %d to %d bytes", before, after)
	}
	if _, read := c.compose(c.converse(1)); read > 0 {
		t.Errorf("the next prompt read %d records", read)
	}
}

// A queue that is longer than what a tail keeps is passed over, the same for each
// turn of it: nobody is told what stands behind the message to answer.
func TestTailPassesALongQueue(t *testing.T) {
	c := &longChat{t: t}
	first := c.converse(50)
	c.add(chat.TurnStarted{TurnID: "t", MessageID: "answer", Attempt: 1})
	second := c.say(100)
	steering := c.say(100)
	m := c.records[steering-1].Event.(chat.MessageAdded)
	m.Steers = "t"
	c.records[steering-1].Event = m
	c.add(chat.TurnSteered{TurnID: "t", Messages: []chat.MessageID{m.MessageID}})
	asked := c.records[first-1].Event.(chat.MessageAdded)
	c.add(chat.TurnEnded{TurnID: "t", MessageID: "answer", Prompt: asked.MessageID, PromptSeq: first, Content: "done"})
	last := len(c.records)
	for range 20 {
		c.say(60 << 10)
	}
	c.wake()
	one, _ := c.compose(first)
	two, _ := c.compose(second)
	all := conversation.NewTail(0)
	for _, r := range c.records[:last] { // as if nothing had been said since
		all.Add(r)
	}
	for i, got := range []conversation.Composed{one, two} {
		want, err := conversation.Compose(t.Context(), c.question([]uint64{first, second}[i]), all, nil)
		if diff := cmp.Diff(want.Messages, got.Messages); diff != "" || err != nil {
			t.Errorf("prompt %d: %v\n%s", i, err, diff)
		}
	}
	if _, bytes, _ := c.tail.Memory(); bytes > conversation.TailSlack() {
		t.Errorf("the tail takes %d bytes", bytes)
	}
}

// Models with windows of different sizes may take turns.
func TestTailOfTwoModels(t *testing.T) {
	conversation.SetTailSlack(t, 1000)
	c := &longChat{t: t}
	c.compose(c.converse(500))
	small := c.question(c.say(10))
	small.Window = 200
	c.ask(small)
	if _, read := c.compose(c.converse(1)); read > 0 {
		t.Errorf("read %d records behind a prompt that needed less", read)
	}
}

// The tail lets go the messages that an edit takes out of the conversation.
func TestTailLetsGoWhatIsSuperseded(t *testing.T) {
	c := &longChat{t: t}
	c.compose(c.converse(5))
	kept, _, _ := c.tail.Memory()
	edited := c.say(10)
	old, _ := c.records[edited-1].Message()
	c.converse(5)
	c.add(chat.MessageAdded{MessageID: "edit", Replaces: old.ID, ReplacesSeq: edited, Content: "other"})
	c.take()
	if records, _, _ := c.tail.Memory(); records != kept+1 {
		t.Errorf("%d records in the tail, want %d", records, kept+1)
	}
}

// A turn does not allocate for each message of its prompt: behind a long history
// that would be most of what a turn costs.
func TestComposeAllocatesLittle(t *testing.T) {
	for _, speakers := range []chat.UserID{"alice", "bob"} {
		c := &longChat{t: t}
		for i := range 300 {
			c.exchange(i, []chat.UserID{"alice", speakers}[i%2], "m", 100, 100)
		}
		q := c.question(c.say(10))
		q.Window = 1 << 20
		p, _ := c.ask(q)
		allocs := testing.AllocsPerRun(5, func() { c.ask(q) })
		if len(p.Messages) < 600 || allocs > 60 {
			t.Errorf("%v allocations for %d messages", allocs, len(p.Messages))
		}
	}
}
