package conversation_test

import (
	"fmt"
	"strings"
	"testing"

	"parlor/actors/conversation"
	"parlor/protocol/chat"
)

// A chronicle is a log being written: of exchanges between speakers and models.
type chronicle struct {
	records []chat.Record
	tokens  int
}

func (c *chronicle) add(e chat.Event) uint64 {
	c.records = append(c.records, chat.Record{Seq: uint64(len(c.records) + 1), Event: e})
	return uint64(len(c.records))
}

// exchange adds a question and its answer, of so many bytes of text.
func (c *chronicle) exchange(i int, by chat.UserID, model chat.ModelID, question, answer int) {
	id, turn := chat.MessageID(fmt.Sprint("message-", i)), chat.TurnID(fmt.Sprint("turn-", i))
	said, given := strings.Repeat("q", question), strings.Repeat("a", answer)
	seq := c.add(chat.MessageAdded{MessageID: id, Author: chat.User{ID: by, Name: string(by)}, Content: said, ModelID: model})
	c.add(chat.TurnQueued{TurnID: turn, Prompt: id, PromptSeq: seq, ModelID: model, By: by})
	c.add(chat.TurnStarted{TurnID: turn, MessageID: "answer-" + id, ModelID: model, Attempt: 1})
	c.add(chat.TurnEnded{TurnID: turn, MessageID: "answer-" + id, Prompt: id, PromptSeq: seq, ModelID: model, State: chat.StateCompleted, Content: given})
	c.tokens += chat.Tokens(said) + chat.Tokens(given) + 2*chat.MessageTokens
}

// BenchmarkCompose composes the prompt of one more message behind a history, which
// the tail holds.
func BenchmarkCompose(b *testing.B) {
	for _, speakers := range []int{1, 2} {
		for _, size := range []struct {
			name             string
			question, answer int
		}{{"long", 400, 1600}, {"short", 40, 160}} {
			for _, tokens := range []int{0, 32 << 10, 128 << 10, 1 << 20} {
				b.Run(fmt.Sprintf("speakers=%d/%s/history=%dk", speakers, size.name, tokens>>10), func(b *testing.B) {
					all := models{"m": {ID: "m", ContextWindow: 2 << 20}}
					tail, c := conversation.NewTail(0), new(chronicle)
					for i := 0; c.tokens < tokens; i++ {
						c.exchange(i, []chat.UserID{"alice", "bob"}[i%speakers], "m", size.question, size.answer)
					}
					seq := c.add(chat.MessageAdded{MessageID: "last", Author: chat.User{ID: "alice", Name: "alice"}, Content: "and now?"})
					for _, r := range c.records {
						tail.Add(r)
					}
					q := conversation.Question{
						Turn: chat.Turn{ID: "t", Prompt: "last", PromptSeq: seq, ModelID: "m", By: "alice"}, Models: all, System: "Be kind.",
					}
					read := 0
					compose := func() {
						p, err := conversation.Compose(b.Context(), q, tail, back(c.records, &read))
						if err != nil {
							b.Fatal(err)
						}
						tail.Use(p)
					}
					compose()
					read = 0
					b.ReportAllocs()
					for b.Loop() {
						compose()
					}
					if read > 0 {
						b.Errorf("%d records were read again", read)
					}
				})
			}
		}
	}
}
