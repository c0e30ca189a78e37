package room

import (
	"context"

	"parlor/protocol/chat"
)

// prompt collects the conversation that the turn answers. Answers stand behind
// the messages that they answer and later messages are left out: others may
// have talked on while the turn waited in the queue.
func (t *turnActor) prompt(ctx context.Context) (chat.Prompt, error) {
	model, _ := t.o.Models.Model(t.turn.ModelID)
	system := systemPrompt(now(), t.o.SystemPrompt, model.SystemPrompt, t.instructions)
	d := newDialogue(t.turn, model, t.o.Models, t.o.ContextWindow, system)
	if t.turn.Unheard {
		d.add(chat.MessageAdded{MessageID: t.turn.Prompt, Author: chat.User{ID: t.turn.By}})
	}
	for entry, err := range t.o.Log.ReadBack(string(t.id), 0) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return chat.Prompt{}, err
		}
		if len(d.exchanges) == 0 && chat.Says(entry.Data) && !chat.AddsMessage(entry.Data, t.turn.Prompt) && !chat.Steers(entry.Data) {
			continue // of the queue behind this turn, which may be long
		}
		record, err := chat.DecodeRecord(entry.Seq, entry.Data)
		if err != nil {
			return chat.Prompt{}, err
		}
		if t.superseded.Hides(record) || t.unheard(record.Event) {
			continue
		}
		if !d.add(record.Event) {
			break
		}
	}
	if !d.fits() {
		return chat.Prompt{}, errLongPrompt
	}
	t.names = d.names()
	messages := append([]chat.PromptMessage{{Role: chat.RoleSystem, Content: system}}, d.messages(t.names)...)
	return chat.Prompt{Model: t.turn.ModelID, Messages: messages, MaxTokens: model.MaxTokens}, nil
}

// unheard reports whether e is the message that the turn answers, which the
// session knows already.
func (t *turnActor) unheard(e chat.Event) bool {
	m, ok := e.(chat.MessageAdded)
	return ok && t.turn.Unheard && m.MessageID == t.turn.Prompt
}
