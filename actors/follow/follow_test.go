package follow_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"parlor/actors/access"
	"parlor/actors/actortest"
	"parlor/actors/follow"
	"parlor/actors/room"
	"parlor/persistence"
	"parlor/protocol/chat"
)

func encoders() room.Encoders {
	all := actortest.Encoders()
	all[follow.Plain] = follow.NewPlain
	return all
}

func run(t *testing.T, o room.Options, f func(t *testing.T, s *actortest.Server)) {
	t.Helper()
	o.Encoders = encoders()
	actortest.Run(t, o, f)
}

// A follower that begins at the beginning is told how the room stands, the records that
// there are, the text so far, and what happens then.
func TestFollow(t *testing.T) {
	run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		s.Assistant.On("go", actortest.Slowly(time.Second, "one ", "two ", "three"))
		alice.Create(theChat)
		alice.Send(theChat, "hello")
		alice.Send(theChat, "go")
		time.Sleep(1500 * time.Millisecond) // "one " is told

		r := newReader(t, "alice")
		r.follow(newFollower(s, 0), follow.Plain)
		synctest.Wait()
		records := len(s.Records(theChat))
		told, got := r.noted()
		entered, _ := told[0].Notice.(chat.Entered)
		if entered.Turn == nil || entered.Text != "one " || entered.Seq != uint64(records) || len(entered.Users) != 1 {
			t.Errorf("was told first: %+v", told[0])
		}
		if got != records {
			t.Errorf("was told %d records of %d", got, records)
		}
		if last := told[len(told)-1]; last.More {
			t.Errorf("the last one says that more follows: %+v", last)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if _, got = r.noted(); got != len(s.Records(theChat)) {
			t.Errorf("was told %d records of %d", got, len(s.Records(theChat)))
		}
		if err := r.stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("Follow returned %v", err)
		}
		for _, fault := range r.faults {
			t.Error(fault)
		}
	})
}

// TestCut lets a follower be cut and follow again at random, while people talk, the
// assistant answers and the inbox is small. It is told each record once and in order, and
// the text of each answer.
func TestCut(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.SampledFrom([]string{"send", "long", "cut", "wait", "stall", "go on", "slow", "poison"}), 10, 60).Draw(rt, "steps")
		small := rapid.SampledFrom([]int{1, 1000, 5000, 1 << 20}).Draw(rt, "inbox")
		var faults []error
		synctest.Test(t, func(t *testing.T) {
			s := actortest.Start(t, room.Options{Encoders: encoders(), MaxRestarts: 1000})
			faults = cutAtRandom(t, s, steps, small)
		})
		if len(faults) > 0 {
			rt.Fatal(errors.Join(faults...))
		}
	})
}

func cutAtRandom(t *testing.T, s *actortest.Server, steps []string, inbox int) []error {
	alice, f := s.User("alice"), newFollower(s, inbox)
	s.Assistant.On("long", actortest.Slowly(100*time.Millisecond, "a", "b", "c", "d", "e"))
	alice.Create(theChat)
	s.Log.Fault(poisoned)
	r := newReader(t, "alice")
	r.gate = make(chan struct{})
	stalled := false
	resume := func() {
		if stalled {
			stalled = false
			close(r.gate)
		}
	}
	close(r.gate)
	r.follow(f, follow.Plain)
	for i, step := range steps {
		switch step {
		case "send":
			alice.Tell(theChat, &room.Send{Content: fmt.Sprint("message ", i)})
		case "long":
			alice.Tell(theChat, &room.Send{Content: "long"})
		case "poison":
			alice.Tell(theChat, &room.Send{Content: "poison"}) // the room panics, and is restarted
		case "cut", "stall", "slow":
			resume()
			r.stop()
			r.gate = make(chan struct{})
			if stalled = step == "stall"; !stalled {
				close(r.gate)
			}
			r.follow(f, follow.Plain)
		case "go on":
			resume()
		case "wait":
			time.Sleep(150 * time.Millisecond)
		}
		if i%3 == 0 {
			synctest.Wait()
		}
	}
	resume()
	time.Sleep(time.Minute)
	r.stop()
	r.follow(f, follow.Plain) // the room may have failed on the join before
	synctest.Wait()
	r.stop()
	if got, want := len(r.records), len(s.Records(theChat)); got != want {
		r.faults = append(r.faults, fmt.Errorf("was told %d records of %d", got, want))
	}
	return r.faults
}

func poisoned(c persistence.Commit) error {
	for _, e := range c.Entries {
		if bytes.Contains(e, []byte("poison")) {
			panic("poisoned")
		}
	}
	return nil
}

