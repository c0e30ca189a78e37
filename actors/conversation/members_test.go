package conversation_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/conversation"
	"parlor/protocol/chat"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// club returns the moment of a chat that alice owns, of which mona is a member and vera
// a viewer, after the events.
func club(t *testing.T, events ...chat.Event) conversation.Moment {
	t.Helper()
	m := conversation.Moment{Rules: &conversation.Rules{MaxMembers: 4}, State: new(conversation.State)}
	follow(t, m.State, noon, append([]chat.Event{
		chat.Created{Chat: chat.Info{ID: "c", Owner: "alice", OwnerName: "Alice"}},
		chat.MemberChanged{Member: chat.Member{ID: "mona", Role: chat.RoleMember}},
		chat.MemberChanged{Member: chat.Member{ID: "vera", Role: chat.RoleViewer}},
	}, events...)...)
	return m
}

func follow(t *testing.T, s *conversation.State, at time.Time, events ...chat.Event) {
	t.Helper()
	for _, e := range events {
		if err := s.Apply(chat.Record{Seq: s.Seq + 1, At: at, Event: e}); err != nil {
			t.Fatal(err)
		}
	}
}

// rolesOf lists who has which role.
func rolesOf(m conversation.Moment) (list []string) {
	for _, member := range m.Chat.Everybody() {
		list = append(list, string(member.ID)+" "+string(member.Role))
	}
	return list
}

func invite(id chat.InviteID, role chat.MemberRole, uses int, expires time.Time) chat.InviteMade {
	return chat.InviteMade{Invite: chat.Invite{ID: id, Role: role, Digest: chat.DigestOf(string(id)), Uses: uses, Expires: expires, By: "alice"}}
}

func TestSetMember(t *testing.T) {
	for _, test := range []struct {
		name   string
		member chat.UserID
		role   chat.MemberRole
		code   chat.Code
		want   []string // nil: as it was
	}{
		{"somebody new", "bob", chat.RoleViewer, "", []string{"alice owner", "mona member", "vera viewer", "bob viewer"}},
		{"a viewer becomes a member", "vera", chat.RoleMember, "", []string{"alice owner", "mona member", "vera member"}},
		{"what a member is already", "mona", chat.RoleMember, "", nil},
		{"the chat is only offered", "mona", chat.RoleOwner, "", nil},
		{"to a stranger", "bob", chat.RoleOwner, chat.CodeNotFound, nil},
		{"the owner as a member", "alice", chat.RoleMember, chat.CodeInvalid, nil},
		{"no role", "mona", "", chat.CodeInvalid, nil},
		{"another role", "mona", "admin", chat.CodeInvalid, nil},
		{"no user", "", chat.RoleMember, chat.CodeInvalid, nil},
		{"an id that nobody can have", "a\x00b", chat.RoleMember, chat.CodeInvalid, nil},
	} {
		m := club(t)
		before := rolesOf(m)
		events, refusal := m.Members().SetMember(chat.Member{ID: test.member, Role: test.role}, "alice")
		follow(t, m.State, noon, events...)
		check(t, test.name, m, refusal, test.code, orElse(test.want, before))
	}
}

// A member keeps the name until somebody gives another one, which has to be a name.
func TestNamesOfMembers(t *testing.T) {
	m := club(t)
	for _, test := range []struct{ id, role, name, want string }{
		{"mona", "viewer", "Mona", "Mona"},
		{"mona", "member", "", "Mona"},
		{"mona", "viewer", "M.", "M."},
		{"mona", "owner", "", "M."},
		{"alice", "viewer", "", "Alice"},
	} {
		member := chat.Member{ID: chat.UserID(test.id), Role: chat.MemberRole(test.role), Name: test.name}
		by := chat.UserID("alice")
		if member.Role == chat.RoleOwner {
			follow(t, m.State, noon, chat.OwnerOffered{To: member.ID, By: by})
			by = member.ID
		}
		events, refusal := m.Members().SetMember(member, by)
		follow(t, m.State, noon, events...)
		if got := m.Chat.Member(member.ID); refusal != nil || got.Name != test.want || got.Role != member.Role {
			t.Errorf("%+v: %+v, %v", test, got, refusal)
		}
	}
	for _, name := range []string{strings.Repeat("x", chat.MaxNameLen+1), "two\nlines", "\xff"} {
		if _, refusal := m.Members().SetMember(chat.Member{ID: "bob", Role: chat.RoleMember, Name: name}, "mona"); refusal == nil || refusal.Code != chat.CodeInvalid {
			t.Errorf("named %.10q: %v", name, refusal)
		}
	}
}

