package access

import (
	"testing"

	"parlor/protocol/chat"
)

// Everybody who may come, and every action, with and without shared chats.
func TestCheck(t *testing.T) {
	theChat, none := chat.Info{ID: "c", Owner: "alice"}, chat.Info{}
	users := map[string]chat.User{
		"owner":    {ID: "alice"},
		"stranger": {ID: "bob", Name: "alice"},
		"guest":    {ID: "guest-1", Guest: true},
		"nobody":   {},
	}
	tested := make(map[Action]bool)
	type who map[string]bool
	everybody := who{"owner": true, "stranger": true, "guest": true, "nobody": true}
	for _, test := range []struct {
		action  Action
		of      chat.Info
		private who
	}{
		{Create, none, who{"owner": true, "stranger": true, "guest": true}},
		{Read, theChat, who{"owner": true}},
		{Send, theChat, who{"owner": true}},
		{Edit, theChat, who{"owner": true}},
		{Regenerate, theChat, who{"owner": true}},
		{Stop, theChat, who{"owner": true}},
		{Configure, theChat, who{"owner": true}},
		{Delete, theChat, who{"owner": true}},
		{List, theChat, who{"owner": true}},
		{Usage, theChat, who{"owner": true}},
		{Read, none, who{}}, // a chat of nobody is not that of a user without a name
	} {
		for name, u := range users {
			for shared, want := range map[bool]bool{false: test.private[name], true: everybody[name]} {
				refusal, code := Policy{Shared: shared}.Check(test.of, u, test.action), chat.CodeNotFound
				if test.action == Create {
					code = chat.CodeUnauthenticated
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
