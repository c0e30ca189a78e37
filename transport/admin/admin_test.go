package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"parlor/protocol/admin"
	"parlor/protocol/chat"
	"parlor/transport/live"
)

// fake is all that a Service needs. It notes what it is asked for, in order.
type fake struct {
	mu      sync.Mutex
	journal []string
	refuse  error // of the store, when it adds
	deaf    error // of the store, when it changes
	entries []admin.Entry
	fails   error // of actions
}

func (f *fake) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.journal = append(f.journal, fmt.Sprintf(format, args...))
}

func (f *fake) take() (all []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all, f.journal = f.journal, nil
	return all
}

func (f *fake) AddAudit(value []byte, _ int, done func(uint64, error)) {
	var e admin.Entry
	if err := json.Unmarshal(value, &e); err != nil {
		panic(err)
	}
	f.note("add %s %s", e.Action.Action, e.Outcome)
	if f.refuse == nil {
		f.entries = append(f.entries, e)
	}
	done(uint64(len(f.entries)), f.refuse)
}

func (f *fake) SetAudit(seq uint64, value []byte, done func(error)) {
	var e admin.Entry
	if err := json.Unmarshal(value, &e); err != nil {
		panic(err)
	}
	f.note("set %d %s %s", seq, e.Action.Action, e.Outcome)
	if f.deaf == nil {
		f.entries[seq-1] = e
	}
	done(f.deaf)
}

func (f *fake) EachAudit(before uint64, limit int, yield func(uint64, []byte)) error {
	for i := len(f.entries) - 1; i >= 0 && limit > 0; i-- {
		if seq := uint64(i + 1); before == 0 || seq < before {
			value, _ := json.Marshal(f.entries[i])
			yield(seq, value)
			limit--
		}
	}
	return nil
}

func (f *fake) Actors(admin.Query) admin.Page          { return admin.Page{Actors: []admin.Actor{}} }
func (f *fake) Room(chat.RoomID) ([]admin.Actor, bool) { return nil, false }
func (f *fake) Attention(int) []admin.Actor            { return nil }
func (f *fake) Count(string) int                       { return 0 }
func (f *fake) Cost() admin.Cost                       { return admin.Cost{} }
func (f *fake) Disconnect(id string) bool              { f.note("disconnect %s", id); return id == "there" }
func (f *fake) Find(string, int) []admin.User          { return nil }
func (f *fake) Revoke(_ context.Context, u chat.UserID, revoked bool) error {
	f.note("revoke %s %v", u, revoked)
	return f.fails
}

func (f *fake) Delete(_ context.Context, u chat.UserID) error {
	f.note("delete %s", u)
	return f.fails
}

func (f *fake) Export(_ context.Context, w io.Writer, u chat.UserID) error {
	f.note("export %s", u)
	if f.fails == nil {
		fmt.Fprintln(w, "a line")
	}
	return f.fails
}

func (f *fake) Follow(_ context.Context, _ chat.User, id chat.RoomID, tell func(admin.Event) error) error {
	f.note("follow")
	if f.fails != nil {
		return f.fails
	}
	if err := tell(admin.Event{Event: admin.EventFollowed}); err != nil {
		return err
	}
	return tell(admin.Event{Event: admin.EventDeleted})
}

func (f *fake) Halt(_ context.Context, by chat.User, _ chat.RoomID, turn chat.TurnID, _ string) (chat.TurnID, error) {
	f.note("halt %s %s", by.ID, turn)
	return turn, f.fails
}

func (f *fake) Restart(_ context.Context, by chat.User, _ chat.RoomID) error {
	f.note("restart %s", by.ID)
	return f.fails
}

func (f *fake) Release(context.Context, chat.RoomID) (bool, error) {
	f.note("release")
	return false, f.fails
}

type fakeUsers struct{ *fake }

func (fakeUsers) Count() int { return 0 }

func service() (*Service, *fake) {
	f := new(fake)
	return New(Options{
		Tree: f, Rooms: f, Users: fakeUsers{f}, Store: f, Streams: live.New(live.Options{}), Ready: func() string { return "" },
		History: func() ([]admin.Point, admin.Point, admin.Totals) {
			return []admin.Point{}, admin.Point{}, admin.Totals{}
		},
		Providers: func() []admin.Provider { return nil }, MaxEntries: 10, KeepAlive: 1e12,
	}), f
}

