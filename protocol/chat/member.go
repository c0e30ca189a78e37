package chat

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"slices"
	"time"
)

// A MemberRole is what a user is to a chat. A role may do whatever those behind it may.
type MemberRole string

// The roles.
const (
	RoleOwner  MemberRole = "owner"  // one user, who says who else is a member
	RoleMember MemberRole = "member" // talks, and changes settings
	RoleViewer MemberRole = "viewer" // reads
)

// Given reports whether r is a role that the owner can give to others. The owner's own
// role can only be handed over.
func (r MemberRole) Given() bool { return r == RoleMember || r == RoleViewer }

// A Member is a user who has a role in a chat.
type Member struct {
	ID   UserID     `json:"user_id"`
	Name string     `json:"name,omitempty"` // when the user became one
	Role MemberRole `json:"role"`

	// Invite is that by which a guest came, and Until the second of Unix time at which it
	// expires; zero: never.
	Invite InviteID `json:"invite_id,omitempty"`
	Until  int64    `json:"until,omitempty"`
}

// Fault says what is wrong with the member's id or name. It returns "" if both are valid.
func (m Member) Fault() string {
	switch fault := m.ID.Fault(); {
	case fault != "":
		return "the user id " + fault
	case len(m.Name) > MaxNameLen || !Printable(m.Name):
		return fmt.Sprintf("the name must be printable UTF-8 of at most %d bytes", MaxNameLen)
	}
	return ""
}

// Member returns what the user is in the chat. It returns the zero Member for one who has
// no role.
func (i Info) Member(u UserID) Member {
	if u == "" {
		return Member{}
	}
	if u == i.Owner {
		return Member{ID: u, Name: i.OwnerName, Role: RoleOwner}
	}
	for _, m := range i.Members {
		if m.ID == u {
			return m
		}
	}
	return Member{}
}

// RoleOf returns the user's role in the chat. It is empty for one who has none.
func (i Info) RoleOf(u UserID) MemberRole { return i.Member(u).Role }

// WithMember returns the chat in which m has its role, or none if the role is empty. The
// owner becomes a member when somebody else becomes the owner.
func (i Info) WithMember(m Member) Info {
	members := slices.DeleteFunc(slices.Clone(i.Members), func(old Member) bool { return old.ID == m.ID })
	switch {
	case m.Role == RoleOwner && i.Owner != m.ID:
		if i.Owner != "" {
			members = append(members, Member{ID: i.Owner, Name: i.OwnerName, Role: RoleMember})
		}
		i.Owner, i.OwnerName = m.ID, m.Name
	case m.Role.Given() && i.Owner != m.ID:
		members = append(members, m)
	}
	if len(members) == 0 {
		members = nil
	}
	i.Members = members
	return i
}

// Told returns the member as others are told: how a guest came is the owner's affair.
func (m Member) Told() Member { return Member{ID: m.ID, Name: m.Name, Role: m.Role} }

// Everybody returns the owner and the members, as others are told.
func (i Info) Everybody() []Member {
	var all []Member
	if i.Owner != "" {
		all = append(all, Member{ID: i.Owner, Name: i.OwnerName, Role: RoleOwner})
	}
	for _, m := range i.Members {
		all = append(all, m.Told())
	}
	return all
}

// Equal reports whether both say the same.
func (i Info) Equal(other Info) bool {
	return i.ID == other.ID && i.Room == other.Room && i.Owner == other.Owner && i.OwnerName == other.OwnerName &&
		i.ModelID == other.ModelID && i.APISource == other.APISource && i.Epoch == other.Epoch && i.Created.Equal(other.Created) &&
		i.Settings == other.Settings && slices.Equal(i.Members, other.Members)
}

// An InviteID names an invitation.
type InviteID string

// An Invite lets people who know its secret become members. Only a digest of the secret
// is kept.
type Invite struct {
	ID      InviteID   `json:"invite_id"`
	Role    MemberRole `json:"role"`
	Digest  []byte     `json:"digest"`
	Expires time.Time  `json:"expires_at,omitzero"` // zero: never
	Uses    int        `json:"uses,omitempty"`      // that are left; 0: any number; see [Invite.Spent]
	By      UserID     `json:"by"`
	Guests  bool       `json:"guests,omitempty"` // people without an account may come by it
}

// DigestOf returns the digest of an invitation's secret, which is long and random.
func DigestOf(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// Opens reports whether digest is that of the invitation's secret. It takes the same time
// whatever digest is.
func (i Invite) Opens(digest []byte) bool { return subtle.ConstantTimeCompare(i.Digest, digest) == 1 }

// Expired reports whether the invitation is of no use any more at the time.
func (i Invite) Expired(at time.Time) bool { return !i.Expires.IsZero() && !at.Before(i.Expires) }

// usedUp is the number of uses that are left of an invitation after its last one.
const usedUp = -1

// Used returns the invitation after one more use.
func (i Invite) Used() Invite {
	if i.Uses > 0 {
		i.Uses--
		if i.Uses == 0 {
			i.Uses = usedUp
		}
	}
	return i
}

// Spent reports whether the invitation had its last use.
func (i Invite) Spent() bool { return i.Uses == usedUp }

// Open reports whether the invitation lets somebody in at the time.
func (i Invite) Open(at time.Time) bool { return !i.Expired(at) && !i.Spent() }
