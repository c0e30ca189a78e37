package room

import (
	"context"
	"strings"
	"sync/atomic"

	"parlor/actors/ledger"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// spending is what a run has used so far, by estimate. The room and the turn's
// goroutine share it.
type spending struct {
	meter  *ledger.Meter
	prompt atomic.Int64 // tokens; 0 until the assistant is asked

	// The rest is the room's.
	answer  chat.Estimate
	counted int // of the answer, in tokens
}

// overdrawn tells a room that a budget that its run is under was crossed.
type overdrawn struct {
	run int
	why *chat.Error
}

func (*overdrawn) roomMessage() {}

func (r *Room) account(user chat.UserID, model chat.ModelID) ledger.Account {
	return ledger.Account{User: user, Room: r.id, Model: model}
}

// affords returns why the user may not have any of the models asked, or nil.
func (r *Room) affords(user chat.UserID, wanted []chat.ModelID) *chat.Error {
	for _, model := range wanted {
		if spent := r.Ledger.Check(r.account(user, model)); spent != nil {
			return spent
		}
	}
	return nil
}

// meter begins to count what a run uses, or says why it may use nothing.
func (r *Room) meter(run *run) (why *chat.Error) {
	ref, number := r.self.Ref(), run.number
	run.spent.meter, why = r.Ledger.Open(r.account(run.turn.By, run.turn.ModelID), func(why *chat.Error) {
		ref.Tell(&overdrawn{number, why})
	})
	return why
}

// substitute has the run charged to its model, which now is the one that answers
// in place of the one that was asked.
func (r *Room) substitute(run *run) (why *chat.Error) {
	run.spent.meter.Close()
	if why := r.meter(run); why != nil {
		return why
	}
	return run.spent.meter.Add(int(run.spent.prompt.Load()) + run.spent.counted)
}

// question returns what the assistant is asked, once it is counted.
func (t *turnActor) question(ctx context.Context) (chat.Prompt, error) {
	p, err := t.prompt(ctx)
	if err != nil {
		return chat.Prompt{}, err
	}
	tokens := p.Tokens()
	if spent := t.spent.meter.Add(tokens); spent != nil {
		return chat.Prompt{}, spent
	}
	t.spent.prompt.Store(int64(tokens))
	return p, nil
}

// say counts a piece of the answer, and returns why it has to be the last.
func (s *spending) say(text string) *chat.Error {
	s.answer.Add(text)
	more := s.answer.Tokens() - s.counted
	s.counted += more
	return s.meter.Add(more)
}

// used is what the run has used, as far as is known. Who stops an answer before
// its first word has asked for it nevertheless.
func (r *run) used() *chat.Usage {
	prompt := int(r.spent.prompt.Load())
	if r.usage != nil || prompt == 0 {
		return r.usage
	}
	return chat.EstimateUsage(prompt, string(r.text))
}

// unanswered reports whether a run that failed is not known to have cost
// anything: its provider gave no answer.
func (r *run) unanswered(e *chat.Error) bool {
	return len(r.text) == 0 && e.Code != chat.CodeBudgetExceeded
}

// release ends the counting of a run, if there is one.
func (r *run) release() {
	if r != nil {
		r.spent.meter.Close()
	}
}

// overdrawn ends a run whose budget was crossed by another one.
func (r *Room) overdrawn(m *overdrawn) {
	if r.run != nil && r.run.number == m.run && r.run.end == nil {
		r.endRun(m.why)
	}
}

// book replaces the estimates of the turns that have ended by what was
// recorded of them.
func (r *Room) book(p *proposal) {
	for _, record := range p.records {
		if e, ok := record.Event.(chat.TurnEnded); ok && r.run.of(e.TurnID) {
			r.run.release()
		}
	}
	r.Ledger.Record(p.charges)
}

// chargeOf returns what a record that follows s has cost, and whom. The log
// says it all: what is kept beside it can be made anew.
func chargeOf(s *State, record chat.Record) (c persistence.Charge, ok bool) {
	c = persistence.Charge{Hour: persistence.HourOf(record.At), Room: string(s.Chat.Room)}
	switch e := record.Event.(type) {
	case chat.TurnEnded:
		i := s.Find(e.TurnID)
		if i < 0 || e.MessageID == "" { // it was never started
			return c, false
		}
		c.User, c.Model = chargeName(string(s.Turns[i].By), persistence.MaxOwnerLen), chargeName(string(e.ModelID), persistence.MaxModelLen)
		c.Count = countOf(e.Usage, e.Content)
		c.Turns = 1
		return c, true
	case chat.Configured:
		c.User, c.Model = chargeName(string(s.Chat.Owner), persistence.MaxOwnerLen), chargeName(string(e.ModelID), persistence.MaxModelLen)
		c.Count = countOf(e.Usage, "")
		c.Estimated = 0 // it is no turn
		return c, e.Usage != nil
	}
	return c, false
}

// countOf sorts what a provider said. One that counts more in all than it asked
// and answered has thought.
func countOf(u *chat.Usage, text string) persistence.Count {
	// Older versions recorded it so. Whoever changes [chat.Tokens] changes what
	// their records amount to, and needs a migration.
	if u == nil {
		u = &chat.Usage{CompletionTokens: chat.Tokens(text), Estimated: text != ""}
	}
	prompt := max(0, u.PromptTokens)
	c := persistence.Count{Prompt: uint64(prompt), Completion: uint64(max(0, u.CompletionTokens, u.TotalTokens-prompt))}
	if u.Estimated {
		c.Estimated = 1
	}
	return c
}

// chargeName makes any name one that the usage can be kept under.
func chargeName(name string, limit int) string {
	return strings.ReplaceAll(name[:min(len(name), limit)], "\x00", "")
}
