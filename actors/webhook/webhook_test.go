package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"parlor/actors/conversation"
	"parlor/actors/webhook"
	"parlor/persistence"
	"parlor/protocol/chat"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A world is a log with chats, and endpoints that do what the test says.
type world struct {
	t      *testing.T
	path   string
	store  *persistence.Store
	engine *webhook.Engine
	o      webhook.Options

	mu   sync.Mutex
	got  []string
	ids  map[string]int
	fail func(d webhook.Delivery) error
}

func run(t *testing.T, o webhook.Options, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, o: o, path: filepath.Join(t.TempDir(), "parlor.db"), ids: make(map[string]int), fail: func(webhook.Delivery) error { return nil }}
		if w.o.Hooks == nil {
			w.o.Hooks = []webhook.Hook{{Name: "crm", Events: []string{"message"}}}
		}
		w.o.Send = w.send
		w.o.Encode = encode
		w.open()
		f(t, w)
		w.close()
	})
}

// encode tells of a message by its text, after a note that no hook wants.
func encode(_ chat.RoomID, r chat.Record) []webhook.Event {
	m, ok := r.Event.(chat.MessageAdded)
	if !ok {
		return nil
	}
	text, _ := json.Marshal(m.Content)
	return []webhook.Event{{Name: "note", Body: text}, {Name: "message", Body: text}}
}

func (w *world) send(_ context.Context, hook string, d webhook.Delivery) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.fail(d); err != nil {
		return err
	}
	w.got = append(w.got, fmt.Sprintf("%s %s #%d %s", hook, d.Chat, d.Seq, d.Body))
	w.ids[d.ID]++
	return nil
}

func (w *world) failing(fail func(d webhook.Delivery) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail = fail
}

func (w *world) open() {
	w.t.Helper()
	var err error
	if w.store, err = persistence.Open(w.path, persistence.Options{Charges: conversation.Charges, MessageID: conversation.MessageID}); err != nil {
		w.t.Fatal(err)
	}
	w.start()
}

