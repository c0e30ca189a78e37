package assistant_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/actors/session"
)

// These are the events of a client that joins a room, leaves it, and resumes in it.
var (
	toJoin   = fmt.Sprintf(`2%s["join_room",{"room_id":%q,"dialect":"documented"}]`, prefix, theRoom)
	toLeave  = fmt.Sprintf(`2%s["leave_room",{"room_id":%q}]`, prefix, theRoom)
	toResume = fmt.Sprintf(`2%s["join_room",{"room_id":%q,"dialect":"documented","after":1}]`, prefix, theRoom)
)

// A client that is gone is no member, also if it goes while the disk or a read
// keeps it from being told that it is one.
func TestDisconnectWhileJoining(t *testing.T) {
	for name, says := range map[string][]string{
		"joins":                          {toJoin},
		"resumes":                        {toResume},
		"joins, leaves and joins":        {toJoin, toLeave, toJoin},
		"joins, leaves and resumes":      {toJoin, toLeave, toResume},
		"joins behind a refused event":   {fmt.Sprintf(`2%s["regenerate",{"room_id":%q,"message_id":"x"}]`, prefix, theRoom), toJoin},
		"joins ahead of a refused event": {toJoin, fmt.Sprintf(`2%s["regenerate",{"room_id":%q,"message_id":"x"}]`, prefix, theRoom)},
	} {
		t.Run(name, func(t *testing.T) {
			runRecoverable(t, func(t *testing.T, s *recoverable) {
				bob := s.User("bob")
				bob.Create(theChat)
				v := s.visit("alice")
				first := s.Log.Hold()
				v.Say(says...)
				synctest.Wait()
				if len(says) == 3 { // up to the last one, whose seat waits for the disk again
					second := s.Log.Hold()
					first()
					first = second
					synctest.Wait()
				}
				v.cut()
				first()
				synctest.Wait()
				if members := bob.Join(theChat).Users; len(members) != 1 {
					t.Errorf("members are %v", members)
				}
			})
		})
	}
}

// A client that is refused to resume, and has asked to join meanwhile, is a
// member if it is told so.
func TestJoinBehindARefusedResume(t *testing.T) {
	runRecoverable(t, func(t *testing.T, s *recoverable) {
		bob := s.User("bob")
		bob.Create(theChat)
		say(bob, theChat, "1")
		v := s.visit("alice")
		s.Log.FailReads(errors.New("the disk fails"))
		v.Say(toResume, toJoin)
		synctest.Wait()
		s.Log.FailReads(nil)
		say(bob, theChat, "2")
		v.want("connect", "room_join_error A", "room_joined A", "message A 2")
		v.Say(toLeave)
		v.want("room_left")
		if members := bob.Join(theChat).Users; len(members) != 1 {
			t.Errorf("members are %v", members)
		}
	})
}

// The same if the room refuses the second join too: then it is told that the
// client is none.
func TestTwoRefusedJoins(t *testing.T) {
	runRecoverable(t, func(t *testing.T, s *recoverable) {
		bob := s.User("bob")
		bob.Create(theChat)
		say(bob, theChat, "1")
		v := s.visit("alice")
		s.Log.FailReads(errors.New("the disk fails"))
		v.Say(toResume, toResume)
		v.listen()
		s.Log.FailReads(nil)
		if !slices.Equal(v.heard, []string{"connect", "room_join_error A", "room_join_error A"}) {
			t.Errorf("heard %q", v.heard)
		}
		if members := bob.Join(theChat).Users; len(members) != 1 {
			t.Errorf("members are %v", members)
		}
	})
}

// A command that came while a chat was looked for is carried out, also if the client was
// gone before the chat was found.
func TestDisconnectBehindAFind(t *testing.T) {
	find := fmt.Sprintf(`2%s["find_chat",{"chat_id":%q}]`, prefix, theChat)
	for _, last := range []string{"1" + prefix, ""} {
		run(t, room.Options{}, func(t *testing.T, s *actortest.Server, sessions *session.Sessions) {
			s.User("alice").Create(theChat)
			c := connect(t, sessions, "alice")
			c.Say(find, toJoin, fmt.Sprintf(`2%s["send_message",%s]`, prefix, realtimeText("1", "1", "hi")), find, toJoin)
			if last != "" {
				c.Say(last)
			}
			c.Close("transport close")
			synctest.Wait()
			if got := len(s.Messages(theChat)); got == 0 {
				t.Error("the message was not recorded")
			}
		})
	}
}
