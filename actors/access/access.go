// Package access decides who may do what.
//
//	room:    command → Policy.Check(chat, user, action) → nil, or why it is refused
//	queries: Get, History … → Policy.Check;  List, Usage → Policy.Scope(user, action) → whose
//
// Rooms and queries ask here and nowhere else. They pass on what they know of the chat
// and of the user. From that follows the role of the user in the chat.
//
// A user who may not read a chat is told the same as if there were no such chat:
// [ErrNoChat]. A refusal as forbidden is for members only.
//
// The server and its operator need no permission, as when a chat expires or a
// quarantine ends. Nobody needs one to leave a room.
package access

import "parlor/protocol/chat"

// An Action is something that a user wants to do with a chat.
type Action string

// The actions.
const (
	Create     Action = "create"     // make a chat that is not there yet
	Read       Action = "read"       // find a chat, join its room, read what was said
	Send       Action = "send"       // say something, in writing or aloud, and ask for an answer
	Attach     Action = "attach"     // add files to the chat, and remove one's own
	Edit       Action = "edit"       // say one's own message anew
	Regenerate Action = "regenerate" // ask for another answer
	Select     Action = "select"     // say with which branch the conversation goes on
	Stop       Action = "stop"       // stop an answer, whoever asked for it
	Approve    Action = "approve"    // decide about a call of a tool
	Configure  Action = "configure"  // change the chat's settings
	Manage     Action = "manage"     // say who is a member, invite people, and make the chat read-only
	Depart     Action = "depart"     // stop being a member
	Inherit    Action = "inherit"    // become the owner, if the chat was offered
	Accept     Action = "accept"     // become a member by an invitation, which decides
	Delete     Action = "delete"     // delete the chat

	// These are of all chats together: see [Policy.Scope].
	List  Action = "list"  // see the chat among others
	Usage Action = "usage" // see what its turns have used
)

// A role is what a user is to a chat. A role may do whatever those before it may do.
type role int

const (
	nobody   role = iota // a user without a name
	stranger             // a user who has nothing to do with the chat
	viewer
	member
	owner
)

// roles are those that a chat gives.
var roles = map[chat.MemberRole]role{chat.RoleViewer: viewer, chat.RoleMember: member, chat.RoleOwner: owner}

// least holds the role that each action needs. An action that is not in it is refused
// to everybody.
var least = map[Action]role{
	Create:     stranger,
	Read:       viewer,
	Send:       member,
	Attach:     member,
	Edit:       member,
	Regenerate: member,
	Select:     member,
	Stop:       member,
	Approve:    member,
	Configure:  member,
	Manage:     owner,
	Depart:     viewer,
	Inherit:    viewer,
	Accept:     stranger,
	Delete:     owner,
	List:       viewer,
	Usage:      viewer,
}

// ErrNoChat refuses a user who may not read a chat. Rooms and queries use it for chats
// that do not exist too, so that nobody learns which there are.
var ErrNoChat = chat.Refuse(chat.CodeNotFound, "there is no such chat")

var (
	errForbidden = chat.Refuse(chat.CodeForbidden, "your role in this chat does not allow that")
	errGuest     = chat.Refuse(chat.CodeForbidden, "guests are in the one chat that they were invited to; sign in for more")
	errNobody    = chat.Refuse(chat.CodeUnauthenticated, "this is for users only, and it is not known who you are")
)

// A Policy decides. The zero value lets the owner and the members of a chat in, and
// nobody else.
type Policy struct {
	// Shared makes every user an owner of every chat: development mode.
	Shared bool
}

// Check returns why the user may not do that with the chat, or nil. Of a chat that is
// yet to be created, info holds the ID alone. Nobody may create a chat under an id
// that the server has made for somebody else.
func (p Policy) Check(info chat.Info, u chat.User, a Action) *chat.Error {
	role := p.roleOf(info, u)
	needed, known := least[a]
	switch {
	case u.Only != "" && (a == Create || a == Inherit):
		return errGuest
	case u.Only != "" && u.Only != info.Room:
		return ErrNoChat
	case a == Create && !p.Shared && info.ID.MadeForOther(u.ID):
		return ErrNoChat
	case known && role >= needed:
		return nil
	case a == Create:
		return errNobody
	case role < least[Read]:
		return ErrNoChat
	}
	return errForbidden
}

// roleOf returns the user's role. In a chat that is read-only members are viewers.
func (p Policy) roleOf(info chat.Info, u chat.User) role {
	has, given := roles[info.RoleOf(u.ID)]
	switch {
	case p.Shared:
		return owner
	case u.ID == "":
		return nobody
	case !given:
		return stranger
	case has == member && info.ReadOnly:
		return viewer
	}
	return has
}

// A Scope is a set of chats, or of the turns of users.
type Scope struct {
	All  bool        // everybody's
	User chat.UserID // else this user's; not empty
}

// Scope returns the chats, or the turns, that Check lets the user do a with.
func (p Policy) Scope(u chat.User, a Action) (Scope, *chat.Error) {
	switch _, known := least[a]; {
	case !known:
		return Scope{}, errForbidden
	case p.Shared:
		return Scope{All: true}, nil
	case u.ID == "":
		return Scope{}, errNobody
	}
	return Scope{User: u.ID}, nil
}
