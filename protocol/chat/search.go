package chat

// A SearchQuery asks for what the user's chats say.
type SearchQuery struct {
	Text   string // words, and "several words" as one
	Limit  int    // of results
	Cursor string // of the page before, or empty
	Chat   ID     // in which alone is looked, for messages; empty: in all
}

// A SearchPage is what was found: in the user's newest chat first, and in each chat its
// title, then the newest message first.
type SearchPage struct {
	Results []Found `json:"results"`
	More    bool    `json:"has_more"` // not everything was looked at yet; also if nothing was found
	Cursor  string  `json:"cursor"`   // with which it goes on; empty if there is no more
}

// A Found is a message that was found, or a title, which has no MessageID.
type Found struct {
	Chat      ID        `json:"chat_id"`
	Title     string    `json:"title"`
	MessageID MessageID `json:"message_id,omitempty"`
	Seq       uint64    `json:"seq,omitempty"`
	Role      Role      `json:"role,omitempty"`
	Author    *User     `json:"author,omitempty"`
	Timestamp string    `json:"timestamp"` // of the message, or of the chat
	Snippet   string    `json:"snippet"`
	Hits      []Hit     `json:"hits"`
}

// A Hit is a place in a snippet, in UTF-16 code units, as JavaScript counts.
type Hit struct {
	Start int `json:"start"`
	End   int `json:"end"`
}
