package queries_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/actortest"
	"parlor/actors/ledger"
	"parlor/actors/room"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// Everybody sees what they have used themselves, by anything, in any time;
// what was used in a deleted chat stays theirs.
func TestUsage(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		for _, id := range []chat.ID{"a", "gone"} {
			alice.Create(id)
			alice.Send(id, "hello") // 5 tokens each, says the assistant
		}
		bob.Create("b")
		bob.Send("b", "hello")
		start := time.Now()
		time.Sleep(24 * time.Hour)
		alice.Do("a", &room.Send{Content: "again", ModelID: actortest.OtherModel})
		alice.Do("gone", &room.Delete{})

		row := func(r chat.UsageRow, turns uint64) chat.UsageRow {
			r.Turns, r.PromptTokens, r.CompletionTokens, r.TotalTokens = turns, 2*turns, 3*turns, 5*turns
			return r
		}
		for name, c := range map[string]struct {
			query chat.UsageQuery
			want  []chat.UsageRow
		}{
			"user":     {chat.UsageQuery{By: chat.UsageByUser}, []chat.UsageRow{row(chat.UsageRow{User: "alice"}, 3)}},
			"chat":     {chat.UsageQuery{By: chat.UsageByChat}, []chat.UsageRow{row(chat.UsageRow{Chat: "a"}, 2), row(chat.UsageRow{}, 1)}},
			"model":    {chat.UsageQuery{By: chat.UsageByModel}, []chat.UsageRow{row(chat.UsageRow{Model: "model"}, 2), row(chat.UsageRow{Model: "other-model"}, 1)}},
			"day":      {chat.UsageQuery{By: chat.UsageByDay}, []chat.UsageRow{row(chat.UsageRow{Day: "2000-01-01"}, 2), row(chat.UsageRow{Day: "2000-01-02"}, 1)}},
			"from":     {chat.UsageQuery{By: chat.UsageByDay, From: start.Add(time.Hour)}, []chat.UsageRow{row(chat.UsageRow{Day: "2000-01-02"}, 1)}},
			"to":       {chat.UsageQuery{By: chat.UsageByDay, To: start.Add(time.Minute)}, []chat.UsageRow{row(chat.UsageRow{Day: "2000-01-01"}, 2)}},
			"one chat": {chat.UsageQuery{By: chat.UsageByDay, Room: chat.ID("a").Room()}, []chat.UsageRow{row(chat.UsageRow{Day: "2000-01-01"}, 1), row(chat.UsageRow{Day: "2000-01-02"}, 1)}},
			"another":  {chat.UsageQuery{By: chat.UsageByDay, Room: chat.ID("b").Room()}, []chat.UsageRow{}},
		} {
			got, err := s.Rooms.Usage(t.Context(), alice.User, c.query)
			if diff := cmp.Diff(c.want, got.Rows); diff != "" || err != nil {
				t.Errorf("by %s, %v (-want +got):\n%s", name, err, diff)
			}
			var turns uint64
			for _, r := range got.Rows {
				turns += r.Turns
			}
			if got.Total.Turns != turns {
				t.Errorf("by %s: %d turns in all, the rows have %d", name, got.Total.Turns, turns)
			}
		}
		for _, q := range []chat.UsageQuery{{}, {By: "moon"}, {By: chat.UsageByDay, Room: "a b"}, {By: chat.UsageByDay, From: start, To: start}} {
			if _, err := s.Rooms.Usage(t.Context(), alice.User, q); chat.AsError(err) == nil || chat.AsError(err).Code != chat.CodeInvalid {
				t.Errorf("%+v: %v", q, err)
			}
		}
		if _, err := s.Rooms.Usage(t.Context(), chat.User{}, chat.UsageQuery{By: chat.UsageByDay}); err == nil {
			t.Error("nobody in particular is told usage")
		}
	})
}

// The cost of answers is told by the prices that their models have now, and which
// have none; of budgets one is told those of one's own and of chats that one may read.
func TestUsageCosts(t *testing.T) {
	anyCase := func(m chat.ModelID) (string, chat.ModelID) { return "", m }
	budgets, err := ledger.New([]ledger.Budget{
		{User: "*", Period: ledger.Total, Tokens: 1000}, {Chat: "*", Period: ledger.Total, Tokens: 500},
	}, func(func(persistence.Charge, error) bool) {}, anyCase)
	if err != nil {
		t.Fatal(err)
	}
	actortest.Run(t, room.Options{Ledger: budgets, Currency: "EUR"}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create("a")
		bob.Create("b")
		alice.Send("a", "hello") // 2 tokens read and 3 written, says the assistant
		get := func(u chat.User, q chat.UsageQuery) chat.UsageReport {
			t.Helper()
			q.By = chat.UsageByModel
			report, err := s.Rooms.Usage(t.Context(), u, q)
			if err != nil {
				t.Fatal(err)
			}
			return report
		}
		if got := get(alice.User, chat.UsageQuery{}); got.Currency != "" || got.Total.Cost != 0 || got.Total.UnpricedTurns != 0 {
			t.Errorf("without a price: %+v", got)
		}
		s.Assistant.Describe(chat.Model{ID: actortest.Model, PromptPrice: 100_000, CompletionPrice: 300_000})
		alice.Do("a", &room.Send{Content: "again", ModelID: actortest.OtherModel})
		got := get(alice.User, chat.UsageQuery{})
		if got.Currency != "EUR" || got.Total.Cost != 1.1 || got.Total.UnpricedTurns != 1 || got.Rows[0].Cost+got.Rows[1].Cost != 1.1 {
			t.Errorf("with one price: %+v", got)
		}
		mine := chat.BudgetLeft{User: "alice", Period: "total", Tokens: 1000, Left: 990}
		for name, c := range map[string]struct {
			id   chat.ID
			want []chat.BudgetLeft
		}{
			"everywhere":         {"", []chat.BudgetLeft{mine}},
			"in a chat":          {"a", []chat.BudgetLeft{mine, {Chat: "a", Period: "total", Tokens: 500, Left: 490}}},
			"in another's":       {"b", []chat.BudgetLeft{mine}},
			"in one that is not": {"c", []chat.BudgetLeft{mine}},
		} {
			var q chat.UsageQuery
			if c.id != "" {
				q.Room = c.id.Room()
			}
			if diff := cmp.Diff(c.want, get(alice.User, q).Budgets); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	})
}
