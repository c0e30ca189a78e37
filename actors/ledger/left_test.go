package ledger

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
)

// Users are told what is left of each budget that limits them, in the period that it is
// now, and nothing of those of others.
func TestLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		room := chat.ID("c").Room()
		at := Account{User: "alice", Room: room, Model: "m"}
		l := newLedger(t, []Budget{
			{User: each, Period: Day, Tokens: 100},
			{User: "bob", Period: Day, Tokens: 9},
			{Chat: each, Period: Total, Tokens: 1000},
			{Chat: "other", Period: Total, Tokens: 7},
			{Model: each, User: each, Period: Hour, Tokens: 60},
			{Period: Month, Tokens: 50},
		}, spend(now, at, 30), spend(now, bob, 40), spend(now.Add(-24*time.Hour), at, 1000))
		midnight, hour := now.UTC().Truncate(24*time.Hour).AddDate(0, 0, 1), now.UTC().Truncate(time.Hour).Add(time.Hour)
		month := time.Date(now.UTC().Year(), now.UTC().Month(), 1, 0, 0, 0, 0, time.UTC).AddDate(0, 1, 0)
		mine := chat.BudgetLeft{User: "alice", Period: "day", Tokens: 100, Left: 70, Ends: &midnight}
		ofChat := chat.BudgetLeft{Chat: "c", Period: "total", Tokens: 1000, Left: 0}
		ofModel := chat.BudgetLeft{User: "alice", Model: "m", Period: "hour", Tokens: 60, Left: 30, Ends: &hour}
		all := chat.BudgetLeft{Period: "month", Tokens: 50, Left: 0, Ends: &month}
		for name, c := range map[string]struct {
			user chat.UserID
			info chat.Info
			want []chat.BudgetLeft
		}{
			"in a chat": {"alice", chat.Info{ID: "c", Room: room}, []chat.BudgetLeft{mine, ofChat, ofModel, all}},
			"anywhere":  {"alice", chat.Info{}, []chat.BudgetLeft{mine, ofModel, all}},
			"somebody new": {"carol", chat.Info{}, []chat.BudgetLeft{
				{User: "carol", Period: "day", Tokens: 100, Left: 100, Ends: &midnight},
				{User: "carol", Each: true, Period: "hour", Tokens: 60, Left: 60, Ends: &hour},
				all,
			}},
		} {
			if diff := cmp.Diff(c.want, l.Left(c.user, c.info)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		m, _ := l.Open(Account{User: "carol", Model: "m"}, func(*chat.Error) {})
		if m != nil {
			t.Error("the month is used up")
		}
		var none *Ledger
		if got := none.Left("alice", chat.Info{}); got == nil || len(got) != 0 {
			t.Errorf("without budgets: %v", got)
		}
	})
}
