package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"parlor/actors/conversation"
	"parlor/actors/door"
	"parlor/persistence"
	"parlor/protocol/chat"
	"parlor/transport/auth"
	"parlor/transport/durable"
)

// A talk is what a test lets people say in a chat.
type talk struct {
	id    chat.ID
	owner chat.UserID
	log   []chat.Event
}

func (k *talk) say(by chat.User, text string) *talk {
	id := chat.MessageID(fmt.Sprintf("%s-m%d", k.id, len(k.log)))
	turn := chat.TurnID("t-" + id)
	k.log = append(k.log,
		chat.MessageAdded{MessageID: id, Author: by, Content: text, ModelID: "m", ClientID: chat.ClientID(id), Mentions: []chat.UserID{"mallory"}, Files: []chat.File{{ID: "f1", Name: "secret.txt", By: by.ID}}},
		chat.TurnQueued{TurnID: turn, Prompt: id, PromptSeq: uint64(len(k.log) + 2), ModelID: "m", By: by.ID},
		chat.TurnStarted{TurnID: turn, MessageID: "a-" + id, ModelID: "m", Attempt: 1},
		chat.TurnEnded{TurnID: turn, MessageID: "a-" + id, Prompt: id, PromptSeq: uint64(len(k.log) + 2), ModelID: "m", State: chat.StateCompleted, Content: "an answer", Usage: &chat.Usage{PromptTokens: 3, CompletionTokens: 4, TotalTokens: 7}},
	)
	return k
}

func (k *talk) join(m chat.Member) *talk {
	k.log = append(k.log, chat.MemberChanged{Member: m, By: k.owner})
	return k
}

func (k *talk) records(t *testing.T) []chat.Record {
	t.Helper()
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	info := chat.Info{ID: k.id, Room: k.id.Room(), Owner: k.owner, OwnerName: "Owner", ModelID: "m", Epoch: "e", Created: created}
	records := []chat.Record{{Seq: 1, At: created, Event: chat.Created{Chat: info}}}
	for i, e := range k.log {
		records = append(records, chat.Record{Seq: uint64(i) + 2, At: created.Add(time.Duration(i) * time.Second), Event: e})
	}
	return records
}

