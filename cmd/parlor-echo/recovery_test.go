package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/session"
)

// A visitor is the official client as far as recovery goes: it keeps its private
// id and the string at the end of the last event.
type visitor struct {
	*member
	sid, pid, offset string
	events           []string // without offsets
}

// visit connects, as auth says.
func visit(t *testing.T, s *session.Sessions, auth string) *visitor {
	t.Helper()
	v := &visitor{member: dial(t, s)}
	v.Say("0/assistant/realtime," + auth)
	v.listen()
	if v.sid == "" || v.pid == "" {
		t.Fatalf("got ids %q and %q, want both", v.sid, v.pid)
	}
	return v
}

// listen takes in what has arrived.
func (v *visitor) listen() {
	v.t.Helper()
	synctest.Wait()
	for _, frame := range v.Got() {
		packet, data, _ := strings.Cut(frame, "/assistant/realtime,")
		switch {
		case packet == "40":
			var ids struct{ SID, PID string }
			if err := json.Unmarshal([]byte(data), &ids); err != nil {
				v.t.Fatal(err)
			}
			v.sid, v.pid = ids.SID, ids.PID
		case data != "":
			i := strings.LastIndexByte(data, ',')
			if err := json.Unmarshal([]byte(strings.TrimSuffix(data[i+1:], "]")), &v.offset); err != nil {
				v.t.Fatalf("offset of %s: %v", data, err)
			}
			v.events = append(v.events, data[:i]+"]")
		default:
			v.events = append(v.events, frame)
		}
	}
}

// told checks the events since the last call.
func (v *visitor) told(want ...string) {
	v.t.Helper()
	v.listen()
	if diff := cmp.Diff(want, v.events); diff != "" {
		v.t.Errorf("client got (-want +got):\n%s", diff)
	}
	v.events = nil
}

func (v *visitor) join(room string) {
	v.t.Helper()
	v.say(fmt.Sprintf(`["join_room",{"room_id":"%s"}]`, room))
	v.told(fmt.Sprintf(`["room_joined %s",{"room_id":"%[1]s"}]`, room))
}

// send makes the client say something in a room.
func (v *visitor) send(room string, id int) {
	v.t.Helper()
	v.say(fmt.Sprintf(`["send_message",{"room_id":"%s","message":{"id":%d}}]`, room, id))
	v.told(fmt.Sprintf(`["message_sent %d",{"success":true}]`, id))
}

// again connects the client once more.
func (v *visitor) again(t *testing.T, s *session.Sessions) *visitor {
	t.Helper()
	return visit(t, s, fmt.Sprintf(`{"pid":"%s","offset":"%s"}`, v.pid, v.offset))
}

// recovering runs f with a client a in room r that then lost its connection, and
// another one, b, in the same room.
func recovering(t *testing.T, f func(t *testing.T, s *session.Sessions, a, b *visitor)) {
	t.Helper()
	bubble(t, true, func(t *testing.T, s *session.Sessions) {
		a, b := visit(t, s, ""), visit(t, s, "")
		a.join("r")
		b.join("r")
		a.Close("transport close")
		f(t, s, a, b)
	})
}

// A client that comes back has what it had, and then what it missed.
func TestRecovery(t *testing.T) {
	recovering(t, func(t *testing.T, s *session.Sessions, a, b *visitor) {
		b.send("r", 1)
		b.send("other", 1)
		b.Say(`51-/assistant/realtime,["send_message",{"room_id":"r","message":{"id":2,"data":{"_placeholder":true,"num":0}}}]`)
		b.SayBinary([]byte{7})
		b.told(`["message_sent 2",{"success":true}]`)
		time.Sleep(recoveryTime - time.Second)

		again := a.again(t, s)
		if again.sid != a.sid || again.pid != a.pid {
			t.Errorf("the ids are %s and %s, want %s and %s", again.sid, again.pid, a.sid, a.pid)
		}
		again.told(`["receive_message r",{"id":1}]`,
			`["receive_message r",{"id":2,"data":{"_placeholder":true,"num":0}}]`, `binary "\a"`)
		b.send("r", 3)
		again.told(`["receive_message r",{"id":3}]`)
		before := again.offset
		again.send("r", 4)

		// And once more, from where it was before it heard that.
		again.Close("ping timeout")
		synctest.Wait()
		again.offset = before
		once := again.again(t, s)
		once.told(`["message_sent 4",{"success":true}]`)
		if once.pid != a.pid {
			t.Error("not recovered again")
		}
	})
}

