package chat

// Unread is what a user has not read of a chat.
type Unread struct {
	LastSeq  uint64 `json:"last_seq"` // of the chat's last record
	Unread   int    `json:"unread"`   // messages that others wrote, at most [MaxUnread]
	Mentions int    `json:"mentions"` // those of them that name the user

	LastTimestamp string `json:"-"` // of the chat's last record
}

// MaxUnread is how many unread messages are counted. It may be more.
const MaxUnread = 100

// An Activity says that something has happened in a chat, to a user who need not have
// joined its room. It is not recorded.
type Activity struct {
	Chat     ID            `json:"chat_id"`
	Room     RoomID        `json:"room_id"`
	Seq      uint64        `json:"seq"` // of the chat's last record
	State    ActivityState `json:"state"`
	Unread   int           `json:"unread"`   // see [Unread]
	Mentions int           `json:"mentions"` // see [Unread]

	Title         string `json:"title"`
	LastTimestamp string `json:"last_timestamp,omitempty"` // of the chat's last record
	Waiting       bool   `json:"waiting,omitempty"`        // a call of a tool waits for a member to decide

	Mark // the user's
}

// An ActivityState is whether something goes on in a chat.
type ActivityState string

// The states.
const (
	ActivityIdle    ActivityState = "idle"
	ActivityRunning ActivityState = "running" // a turn runs or waits
	ActivityDeleted ActivityState = "deleted" // there is no such chat any more
)
