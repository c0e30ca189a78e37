package auth_test

import (
	"encoding/json"
	"net/http/httptest"
	"testing"

	"parlor/protocol/chat"
	"parlor/transport/auth"
)

// A key of the scope emit may do that and nothing else. Of the others only administrators
// may.
func TestBackend(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.do(auth.Command{Action: "user add", User: "root", Admin: true})
		key := func(user chat.UserID, scope string) string {
			return h.do(auth.Command{Action: "key add", User: user, Scope: scope}).Secret
		}
		emit, write, admin, reader := key("robot", "emit"), key("robot", "write"), key("root", "write"), key("root", "read")
		for name, test := range map[string]struct {
			key            string
			backend, chats chat.Code
		}{
			"emit":           {emit, "", chat.CodeForbidden},
			"write":          {write, chat.CodeForbidden, ""},
			"administrator":  {admin, "", ""},
			"one that reads": {reader, chat.CodeForbidden, chat.CodeForbidden},
			"none":           {"pk_x_y", chat.CodeUnauthenticated, chat.CodeUnauthenticated},
		} {
			r := httptest.NewRequest("POST", "/", nil)
			r.Header.Set("Authorization", "Bearer "+test.key)
			u, err := h.Backend(r)
			if got := codeOf(err); got != test.backend || got == "" && u.ID == "" {
				t.Errorf("%s as a backend: %+v, %v", name, u, err)
			}
			if _, err := h.Request(r); codeOf(err) != test.chats {
				t.Errorf("%s in chats: %v", name, err)
			}
		}
		if _, err := h.Socket(remote, nil, json.RawMessage(`{"token":"`+emit+`"}`)); codeOf(err) != chat.CodeForbidden {
			t.Errorf("a socket with a key that may emit: %v", err)
		}
		h.do(auth.Command{Action: "user disable", User: "robot"})
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("Authorization", "Bearer "+emit)
		if _, err := h.Backend(r); codeOf(err) != chat.CodeForbidden && codeOf(err) != chat.CodeUnauthenticated {
			t.Errorf("the key of a user who is disabled: %v", err)
		}
	})
}
