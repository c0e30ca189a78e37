package access

import (
	"slices"
	"testing"

	"parlor/protocol/chat"
)

// Everybody who may come, and every action, with and without shared chats.
func TestCheck(t *testing.T) {
	theChat := chat.Info{ID: "c", Owner: "alice", Members: []chat.Member{{ID: "mona", Role: chat.RoleMember}, {ID: "vera", Role: chat.RoleViewer}}}
	readOnly, none := theChat, chat.Info{}
	readOnly.ReadOnly = true
	users := map[string]chat.User{
		"owner":    {ID: "alice"},
		"member":   {ID: "mona"},
		"viewer":   {ID: "vera"},
		"stranger": {ID: "bob", Name: "alice"},
		"guest":    {ID: "guest-1", Guest: true},
		"nobody":   {},
	}
	stay := chat.User{ID: "guest:1", Only: "r1"}
	home := chat.Info{ID: "c", Room: "r1", Owner: "owner", Members: []chat.Member{{ID: stay.ID, Role: chat.RoleMember}}}
	for a, want := range map[Action]bool{Read: true, Send: true, Attach: true, Depart: true, Configure: true, Manage: false, Inherit: false, Create: false, Delete: false} {
		elsewhere := home
		elsewhere.Room = "r2"
		if here, there := (Policy{}).Check(home, stay, a) == nil, (Policy{}).Check(elsewhere, stay, a) == nil; here != want || there {
			t.Errorf("%s by a guest: %v, and %v in another chat", a, here, there)
		}
	}
	tested := make(map[Action]bool)
	type who []string
	for _, test := range []struct {
		action  Action
		of      chat.Info
		private who
	}{
		{Create, none, who{"owner", "member", "viewer", "stranger", "guest"}},
		{Read, theChat, who{"owner", "member", "viewer"}},
		{Send, theChat, who{"owner", "member"}},
		{Attach, theChat, who{"owner", "member"}},
		{Edit, theChat, who{"owner", "member"}},
		{Regenerate, theChat, who{"owner", "member"}},
		{Select, theChat, who{"owner", "member"}},
		{Stop, theChat, who{"owner", "member"}},
		{Approve, theChat, who{"owner", "member"}},
		{Configure, theChat, who{"owner", "member"}},
		{Manage, theChat, who{"owner"}},
		{Depart, theChat, who{"owner", "member", "viewer"}},
		{Inherit, theChat, who{"owner", "member", "viewer"}},
		{Accept, theChat, who{"owner", "member", "viewer", "stranger", "guest"}},
		{Delete, theChat, who{"owner"}},
		{List, theChat, who{"owner", "member", "viewer"}},
		{Usage, theChat, who{"owner", "member", "viewer"}},
		{Read, none, who{}}, // a chat of nobody is not that of a user without a name
		{Read, readOnly, who{"owner", "member", "viewer"}},
		{Send, readOnly, who{"owner"}},
		{Attach, readOnly, who{"owner"}},
		{Select, readOnly, who{"owner"}},
		{Stop, readOnly, who{"owner"}},
		{Configure, readOnly, who{"owner"}},
	} {
		for name, u := range users {
			for shared, want := range map[bool]bool{false: slices.Contains(test.private, name), true: true} {
				refusal, code := Policy{Shared: shared}.Check(test.of, u, test.action), chat.CodeNotFound
				switch {
				case test.action == Create:
					code = chat.CodeUnauthenticated
				case test.of.RoleOf(u.ID) != "":
					code = chat.CodeForbidden
				}
				if got := refusal == nil; got != want || !got && refusal.Code != code {
					t.Errorf("%s, by %s, shared %v: got %v, want allowed %v", test.action, name, shared, refusal, want)
				}
			}
		}
		tested[test.action] = true
	}
	for a := range least {
		if !tested[a] {
			t.Errorf("%s is not tested", a)
		}
	}
}

func TestUnknownActionIsRefused(t *testing.T) {
	p, alice := Policy{Shared: true}, chat.User{ID: "alice"}
	if refusal := p.Check(chat.Info{Owner: "alice"}, alice, "fly"); refusal == nil || refusal.Code != chat.CodeForbidden {
		t.Errorf("the owner: %v, want forbidden", refusal)
	}
	if refusal := (Policy{}).Check(chat.Info{Owner: "bob"}, alice, "fly"); refusal != ErrNoChat {
		t.Errorf("a stranger: %v, want %v", refusal, ErrNoChat)
	}
	if _, refusal := p.Scope(alice, "fly"); refusal == nil {
		t.Error("anything may be done with all chats")
	}
}

// A scope holds the chats that Check allows, and no others.
func TestScopeAgreesWithCheck(t *testing.T) {
	for _, shared := range []bool{false, true} {
		p := Policy{Shared: shared}
		for _, a := range []Action{List, Usage} {
			for _, u := range []chat.User{{ID: "alice"}, {ID: "guest-1", Guest: true}, {}} {
				scope, refusal := p.Scope(u, a)
				if refusal != nil && (refusal.Code != chat.CodeUnauthenticated || scope != Scope{}) {
					t.Errorf("%s by %q, shared %v: %+v, %v", a, u.ID, shared, scope, refusal)
				}
				for _, o := range []chat.UserID{"alice", "bob", "guest-1", ""} {
					within := refusal == nil && (scope.All || scope.User == o)
					if allowed := p.Check(chat.Info{Owner: o}, u, a) == nil; allowed != within {
						t.Errorf("%s by %q, shared %v: %q's chat is in the scope: %v, allowed: %v", a, u.ID, shared, o, within, allowed)
					}
				}
			}
		}
	}
}
