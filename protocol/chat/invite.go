package chat

import (
	"encoding/base32"
	"strings"
	"time"
)

// An Offer is what somebody wants to invite people to.
type Offer struct {
	Role      MemberRole
	ExpiresIn time.Duration // zero: never
	Uses      int           // zero: any number
	Guests    bool          // people without an account may come
}

// MaxInviteTime is the longest time after which an invitation may expire, and MaxUses how
// many people it may let in at most, if it says how many.
const (
	MaxInviteTime = 365 * 24 * time.Hour
	MaxUses       = 1000
)

// Valid returns why the offer cannot be made, or nil.
func (o Offer) Valid() *Error {
	switch {
	case !o.Role.Given():
		return Refuse(CodeInvalid, "role must be member or viewer")
	case o.ExpiresIn < 0 || o.ExpiresIn > MaxInviteTime:
		return Refuse(CodeInvalid, "expires_in must be from 0 seconds to a year")
	case o.Uses < 0 || o.Uses > MaxUses:
		return Refuse(CodeInvalid, "uses must be from 0, which is any number, to 1000")
	}
	return nil
}

// An Invitation is an invite with the token that opens it, which is shown once.
type Invitation struct {
	Invite
	Token string
}

// A Welcome is what somebody who has the token of an invitation is told of the chat.
type Welcome struct {
	Chat Info
	Invite
	Has MemberRole // that they have there already
}

// secretLen is how many random bytes a secret is made of.
const secretLen = 20

var secretEncoding = base32.NewEncoding(roomAlphabet).WithPadding(base32.NoPadding)

// MakeSecret returns the secret of an invitation that is made of random bytes.
func MakeSecret(random [secretLen]byte) string { return secretEncoding.EncodeToString(random[:]) }

// InviteToken joins the room and the secret of an invitation, and CutInviteToken takes a
// token apart.
func InviteToken(room RoomID, secret string) string { return string(room) + "-" + secret }

// CutInviteToken reports false for what cannot be a token.
func CutInviteToken(token string) (room RoomID, secret string, ok bool) {
	id, secret, ok := strings.Cut(token, "-")
	room = RoomID(id)
	return room, secret, ok && room.Valid() && len(secret) == secretEncoding.EncodedLen(secretLen)
}