// The chat goes to the member to whom it was offered last, when that member takes it.
func TestHandOver(t *testing.T) {
	m := club(t)
	take := func(u, by chat.UserID) ([]chat.Event, *chat.Error) {
		events, refusal := m.Members().SetMember(chat.Member{ID: u, Role: chat.RoleOwner}, by)
		follow(t, m.State, noon, events...)
		return events, refusal
	}
	take("vera", "alice")
	if events, refusal := take("vera", "alice"); len(events) > 0 || refusal != nil {
		t.Errorf("offered again: %v, %v", events, refusal)
	}
	take("mona", "alice")
	if _, refusal := take("vera", "vera"); refusal != conversation.ErrNotOffered {
		t.Errorf("an offer that was withdrawn: %v", refusal)
	}
	_, refusal := take("mona", "mona")
	check(t, "taken", m, refusal, "", []string{"mona owner", "vera viewer", "alice member"})
	if _, refusal := take("alice", "alice"); refusal != conversation.ErrNotOffered {
		t.Errorf("taken back: %v", refusal)
	}
	take("alice", "mona")
	events, _ := m.Members().RemoveMember("alice", "mona")
	follow(t, m.State, noon, events...)
	if m.Heir != "" {
		t.Errorf("the chat is still offered to %q", m.Heir)
	}
}

func orElse(want, before []string) []string {
	if want == nil {
		return before
	}
	return want
}

func check(t *testing.T, name string, m conversation.Moment, refusal *chat.Error, code chat.Code, want []string) {
	t.Helper()
	var got chat.Code
	if refusal != nil {
		got = refusal.Code
	}
	if got != code {
		t.Errorf("%s: refused with %q, want %q", name, got, code)
	}
	if diff := cmp.Diff(want, rolesOf(m)); diff != "" {
		t.Errorf("%s: members (-want +got):\n%s", name, diff)
	}
}

func TestRemoveMember(t *testing.T) {
	for _, test := range []struct {
		member chat.UserID
		code   chat.Code
		want   []string
	}{
		{"mona", "", []string{"alice owner", "vera viewer"}},
		{"bob", chat.CodeNotFound, nil},
		{"alice", chat.CodeInvalid, nil},
	} {
		m := club(t)
		before := rolesOf(m)
		events, refusal := m.Members().RemoveMember(test.member, "alice")
		follow(t, m.State, noon, events...)
		check(t, string(test.member), m, refusal, test.code, orElse(test.want, before))
	}
}