// A follower that is told nothing any more keeps no more than its inbox, and nobody
// waits for it. When it goes on it is told everything.
func TestStalledFollower(t *testing.T) {
	run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, f := s.User("alice"), newFollower(s, 2000)
		alice.Create(theChat)
		r := newReader(t, "alice")
		r.gate = make(chan struct{})
		r.follow(f, follow.Plain)
		synctest.Wait()
		for i := range 100 {
			alice.Send(theChat, fmt.Sprint("message ", i))
		}
		if told, _ := r.noted(); len(told) != 0 {
			t.Errorf("was told %d notices through a closed gate", len(told))
		}
		close(r.gate)
		time.Sleep(time.Second)
		synctest.Wait()
		if _, got := r.noted(); got != len(s.Records(theChat)) {
			t.Errorf("was told %d records of %d", got, len(s.Records(theChat)))
		}
		r.stop()
		for _, fault := range r.faults {
			t.Error(fault)
		}
	})
}

// A follower who is far behind is told all of it, and not by what is kept for others.
func TestFarBehind(t *testing.T) {
	run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		for i := range 100 {
			alice.Send(theChat, fmt.Sprint("message ", i))
		}
		r := newReader(t, "alice")
		r.follow(newFollower(s, 0), follow.Plain)
		time.Sleep(time.Second)
		synctest.Wait()
		if _, got := r.noted(); got != len(s.Records(theChat)) || got <= 256 {
			t.Errorf("was told %d records of %d", got, len(s.Records(theChat)))
		}
		r.stop()
		for _, fault := range r.faults {
			t.Error(fault)
		}
	})
}

// A follower ends when the chat is deleted or its user may not read it any more, and
// does not begin if that is so.
func TestRefused(t *testing.T) {
	for name, end := range map[string]func(*actortest.User){
		"deleted": func(owner *actortest.User) { owner.Do(theChat, &room.Delete{}) },
		"removed": func(owner *actortest.User) { owner.Do(theChat, &room.RemoveMember{Member: "bob"}) },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
				alice, f := s.User("alice"), newFollower(s, 0)
				alice.Create(theChat)
				bob := newReader(t, "bob")
				bob.follow(f, follow.Plain)
				wantCode(t, <-bob.ended, chat.CodeNotFound)
				alice.Do(theChat, &room.SetMember{Member: chat.Member{ID: "bob", Role: chat.RoleViewer}})
				bob.follow(f, follow.Plain)
				synctest.Wait()
				end(alice)
				select {
				case err := <-bob.ended:
					wantCode(t, err, chat.CodeNotFound)
				case <-time.After(time.Second):
					t.Error("the follower goes on")
				}
				bob.cut()
			})
		})
	}
}

func wantCode(t *testing.T, err error, want chat.Code) {
	t.Helper()
	if got := chat.AsError(err); got == nil || got.Code != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// A place in another log, or behind the end of this one, means the beginning, and the
// follower is told so.
func TestRestart(t *testing.T) {
	run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server) {
		alice, f := s.User("alice"), newFollower(s, 0)
		alice.Create(theChat)
		alice.Send(theChat, "hello")
		last := uint64(len(s.Records(theChat)))
		for want, place := range map[chat.Restart]chat.Place{
			chat.RestartEpoch: {Epoch: "another", Seq: 1},
			chat.RestartAhead: {Seq: last + 1},
		} {
			r := newReader(t, "alice")
			var got chat.Restart
			ctx, cancel := context.WithCancel(t.Context())
			err := f.Follow(ctx, r.user, theChat, place, follow.Plain, func(told chat.Told) error {
				if entered, ok := told.Notice.(chat.Entered); ok {
					got = entered.Anew
				}
				if told.Seq == last {
					cancel()
				}
				return r.take(ctx, told)
			})
			if !errors.Is(err, context.Canceled) || got != want || len(r.records) != int(last) {
				t.Errorf("from %+v: got %v, %q, and %d records of %d", place, err, got, len(r.records), last)
			}
		}
	})
}

// From now on means that nothing is told of before but the text so far.
func TestFromNow(t *testing.T) {
	run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		s.Assistant.On("go", actortest.Hang("so far"))
		alice.Create(theChat)
		alice.Send(theChat, "go")
		synctest.Wait()
		r := newReader(t, "alice")
		r.place = chat.Place{Now: true, Seq: uint64(len(s.Records(theChat)))}
		r.follow(newFollower(s, 0), follow.Plain)
		synctest.Wait()
		if told, records := r.noted(); len(told) != 2 || records != 0 {
			t.Errorf("was told %+v", told)
		}
		alice.Stop(theChat, "")
		if _, records := r.noted(); records != 1 {
			t.Errorf("was told %d records", records)
		}
		r.stop()
		for _, fault := range r.faults {
			t.Error(fault)
		}
	})
}
