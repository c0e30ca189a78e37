package chat

import (
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestMadeID(t *testing.T) {
	seen := make(map[ID]bool)
	for _, owner := range []UserID{"", "alice", "bob", "guest-1"} {
		for i := range byte(10) {
			id := MakeID(owner, [8]byte{i, 0xff, 2, 3, 4, 5, 0xff, 7})
			u, err := uuid.Parse(string(id))
			if err != nil || u.Version() != 8 || u.Variant() != uuid.RFC4122 || u.String() != string(id) || !id.Valid() {
				t.Errorf("%q is not a UUID of version 8: %v", id, err)
			}
			if seen[id] {
				t.Errorf("%q was made twice", id)
			}
			seen[id] = true
			for _, u := range []UserID{"", "alice", "bob", "guest-1"} {
				if got := id.MadeForOther(u); got != (u != owner) {
					t.Errorf("%q, made for %q: made for another than %q: %v", id, owner, u, got)
				}
			}
		}
	}
}

// An id that a client chose belongs to nobody, whatever it looks like.
func TestChosenIDsAreNobodys(t *testing.T) {
	made := string(MakeID("alice", [8]byte{1, 2, 3, 4, 5, 6, 7, 8}))
	for _, id := range []string{
		"", "my-first-chat", "8", strings.Repeat("8", 36), strings.Repeat("-", 36), made + "0", made[:35], "g" + made[1:],
		strings.ReplaceAll(made, "-", "8"), uuid.NewString(), "01890a5d-ac96-774b-bcce-b302099a8057",
	} {
		if ID(id).MadeForOther("bob") {
			t.Errorf("%q was made for another", id)
		}
	}
}
