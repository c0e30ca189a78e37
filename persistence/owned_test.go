package persistence

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
)

func sharesOf(t *testing.T, s *Store) map[string]Share {
	t.Helper()
	shares := make(map[string]Share)
	for owned, err := range s.Shares() {
		if err != nil {
			t.Fatal(err)
		}
		shares[owned.Owner] = owned.Share
	}
	return shares
}

// The chats of others count for their owners, not for the members who list them.
func TestSharedChatsAreTheirOwners(t *testing.T) {
	s := openStore(t, newPath(t), Options{Quota: Quota{Chats: 2, Bytes: 1000}})
	shared := func(room string) *Chat { return &Chat{Room: room, Owner: "alice", Members: []string{"bob", "carol"}} }
	for _, room := range []string{"a", "b"} {
		mustAppend(t, s, Commit{Room: room, Limited: true, Chat: shared(room), Entries: entries(strings.Repeat("x", 400))})
	}
	for _, room := range []string{"c", "d"} {
		mustAppend(t, s, Commit{Room: room, Limited: true, Chat: chatOf(room, "bob"), Entries: entries(strings.Repeat("x", 400))})
	}
	writeBoltIn := func(value []byte) error {
		return s.disk.update(func(tx *bolt.Tx) (bool, error) { return true, tx.Bucket(bucketOwned).Put(prefix("bob"), value) })
	}
	want := sharesOf(t, s)
	if want["bob"] != want["alice"] || want["bob"].Chats != 2 || len(want) != 2 {
		t.Errorf("shares %v", want)
	}
	if err := writeBoltIn([]byte("damaged")); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Share("bob"); got != want["bob"] || err != nil {
		t.Errorf("added up: %+v, %v, want %+v", got, err, want["bob"])
	}
}

func chatOf(room, owner string) *Chat { return &Chat{Room: room, Owner: owner} }

// A limited commit is refused alone, with nothing changed. One that is not limited is
// accepted, and chats of nobody have no quota.
func TestQuota(t *testing.T) {
	s := openStore(t, newPath(t), Options{Quota: Quota{Chats: 2, Bytes: 1000}})
	appendWait := func(c Commit) error {
		done := make(chan error, 1)
		c.Limited = true
		s.Append(c, func(err error) { done <- err })
		return <-done
	}
	mustAppend(t, s, Commit{Room: "a", Limited: true, Chat: chatOf("a", "alice"), Entries: entries("x")})
	mustAppend(t, s, Commit{Room: "b", Limited: true, Chat: chatOf("b", "alice")})
	if err := appendWait(Commit{Room: "c", Chat: chatOf("c", "alice")}); !errors.Is(err, ErrChatQuota) {
		t.Errorf("a third chat: %v", err)
	}
	mustAppend(t, s, Commit{Room: "b", Limited: true, Chat: &Chat{Room: "b", Owner: "alice", Info: []byte("again")}})
	if err := appendWait(Commit{Room: "a", After: 1, Entries: entries(strings.Repeat("x", 1000))}); !errors.Is(err, ErrByteQuota) {
		t.Errorf("a long entry: %v", err)
	}
	if last, err := s.Last("a"); last != 1 || err != nil {
		t.Errorf("the log ends at %d, %v", last, err)
	}
	mustAppend(t, s, Commit{Room: "a", After: 1, Entries: entries(strings.Repeat("x", 1000))}) // not limited
	if err := appendWait(Commit{Room: "b", Entries: entries("")}); !errors.Is(err, ErrByteQuota) {
		t.Errorf("after that a short entry: %v", err)
	}
	for i := range 5 {
		room := fmt.Sprint("nobody-", i)
		mustAppend(t, s, Commit{Room: room, Limited: true, Chat: chatOf(room, ""), Entries: entries(strings.Repeat("x", 1000))})
		mustAppend(t, s, Commit{Room: room + "s", Limited: true, Entries: entries(strings.Repeat("x", 1000))}) // without a chat
	}
	mustAppend(t, s, Commit{Room: "bobs", Limited: true, Chat: chatOf("bobs", "bob"), Entries: entries(strings.Repeat("x", 900))})
	if err := deleteWait(s, "a"); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, Commit{Room: "c", Limited: true, Chat: chatOf("c", "alice"), Entries: entries(strings.Repeat("x", 900))})
}

