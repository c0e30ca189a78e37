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
	By    UsageBy    `json:"by"`
	Total UsageRow   `json:"total"` // of all rows, also those left out
	Rows  []UsageRow `json:"rows"`
	More  bool       `json:"has_more"`
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
}