func (w *world) start() {
	w.t.Helper()
	w.o.Log = w.store
	var err error
	if w.engine, err = webhook.Start(w.o); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

func (w *world) close() {
	w.t.Helper()
	w.engine.Close()
	if err := w.store.Close(); err != nil {
		w.t.Error(err)
	}
}

// say records messages in a chat, and tells the engine if it runs.
func (w *world) say(id chat.ID, owner chat.UserID, texts ...string) {
	w.t.Helper()
	for _, text := range texts {
		last, err := w.store.Last(string(id.Room()))
		if err != nil {
			w.t.Fatal(err)
		}
		info := chat.Info{ID: id, Room: id.Room(), Owner: owner, Epoch: "e-" + string(id)}
		row := conversation.Row(info)
		record, err := chat.Record{At: time.Now(), Event: chat.MessageAdded{MessageID: chat.MessageID(fmt.Sprint(id, last)), Author: chat.User{ID: owner}, Content: text}}.Encode()
		if err != nil {
			w.t.Fatal(err)
		}
		done := make(chan error, 1)
		w.store.Append(persistence.Commit{Room: string(id.Room()), After: last, Entries: [][]byte{record}, Chat: &row}, func(err error) { done <- err })
		if err := <-done; err != nil {
			w.t.Fatal(err)
		}
		w.engine.Note(id.Room())
	}
	synctest.Wait()
}

// want checks what was delivered since the last call.
func (w *world) want(want ...string) {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if diff := cmp.Diff(want, w.got); diff != "" {
		w.t.Errorf("delivered (-want +got):\n%s", diff)
	}
	w.got = nil
}

// Events come in order, over restarts, and once while nothing fails.
func TestInOrder(t *testing.T) {
	run(t, webhook.Options{}, func(t *testing.T, w *world) {
		w.say("a", "alice", "one", "two")
		w.want(`crm a #1 "one"`, `crm a #2 "two"`)
		w.engine.Close() // and what is said meanwhile is found in the log
		w.say("a", "alice", "three", "four")
		w.say("b", "bob", "five")
		w.start()
		time.Sleep(time.Second)
		synctest.Wait()
		w.mu.Lock()
		var a []string
		for _, line := range w.got {
			if strings.HasPrefix(line, "crm a") {
				a = append(a, line)
			}
		}
		if diff := cmp.Diff([]string{`crm a #3 "three"`, `crm a #4 "four"`}, a); diff != "" || len(w.got) != 3 {
			t.Errorf("delivered %q:\n%s", w.got, diff)
		}
		for id, n := range w.ids {
			if n != 1 || !strings.HasPrefix(id, "msg_") {
				t.Errorf("%s was delivered %d times", id, n)
			}
		}
		w.got = nil
		w.mu.Unlock()
		w.close()
		w.open()
		w.want()
	})
}

// A hook is told what is recorded since it is there, of the chats and the users that it
// names.
func TestFilters(t *testing.T) {
	run(t, webhook.Options{Hooks: []webhook.Hook{}}, func(t *testing.T, w *world) {
		w.say("a", "alice", "before")
		w.engine.Close()
		time.Sleep(time.Second)
		w.o.Hooks = []webhook.Hook{
			{Name: "chat", Events: []string{"message"}, Chats: []chat.ID{"a"}}, {Name: "user", Events: []string{"message"}, Users: []chat.UserID{"bob"}},
			{Name: "other", Events: []string{"turn"}},
		}
		w.start()
		time.Sleep(time.Second)
		w.say("a", "alice", "one")
		w.say("b", "bob", "two")
		w.say("c", "carol", "three")
		w.want(`chat a #2 "one"`, `user b #1 "two"`)
		// One that is taken out of the settings is forgotten, and begins anew.
		hooks := w.o.Hooks
		w.engine.Close()
		w.o.Hooks = hooks[1:]
		w.start()
		w.say("a", "alice", "nobody is told")
		w.engine.Close()
		time.Sleep(time.Second)
		w.o.Hooks = hooks
		w.start()
		time.Sleep(time.Second)
		w.say("a", "alice", "told")
		w.want(`chat a #4 "told"`)
	})
}

// A delivery that fails is made again after delays that grow, and what comes behind it in
// the room waits. Other rooms do not.
func TestRetry(t *testing.T) {
	run(t, webhook.Options{RetryDelay: 4 * time.Second, RetryFor: time.Hour}, func(t *testing.T, w *world) {
		var attempts []time.Duration
		begun := time.Now()
		w.failing(func(d webhook.Delivery) error {
			if d.Chat == "a" && len(attempts) < 5 {
				attempts = append(attempts, time.Since(begun))
				return errors.New("500")
			}
			return nil
		})
		w.say("a", "alice", "one", "two")
		w.say("b", "bob", "three")
		w.want(`crm b #1 "three"`)
		time.Sleep(4 * time.Minute)
		w.want(`crm a #1 "one"`, `crm a #2 "two"`)
		for i := range attempts[1:] {
			pause, want := attempts[i+1]-attempts[i], 4*time.Second<<i
			if pause < want*3/4 || pause > want*5/4 {
				t.Errorf("pause %d took %v, want about %v", i, pause, want)
			}
		}
		if len(attempts) != 5 {
			t.Errorf("%d attempts", len(attempts))
		}
	})
}

// later is an endpoint that says when to come again.
type later struct{ time.Duration }

func (l later) Error() string        { return "503" }
func (l later) After() time.Duration { return l.Duration }

func TestRetryAfter(t *testing.T) {
	run(t, webhook.Options{RetryDelay: time.Second, RetryFor: time.Hour}, func(t *testing.T, w *world) {
		begun, tried := time.Now(), 0
		w.failing(func(webhook.Delivery) error {
			if tried++; tried == 1 {
				return fmt.Errorf("send: %w", later{time.Minute})
			}
			return nil
		})
		w.say("a", "alice", "one")
		time.Sleep(59 * time.Second)
		w.want()
		time.Sleep(2 * time.Second)
		w.want(`crm a #1 "one"`)
		if tried != 2 || time.Since(begun) > 62*time.Second {
			t.Errorf("%d attempts in %v", tried, time.Since(begun))
		}
	})
}

// Of a record that is told as two events the first is not sent again when the second fails.
func TestTwoEvents(t *testing.T) {
	hooks := []webhook.Hook{{Name: "crm", Events: []string{"note", "message"}}}
	run(t, webhook.Options{Hooks: hooks, RetryDelay: time.Second, RetryFor: time.Hour}, func(t *testing.T, w *world) {
		tried := 0
		w.failing(func(d webhook.Delivery) error {
			if tried++; d.Event == "message" && tried < 4 {
				return errors.New("500")
			}
			return nil
		})
		w.say("a", "alice", "one", "two")
		time.Sleep(time.Minute)
		w.want(`crm a #1 "one"`, `crm a #1 "one"`, `crm a #2 "two"`, `crm a #2 "two"`)
		if len(w.ids) != 4 || tried != 6 {
			t.Errorf("%d ids, %d attempts", len(w.ids), tried)
		}
	})
}

// A delivery that fails for too long becomes a dead letter, also after a restart, and the room goes on.
func TestDeadLetters(t *testing.T) {
	run(t, webhook.Options{RetryDelay: time.Second, RetryFor: time.Minute, MaxDead: 2}, func(t *testing.T, w *world) {
		refuse := func(d webhook.Delivery) error {
			if strings.Contains(string(d.Body), "bad") {
				return errors.New("400")
			}
			return nil
		}
		w.failing(refuse)
		w.say("a", "alice", "bad one", "good", "bad two")
		time.Sleep(5 * time.Minute)
		w.want(`crm a #2 "good"`)
		w.close()
		w.open()
		w.say("b", "bob", "bad three")
		time.Sleep(5 * time.Minute)
		w.want()
		dead := w.engine.Dead("crm")
		if len(dead) != 2 || dead[0].Seq != 3 || dead[1].Chat != "b" || dead[1].Error != "400" || dead[1].Attempts < 3 {
			t.Fatalf("dead letters: %+v", dead) // the oldest was dropped
		}
		if n, err := w.engine.Replay(t.Context(), "crm", ""); n != 0 || err == nil || len(w.engine.Dead("")) != 2 {
			t.Errorf("replayed to an endpoint that still fails: %d, %v", n, err)
		}
		w.failing(func(webhook.Delivery) error { return nil })
		if n, err := w.engine.Replay(t.Context(), "crm", dead[1].ID); n != 1 || err != nil {
			t.Errorf("replayed one: %d, %v", n, err)
		}
		if _, err := w.engine.Replay(t.Context(), "crm", dead[1].ID); err == nil {
			t.Error("replayed one twice")
		}
		w.want(`crm b #1 "bad three"`)
		done := make(chan error, 1)
		w.store.Delete(string(chat.ID("a").Room()), func(err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if n, err := w.engine.Replay(t.Context(), "crm", ""); n != 0 || err != nil || len(w.engine.Dead("")) != 0 {
			t.Errorf("replayed what was deleted: %d, %v, left %+v", n, err, w.engine.Dead(""))
		}
		w.close()
		w.open()
		if left := w.engine.Dead(""); len(left) != 0 {
			t.Errorf("left after a restart: %+v", left)
		}
	})
}

// A delivery that was not noted on the disk before a crash is made again, with the same id.
func TestCrash(t *testing.T) {
	run(t, webhook.Options{}, func(t *testing.T, w *world) {
		w.say("a", "alice", "one", "two")
		w.want(`crm a #1 "one"`, `crm a #2 "two"`)
		room := string(chat.ID("a").Room())
		w.engine.Close()
		done := make(chan error, 1)
		w.store.PutHook(room, "at/crm", []byte(`{"epoch":"e-a","seq":1}`), func(err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		w.start()
		time.Sleep(time.Second)
		w.want(`crm a #2 "two"`)
		if len(w.ids) != 2 {
			t.Errorf("ids %v", w.ids)
		}
	})
}

// More rooms than may wait are found in the log.
func TestBounded(t *testing.T) {
	run(t, webhook.Options{MaxWaiting: 4, AtOnce: 2, RetryDelay: time.Second, RetryFor: time.Hour}, func(t *testing.T, w *world) {
		down := true
		w.failing(func(webhook.Delivery) error {
			if down {
				return errors.New("down")
			}
			return nil
		})
		for i := range 50 {
			w.say(chat.ID(fmt.Sprint("c", i)), "alice", "x")
		}
		if s := w.engine.List()[0]; s.Waiting != 4 || s.Error != "down" {
			t.Errorf("status %+v", s)
		}
		w.mu.Lock()
		down = false
		w.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(w.ids) != 50 || len(w.got) != 50 {
			t.Errorf("%d of 50 were delivered, %d times", len(w.ids), len(w.got))
		}
		if s := w.engine.List()[0]; s.Waiting != 0 || s.Delivered != 50 || s.Error != "" {
			t.Errorf("status %+v", s)
		}
	})
}
