package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"parlor/actors/session"
)

// A fallen is a client whose connection is cut, and what it knows of it.
type fallen struct{ sid, pid string }

func (f *fallen) auth(offset string) string {
	return fmt.Sprintf(`{"pid":"%s","offset":"%s"}`, f.pid, offset)
}

func enter(m *member, auth string) *fallen {
	m.t.Helper()
	var got struct{ SID, PID string }
	if err := json.Unmarshal([]byte(m.connect(auth)), &got); err != nil || got.SID == "" || got.PID == "" {
		m.t.Fatalf("got %+v, error %v, want both ids", got, err)
	}
	return &fallen{got.SID, got.PID}
}

// recovering runs f with a client a in room r that then lost its connection
// (the last offset that it got is 1), and another one, b, in the same room.
func recovering(t *testing.T, f func(t *testing.T, s *session.Sessions, a *fallen, b *member)) {
	t.Helper()
	bubble(t, true, func(t *testing.T, s *session.Sessions) {
		gone, b := dial(t, s), dial(t, s)
		a := enter(gone, "")
		gone.say(`["join_room",{"room_id":"r"}]`)
		gone.want(`["room_joined r",{"room_id":"r"},"1"]`)
		gone.Close("transport close")
		enter(b, "")
		b.say(`["join_room",{"room_id":"r"}]`)
		b.want(`["room_joined r",{"room_id":"r"},"2"]`)
		f(t, s, a, b)
	})
}

// send makes b send what a room is to receive.
func send(b *member, room string) {
	b.say(fmt.Sprintf(`["send_message",{"room_id":"%s","message":{"id":1}}]`, room))
	synctest.Wait()
	b.Got()
}

// A client that comes back has what it had, and then what it missed.
func TestRecovery(t *testing.T) {
	recovering(t, func(t *testing.T, s *session.Sessions, a *fallen, b *member) {
		send(b, "r") // 3 to b alone, 4 to the room
		send(b, "other")
		b.Say(`51-/assistant/realtime,["send_message",{"room_id":"r","message":{"id":1,"data":{"_placeholder":true,"num":0}}}]`)
		b.SayBinary([]byte{7})
		b.want(`["message_sent 1",{"success":true},"7"]`)
		time.Sleep(recoveryTime - time.Second)

		confirmation := fmt.Sprintf(`40/assistant/realtime,{"sid":"%s","pid":"%s"}`, a.sid, a.pid)
		again := dial(t, s)
		again.Say("0/assistant/realtime," + a.auth("1"))
		again.want(confirmation, `["receive_message r",{"id":1},"4"]`,
			`451-/assistant/realtime,["receive_message r",{"id":1,"data":{"_placeholder":true,"num":0}},"8"]`, `binary "\a"`)
		b.say(`["send_message",{"room_id":"r","message":{"id":2}}]`)
		again.want(`["receive_message r",{"id":2},"a"]`)
		again.say(`["send_message",{"room_id":"r","message":{"id":3}}]`)
		again.want(`["message_sent 3",{"success":true},"b"]`)

		// And once more, from where it was then.
		again.Close("ping timeout")
		synctest.Wait()
		again = dial(t, s)
		again.Say("0/assistant/realtime," + a.auth("a"))
		again.want(confirmation, `["message_sent 3",{"success":true},"b"]`)
	})
}

// What cannot be recovered is an ordinary new session.
func TestNoRecovery(t *testing.T) {
	for _, test := range []struct {
		name string
		auth func(a *fallen) string
		wait time.Duration
	}{
		{"no offset", func(a *fallen) string { return `{"pid":"` + a.pid + `"}` }, 0},
		{"no pid", func(*fallen) string { return `{"offset":"1"}` }, 0},
		{"the public id", func(a *fallen) string { return (&fallen{pid: a.sid}).auth("1") }, 0},
		{"other types", func(a *fallen) string { return `{"pid":"` + a.pid + `","offset":1}` }, 0},
		{"no number", func(a *fallen) string { return a.auth("!") }, 0},
		{"an offset that is to come", func(a *fallen) string { return a.auth("z") }, 0},
		{"too late", func(a *fallen) string { return a.auth("1") }, recoveryTime + time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			recovering(t, func(t *testing.T, s *session.Sessions, a *fallen, b *member) {
				send(b, "r")
				time.Sleep(test.wait)
				again := dial(t, s)
				if got := enter(again, test.auth(a)); got.sid == a.sid || got.pid == a.pid {
					t.Errorf("got ids %v, want new ones", got)
				}
				send(b, "r")
				again.want()
			})
		})
	}
}

// A client that left for good is not waited for.
func TestNoRecoveryAfterLeaving(t *testing.T) {
	recovering(t, func(t *testing.T, s *session.Sessions, a *fallen, _ *member) {
		again := dial(t, s)
		enter(again, a.auth("2"))
		again.Say(`1/assistant/realtime,`)
		synctest.Wait()
		if got := enter(dial(t, s), a.auth("2")); got.pid == a.pid {
			t.Error("recovered")
		}
	})
}

// What is kept has limits; past them the oldest goes, and who would need it
// begins anew.
func TestRecoveryLimits(t *testing.T) {
	for _, test := range []struct {
		name           string
		packets, bytes int // sent, each of so many
		kept           int
	}{
		{"few", 7, recoveryBytes / 8, 7},
		{"many", recoveryPackets + 10, 1, recoveryPackets},
		{"large", 10, recoveryBytes / 8, 7}, // with their headers
		{"too large", 2, recoveryBytes, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &recovery{groups: new(session.Groups)}
			had := &lost{at: time.Now(), pid: "secret"}
			r.remember(had)
			data := [][]byte{make([]byte, test.bytes)}
			for range test.packets {
				r.broadcast(nil, nil, event{namespace: "/", name: "e", attachments: data})
			}
			if got := len(r.packets); got != test.kept {
				t.Errorf("kept %d packets, want %d", got, test.kept)
			}
			first := test.packets - test.kept // the last offset that is not kept any more
			if got, _ := r.find(offset(first)); got != had {
				t.Error("not recovered, though all that was missed is kept")
			}
			if got, _ := r.find(offset(first - 1)); got != nil {
				t.Error("recovered, though something is missing")
			}
		})
	}
}

func offset(n int) json.RawMessage {
	return json.RawMessage((&fallen{pid: "secret"}).auth(strconv.FormatInt(int64(n), 36)))
}

// Old sessions go when there are too many.
func TestRecoverySessionsLimit(t *testing.T) {
	r := new(recovery)
	for i := range recoverySessions + 1 {
		r.remember(&lost{at: time.Now(), pid: fmt.Sprint(i)})
	}
	if len(r.lost) != recoverySessions || len(r.byPID) != recoverySessions || r.byPID["0"] != nil {
		t.Errorf("kept %d sessions, %d by id", len(r.lost), len(r.byPID))
	}
}
