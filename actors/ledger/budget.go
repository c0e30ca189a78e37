package ledger

import (
	"errors"
	"fmt"
	"time"

	"parlor/protocol/chat"
)

// A Period is the time after which a budget starts again at zero. Periods follow
// the calendar, in UTC.
type Period string

// The periods.
const (
	Hour  Period = "hour"
	Day   Period = "day"
	Month Period = "month"
	Total Period = "total" // it never starts again
)

// each stands in the place of a name: every user, chat or model has a budget of
// its own.
const each = "*"

// A Budget limits the tokens of prompts and answers. An empty User, Chat, Model or
// Provider means that all of them share the budget.
type Budget struct {
	User     string `json:"user,omitempty"`     // a user's id, or "*" for each user
	Chat     string `json:"chat,omitempty"`     // a chat's id, or "*" for each chat
	Model    string `json:"model,omitempty"`    // any id of a model, or "*" for each model
	Provider string `json:"provider,omitempty"` // the name of a provider, or "*" for each provider
	Period   Period `json:"period"`
	Tokens   int64  `json:"tokens"`
}

// String implements [fmt.Stringer].
func (b Budget) String() string {
	text := fmt.Sprintf("%d per %s", b.Tokens, b.Period)
	if b.Period == Total {
		text = fmt.Sprintf("%d in all", b.Tokens)
	}
	for _, scope := range []struct{ what, name string }{{"user", b.User}, {"chat", b.Chat}, {"model", b.Model}, {"provider", b.Provider}} {
		if scope.name != "" {
			text += " for " + scope.what + " " + scope.name
		}
	}
	return text
}

// Validate returns all that is wrong with a list of budgets. Each error names the
// entry and the field.
func Validate(list []Budget) error {
	var wrong []error
	first := make(map[Budget]int)
	for i, b := range list {
		refuse := func(field, reason string) {
			wrong = append(wrong, fmt.Errorf("budgets[%d]: %s: %s", i, field, reason))
		}
		if b.Chat != "" && b.Chat != each && !chat.ID(b.Chat).Valid() {
			refuse("chat", "is not the id of a chat, nor *")
		}
		switch b.Period {
		case Hour, Day, Month, Total:
		case "":
			refuse("period", "is missing: hour, day, month or total")
		default:
			refuse("period", "must be hour, day, month or total")
		}
		if b.Tokens <= 0 {
			refuse("tokens", "must be more than 0")
		}
		scope := b
		scope.Tokens = 0
		if j, twice := first[scope]; twice {
			refuse("tokens", fmt.Sprintf("budgets[%d] limits the same already", j))
		} else {
			first[scope] = i
		}
	}
	return errors.Join(wrong...)
}

// covers reports whether the turns of the account count against the budget.
func (b Budget) covers(a Account) bool {
	return names(b.User, string(a.User)) && names(b.Model, string(a.Model)) && names(b.Provider, a.provider) &&
		(b.Chat == "" || a.Room != "" && (b.Chat == each || chat.ID(b.Chat).Room() == a.Room))
}

func names(scope, name string) bool { return scope == "" || scope == each || scope == name }

// part returns the part of the account that has a counter of its own. For a budget
// of each user, that is the user.
func (b Budget) part(a Account) (part Account) {
	if b.User == each {
		part.User = a.User
	}
	if b.Chat == each {
		part.Room = a.Room
	}
	if b.Model == each {
		part.Model = a.Model
	}
	if b.Provider == each {
		part.provider = a.provider
	}
	return part
}

// around returns the begin and the end of the period that t is in. Total has
// neither.
func (p Period) around(t time.Time) (begin, end time.Time) {
	t = t.UTC()
	switch p {
	case Hour:
		begin = t.Truncate(time.Hour)
		return begin, begin.Add(time.Hour)
	case Day:
		begin = time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
		return begin, begin.AddDate(0, 0, 1)
	case Month:
		begin = time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
		return begin, begin.AddDate(0, 1, 0)
	}
	return time.Time{}, time.Time{}
}

// subject is what the budget limits, in words for people. It names no other user,
// although others may share the budget.
func (b Budget) subject() string {
	whose := "this server"
	switch {
	case b.User != "":
		whose = "you"
	case b.Chat != "":
		whose = "this chat"
	case b.Model != "":
		whose = "this model"
	case b.Provider != "":
		whose = "this provider"
	}
	when := "for good"
	switch b.Period {
	case Hour, Day, Month:
		when = "for this " + string(b.Period)
	}
	return fmt.Sprintf("the %d tokens that %s may use %s", b.Tokens, whose, when)
}

// spent is what a user is told when the budget is used up.
func (b Budget) spent() *chat.Error {
	return chat.Refuse(chat.CodeBudgetExceeded, b.subject()+" are used up")
}

// short is what a user is told when less is left of the budget than a prompt needs.
func (b Budget) short(left, needed int64) *chat.Error {
	return chat.Refuse(chat.CodeBudgetExceeded,
		fmt.Sprintf("this needs about %d tokens with the conversation before it, and of %s %d are left", needed, b.subject(), left))
}
