package chat

import (
	"slices"
	"testing"
)

// Others are told who is a member, and not how a guest came.
func TestEverybody(t *testing.T) {
	info := Info{Owner: "alice", OwnerName: "Alice", Members: []Member{{ID: "guest:a", Name: "G", Role: RoleViewer, Invite: "i", Until: 5}}}
	want := []Member{{ID: "alice", Name: "Alice", Role: RoleOwner}, {ID: "guest:a", Name: "G", Role: RoleViewer}}
	if got := info.Everybody(); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