var (
	root   = admin.By{User: chat.User{ID: "root", Admin: true}, From: "192.0.2.1:1"}
	aRoom  = chat.ID("a").Room()
	action = admin.Action{Action: admin.RestartRoom, Room: aRoom, Note: "it is stuck"}
)

func want(t *testing.T, f *fake, lines ...string) {
	t.Helper()
	if got := f.take(); !slices.Equal(got, lines) {
		t.Errorf("got %q, want %q", got, lines)
	}
}

// An action is in the audit log before it is carried out, and its outcome after.
func TestActionsAreAudited(t *testing.T) {
	s, f := service()
	for _, c := range []struct {
		action admin.Action
		fails  error
		want   string
		how    string
	}{
		{action, nil, "restart root", admin.OutcomeDone},
		{action, chat.Refuse(chat.CodeBusy, "it hangs"), "restart root", admin.OutcomeFailed},
		{admin.Action{Action: admin.StopTurn, Room: aRoom, Turn: "t"}, nil, "halt root t", admin.OutcomeDone},
		{admin.Action{Action: admin.StopTurn, Room: aRoom}, nil, "halt root ", admin.OutcomeFailed}, // there is none
		{admin.Action{Action: admin.ReleaseRoom, Room: aRoom}, nil, "release", admin.OutcomeDone},
		{admin.Action{Action: admin.Disconnect, Connection: "there"}, nil, "disconnect there", admin.OutcomeDone},
		{admin.Action{Action: admin.Disconnect, Connection: "gone"}, nil, "disconnect gone", admin.OutcomeFailed},
		{admin.Action{Action: admin.RevokeUser, User: "bob"}, nil, "revoke bob true", admin.OutcomeDone},
		{admin.Action{Action: admin.DeleteUser, User: "bob"}, nil, "delete bob", admin.OutcomeDone},
		{admin.Action{Action: admin.RestoreUser, User: "bob"}, nil, "revoke bob false", admin.OutcomeDone},
	} {
		f.fails = c.fails
		e, err := s.Do(t.Context(), root, c.action)
		if (err == nil) != (c.how == admin.OutcomeDone) || e.Outcome != c.how {
			t.Errorf("%+v: %+v, %v", c.action, e, err)
		}
		want(t, f, "add "+c.action.Action+" begun", c.want, fmt.Sprintf("set %d %s %s", e.Seq, c.action.Action, c.how))
	}
	page, err := s.Audit(0, 2)
	if err != nil || len(page.Entries) != 2 || !page.HasMore {
		t.Fatalf("%+v, %v", page, err)
	}
	if e := page.Entries[0]; e.Seq != 10 || e.By != "root" || e.From != root.From || e.Action.Action != admin.RestoreUser {
		t.Errorf("newest %+v", e)
	}
	if page, _ := s.Audit(2, 5); len(page.Entries) != 1 || page.HasMore || page.Entries[0].Action.Note != action.Note {
		t.Errorf("oldest %+v", page)
	}
}

// Without an entry in the audit log nothing is done. An action that was cut stays begun.
func TestNothingIsDoneUnaudited(t *testing.T) {
	s, f := service()
	f.refuse = errors.New("disk full")
	if _, err := s.Do(t.Context(), root, action); chat.AsError(err).Code != chat.CodeStorageUnavailable {
		t.Errorf("got %v", err)
	}
	want(t, f, "add restart_room begun")
	if err := s.Follow(t.Context(), root, aRoom, func(admin.Event) error { t.Error("told"); return nil }); err == nil {
		t.Error("followed")
	}
	f.take()

	f.refuse, f.deaf = nil, errors.New("the server ends")
	if _, err := s.Do(t.Context(), root, action); err != nil {
		t.Error(err)
	}
	want(t, f, "add restart_room begun", "restart root", "set 1 restart_room done")
	if page, _ := s.Audit(0, 1); page.Entries[0].Outcome != admin.OutcomeBegun {
		t.Errorf("entry %+v", page.Entries)
	}
}

