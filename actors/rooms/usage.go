package rooms

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"time"

	"parlor/actors/access"
	"parlor/actors/conversation"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// Usage sums up what the user's turns have used, in all chats. If chats are shared,
// it sums up the turns of all users.
func (r *Rooms) Usage(ctx context.Context, u chat.User, q chat.UsageQuery) (chat.UsageReport, error) {
	if refusal := q.Valid(); refusal != nil {
		return chat.UsageReport{}, refusal
	}
	scope, refusal := r.options.Access.Scope(u, access.Usage)
	if refusal != nil {
		return chat.UsageReport{}, refusal
	}
	from, to := hours(q)
	charges := r.log.Charges(from, to)
	if !scope.All {
		charges = r.log.ChargesOf(string(scope.User), from, to)
	}
	var report chat.UsageReport
	err := r.query(ctx, u, func(read *read) error {
		sums, err := sum(paced(ctx, read, charges), q)
		if err == nil {
			report, err = r.report(q.By, sums)
		}
		return err
	})
	return report, err
}

// sum adds up the charges that match the query.
func sum(charges iter.Seq2[persistence.Charge, error], q chat.UsageQuery) (map[string]persistence.Count, error) {
	sums := make(map[string]persistence.Count)
	for c, err := range charges {
		if err != nil {
			return nil, err
		}
		if q.Room == "" || c.Room == string(q.Room) {
			sum := sums[part(c, q.By)]
			sum.Add(c.Count)
			sums[part(c, q.By)] = sum
		}
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

func (r *Rooms) report(by chat.UsageBy, sums map[string]persistence.Count) (chat.UsageReport, error) {
	report := chat.UsageReport{By: by, Rows: []chat.UsageRow{}}
	var total persistence.Count
	parts := slices.SortedFunc(maps.Keys(sums), func(a, b string) int {
		if by == chat.UsageByDay {
			return cmp.Compare(a, b)
		}
		return cmp.Or(cmp.Compare(sums[b].Tokens(), sums[a].Tokens()), cmp.Compare(a, b))
	})
	for _, part := range parts {
		total.Add(sums[part])
	}
	if over := len(parts) - chat.MaxUsageRows; over > 0 {
		report.More = true
		if by == chat.UsageByDay {
			parts = parts[over:]
		}
		parts = parts[:chat.MaxUsageRows]
	}
	report.Total = usageRow(total)
	for _, part := range parts {
		row := usageRow(sums[part])
		if err := r.name(&row, by, part); err != nil {
			return chat.UsageReport{}, err
		}
		report.Rows = append(report.Rows, row)
	}
	return report, nil
}

func usageRow(c persistence.Count) chat.UsageRow {
	return chat.UsageRow{
		Turns: c.Turns, EstimatedTurns: c.Estimated, PromptTokens: c.Prompt, CompletionTokens: c.Completion, TotalTokens: c.Tokens(),
	}
}

func (r *Rooms) name(row *chat.UsageRow, by chat.UsageBy, part string) error {
	switch by {
	case chat.UsageByUser:
		row.User = chat.UserID(part)
	case chat.UsageByModel:
		row.Model = chat.ModelID(part)
	case chat.UsageByDay:
		row.Day = part
	case chat.UsageByChat:
		return r.nameChat(row, part)
	}
	return nil
}

// nameChat sets the chat of a row. The row of all deleted chats has none.
func (r *Rooms) nameChat(row *chat.UsageRow, id string) error {
	if id == "" {
		return nil
	}
	stored, err := r.log.Chat(id)
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
