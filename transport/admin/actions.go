package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"parlor/protocol/admin"
	"parlor/protocol/chat"
	"parlor/transport/durable"
)

// A Store keeps the audit log. done is called once the change is on the disk, or with the
// reason why it is not.
type Store interface {
	AddAudit(value []byte, keep int, done func(seq uint64, err error))
	SetAudit(seq uint64, value []byte, done func(error))
	EachAudit(before uint64, limit int, yield func(seq uint64, value []byte)) error
}

// actionTimeout limits an action. One that has begun goes on when its client is gone.
const actionTimeout = 30 * time.Second

var (
	errSelf         = chat.Refuse(chat.CodeConflict, "you would shut yourself out; another administrator can do that")
	errNoTurn       = chat.Refuse(chat.CodeNotFound, "no such turn is open in this room")
	errNoConnection = chat.Refuse(chat.CodeNotFound, "there is no such connection any more")
)

// Do carries out an action, and returns its entry in the audit log.
func (s *Service) Do(ctx context.Context, by admin.By, a admin.Action) (admin.Entry, error) {
	if fault := a.Fault(); fault != "" {
		return admin.Entry{}, chat.Refuse(chat.CodeInvalid, fault)
	}
	switch {
	case a.Action == admin.ExportUser: // its answer is no entry
		return admin.Entry{}, chat.Refuse(chat.CodeInvalid, "there is GET …/admin/runtime/users/{user_id}/export for that")
	case (a.Action == admin.RevokeUser || a.Action == admin.DeleteUser) && a.User == by.ID:
		return admin.Entry{}, errSelf
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), actionTimeout)
	defer cancel()
	return s.audited(ctx, by, a, func() (string, error) { return s.carryOut(ctx, by, a) })
}

// audited carries out an action between the two halves of its entry.
func (s *Service) audited(ctx context.Context, by admin.By, a admin.Action, act func() (detail string, err error)) (admin.Entry, error) {
	e := admin.Entry{At: time.Now().UTC(), By: by.ID, From: by.From, Action: a, Outcome: admin.OutcomeBegun}
	if err := s.begin(ctx, &e); err != nil {
		return e, err
	}
	detail, err := act()
	e.Outcome, e.Detail = admin.OutcomeDone, detail
	if err != nil {
		e.Outcome, e.Detail = admin.OutcomeFailed, chat.AsError(err).Message
	}
	s.Logger.Info("administrator", "by", by.ID, "action", a.Action, "room", a.Room, "user", a.User, "connection", a.Connection, "outcome", e.Outcome, "audit", e.Seq)
	if setErr := s.set(ctx, e); setErr != nil {
		s.Logger.Error("the audit log does not say what came of an action", "audit", e.Seq, "outcome", e.Outcome, "err", setErr)
	}
	return e, err
}

func (s *Service) begin(ctx context.Context, e *admin.Entry) error {
	value, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return durable.Wait(ctx, func(done func(error)) {
		s.Store.AddAudit(value, s.MaxEntries, func(seq uint64, err error) {
			e.Seq = seq
			done(err)
		})
	})
}

func (s *Service) set(ctx context.Context, e admin.Entry) error {
	value, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return durable.Wait(ctx, func(done func(error)) { s.Store.SetAudit(e.Seq, value, done) })
}

func (s *Service) carryOut(ctx context.Context, by admin.By, a admin.Action) (detail string, err error) {
	switch a.Action {
	case admin.StopTurn:
		stopped, err := s.Rooms.Halt(ctx, by.User, a.Room, a.Turn, a.Note)
		if err == nil && stopped == "" {
			err = errNoTurn
		}
		return string(stopped), err
	case admin.RestartRoom:
		return "", s.Rooms.Restart(ctx, by.User, a.Room)
	case admin.ReleaseRoom:
		was, err := s.Rooms.Release(ctx, a.Room)
		if err == nil && !was {
			return "it was not quarantined", nil
		}
		return "", err
	case admin.Disconnect:
		if !s.Tree.Disconnect(a.Connection) && !s.Streams.CutOff(a.Connection) {
			return "", errNoConnection
		}
		return "", nil
	case admin.RevokeUser, admin.RestoreUser:
		return "", s.Users.Revoke(ctx, a.User, a.Action == admin.RevokeUser)
	case admin.DeleteUser:
		return "the user is shut out, and deleted at the next start of the server", s.Users.Delete(ctx, a.User)
	}
	return "", fmt.Errorf("admin: no such action: %q", a.Action)
}

// Follow tells what happens in a room, and notes in the audit log who wants to know.
func (s *Service) Follow(ctx context.Context, by admin.By, id chat.RoomID, tell func(admin.Event) error) error {
	begun := false
	return s.Tree.Follow(ctx, by.User, id, func(e admin.Event) error {
		if !begun {
			if _, err := s.audited(ctx, by, admin.Action{Action: admin.FollowRoom, Room: id}, func() (string, error) { return "", nil }); err != nil {
				return err
			}
			begun = true
		}
		return tell(e)
	})
}

// Export writes what is kept of a user, and notes in the audit log who wanted it.
func (s *Service) Export(ctx context.Context, w io.Writer, by admin.By, u chat.UserID) error {
	a := admin.Action{Action: admin.ExportUser, User: u}
	if fault := a.Fault(); fault != "" {
		return chat.Refuse(chat.CodeInvalid, fault)
	}
	_, err := s.audited(ctx, by, a, func() (string, error) { return "", s.Users.Export(ctx, w, u) })
	return err
}

// Noted has act carry out what an operator wants at the control socket. That is done also if
// the audit log cannot be written: whoever reaches that socket may do anything to the file.
func (s *Service) Noted(ctx context.Context, a admin.Action, act func() error) error {
	e := admin.Entry{At: time.Now().UTC(), Action: a, Outcome: admin.OutcomeBegun}
	begun := s.begin(ctx, &e)
	if begun != nil {
		s.Logger.Error("the audit log cannot be written", "action", a.Action, "err", begun)
	}
	err := act()
	if begun != nil {
		return err
	}
	e.Outcome = admin.OutcomeDone
	if err != nil {
		e.Outcome, e.Detail = admin.OutcomeFailed, err.Error()
	}
	if setErr := s.set(context.WithoutCancel(ctx), e); setErr != nil {
		s.Logger.Error("the audit log does not say what came of an action", "audit", e.Seq, "outcome", e.Outcome, "err", setErr)
	}
	return err
}

// maxAudit limits a page of the audit log.
const maxAudit = 200

// Audit returns entries of the audit log that are older than before, or the newest if that is
// 0, newest first.
func (s *Service) Audit(before uint64, limit int) (admin.Log, error) {
	limit = min(max(limit, 1), maxAudit)
	page := admin.Log{Entries: []admin.Entry{}}
	err := s.Store.EachAudit(before, limit+1, func(seq uint64, value []byte) {
		if len(page.Entries) == limit {
			page.HasMore = true
			return
		}
		var e admin.Entry
		if err := json.Unmarshal(value, &e); err != nil {
			e = admin.Entry{Detail: "this entry cannot be read"}
		}
		e.Seq = seq
		page.Entries = append(page.Entries, e)
	})
	if err != nil {
		s.Logger.Error("the audit log cannot be read", "err", err)
		return page, chat.Refuse(chat.CodeStorageUnavailable, "the server cannot read its disk")
	}
	return page, nil
}