// An export of a user begins only once the audit log says who wanted it.
func TestExport(t *testing.T) {
	s, f := service()
	export := func(user string) (*httptest.ResponseRecorder, error) {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
		r.SetPathValue("user_id", user)
		return w, s.Routes()["GET /admin/runtime/users/{user_id}/export"](w, r, chat.SignIn{User: root.User})
	}
	w, err := export("bob")
	if got := w.Header().Get("Content-Type"); err != nil || w.Body.String() != "a line\n" || got != "application/jsonl" {
		t.Errorf("%q as %q, %v", w.Body, got, err)
	}
	want(t, f, "add export_user begun", "export bob", "set 1 export_user done")
	f.fails = errors.New("a disk fails")
	if w, err := export("bob"); err == nil || w.Body.Len() > 0 {
		t.Errorf("%q, %v", w.Body, err)
	}
	want(t, f, "add export_user begun", "export bob", "set 2 export_user failed")
	f.refuse = errors.New("disk full")
	if w, err := export("bob"); chat.AsError(err).Code != chat.CodeStorageUnavailable || w.Body.Len() > 0 {
		t.Errorf("unaudited: %q, %v", w.Body, err)
	}
	want(t, f, "add export_user begun")
	if _, err := export(""); err == nil {
		t.Error("no user")
	}
	want(t, f)
}

// An unknown action is not carried out, and nobody locks themselves out.
func TestRefusedActions(t *testing.T) {
	s, f := service()
	for _, a := range []admin.Action{
		{}, {Action: "make_coffee"}, {Action: admin.RestartRoom}, {Action: admin.RestartRoom, Room: "not a room"}, {Action: admin.Disconnect},
		{Action: admin.DeleteUser}, {Action: admin.DeleteUser, User: "root"}, {Action: admin.ExportUser, User: "bob"},
		{Action: admin.RevokeUser}, {Action: admin.RevokeUser, User: "root"}, {Action: admin.FollowRoom, Room: aRoom},
		{Action: admin.RestartRoom, Room: aRoom, Note: strings.Repeat("x", admin.MaxNote+1)},
	} {
		if _, err := s.Do(t.Context(), root, a); err == nil {
			t.Errorf("%+v was carried out", a)
		}
	}
	want(t, f)
}

// Somebody who is no administrator gets nothing, and does nothing.
func TestOnlyAdministrators(t *testing.T) {
	s, f := service()
	for name, h := range s.Routes() {
		method, path, _ := strings.Cut(name, " ")
		w := httptest.NewRecorder()
		r := httptest.NewRequest(method, strings.ReplaceAll(path, "{room_id}", string(aRoom)), strings.NewReader(`{"action":"restart_room","room_id":"`+string(aRoom)+`"}`))
		if err := h(w, r, chat.SignIn{User: chat.User{ID: "alice"}}); chat.AsError(err).Code != chat.CodeForbidden || w.Body.Len() > 0 {
			t.Errorf("%s: %v, %q", name, err, w.Body)
		}
	}
	want(t, f)
}

// A follower of a room is in the audit log, once.
func TestFollowersAreAudited(t *testing.T) {
	s, f := service()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/admin/runtime/rooms/x/events", nil)
	r.SetPathValue("room_id", string(aRoom))
	if err := s.Routes()["GET /admin/runtime/rooms/{room_id}/events"](w, r, chat.SignIn{User: root.User}); err != nil {
		t.Fatal(err)
	}
	want(t, f, "follow", "add follow_room begun", "set 1 follow_room done")
	if got := w.Body.String(); !strings.Contains(got, "event: followed\n") || !strings.Contains(got, "event: deleted\ndata: {\"event\":\"deleted\"}\n") {
		t.Errorf("told %q", got)
	}
	f.fails = chat.Refuse(chat.CodeNotFound, "no such room")
	if err := s.Routes()["GET /admin/runtime/rooms/{room_id}/events"](w, r, chat.SignIn{User: root.User}); chat.AsError(err).Code != chat.CodeNotFound {
		t.Errorf("got %v", err)
	}
}

// An action at the control socket is noted, and done also if that is impossible.
func TestOperatorsAreNoted(t *testing.T) {
	s, f := service()
	act := func() error { f.note("act"); return nil }
	if err := s.Noted(t.Context(), admin.Action{Action: "backup"}, act); err != nil {
		t.Error(err)
	}
	want(t, f, "add backup begun", "act", "set 1 backup done")
	f.refuse = errors.New("disk full")
	if err := s.Noted(t.Context(), admin.Action{Action: "backup"}, act); err != nil {
		t.Error(err)
	}
	want(t, f, "add backup begun", "act")
}
