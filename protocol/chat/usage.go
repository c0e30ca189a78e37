package chat

import "time"

// A UsageBy says what usage is summed up by.
type UsageBy string

// Keys by which usage can be summed up.
const (
	UsageByUser  UsageBy = "user"
	UsageByChat  UsageBy = "chat"
	UsageByModel UsageBy = "model"
	UsageByDay   UsageBy = "day"
)

// A UsageQuery asks what was used. Its zero fields do not narrow it.
type UsageQuery struct {
	By       UsageBy
	From, To time.Time // to the hour; To is not part of it
	Room     RoomID    // of a chat
}

// Valid reports what is wrong with the query.
func (q UsageQuery) Valid() *Error {
	switch q.By {
	case UsageByUser, UsageByChat, UsageByModel, UsageByDay:
	default:
		return Refuse(CodeInvalid, "by must be user, chat, model or day")
	}
	switch {
	case q.Room != "" && !q.Room.Valid():
		return Refuse(CodeInvalid, "room_id is not that of a room")
	case !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To):
		return Refuse(CodeInvalid, "from must be before to")
	}
	return nil
}

// MaxUsageRows is how many rows a [UsageReport] has at most.
const MaxUsageRows = 1000

// A UsageReport answers a [UsageQuery]: the rows that used most first, or days
// in their order, the latest [MaxUsageRows].
type UsageReport struct {
	By       UsageBy      `json:"by"`
	Total    UsageRow     `json:"total"` // of all rows, also those left out
	Rows     []UsageRow   `json:"rows"`
	More     bool         `json:"has_more"`
	Currency string       `json:"currency,omitempty"` // of all costs; empty if no model has a price
	Budgets  []BudgetLeft `json:"budgets"`            // that limit the user
}

// A BudgetLeft is a budget that a user's turns count against, and what is left of it. The
// fields that name something say what it limits; without them it limits all together.
type BudgetLeft struct {
	User     UserID  `json:"user_id,omitempty"`
	Chat     ID      `json:"chat_id,omitempty"`
	Model    ModelID `json:"model_id,omitempty"`
	Provider string  `json:"provider,omitempty"`
	Each     bool    `json:"each,omitempty"` // of its models or providers has as much, of which none is used

	Period string     `json:"period"` // hour, day, month or total
	Tokens int64      `json:"tokens"`
	Left   int64      `json:"left"`
	Ends   *time.Time `json:"ends_at"` // of the period; nil if it never starts again
}

// A UsageRow is what turns have used, named by what the query sums up by. The
// row of chats that were deleted has no name.
type UsageRow struct {
	User  UserID  `json:"user_id,omitempty"`
	Chat  ID      `json:"chat_id,omitempty"`
	Model ModelID `json:"model_id,omitempty"`
	Day   string  `json:"day,omitempty"` // 2006-01-02, in UTC

	Turns            uint64 `json:"turns"`
	EstimatedTurns   uint64 `json:"estimated_turns"` // of Turns, see [Usage]
	PromptTokens     uint64 `json:"prompt_tokens"`
	CompletionTokens uint64 `json:"completion_tokens"`
	TotalTokens      uint64 `json:"total_tokens"`

	// Cost is what the tokens cost at the prices that models have now, and UnpricedTurns
	// are those of Turns whose models have none.
	Cost          float64 `json:"cost,omitempty"`
	UnpricedTurns uint64  `json:"unpriced_turns,omitempty"`
}
