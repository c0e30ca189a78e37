package admin

import (
	"fmt"
	"time"

	"parlor/protocol/chat"
)

// The actions of administrators. Those of operators at the control socket have other names.
const (
	StopTurn    = "stop_turn"
	RestartRoom = "restart_room"
	ReleaseRoom = "release_room"
	Disconnect  = "disconnect"
	RevokeUser  = "revoke_user"
	RestoreUser = "restore_user"
	FollowRoom  = "follow_room"
	DeleteUser  = "delete_user"
	ExportUser  = "export_user"
)

// An Action is what an administrator wants done.
type Action struct {
	Action     string      `json:"action"`
	Room       chat.RoomID `json:"room_id,omitempty"`
	Turn       chat.TurnID `json:"turn_id,omitempty"` // to be stopped; empty: the running one
	Connection string      `json:"connection,omitempty"`
	User       chat.UserID `json:"user_id,omitempty"`
	Note       string      `json:"note,omitempty"` // why, for the audit log
}

// MaxNote limits a note, in bytes.
const MaxNote = 500

// Fault says what is wrong with an action, or nothing.
func (a Action) Fault() string {
	if len(a.Note) > MaxNote {
		return fmt.Sprintf("note must not be longer than %d bytes", MaxNote)
	}
	switch a.Action {
	case StopTurn, RestartRoom, ReleaseRoom:
		if !a.Room.Valid() {
			return "room_id must name a room"
		}
	case Disconnect:
		if a.Connection == "" {
			return "connection must name one"
		}
	case RevokeUser, RestoreUser, DeleteUser, ExportUser:
		if fault := a.User.Fault(); fault != "" {
			return "user_id " + fault
		}
	default:
		return fmt.Sprintf("there is no action %q", a.Action)
	}
	return ""
}

// The outcomes in the audit log. One that has begun and nothing else was cut by the end of the
// server: nobody knows whether it was carried out.
const (
	OutcomeBegun  = "begun"
	OutcomeDone   = "done"
	OutcomeFailed = "failed"
)

// An Entry is one of the audit log.
type Entry struct {
	Seq     uint64      `json:"seq"`
	At      time.Time   `json:"at"`
	By      chat.UserID `json:"by"`             // empty: an operator at the control socket
	From    string      `json:"from,omitempty"` // address
	Action  Action      `json:"what"`
	Outcome string      `json:"outcome"`
	Detail  string      `json:"detail,omitempty"`
}

// A Log is a page of the audit log.
type Log struct {
	Entries []Entry `json:"entries"`
	HasMore bool    `json:"has_more"`
}