// storeOf makes a data file with talks.
func storeOf(t *testing.T, data string, talks ...*talk) {
	t.Helper()
	store, err := openForImport(&Settings{Values: Values{Data: data}}, persistence.Quota{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	i := &importer{ctx: t.Context(), store: store}
	for _, k := range talks {
		c, err := fold(k.records(t))
		if err == nil {
			err = i.write(c)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

var (
	mallory = chat.User{ID: "mallory", Name: "Mallory M.", Email: "mallory@example.com"}
	bob     = chat.User{ID: "bob", Name: "Bob"}
)

func talks() []*talk {
	alone := (&talk{id: "alone", owner: "mallory"}).say(mallory, "what mallory thinks")
	passed := (&talk{id: "passed", owner: "mallory"}).say(mallory, "what mallory thinks").join(chat.Member{ID: "viewer", Role: chat.RoleViewer}).
		join(chat.Member{ID: "bob", Name: "Bob", Role: chat.RoleMember}).join(chat.Member{ID: "carol", Role: chat.RoleMember}).say(bob, "what bob thinks of it")
	other := (&talk{id: "other", owner: "bob"}).join(chat.Member{ID: "mallory", Name: "Mallory M.", Role: chat.RoleMember}).say(mallory, "what mallory thinks").say(bob, "what bob thinks of it")
	former := (&talk{id: "former", owner: "bob"}).join(chat.Member{ID: "mallory", Name: "Mallory M.", Role: chat.RoleMember}).say(mallory, "what mallory thinks").join(chat.Member{ID: "mallory"})
	apart := (&talk{id: "apart", owner: "carol"})
	apart.log = append(apart.log, chat.MessageAdded{MessageID: "x", Author: chat.User{ID: "carol"}, Content: "nothing of it", ModelID: "m"})
	return []*talk{alone, passed, other, former, apart}
}

// A user who is deleted is in no chat any more: what the user has said says "deleted", the
// user's chats belong to the member who has been there longest or are gone, and the file is
// sound. What others have said stays.
func TestUserDelete(t *testing.T) {
	data := filepath.Join(t.TempDir(), "parlor.db")
	storeOf(t, data, talks()...)
	if status, _, errs := runIn(t, nil, "user", "add", "mallory", "--data="+data, "--email=mallory@example.com"); status != 0 {
		t.Fatal(errs)
	}
	if status, out, _ := runIn(t, nil, "user", "delete", "mallory", "--data="+data); status == 0 || strings.Contains(out, "done") {
		t.Fatalf("without --yes: status %d, %q", status, out)
	}
	status, out, errs := runIn(t, nil, "user", "delete", "mallory", "--yes", "--data="+data)
	if status != 0 || !strings.Contains(out, "3 chats rewritten, 1 of them passed on, 1 deleted") {
		t.Fatalf("status %d, %q, %q", status, out, errs)
	}
	_, exported, _ := runIn(t, nil, "export", "--data="+data)
	for text, want := range map[string]int{
		"mallory": 0, "Mallory": 0, "what mallory thinks": 0, "what bob thinks of it": 2, `"content":"deleted"`: 3, "an answer": 5, "nothing of it": 1,
		`"chat_id":"alone"`: 0, "secret.txt": 2, // bob's
	} {
		if got := strings.Count(exported, text); got != want {
			t.Errorf("%q is there %d times, want %d", text, got, want)
		}
	}
	store, err := openForImport(&Settings{Values: Values{Data: data}}, persistence.Quota{})
	if err != nil {
		t.Fatal(err)
	}
	row, err := store.Chat(string(chat.ID("passed").Room()))
	info, _ := conversation.ReadRow(row)
	if err != nil || info.Owner != "bob" || info.RoleOf("viewer") == "" || len(info.Members) != 2 {
		t.Errorf("the chat passed to %+v, %v", info, err)
	}
	for _, list := range []string{"mallory", "bob"} {
		_, total, err := store.Chats(list, 0, 0)
		if want := map[string]int{"bob": 3}[list]; err != nil || total != want {
			t.Errorf("%s has %d chats, want %d, %v", list, total, want, err)
		}
	}
	var audit [][]byte
	err = store.EachAudit(0, 10, func(_ uint64, value []byte) { audit = append(audit, value) })
	if err != nil || len(audit) != 1 || !bytes.Contains(audit[0], []byte(`"outcome":"done"`)) {
		t.Errorf("the audit log has %s, %v", audit, err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if status, out, errs := runIn(t, nil, "check", "--data="+data); status != 0 {
		t.Errorf("check: %q, %q", out, errs)
	}
	if _, list, _ := runIn(t, nil, "user", "list", "--data="+data); strings.Contains(list, "mallory") {
		t.Errorf("the account is there: %s", list)
	}
	if _, out, _ := runIn(t, nil, "user", "delete", "mallory", "--yes", "--data="+data); !strings.Contains(out, "0 chats rewritten, 0 of them passed on, 0 deleted") {
		t.Errorf("a second time: %q", out)
	}
	fresh := filepath.Join(t.TempDir(), "fresh.db")
	if status, _, errs := runIn(t, nil, "import", "--data="+fresh, writeLines(t, strings.Split(strings.TrimSpace(exported), "\n"))); status != 0 {
		t.Errorf("what is left cannot be imported: %s", errs)
	}
}

// A chat that cannot be read is named, and what the user has cost in it stays noted; the other
// chats are rewritten, and the command can be repeated.
func TestUserDeleteOfDamaged(t *testing.T) {
	data := filepath.Join(t.TempDir(), "parlor.db")
	storeOf(t, data, talks()...)
	room := string(chat.ID("passed").Room())
	store, err := openForImport(&Settings{Values: Values{Data: data}}, persistence.Quota{})
	if err != nil {
		t.Fatal(err)
	}
	_, last, err := store.Head(room)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	store.Append(persistence.Commit{Room: room, After: last, Entries: [][]byte{[]byte(`{"type":"of tomorrow","data":{}}`)}}, func(err error) { done <- err })
	if err := errors.Join(<-done, store.Close()); err != nil {
		t.Fatal(err)
	}
	status, _, errs := runIn(t, nil, "user", "delete", "mallory", "--yes", "--data="+data)
	if status != 1 || !strings.Contains(errs, room) || !strings.Contains(errs, "of tomorrow") && !strings.Contains(errs, "unknown event") {
		t.Errorf("status %d, %q", status, errs)
	}
	_, exported, _ := runIn(t, nil, "export", "--data="+data)
	if got := strings.Count(exported, "what mallory thinks"); got != 1 {
		t.Errorf("what mallory thinks is in %d chats, want 1", got)
	}
	if store, err = openForImport(&Settings{Values: Values{Data: data}}, persistence.Quota{}); err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	paid := false
	for c := range store.ChargesOf("mallory", 0, persistence.EndOfHours) {
		paid = paid || c.Room == room
	}
	if !paid {
		t.Error("nobody is noted as having paid for what mallory has cost there")
	}
}

// The export of a user has the user's words and account, and of others only their answers to
// the user and what is in the user's own chats. Secrets are not in it.
func TestUserExport(t *testing.T) {
	data := filepath.Join(t.TempDir(), "parlor.db")
	storeOf(t, data, talks()...)
	runIn(t, nil, "user", "add", "mallory", "--data="+data, "--email=mallory@example.com")
	status, out, errs := runIn(t, nil, "user", "export", "mallory", "--data="+data)
	if status != 0 {
		t.Fatalf("status %d, %q", status, errs)
	}
	for text, want := range map[string]int{
		"what mallory thinks": 4, "an answer": 5, "what bob thinks of it": 1, "nothing of it": 0, "mallory@example.com": 1, `"hash"`: 0, "argon2": 0,
		`"usage"`: 4, `{"end":{"chats":4,"messages":10}}`: 1,
	} {
		if got := strings.Count(out, text); got != want {
			t.Errorf("%q is there %d times, want %d", text, got, want)
		}
	}
	for line := range strings.Lines(out) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
}

// A deletion that is killed at any moment goes on with the same command: then the file is
// sound, and nothing of the user is left in it.
func TestUserDeleteKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	var many []*talk
	for i := range 400 {
		id, owner := chat.ID(fmt.Sprint("chat-", i)), chat.UserID([]string{"mallory", "bob"}[i%2])
		k := (&talk{id: id, owner: owner}).join(chat.Member{ID: "carol", Role: chat.RoleMember})
		if owner == "bob" {
			k.join(chat.Member{ID: "mallory", Role: chat.RoleMember})
		}
		many = append(many, k.say(mallory, "what mallory thinks").say(bob, "what bob thinks of it"))
	}
	whole, data := filepath.Join(t.TempDir(), "whole.db"), filepath.Join(t.TempDir(), "cut.db")
	storeOf(t, whole, many...)
	storeOf(t, data, many...)
	deleteIn := func(data string) *exec.Cmd {
		return parlorCmd(t.Context(), "user", "delete", "mallory", "--yes", "--data="+data)
	}
	kills := killedIn(t, deleteIn, whole, data, 10, func(kill int) {
		if status, out, errs := runIn(t, nil, "check", "--data="+data); status != 0 {
			t.Fatalf("after kill %d: %q, %q", kill, out, errs)
		}
	})
	if out, err := deleteIn(data).CombinedOutput(); err != nil || kills == 0 {
		t.Fatalf("%v after %d kills: %s", err, kills, out)
	}
	_, exported, _ := runIn(t, nil, "export", "--data="+data)
	if strings.Contains(exported, "mallory") || strings.Count(exported, "what bob thinks of it") != len(many) {
		t.Error("mallory is there, or bob has lost something")
	}
}

// A user of whom there is a note is taken out at the start, and the note with the user. One
// who is let in again before is not.
func TestUserIsDeletedLater(t *testing.T) {
	data := filepath.Join(t.TempDir(), "parlor.db")
	storeOf(t, data, talks()...)
	for _, id := range []string{"mallory", "bob"} {
		if status, _, errs := runIn(t, nil, "user", "add", id, "--data="+data); status != 0 {
			t.Fatal(errs)
		}
	}
	s := &server{Settings: Settings{Values: Values{Data: data}}, log: slog.New(slog.DiscardHandler)}
	open := func() {
		t.Helper()
		var err error
		if s.store, err = openStore(&s.Settings, s.log, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	open()
	for _, id := range []chat.UserID{"mallory", "bob"} {
		if err := deleteLater(t.Context(), s.store, id); err != nil {
			t.Fatal(err)
		}
	}
	s.store.Close()
	if status, _, errs := runIn(t, nil, "user", "enable", "bob", "--data="+data); status != 0 {
		t.Fatal(errs)
	}
	for range 2 { // the second time there is nothing left to do
		open()
		if err := s.deleteUsers(t.Context()); err != nil {
			t.Fatal(err)
		}
		notes := 0
		err := s.store.EachAccount(func(key string, _ []byte) {
			if strings.HasPrefix(key, keyErasures) {
				notes++
			}
		})
		if notes > 0 || err != nil {
			t.Errorf("%d notes, %v", notes, err)
		}
		s.store.Close()
	}
	_, exported, _ := runIn(t, nil, "export", "--data="+data)
	if strings.Contains(exported, "mallory") || strings.Count(exported, "what bob thinks of it") != 2 {
		t.Errorf("exported %s", exported)
	}
}

// One who could not be shut out is not deleted either, and one who was linked to somebody
// else meanwhile can be kept.
func TestUserIsNotDeleted(t *testing.T) {
	open := func() *persistence.Store {
		t.Helper()
		store, err := persistence.Open(filepath.Join(t.TempDir(), "parlor.db"), persistence.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		return store
	}
	kept, failing, settings := open(), open(), new(Settings)
	accounts, err := auth.OpenAccounts(settings.accounts(failing, slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	notes := func() (n int) {
		if err := kept.EachAccount(func(string, []byte) { n++ }); err != nil {
			t.Error(err)
		}
		return n
	}
	u := users{accounts: accounts, devices: new(door.Devices), store: kept}
	for _, id := range []chat.UserID{"bob", "robert"} {
		if _, err := accounts.Do(t.Context(), auth.Command{Action: "user add", User: id}); err != nil {
			t.Fatal(err)
		}
	}
	if err := u.Delete(t.Context(), "bob"); err != nil || notes() != 1 {
		t.Fatalf("%v, %d notes", err, notes())
	}
	if _, err := accounts.Do(t.Context(), auth.Command{Action: "user link", User: "bob", Person: "robert"}); err != nil {
		t.Fatal(err)
	}
	if _, err := doCommand(t.Context(), accounts, kept, auth.Command{Action: "user enable", User: "bob"}); err != nil || notes() != 0 {
		t.Errorf("%v, %d notes", err, notes())
	}
	failing.Close()
	if err := u.Delete(t.Context(), "robert"); err == nil || notes() != 0 {
		t.Errorf("%v, %d notes", err, notes())
	}
}

// A deletion that is cut anywhere takes the other ids of the person along when it goes on.
func TestCutDeletionFindsOtherIDs(t *testing.T) {
	cut := true
	for n := int32(1); cut; n++ {
		ctx, cancel := context.WithCancel(t.Context())
		var left atomic.Int32
		store, err := persistence.Open(filepath.Join(t.TempDir(), "parlor.db"), persistence.Options{Committed: func(int, time.Duration, error) {
			if left.Add(-1) == 0 {
				cancel()
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		for key, value := range map[string]string{"user/alice": `{"user_id": "alice"}`, "user/robert": `{"user_id": "robert"}`, "link/x": `{"user_id": "robert", "person": "alice"}`} {
			if err := durable.Wait(t.Context(), func(done func(error)) { store.PutAccount(key, []byte(value), done) }); err != nil {
				t.Fatal(err)
			}
		}
		left.Store(n)
		_, err = eraseUser(ctx, store, "alice")
		cut = err != nil
		if _, err := eraseUser(t.Context(), store, "alice"); err != nil {
			t.Fatal(err)
		}
		if err := store.EachAccount(func(key string, _ []byte) { t.Errorf("cut after %d changes: %s is there", n, key) }); err != nil {
			t.Error(err)
		}
		store.Close()
		cancel()
	}
}
