package room

import (
	"context"
	"slices"

	"parlor/protocol/chat"
)

// Limits of the conversation that goes into a prompt: the most recent part of it.
const (
	maxPromptMessages = 100
	maxPromptBytes    = 256 << 10
)

// prompt collects the conversation that the turn answers. Answers stand behind
// the messages that they answer and later messages are left out: others may
// have talked on while the turn waited in the queue.
func (t *turnActor) prompt(ctx context.Context) (chat.Prompt, error) {
	var answers answers
	var messages []chat.PromptMessage // newest first
	size, reached := 0, t.turn.Unheard
	if t.turn.Unheard {
		messages = append(messages, chat.PromptMessage{ID: t.turn.Prompt, Role: chat.RoleUser})
	}
	for entry, err := range t.o.Log.ReadBack(string(t.id), 0) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return chat.Prompt{}, err
		}
		if !reached && !chat.AddsMessage(entry.Data, t.turn.Prompt) && !chat.EndsTurn(entry.Data) {
			continue // of the queue behind this turn, which may be long
		}
		record, err := chat.DecodeRecord(entry.Seq, entry.Data)
		if err != nil {
			return chat.Prompt{}, err
		}
		if t.superseded.Hides(record) {
			continue
		}
		if e, ok := record.Event.(chat.TurnEnded); ok {
			answers.add(e)
		}
		e, ok := record.Event.(chat.MessageAdded)
		if !ok || t.turn.Unheard && e.MessageID == t.turn.Prompt {
			continue
		}
		reached = true
		exchange := []chat.PromptMessage{{ID: e.MessageID, Role: chat.RoleUser, Content: e.Content}}
		if a, ok := answers.to(e.MessageID); ok && e.MessageID != t.turn.Prompt {
			exchange = []chat.PromptMessage{{ID: a.MessageID, Role: chat.RoleAssistant, Content: a.Content}, exchange[0]}
		}
		for _, m := range exchange {
			size += len(m.Content)
		}
		if len(messages) > 0 && (size > maxPromptBytes || len(messages) >= maxPromptMessages) {
			break
		}
		messages = append(messages, exchange...)
	}
	if t.o.SystemPrompt != "" {
		messages = append(messages, chat.PromptMessage{Role: chat.RoleSystem, Content: t.o.SystemPrompt})
	}
	slices.Reverse(messages)
	return chat.Prompt{Model: t.turn.ModelID, Messages: messages}, nil
}

// answers are those that have been read, newest first, before the messages that
// they answer. What is read in between is bounded: the newest ones go first, as
// they may answer what follows the prompt.
type answers struct {
	list  []chat.TurnEnded
	bytes int
}

// maxAnswersBytes leaves room for answers that turn out not to be wanted.
const maxAnswersBytes = 4 * maxPromptBytes

// add adds an older answer. One that was given again later does not count.
func (a *answers) add(e chat.TurnEnded) {
	if _, again := a.to(e.Prompt); again || e.Content == "" {
		return
	}
	a.list = append(a.list, e)
	a.bytes += len(e.Content)
	for a.bytes > maxAnswersBytes && len(a.list) > 1 {
		a.bytes -= len(a.list[0].Content)
		a.list = slices.Delete(a.list, 0, 1)
	}
}

func (a *answers) to(prompt chat.MessageID) (chat.TurnEnded, bool) {
	i := slices.IndexFunc(a.list, func(e chat.TurnEnded) bool { return e.Prompt == prompt })
	if i < 0 {
		return chat.TurnEnded{}, false
	}
	return a.list[i], true
}
