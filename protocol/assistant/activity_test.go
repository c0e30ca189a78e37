package assistant

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

// The progress of a call takes the place of what was told of the same call before.
func TestOldProgressIsDropped(t *testing.T) {
	of := func(room chat.RoomID, call string, n float64) engineio.Frame {
		return toolNews(Documented, room, chat.ToolNews{CallID: call, Name: "look", ToolProgress: chat.ToolProgress{Progress: n, Total: 10, Message: "so far"}})[0]
	}
	if toolNews(SPA, "ROOM", chat.ToolNews{CallID: "a"}) != nil {
		t.Error("the SPA is told")
	}
	in := []engineio.Frame{of("R", "a", 1), of("R", "b", 1), of("S", "a", 1), of("R", `a"`, 1), delta("x", 0, "x"), of("R", "a", 2)}
	want := []engineio.Frame{of("R", "b", 1), of("S", "a", 1), of("R", `a"`, 1), delta("x", 0, "x"), of("R", "a", 2)}
	if diff := cmp.Diff(texts(want), texts(Coalesce(in))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, want := string(of("R", "a", 2).Data), `42`+Namespace+`,["function_progress R",{"call_id":"a","function_name":"look","message_id":"","progress":2,"total":10,"message":"so far"}]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

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
