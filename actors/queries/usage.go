package queries

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"maps"
	"math"
	"slices"
	"time"

	"parlor/actors/access"
	"parlor/actors/conversation"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// Usage sums up what the user's turns have used, in all chats. If chats are shared,
// it sums up the turns of all users.
func (q *Queries) Usage(ctx context.Context, u chat.User, asked chat.UsageQuery) (chat.UsageReport, error) {
	if refusal := asked.Valid(); refusal != nil {
		return chat.UsageReport{}, refusal
	}
	scope, refusal := q.Access.Scope(u, access.Usage)
	if refusal != nil {
		return chat.UsageReport{}, refusal
	}
	b := (*books)(&q.Options)
	from, to := hours(asked)
	charges := q.Log.Charges(from, to)
	if !scope.All {
		charges = q.Log.ChargesOf(string(scope.User), from, to)
	}
	var report chat.UsageReport
	err := q.query(ctx, u, func(read *read) error {
		sums, err := b.sum(paced(ctx, read, charges), asked)
		if err == nil {
			report, err = b.report(asked.By, sums)
		}
		return err
	})
	report.Budgets = b.Ledger.Left(u.ID, b.budgeted(u, asked.Room))
	return report, err
}

// budgeted returns the chat whose budgets the user is told, or a zero Info.
func (b *books) budgeted(u chat.User, room chat.RoomID) chat.Info {
	if room == "" {
		return chat.Info{}
	}
	stored, err := b.Log.Chat(string(room))
	if err != nil {
		return chat.Info{}
	}
	info, err := conversation.ReadRow(stored)
	if err != nil || b.Access.Check(info, u, access.Read) != nil {
		return chat.Info{}
	}
	return info
}

// books sum up what turns have used.
type books Options

// A usage is the sum of charges, and what they cost.
type usage struct {
	persistence.Count
	cost     float64
	unpriced uint64 // turns of models without a price
}

func (s *usage) add(o usage) {
	s.Count.Add(o.Count)
	s.cost += o.cost
	s.unpriced += o.unpriced
}

// sum adds up the charges that match the query.
func (b *books) sum(charges iter.Seq2[persistence.Charge, error], asked chat.UsageQuery) (map[string]usage, error) {
	sums := make(map[string]usage)
	models := make(map[string]chat.Model)
	for c, err := range charges {
		if err != nil {
			return nil, err
		}
		if asked.Room != "" && c.Room != string(asked.Room) {
			continue
		}
		model, known := models[c.Model]
		if !known {
			model, _ = b.Models.Model(chat.ModelID(c.Model))
			models[c.Model] = model
		}
		one := usage{Count: c.Count}
		cost, priced := model.Cost(c.Prompt, c.Completion)
		if one.cost = cost; !priced {
			one.unpriced = c.Turns
		}
		sum := sums[part(c, asked.By)]
		sum.add(one)
		sums[part(c, asked.By)] = sum
	}
	return sums, nil
}

// hours returns the hours that the query covers.
func hours(q chat.UsageQuery) (from, to persistence.Hour) {
	if !q.From.IsZero() {
		from = persistence.HourOf(q.From)
	}
	to = persistence.EndOfHours
	if !q.To.IsZero() {
		to = persistence.HourOf(q.To.Add(time.Hour - 1))
	}
	return from, to
}

// part returns the row that a charge belongs to.
func part(c persistence.Charge, by chat.UsageBy) string {
	switch by {
	case chat.UsageByUser:
		return c.User
	case chat.UsageByChat:
		return c.Room
	case chat.UsageByModel:
		return c.Model
	}
	return c.Hour.Time().Format(time.DateOnly)
}

func (b *books) report(by chat.UsageBy, sums map[string]usage) (chat.UsageReport, error) {
	report := chat.UsageReport{By: by, Rows: []chat.UsageRow{}}
	var total usage
	parts := slices.SortedFunc(maps.Keys(sums), func(a, b string) int {
		if by == chat.UsageByDay {
			return cmp.Compare(a, b)
		}
		return cmp.Or(cmp.Compare(sums[b].Tokens(), sums[a].Tokens()), cmp.Compare(a, b))
	})
	for _, part := range parts {
		total.add(sums[part])
	}
	priced := total.unpriced < total.Turns
	if priced {
		report.Currency = b.Currency
	}
	if over := len(parts) - chat.MaxUsageRows; over > 0 {
		report.More = true
		if by == chat.UsageByDay {
			parts = parts[over:]
		}
		parts = parts[:chat.MaxUsageRows]
	}
	report.Total = usageRow(total, priced)
	for _, part := range parts {
		row := usageRow(sums[part], priced)
		if err := b.name(&row, by, part); err != nil {
			return chat.UsageReport{}, err
		}
		report.Rows = append(report.Rows, row)
	}
	return report, nil
}

// usageRow returns a row without a name. Costs are in it if anything has a price.
func usageRow(u usage, priced bool) chat.UsageRow {
	const perUnit = 1e6 // steps to which costs are rounded
	row := chat.UsageRow{
		Turns: u.Turns, EstimatedTurns: u.Estimated, PromptTokens: u.Prompt, CompletionTokens: u.Completion, TotalTokens: u.Tokens(),
	}
	if priced {
		row.Cost, row.UnpricedTurns = math.Round(u.cost*perUnit)/perUnit, u.unpriced
	}
	return row
}

func (b *books) name(row *chat.UsageRow, by chat.UsageBy, part string) error {
	switch by {
	case chat.UsageByUser:
		row.User = chat.UserID(part)
	case chat.UsageByModel:
		row.Model = chat.ModelID(part)
	case chat.UsageByDay:
		row.Day = part
	case chat.UsageByChat:
		return b.nameChat(row, part)
	}
	return nil
}

// nameChat sets the chat of a row. The row of all deleted chats has none.
func (b *books) nameChat(row *chat.UsageRow, id string) error {
	if id == "" {
		return nil
	}
	stored, err := b.Log.Chat(id)
	switch {
	case errors.Is(err, persistence.ErrNotFound): // it was deleted a moment ago
		return nil
	case err != nil:
		return err
	}
	info, err := conversation.ReadRow(stored)
	if err != nil {
		return err
	}
	row.Chat = info.ID
	return nil
}
