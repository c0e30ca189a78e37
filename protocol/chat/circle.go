package chat

// A Circle is the users whom a user may see: those who share a chat.
type Circle struct {
	All   bool     // everybody
	Users []UserID // else these, sorted
}
