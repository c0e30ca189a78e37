package recovery

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// A seat can be read as it was stored.
func TestSeat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[a-zA-Z0-9_-]{1,8}`)
		want := Seat{SID: text.Draw(t, "sid"), User: "alice", Guest: rapid.Bool().Draw(t, "guest"), Mark: rapid.Uint64().Draw(t, "mark")}
		for range rapid.IntRange(0, 5).Draw(t, "places") {
			want.Places = append(want.Places, Place{
				Room: chat.RoomID(rapid.String().Draw(t, "room")), Encoder: rapid.SampledFrom([]string{"", "a", "b c"}).Draw(t, "encoder"),
				Tag: text.Draw(t, "tag"), Seq: rapid.Uint64().Draw(t, "seq"),
			})
			want.Past = append(want.Past, rapid.SliceOfN(rapid.Byte(), 1, 9).Draw(t, "past"))
		}
		var got Seat
		if err := json.Unmarshal(want.encode(), &got); err != nil {
			t.Fatalf("%s: %v", want.encode(), err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", want.encode(), diff)
		}
	})
}

// A seat with a thousand places always finds room on disk. It leaves out old marks if it
// has to.
func TestSeatFits(t *testing.T) {
	want := Seat{SID: NewID(), User: "alice", Mark: 1 << 40}
	for i := range 1000 {
		want.Places = append(want.Places, Place{Room: chat.ID(fmt.Sprint(i)).Room(), Encoder: "assistant.documented", Tag: "abcdefgh", Seq: 1 << 31})
	}
	for i := range 1000 {
		want.Past = append(want.Past, bytes.Repeat([]byte{byte(i)}, 100))
	}
	b := want.encode()
	var got Seat
	if err := json.Unmarshal(b, &got); err != nil || len(b) > persistence.MaxSessionLen {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	if n := len(got.Past); n < 60 {
		t.Errorf("%d marks are left", n)
	}
	want.Past = want.Past[len(want.Past)-len(got.Past):]
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A seat of the version before has no places; nonsense is an error.
func TestSeatOfTheVersionBefore(t *testing.T) {
	var got Seat
	if err := json.Unmarshal([]byte(`{"sid":"sid","user":"alice","rooms":[{"id":"r","dialect":1}]}`), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Seat{SID: "sid", User: "alice"}, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{`1`, `{"places":["tag"]}`, `{"places":["tag 1 0 room"]}`, `{"encoders":["e"],"places":["tag ! 0 room"]}`, `{"encoders":["e"],"places":["tag 1 -1 room"]}`} {
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("%s was read as %+v", bad, got)
		}
	}
}
