package turn

import (
	"sync/atomic"

	"parlor/actors/ledger"
	"parlor/protocol/chat"
)

// spending is what an attempt has used so far, by estimate. The room and the
// attempt's goroutine share it.
type spending struct {
	meter  *ledger.Meter
	prompt atomic.Int64 // tokens; 0 until the assistant is asked

	// The rest is the room's.
	answer       chat.Estimate
	answerTokens int // that the meter has counted
	earlier      int // of those, in the steps before this one
}

// step begins the next step, which has no prompt yet.
func (s *spending) step() {
	s.prompt.Store(0)
	s.earlier = s.answerTokens
}

// ask counts the prompt, and returns why the assistant may not be asked.
func (s *spending) ask(tokens int) *chat.Error {
	if spent := s.meter.Ask(tokens); spent != nil {
		return spent
	}
	s.prompt.Store(int64(tokens))
	return nil
}

// say counts a piece of the answer or of thought, and returns why it has to be the last.
func (s *spending) say(text string) *chat.Error {
	s.answer.Add(text)
	more := s.answer.Tokens() - s.answerTokens
	s.answerTokens += more
	return s.meter.Add(more)
}

// meter begins to count what the attempt uses, or says why it may use nothing.
func (a *Attempt) meter() (why *chat.Error) {
	account := ledger.Account{User: a.turn.By, Room: a.q.Room, Model: a.turn.ModelID}
	a.spent.meter, why = a.o.Ledger.Open(account, func(why *chat.Error) { a.tell(overdrawn{why}) })
	return why
}

// substitute has the attempt charged to its model, which now is the one that
// answers in place of the one that was asked.
func (a *Attempt) substitute() (why *chat.Error) {
	a.spent.meter.Close()
	if why := a.meter(); why != nil {
		return why
	}
	return a.spent.meter.Ask(int(a.spent.prompt.Load()) + a.spent.answerTokens)
}

// used is what the attempt has used, as far as is known. An answer that is stopped
// before its first word has cost its prompt.
func (a *Attempt) used() *chat.Usage {
	prompt := int(a.spent.prompt.Load())
	switch {
	case a.usage != nil:
		return a.usage
	case prompt == 0:
		return a.before
	}
	return chat.EstimateUsage(prompt, a.spent.answerTokens-a.spent.earlier).Plus(a.before)
}

// unanswered reports whether an attempt that failed is not known to have cost
// anything: its provider gave no answer, nor a reason for one without words.
func (a *Attempt) unanswered(e *chat.Error) bool {
	return len(a.text) == 0 && len(a.thought.text) == 0 && a.finish == "" && e.Code != chat.CodeBudgetExceeded
}

// Release ends the counting: what was used is recorded. It may be called again.
func (a *Attempt) Release() { a.spent.meter.Close() }