// A chat that changes hands takes its bytes along.
func TestSharesAreKept(t *testing.T) {
	path := newPath(t)
	s := openStore(t, path, Options{})
	const row = 1 + 1 + 8 + sealLen
	mustAppend(t, s, Commit{Room: "a", Entries: entries("1234567890")}) // without a chat
	mustAppend(t, s, Commit{Room: "b", Chat: chatOf("b", "bob"), Entries: entries("1")})
	mustAppend(t, s, Commit{Room: "a", After: 1, Chat: chatOf("a", "alice"), Entries: entries("1"), Keys: []Key{{"k", 2}}, Messages: []Key{{"m", 2}}})
	want := map[string]Share{"alice": {1, 4*row + 10 + 1 + 2}, "bob": {1, row + 1}}
	if diff := cmp.Diff(want, sharesOf(t, s)); diff != "" {
		t.Errorf("shares (-want +got):\n%s", diff)
	}
	mustAppend(t, s, Commit{Room: "a", After: 2, Chat: chatOf("a", "bob"), Entries: entries(""), Messages: []Key{{"m", 3}}})
	if diff := cmp.Diff(map[string]Share{"bob": {2, 6*row + 14}}, sharesOf(t, s)); diff != "" {
		t.Errorf("shares after a change of the owner (-want +got):\n%s", diff)
	}
	if err := errors.Join(deleteWait(s, "a"), deleteWait(s, "b")); err != nil {
		t.Error(err)
	}
	if got := sharesOf(t, s); len(got) != 0 {
		t.Errorf("shares after all was deleted: %v", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantSound(t, path)
}

// A chat whose row is damaged is taken off its owner's bytes when it is deleted or its
// row is replaced.
func TestSharesOfDamagedChats(t *testing.T) {
	path := newPath(t)
	s := openStore(t, path, Options{})
	for _, room := range []string{"a", "b", "c"} {
		shared := &Chat{Room: room, Owner: "alice", Members: []string{"aaron", "zoe"}} // before and behind her
		mustAppend(t, s, Commit{Room: room, Chat: shared, Entries: entries("1")})
	}
	want := sharesOf(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	writeBolt(t, path, func(tx *bolt.Tx) error {
		return errors.Join(tx.Bucket(bucketChats).Put([]byte("a"), []byte("x")), tx.Bucket(bucketChats).Put([]byte("b"), []byte("x")))
	})
	s = openStore(t, path, Options{})
	if err := deleteWait(s, "a"); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, Commit{Room: "b", After: 1, Chat: chatOf("b", "bob")})
	for user, want := range map[string]int{"alice": 1, "aaron": 1, "zoe": 1, "bob": 1} {
		if page, total, err := s.Chats(user, 0, 10); len(page) != want || total != want || err != nil {
			t.Errorf("%s has %d chats, %d in all, %v, want %d", user, len(page), total, err, want)
		}
	}
	if diff := cmp.Diff(map[string]Share{"alice": {1, want["alice"].Bytes / 3}, "bob": {1, want["alice"].Bytes / 3}}, sharesOf(t, s)); diff != "" {
		t.Errorf("shares (-want +got):\n%s", diff)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantSound(t, path)
}

// A number that is damaged or wrong is reported. A damaged one is added up from the rows
// by the next commit.
func TestDamagedShares(t *testing.T) {
	path := newPath(t)
	s := openStore(t, path, Options{})
	for i := range uint64(3) {
		for _, room := range []string{"a", "b"} {
			mustAppend(t, s, Commit{Room: room, After: i, Chat: chatOf(room, "alice"), Entries: entries("1")})
		}
	}
	mustAppend(t, s, Commit{Room: "c", Chat: chatOf("c", "carol"), Entries: entries("1")})
	want := sharesOf(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for what, value := range map[string][]byte{"damaged": []byte("x"), "wrong": sealShare(prefix("alice"), Share{2, 1}), "none": nil} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		changed := filepath.Join(t.TempDir(), "changed.db")
		if err := os.WriteFile(changed, data, 0o600); err != nil {
			t.Fatal(err)
		}
		writeBolt(t, changed, func(tx *bolt.Tx) error {
			if value == nil {
				return tx.Bucket(bucketOwned).Delete(prefix("alice"))
			}
			return tx.Bucket(bucketOwned).Put(prefix("alice"), value)
		})
		if faults, err := checkAll(changed); len(faults) != 1 || !strings.Contains(faults[0], `"alice"`) || err != nil {
			t.Errorf("%s: Check finds %q, %v", what, faults, err)
		}
		if what != "damaged" {
			continue
		}
		s := openStore(t, changed, Options{})
		if got, err := s.Share("alice"); got != want["alice"] || err != nil {
			t.Errorf("alice has %+v, %v, want %+v", got, err, want["alice"])
		}
		mustAppend(t, s, Commit{Room: "a", After: 3, Entries: entries("1")})
		if err := deleteWait(s, "b"); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		wantSound(t, changed)
	}
}

// The shares in a file of version 5 are added up, once.
func TestVersion5IsMigrated(t *testing.T) {
	path := newPath(t)
	s := openStore(t, path, Options{})
	for i := range 50 {
		room := fmt.Sprint("room-", i)
		mustAppend(t, s, Commit{Room: room, Chat: chatOf(room, fmt.Sprint("owner-", i%7)), Entries: entries(strings.Repeat("x", i))})
	}
	want := sharesOf(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	writeBolt(t, path, func(tx *bolt.Tx) error {
		return putBack(tx, 5)
	})
	for range 2 {
		s := openStore(t, path, Options{})
		if diff := cmp.Diff(want, sharesOf(t, s)); diff != "" {
			t.Errorf("shares (-want +got):\n%s", diff)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		wantSound(t, path)
	}
}

// A migration that stops after any chat goes on behind it.
func TestSizingGoesOn(t *testing.T) {
	path := newPath(t)
	s := openStore(t, path, Options{})
	for i := range 5 {
		room := fmt.Sprint("room-", i)
		mustAppend(t, s, Commit{Room: room, Chat: chatOf(room, "alice"), Entries: entries("x")})
	}
	want := sharesOf(t, s)
	err := s.disk.update(func(tx *bolt.Tx) (bool, error) {
		room := "room-2"
		return true, errors.Join(
			tx.Bucket(bucketMeta).Put(keySizing, []byte(room)),
			addToShare(tx, "alice", Share{-2, -bytesIn(tx, "room-3") - bytesIn(tx, "room-4")}),
		)
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, path, Options{})
	if diff := cmp.Diff(want, sharesOf(t, s)); diff != "" {
		t.Errorf("shares (-want +got):\n%s", diff)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
