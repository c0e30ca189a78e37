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

// short returns why budgets have too little left for what is about to be recorded, or nil.
// Nothing is recorded then: a turn could only fail. What is estimated is the prompt as the
// turn would compose it now: what the model is told, as much of the conversation as it can
// read, and the message. The answer is not, and neither is what others say meanwhile.
func (r *Room) short(user chat.UserID, p *conversation.Plan, seq uint64) *chat.Error {
	said := chat.Record{Seq: seq, At: now(), Event: p.MessageAdded}
	switch {
	case p.Quiet(), p.Spoken():
		return nil
	case p.Steers != "":
		return r.afford(user, p.Models()[0], ledger.Prompt{
			AtMost: len(p.Content) + chat.MessageTokens + fileTokens(p.Files),
			Tokens: func() int { return chat.Tokens(p.Content) + chat.MessageTokens + fileTokens(p.Files) },
		})
	}
	for _, model := range p.Models() {
		turn := chat.Turn{Prompt: p.MessageID, PromptSeq: seq, ModelID: model, By: user}
		if short := r.shortFor(turn, &said); short != nil {
			return short
		}
	}
	return nil
}

// shortFor does the same for one turn. What it answers is said, if that is not on disk.
func (r *Room) shortFor(turn chat.Turn, said *chat.Record) *chat.Error {
	if r.Ledger == nil {
		return nil
	}
	model, _ := r.Models.Model(turn.ModelID)
	system := conversation.SystemPrompt(time.Now(), r.SystemPrompt, model.SystemPrompt, r.records.head.Chat.SystemPrompt)
	most := max(model.ContextWindow, r.ContextWindow) + len(system)
	if said != nil {
		most += len(said.Event.(chat.MessageAdded).Content)
	}
	return r.afford(turn.By, turn.ModelID, ledger.Prompt{AtMost: most, Tokens: func() int { return r.promptTokens(turn, said, system) }})
}

func (r *Room) afford(user chat.UserID, model chat.ModelID, p ledger.Prompt) *chat.Error {
	return r.Ledger.CheckPrompt(ledger.Account{User: user, Room: r.id, Model: model}, p)
}

// promptTokens estimates the prompt of a turn. It reads the log if the tail of it is not in
// memory, as far back as the model reads; budgets ask only when little is left. A prompt that
// cannot be composed counts as none: its turn says why.
func (r *Room) promptTokens(turn chat.Turn, said *chat.Record, system string) int {
	tail, head := r.records.kept(), *r.records.head
	if said != nil && said.Seq > r.records.shown.Seq {
		head.Branches = head.Branches.After(*said)
		tail = tail.With(*said)
	}
	q := conversation.Question{Turn: turn, Models: r.Models, Window: r.ContextWindow, Path: head.PathOf(turn), System: system, FileShare: r.FileShare}
	p, err := conversation.Compose(context.Background(), q, tail, func(before uint64) iter.Seq2[persistence.Entry, error] {
		return r.Log.ReadBack(string(r.id), before)
	})
	if err != nil {
		r.log().Debug("estimate a prompt", "err", err)
		return 0
	}
	return p.Tokens
}
