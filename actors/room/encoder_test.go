package room_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/protocol/chat"
)

// lines is a wire that no product speaks: a JSON object on a line for each notice.
type lines struct{}

func (lines) Encode(_ chat.RoomID, n chat.Notice) any {
	switch n := n.(type) {
	case chat.Record:
		b, _ := json.Marshal(n.Event)
		return fmt.Sprintf("%d %T %s\n", n.Seq, n.Event, b)
	case chat.Text:
		return fmt.Sprintf("@%d %q\n", len(n.Before), n.Piece)
	}
	return nil
}

// A reader keeps the lines that it is told.
type reader struct {
	mu   sync.Mutex
	told strings.Builder
}

func (r *reader) Deliver(d room.Delivery) {
	if p, ok := d.(*room.Publication); ok {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.told.WriteString(p.Encoded.(string))
	}
}

// A wire that rooms have never heard of is a line among their options: members
// who use it are told what all others are, once for each record.
func TestAnotherWire(t *testing.T) {
	encoders := actortest.Encoders()
	encoders["lines"] = func(chat.Info) room.Encoder { return lines{} }
	actortest.Run(t, room.Options{Encoders: encoders}, func(t *testing.T, s *actortest.Server) {
		alice, other := s.User("alice"), new(reader)
		alice.Create(theChat)
		alice.Join(theChat)
		caller := room.Caller{User: alice.User, Address: s.Rooms.Open(other)}
		s.Rooms.Tell(theChat.Room(), &room.Join{Caller: caller, Encoder: "lines"})
		alice.Send(theChat, "hello")
		synctest.Wait()
		var got []string
		for line := range strings.Lines(other.told.String()) {
			head, _, _ := strings.Cut(line, "{")
			got = append(got, strings.TrimSpace(head))
		}
		want := []string{
			"2 chat.MessageAdded", "3 chat.TurnQueued", "4 chat.TurnStarted", `@0 "You said: "`, `@10 "hello"`, "5 chat.TurnEnded",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		if got := alice.Refused(theChat, &room.Join{Encoder: "unheard of"}); got != chat.CodeInvalid {
			t.Errorf("an unknown wire is refused as %s", got)
		}
	})
}
