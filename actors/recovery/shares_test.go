package recovery_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"parlor/actors/recovery"
	"parlor/protocol/chat"
)

// sit saves a seat of a user under the pid, and loses the connection.
func (t *table) sit(u chat.UserID, pid string) {
	t.t.Helper()
	o := new(owner)
	if err := t.save(pid, o, recovery.Seat{SID: pid, User: u}); err != nil {
		t.t.Errorf("%s: %v", pid, err)
	}
	t.Lost(pid, o)
}

// back counts which of a user's clients, from 0 to n-1, can come back.
func (t *table) back(u chat.UserID, n int) (which []int) {
	for i := range n {
		o := new(owner)
		pid := fmt.Sprint(u, i)
		if _, ok := t.Claim(pid, chat.User{ID: u}, o); ok {
			which = append(which, i)
			t.Lost(pid, o)
		}
	}
	return which
}

// However many connections a user loses, other users' clients come back, and the user's
// own newest. It is so before and after a restart.
func TestNobodyTakesTheSeatsOfOthers(t *testing.T) {
	for name, o := range map[string]recovery.Options{
		"by a share":          {MaxSeats: 80},
		"by a set share":      {MaxSeats: 80, MaxSeatsPerUser: 40},
		"by the largest part": {MaxSeats: 80, MaxSeatsPerUser: 80},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			o.Logger = slog.New(slog.NewTextHandler(&log, nil))
			run(t, o, func(t *testing.T, table *table) {
				for i := range 10 {
					table.sit("bob", fmt.Sprint("bob", i))
				}
				for i := range 200 {
					table.sit("mallory", fmt.Sprint("mallory", i))
				}
				for i := range 10 {
					table.sit("carol", fmt.Sprint("carol", i))
				}
				for range 2 {
					for _, u := range []chat.UserID{"bob", "carol"} {
						if got := table.back(u, 10); len(got) != 10 {
							t.Errorf("of %s come back %v", u, got)
						}
					}
					own := table.back("mallory", 200)
					if len(own) == 0 || own[len(own)-1] != 199 || own[0] != 200-len(own) {
						t.Errorf("of mallory come back %v, want the newest", own)
					}
					if got := table.onDisk(); got != 20+len(own) || got > 80 {
						t.Errorf("%d seats on disk, %d of mallory", got, len(own))
					}
					table.close()
					table.open()
				}
				if n := strings.Count(log.String(), "user=mallory"); n != 1 {
					t.Errorf("logged %d times:\n%s", n, log.String())
				}
			})
		})
	}
}

// A user with many connected clients leaves place for others, who take no more than that.
func TestConnectedClientsLeavePlace(t *testing.T) {
	run(t, recovery.Options{MaxSeats: 20, MaxSeatsPerUser: 20}, func(t *testing.T, table *table) {
		owners := map[chat.UserID][]*owner{}
		fill := func(u chat.UserID, n int) (seats int) {
			for i := range n {
				o := new(owner)
				err := table.save(fmt.Sprint(u, i), o, recovery.Seat{SID: "s", User: u})
				if err == nil {
					owners[u] = append(owners[u], o)
					seats++
				} else if !errors.Is(err, recovery.ErrFull) {
					t.Error(err)
				}
			}
			return seats
		}
		if got := fill("mallory", 30); got != 20 {
			t.Errorf("mallory has got %d seats, want 20", got)
		}
		if got := fill("bob", 30); got != 10 {
			t.Errorf("bob has got %d seats, want 10", got)
		}
		for i := range 10 { // those that were given up do not come back at the expense of others
			if err := table.save(fmt.Sprint("mallory", i), owners["mallory"][i], recovery.Seat{SID: "s", User: "mallory"}); !errors.Is(err, recovery.ErrFull) {
				t.Errorf("a seat that was given up: %v", err)
			}
		}
		if got := fill("carol", 30); got < 6 {
			t.Errorf("carol has got %d seats", got)
		}
		for u, all := range owners {
			for _, o := range all {
				if o.displaced > 0 {
					t.Errorf("a client of %s was cut off", u)
				}
			}
		}
		if got := table.onDisk(); got != 20 {
			t.Errorf("%d seats on disk, want 20", got)
		}
	})
}

// Random sockets come, go and come back: there are never more seats than may be, and a
// user who never has more than an equal part of all loses none.
func TestSharesAtRandom(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		table, err := recovery.Open(recovery.Options{Store: recovery.NewMemory(), MaxSeats: 12, MaxSeatsPerUser: 9})
		if err != nil {
			r.Fatal(err)
		}
		defer table.Close()
		users := []chat.UserID{"modest", "a", "b"}
		type client struct {
			user chat.UserID
			o    *owner
		}
		clients := map[string]client{}
		modest := 0
		for i := range rapid.IntRange(1, 80).Draw(r, "steps") {
			u := rapid.SampledFrom(users).Draw(r, "user")
			pid := fmt.Sprint(i)
			if u == "modest" {
				if modest == 4 {
					continue
				}
				modest++
			}
			c := client{u, new(owner)}
			clients[pid] = c
			table.Save(pid, c.o, recovery.Seat{SID: pid, User: u}, func(err error) {
				if err != nil && u == "modest" {
					r.Errorf("step %d: modest was refused: %v", i, err)
				}
			})
			switch rapid.IntRange(0, 3).Draw(r, "then") {
			case 0, 1:
				table.Lost(pid, c.o)
			case 2:
				if u != "modest" {
					table.Forget(pid, c.o)
				}
			}
		}
		left := map[chat.UserID]int{}
		for pid, c := range clients {
			if _, ok := table.Claim(pid, chat.User{ID: c.user}, new(owner)); ok {
				left[c.user]++
			}
		}
		if sum := left["a"] + left["b"] + left["modest"]; sum > 12 || left["a"] > 9 || left["b"] > 9 || left["modest"] != modest {
			r.Errorf("left are %v, modest had %d", left, modest)
		}
	})
}