func TestAccept(t *testing.T) {
	later := noon.Add(time.Hour)
	second := chat.MemberChanged{Member: chat.Member{ID: "sam", Role: chat.RoleMember}, Invite: "spent"}
	for _, test := range []struct {
		name   string
		user   chat.UserID
		secret string
		at     time.Time
		code   chat.Code
		role   chat.MemberRole
		uses   int // that are left; -1 for an invitation that has none, or is gone
	}{
		{"a stranger", "bob", "two", noon, "", chat.RoleViewer, 1},
		{"the last use", "bob", "one", noon, "", chat.RoleMember, -1},
		{"after the last use", "bob", "spent", noon, chat.CodeNotFound, "", -1},
		{"after the last use, by the one who had it", "sam", "spent", noon, "", chat.RoleMember, -1},
		{"any number of uses", "bob", "any", noon, "", chat.RoleMember, 0},
		{"a viewer who becomes a member", "vera", "one", noon, "", chat.RoleMember, -1},
		{"a viewer again", "vera", "two", noon, "", chat.RoleViewer, 2},
		{"a member who would be a viewer", "mona", "two", noon, "", chat.RoleMember, 2},
		{"the owner", "alice", "two", noon, "", chat.RoleOwner, 2},
		{"just in time", "bob", "soon", later.Add(-1), "", chat.RoleMember, 0},
		{"too late", "bob", "soon", later, chat.CodeExpired, "", 0},
		{"another secret", "bob", "no", noon, chat.CodeNotFound, "", -1},
		{"no secret", "bob", "", noon, chat.CodeNotFound, "", -1},
	} {
		m := club(t, invite("one", chat.RoleMember, 1, time.Time{}), invite("two", chat.RoleViewer, 2, time.Time{}),
			invite("any", chat.RoleMember, 0, time.Time{}), invite("soon", chat.RoleMember, 0, later), invite("spent", chat.RoleMember, 1, time.Time{}), second)
		m.Rules.MaxMembers = 5
		events, refusal := m.Members().Accept(chat.User{ID: test.user}, chat.DigestOf(test.secret), test.at)
		follow(t, m.State, test.at, events...)
		var code chat.Code
		if refusal != nil {
			code = refusal.Code
		}
		uses := -1
		for _, i := range m.Invites {
			if i.ID == chat.InviteID(test.secret) {
				uses = i.Uses
			}
		}
		if role := m.Chat.RoleOf(test.user); code != test.code || role != test.role || uses != test.uses {
			t.Errorf("%s: %q, is %q, %d uses left; want %q, %q, %d", test.name, code, role, uses, test.code, test.role, test.uses)
		}
	}
}

// A chat holds so many members and open invitations, and no more.
func TestLimitsOfMembers(t *testing.T) {
	m := club(t, chat.MemberChanged{Member: chat.Member{ID: "bob", Role: chat.RoleMember}}, invite("any", chat.RoleMember, 0, time.Time{}))
	_, byInvite := m.Members().Accept(chat.User{ID: "eve"}, chat.DigestOf("any"), noon)
	_, byOwner := m.Members().SetMember(chat.Member{ID: "eve", Role: chat.RoleViewer}, "alice")
	for _, refusal := range []*chat.Error{byInvite, byOwner} {
		if refusal == nil || refusal.Code != chat.CodeBusy {
			t.Errorf("a member too many: %v", refusal)
		}
	}
	if _, refusal := m.Members().SetMember(chat.Member{ID: "vera", Role: chat.RoleMember}, "alice"); refusal != nil {
		t.Errorf("a member who is there: %v", refusal)
	}

	m = club(t, invite("spent", chat.RoleMember, 1, time.Time{}), chat.MemberChanged{Member: chat.Member{ID: "sam", Role: chat.RoleMember}, Invite: "spent"})
	for range conversation.MaxInvites {
		follow(t, m.State, noon, invite("x", chat.RoleMember, 0, noon.Add(time.Hour)))
	}
	one := invite("y", chat.RoleMember, 0, time.Time{})
	if _, refusal := m.Members().Invite(one.Invite, noon); refusal == nil || refusal.Code != chat.CodeBusy {
		t.Errorf("an invitation too many: %v", refusal)
	}
	events, refusal := m.Members().Invite(one.Invite, noon.Add(time.Hour)) // the others have expired
	follow(t, m.State, noon.Add(time.Hour), events...)
	if refusal != nil || len(m.Invites) != 1 {
		t.Errorf("%v, %d invitations are kept", refusal, len(m.Invites))
	}
}

// An invitation that has had its last use can be revoked no more.
func TestRevokeSpent(t *testing.T) {
	m := club(t, invite("one", chat.RoleMember, 1, time.Time{}), invite("two", chat.RoleMember, 2, time.Time{}),
		chat.MemberChanged{Member: chat.Member{ID: "sam", Role: chat.RoleMember}, Invite: "one"})
	if _, refusal := m.Members().Revoke("one", "alice"); refusal != conversation.ErrNoInvite {
		t.Errorf("revoked, %v", refusal)
	}
	if _, refusal := m.Members().Revoke("two", "alice"); refusal != nil {
		t.Error(refusal)
	}
}