// Between rooms, too, what was missed comes in the order in which it was sent.
func TestRecoveryKeepsTheOrder(t *testing.T) {
	bubble(t, true, func(t *testing.T, s *session.Sessions) {
		a, b := visit(t, s, ""), visit(t, s, "")
		a.join("r1")
		a.join("r2")
		a.Close("transport close")
		var want []string
		for i := range 10 {
			room := fmt.Sprintf("r%d", 1+i%2)
			b.send(room, i)
			want = append(want, fmt.Sprintf(`["receive_message %s",{"id":%d}]`, room, i))
		}
		a.again(t, s).told(want...)
	})
}

// A client whose old connection nobody has noticed to be dead takes its seat.
func TestRecoveryDisplaces(t *testing.T) {
	bubble(t, true, func(t *testing.T, s *session.Sessions) {
		a := visit(t, s, "")
		a.join("r")
		if again := a.again(t, s); again.pid != a.pid {
			t.Error("not recovered")
		}
		a.want("closed: forced close")
	})
}

// A client that cannot be recovered is an ordinary new one.
func TestNoRecovery(t *testing.T) {
	for _, test := range []struct {
		name string
		auth func(a *visitor)
		wait time.Duration
	}{
		{"no offset", func(a *visitor) { a.offset = "" }, 0},
		{"no pid", func(a *visitor) { a.pid = "" }, 0},
		{"the public id", func(a *visitor) { a.pid = a.sid }, 0},
		{"another offset", func(a *visitor) { a.offset += "A" }, 0},
		{"an offset of the version before", func(a *visitor) { a.offset = "1" }, 0},
		{"too late", func(*visitor) {}, recoveryTime + time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			recovering(t, func(t *testing.T, s *session.Sessions, a, b *visitor) {
				b.send("r", 1)
				time.Sleep(test.wait)
				sid, pid := a.sid, a.pid
				test.auth(a)
				again := a.again(t, s)
				if again.sid == sid || again.pid == pid {
					t.Errorf("got ids %s and %s, want new ones", again.sid, again.pid)
				}
				b.send("r", 2)
				again.told()
				again.join("r")
				b.send("r", 3)
				again.told(`["receive_message r",{"id":3}]`)
			})
		})
	}
}

// A client that left for good is not waited for.
func TestNoRecoveryAfterLeaving(t *testing.T) {
	recovering(t, func(t *testing.T, s *session.Sessions, a, _ *visitor) {
		again := a.again(t, s)
		again.Say(`1/assistant/realtime,`)
		synctest.Wait()
		if got := a.again(t, s); got.pid == a.pid {
			t.Error("recovered")
		}
	})
}

// The history has limits. Past them it drops the oldest events, and a client that would
// need these begins anew.
func TestHistoryLimits(t *testing.T) {
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
			h, groups := &history{}, new(session.Groups)
			data := [][]byte{make([]byte, test.bytes)}
			for range test.packets {
				h.broadcast(groups, "r", "", event{namespace: "/", name: "e", attachments: data})
			}
			if got := len(h.packets); got != test.kept {
				t.Errorf("kept %d packets, want %d", got, test.kept)
			}
			socket := new(session.Socket)
			socket.Identify("a", "")
			first := uint64(test.packets - test.kept) // the last number that is not kept any more
			if got, ok := h.enter(groups, socket, []string{"r"}, first); !ok || len(got) != test.kept {
				t.Errorf("%d packets were missed, want %d: all are kept", len(got), test.kept)
			}
			if _, ok := h.enter(groups, socket, []string{"r"}, first-1); ok {
				t.Error("something is missing")
			}
		})
	}
}
