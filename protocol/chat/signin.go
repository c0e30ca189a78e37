package chat

import "time"

// A SignIn is a user who has proved who they are, and how long that holds.
type SignIn struct {
	User
	Expires time.Time // zero: never
	Session string    // what the proof belongs to, and can be revoked with; empty: nothing

	// ReadOnly means that the user may only read this way.
	ReadOnly bool

	// EmitOnly means that another backend may have clients told events, and nothing else.
	EmitOnly bool
}
