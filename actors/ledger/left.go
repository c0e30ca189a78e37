package ledger

import (
	"cmp"
	"slices"
	"time"

	"parlor/protocol/chat"
)

// Left returns the budgets that turns of a user count against, and what is left of each,
// in the order in which they are configured. Those of a chat are left out if info is zero.
func (l *Ledger) Left(user chat.UserID, info chat.Info) []chat.BudgetLeft {
	list := []chat.BudgetLeft{}
	if l == nil {
		return list
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, b := range l.budgets {
		if !names(b.User, string(user)) || b.Chat != "" && (info.Room == "" || b.Chat != each && chat.ID(b.Chat).Room() != info.Room) {
			continue
		}
		list = append(list, l.leftOf(i, Account{User: user, Room: info.Room}, info.ID, now)...)
	}
	return list
}

// leftOf returns what is left of the budget with the index i for an account. If each model
// or provider has one of its own, those are returned of which something was used.
func (l *Ledger) leftOf(i int, a Account, id chat.ID, now time.Time) (list []chat.BudgetLeft) {
	b := l.budgets[i]
	begin, end := b.Period.around(now)
	whole := b.left(a, id, end)
	if b.Model != each && b.Provider != each {
		if c := l.counters[counterKey{i, b.part(a), begin.Unix()}]; c != nil {
			whole.Left = max(0, c.left())
		}
		return []chat.BudgetLeft{whole}
	}
	part := b.part(a)
	for key, c := range l.counters {
		if key.budget != i || key.begin != begin.Unix() || key.of.User != part.User || key.of.Room != part.Room {
			continue
		}
		one := whole
		one.Model, one.Provider, one.Left = cmp.Or(key.of.Model, one.Model), cmp.Or(key.of.provider, one.Provider), max(0, c.left())
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b chat.BudgetLeft) int {
		return cmp.Or(cmp.Compare(a.Left, b.Left), cmp.Compare(a.Model, b.Model), cmp.Compare(a.Provider, b.Provider))
	})
	if len(list) > maxLeftOfEach {
		list = list[:maxLeftOfEach]
	}
	if len(list) == 0 {
		whole.Each = true
		list = append(list, whole)
	}
	return list
}

// maxLeftOfEach is how many models or providers of one budget Left names, those with the
// least left first.
const maxLeftOfEach = 20

// left is the budget when nothing of it is used.
func (b Budget) left(a Account, id chat.ID, end time.Time) chat.BudgetLeft {
	left := chat.BudgetLeft{Period: string(b.Period), Tokens: b.Tokens, Left: b.Tokens}
	if b.User != "" {
		left.User = a.User
	}
	if b.Chat != "" {
		left.Chat = id
	}
	if b.Model != each {
		left.Model = chat.ModelID(b.Model)
	}
	if b.Provider != each {
		left.Provider = b.Provider
	}
	if !end.IsZero() {
		left.Ends = &end
	}
	return left
}
