package assistant

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

// To a client that is behind only the last activity of each chat is sent, and all else.
func TestOldActivityIsDropped(t *testing.T) {
	at := func(id chat.ID, seq uint64) engineio.Frame {
		return Activity(chat.Activity{Chat: id, Room: id.Room(), Seq: seq, State: chat.ActivityIdle})
	}
	other := Event("turn", "ROOM", nil)
	binary := engineio.Frame{Data: at("a", 9).Data, Binary: true}
	in := []engineio.Frame{at("a", 1), other, at("b", 1), at(`a","room_id":"`, 1), binary, at("a", 2), delta("x", 0, "x"), at("a", 3), other, at("b\\", 7)}
	want := []engineio.Frame{other, at("b", 1), at(`a","room_id":"`, 1), binary, delta("x", 0, "x"), at("a", 3), other, at("b\\", 7)}
	if diff := cmp.Diff(texts(want), texts(Coalesce(in))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
