package rooms_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/protocol/chat"
)

func chatN(i int) chat.ID { return chat.ID(fmt.Sprint("chat-", i)) }

// loads says how often the first n rooms were read.
func loads(s *actortest.Server, n int) (sum int) {
	for i := range n {
		sum += s.Log.Loads(string(chatN(i).Room()))
	}
	return sum
}

// A room whose chat was only created leaves at once. One that was used stays.
func TestCreatedRoomsLeaveAtOnce(t *testing.T) {
	const n = 200
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		for round, want := range []int{n, 2 * n, 2 * n} { // the first use has to read it again, the second has not
			for i := range n {
				if round == 0 {
					alice.Create(chatN(i))
				} else {
					alice.Do(chatN(i), &room.Send{Content: "hi", Quiet: true})
				}
			}
			if got := loads(s, n); got != want {
				t.Errorf("round %d: the rooms were read %d times, want %d", round, got, want)
			}
		}
	})
}

// Of the rooms that a user has in memory and does not use, half the limit stay. Another
// user's stay, however many the first one wakes.
func TestRoomsNotInUseMakePlace(t *testing.T) {
	const limit, n = 20, 100
	actortest.Run(t, room.Options{MaxAwake: limit}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		for i := range n {
			alice.Create(chatN(i))
		}
		bob.Create(theChat)
		bob.Do(theChat, &room.Send{Content: "hi", Quiet: true})
		before, bobs := loads(s, n), s.Log.Loads(string(theChat.Room()))
		for range 2 {
			for i := range n {
				alice.Do(chatN(i), &room.Send{Content: "hi", Quiet: true})
			}
		}
		if got := loads(s, n) - before; got != 2*n {
			t.Errorf("read %d times, want %d", got, 2*n)
		}
		for i := n - limit/2; i < n; i++ {
			alice.Do(chatN(i), &room.Send{Content: "hi", Quiet: true})
		}
		if got := loads(s, n) - before; got != 2*n {
			t.Errorf("the rooms that were used last had left")
		}
		bob.Do(theChat, &room.Send{Content: "hi", Quiet: true})
		if got := s.Log.Loads(string(theChat.Room())); got != bobs {
			t.Error("bob's room had to leave")
		}
	})
}

// A user who has as many rooms in use as one may have is refused another, until one of
// them is not in use any more. Others notice nothing, and nothing is lost.
func TestRoomsInUseAreLimited(t *testing.T) {
	const limit = 10
	actortest.Run(t, room.Options{MaxAwake: limit}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		for i := range 2 * limit {
			alice.Create(chatN(i))
		}
		for i := range limit {
			alice.Join(chatN(i))
		}
		for range 3 {
			if got := alice.Refused(chatN(limit), &room.Join{}); got != chat.CodeBusy {
				t.Fatalf("refused as %s, want %s", got, chat.CodeBusy)
			}
		}
		alice.Do(chatN(limit), &room.Leave{})
		alice.Send(chatN(3), "one that is there is no other")
		bob.Create(theChat)
		bob.Join(theChat)
		for i := limit; i < 2*limit; i++ { // each leaves one and takes another
			alice.Do(chatN(i-limit), &room.Leave{})
			alice.Join(chatN(i))
		}
		alice.Refused(chatN(0), &room.Join{})
		if was, err := s.Rooms.Expire(t.Context(), chatN(0).Room(), time.Now().Add(1), true); !was || err != nil { // the server's own work is not counted
			t.Errorf("expired: %v, %v", was, err)
		}
		for i := limit; i < 2*limit; i++ {
			alice.Do(chatN(i), &room.Leave{})
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		for i := 1; i <= limit; i++ {
			alice.Join(chatN(i))
		}
	})
}
