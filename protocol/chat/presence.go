package chat

// A Present is a user who is in a room.
type Present struct {
	ID      UserID `json:"user_id"`
	Name    string `json:"name,omitempty"`
	Devices int    `json:"devices"` // connections with which the user is in the room
	Typing  bool   `json:"typing"`  // on one of them
}

// A Doing is what the assistant of a room is doing.
type Doing string

// The occupations of an assistant.
const (
	DoingNothing   Doing = "idle"
	DoingThinking  Doing = "thinking"  // it was asked, and has not begun to answer
	DoingAnswering Doing = "answering" // it is writing or speaking
	DoingTool      Doing = "tool"      // it runs a tool
	DoingWaiting   Doing = "waiting"   // for its provider, which has failed, or for a member to approve a call
)

// An AssistantState is what the assistant of a room is doing. The zero value means
// [DoingNothing].
type AssistantState struct {
	Doing Doing  `json:"state"`
	Tool  string `json:"tool,omitempty"` // that it runs
	For   string `json:"for,omitempty"`  // what it waits for
}

// Presence is the notice that says who is in a room. It is not recorded.
type Presence struct {
	// Whole means that Members are all that are listed. Otherwise they are those who
	// came or changed since the notice before, and Left are those who are not listed
	// any more.
	Whole   bool
	Members []Present // in the order of their ids
	Left    []UserID

	Users     int // in the room, also those that are not listed
	Devices   int // of all of them
	Assistant AssistantState
}

func (Presence) notice() {}

// Listed returns the users that are listed.
func (p Presence) Listed() []User {
	var users []User
	for _, m := range p.Members {
		users = append(users, User{ID: m.ID, Name: m.Name})
	}
	return users
}
