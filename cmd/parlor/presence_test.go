package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"parlor/actors/access"
	"parlor/actors/actortest"
	"parlor/actors/assistant"
	"parlor/actors/room"
	"parlor/actors/session"
	"parlor/actors/system"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
	"parlor/transport"
	"parlor/transport/auth"
)

const (
	crowdedChat chat.ID = "crowded"
	devicesEach         = 3
	heartbeat           = 45 * time.Second // ping-interval and ping-timeout
)

// Two thousand users with three devices each come into one room, by Engine.IO with its
// heartbeats, and half of the devices vanish without a word. A heartbeat later all others
// know exactly who is left. What they are told in all grows with their number, not with
// its square.
func TestPresenceOfVanishedDevices(t *testing.T) {
	if testing.Short() {
		t.Skip("takes several seconds")
	}
	small, large := bytesOfCrowd(t, 500), bytesOfCrowd(t, 2000)
	t.Logf("%d bytes for 500 users, %d for 2000", small, large)
	// How much of the news of one wave is told together varies by a tenth. If each were told
	// of all others it would be 16 times.
	if ratio := float64(large) / float64(small); ratio > 6 {
		t.Errorf("four times the users were sent %.1f times the bytes: %d, %d", ratio, small, large)
	}
}

// bytesOfCrowd lets a crowd come and half of it vanish, and returns how many bytes all
// were sent about who is there.
func bytesOfCrowd(t *testing.T, users int) (bytes int) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server) {
		s.User("owner").Create(crowdedChat)
		sessions := session.New(system.New(nil), session.Options{Namespaces: map[string]session.Namespace{
			wire.Namespace: &assistant.Namespace{Auth: auth.New(auth.Options{}), Rooms: s.Rooms},
		}})
		server := transport.NewServer(transport.Options{
			Accept:       func(c *transport.Conn) transport.Receiver { return sessions.Open(c) },
			PingInterval: heartbeat - 20*time.Second, PingTimeout: 20 * time.Second,
		})
		t.Cleanup(func() { server.Close(); synctest.Wait() })
		all := arrive(t, server, users)
		checkViews(t, all, all)

		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		lost, left := all[:len(all)/2], all[len(all)/2:]
		for _, d := range lost {
			d.vanished.Store(true)
		}
		time.Sleep(heartbeat + room.PresenceEvery + time.Second) // a ping is not answered, and polls wait
		synctest.Wait()
		checkViews(t, left, left)
		for _, d := range all {
			bytes += int(d.bytes.Load())
		}
	})
	return bytes
}

// arrive lets the users connect, in several waves.
func arrive(t *testing.T, h http.Handler, users int) (all []*device) {
	t.Helper()
	const waves = 8
	for i := range users {
		for range devicesEach {
			d := &device{h: h, user: chat.UserID(fmt.Sprintf("user-%04d", i)), seen: make(map[chat.UserID]int)}
			d.connect(t)
			all = append(all, d)
		}
		if i%(users/waves) == 0 {
			time.Sleep(room.PresenceEvery)
		}
	}
	time.Sleep(room.PresenceEvery + time.Second)
	synctest.Wait()
	return all
}

// checkViews checks that each device knows who is there.
func checkViews(t *testing.T, who, here []*device) {
	t.Helper()
	devices := map[chat.UserID]int{}
	for _, d := range here {
		devices[d.user]++
	}
	wrong := 0
	for _, d := range who {
		ok := d.count == len(devices) && d.devices == len(here) && len(d.seen) == min(100, len(devices))
		for u, n := range d.seen {
			ok = ok && devices[u] == n
		}
		if !ok {
			wrong++
		}
	}
	if wrong > 0 {
		d := who[0]
		t.Errorf("%d of %d devices are wrong; one knows of %d users with %d devices, and %d by name; there are %d with %d",
			wrong, len(who), d.count, d.devices, len(d.seen), len(devices), len(here))
	}
}

// A device is a client that polls. What it knows is only to be read while nothing happens.
type device struct {
	h        http.Handler
	user     chat.UserID
	path     string
	vanished atomic.Bool
	bytes    atomic.Int64

	seen           map[chat.UserID]int // devices of the users that are listed
	count, devices int
}

func (d *device) request(method, body string) (answer string, ok bool) {
	w := httptest.NewRecorder()
	d.h.ServeHTTP(w, httptest.NewRequest(method, d.path, strings.NewReader(body)))
	return w.Body.String(), w.Code == http.StatusOK
}

func (d *device) connect(t *testing.T) {
	t.Helper()
	d.path = "/socket.io/?EIO=4&transport=polling"
	open, ok := d.request("GET", "")
	var handshake struct{ SID string }
	if !ok || json.Unmarshal([]byte(strings.TrimPrefix(open, "0")), &handshake) != nil {
		t.Fatalf("open: got %s", open)
	}
	d.path += "&sid=" + handshake.SID
	const to = wire.Namespace + ","
	join := fmt.Sprintf(`42%s["join_room",{"room_id":%q,"dialect":"documented"}]`, to, crowdedChat.Room())
	if answer, ok := d.request("POST", fmt.Sprintf(`40%s{"user_id":%q}`, to, d.user)+"\x1e"+join); !ok {
		t.Fatalf("join: got %s", answer)
	}
	go d.poll()
}

// poll polls until the connection ends or the device vanishes. It then takes nothing more.
func (d *device) poll() {
	for !d.vanished.Load() {
		packets, ok := d.request("GET", "")
		if !ok || d.vanished.Load() {
			return
		}
		for packet := range strings.SplitSeq(packets, "\x1e") {
			if packet == "2" {
				d.request("POST", "3")
			}
			d.hear(packet)
		}
	}
}

var presenceHead = fmt.Sprintf(`42%s,["presence %s",`, wire.Namespace, crowdedChat.Room())

func (d *device) hear(packet string) {
	body, ok := strings.CutPrefix(packet, presenceHead)
	if !ok {
		return
	}
	d.bytes.Add(int64(len(packet)))
	var told struct {
		Members, Joins []chat.Present
		Leaves         []chat.UserID
		Count, Devices int
	}
	if err := json.Unmarshal([]byte(strings.TrimSuffix(body, "]")), &told); err != nil {
		panic(err)
	}
	if told.Members != nil {
		clear(d.seen)
	}
	for _, id := range told.Leaves {
		delete(d.seen, id)
	}
	for _, m := range append(told.Members, told.Joins...) {
		d.seen[m.ID] = m.Devices
	}
	d.count, d.devices = told.Count, told.Devices
}
