package room

import (
	"context"
	"iter"
	"time"

	"parlor/actors/conversation"
	"parlor/actors/ledger"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// A budget says what the budgets of users, models and rooms have left for this room's turns.
type budget struct {
	*Options
	*lasting
	records *recorder
}

// short returns why budgets have too little left for what is about to be recorded, or nil.
// Nothing is recorded then: a turn could only fail. What is estimated is the prompt as the
// turn would compose it now: what the model is told, as much of the conversation as it can
// read, and the message. The answer is not, and neither is what others say meanwhile.
func (b *budget) short(user chat.UserID, p *conversation.Plan, seq uint64) *chat.Error {
	said := chat.Record{Seq: seq, At: now(), Event: p.MessageAdded}
	switch {
	case p.Quiet(), p.Spoken():
		return nil
	case p.Steers != "":
		return b.afford(user, p.Models()[0], ledger.Prompt{
			AtMost: len(p.Content) + chat.MessageTokens + fileTokens(p.Files),
			Tokens: func() int { return chat.Tokens(p.Content) + chat.MessageTokens + fileTokens(p.Files) },
		})
	}
	for _, model := range p.Models() {
		turn := chat.Turn{Prompt: p.MessageID, PromptSeq: seq, ModelID: model, By: user}
		if short := b.shortFor(turn, &said); short != nil {
			return short
		}
	}
	return nil
}

// shortFor does the same for one turn. What it answers is said, if that is not on disk.
func (b *budget) shortFor(turn chat.Turn, said *chat.Record) *chat.Error {
	if b.Ledger == nil {
		return nil
	}
	model, _ := b.Models.Model(turn.ModelID)
	system := conversation.SystemPrompt(time.Now(), b.SystemPrompt, model.SystemPrompt, b.records.head.Chat.SystemPrompt)
	most := max(model.ContextWindow, b.ContextWindow) + len(system)
	if said != nil {
		most += len(said.Event.(chat.MessageAdded).Content)
	}
	return b.afford(turn.By, turn.ModelID, ledger.Prompt{AtMost: most, Tokens: func() int { return b.promptTokens(turn, said, system) }})
}

func (b *budget) afford(user chat.UserID, model chat.ModelID, p ledger.Prompt) *chat.Error {
	return b.Ledger.CheckPrompt(ledger.Account{User: user, Room: b.id, Model: model}, p)
}

// promptTokens estimates the prompt of a turn. It reads the log if the tail of it is not in
// memory, as far back as the model reads; budgets ask only when little is left. A prompt that
// cannot be composed counts as none: its turn says why.
func (b *budget) promptTokens(turn chat.Turn, said *chat.Record, system string) int {
	tail, head := b.records.kept(), *b.records.head
	if said != nil && said.Seq > b.records.shown.Seq {
		head.Branches = head.Branches.After(*said)
		tail = tail.With(*said)
	}
	q := conversation.Question{Turn: turn, Models: b.Models, Window: b.ContextWindow, Path: head.PathOf(turn), System: system, FileShare: b.FileShare}
	p, err := conversation.Compose(context.Background(), q, tail, func(before uint64) iter.Seq2[persistence.Entry, error] {
		return b.Log.ReadBack(string(b.id), before)
	})
	if err != nil {
		b.records.room.log().Debug("estimate a prompt", "err", err)
		return 0
	}
	return p.Tokens
}
