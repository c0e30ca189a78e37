package persistence

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
	"pgregory.net/rapid"
)

// dump returns all rows of a store.
func dump(t testing.TB, s *Store) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := s.disk.view(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			all[string(name)] = fmt.Sprint("sequence ", b.Sequence())
			return b.ForEach(func(k, v []byte) error {
				all[string(name)+" "+string(k)] = string(v)
				return nil
			})
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func apply(t testing.TB, s *Store, index uint64, commands ...Command) []error {
	t.Helper()
	refused, err := s.Apply(index, commands)
	if err != nil {
		t.Fatal(err)
	}
	return refused
}

// Stores that apply the same commands hold the same, row by row, however the commands come
// together, and so does a store that makes these changes by itself.
func TestStoresThatApplyTheSame(t *testing.T) {
	dir, n := t.TempDir(), 0
	rapid.Check(t, func(rt *rapid.T) {
		commands := rapid.SliceOfN(rapid.Custom(drawCommand), 1, 40).Draw(rt, "commands")
		n++
		var stores [3]*Store
		for i := range stores {
			stores[i] = openStore(t, filepath.Join(dir, fmt.Sprint(n, "-", i)), Options{Replicated: i < 2})
			defer stores[i].Close()
		}
		one, other, alone := stores[0], stores[1], stores[2]
		apply(t, one, 1, SetEpoch("epoch"))
		apply(t, other, 1, SetEpoch("epoch"))
		var refused, refusedToo []error
		for i, c := range commands {
			refused = append(refused, apply(t, one, uint64(i+2), c)...)
		}
		for rest := commands; len(rest) > 0; {
			size := rapid.IntRange(1, len(rest)).Draw(rt, "batch")
			var batch []Command
			for _, c := range rest[:size] {
				decoded, err := DecodeCommand(c.Append(nil))
				if err != nil {
					rt.Fatal(err)
				}
				batch = append(batch, decoded)
			}
			rest = rest[size:]
			index := uint64(len(commands) - len(rest) + 1)
			refusedToo = append(refusedToo, apply(t, other, index, batch...)...)
			if again := apply(t, other, index, batch...); again != nil {
				rt.Fatalf("applied again: %v", again)
			}
		}
		if diff := cmp.Diff(fmt.Sprint(refused), fmt.Sprint(refusedToo)); diff != "" {
			rt.Error(diff)
		}
		if diff := cmp.Diff(dump(t, one), dump(t, other)); diff != "" {
			rt.Error("in other batches:\n" + diff)
		}
		for i, c := range commands {
			if errors.Is(refused[i], ErrStale) || errors.Is(refused[i], ErrFenced) {
				continue
			}
			done := make(chan error, 1)
			alone.enqueue(&request{change: c.change, done: func(err error) { done <- err }})
			if err := <-done; fmt.Sprint(err) != fmt.Sprint(refused[i]) {
				rt.Errorf("%T: %v, and alone %v", c.change, refused[i], err)
			}
		}
		notMeta := func(k, _ string) bool { return strings.HasPrefix(k, "meta ") }
		replicated, local := dump(t, one), dump(t, alone)
		maps.DeleteFunc(replicated, notMeta)
		maps.DeleteFunc(local, notMeta)
		if diff := cmp.Diff(replicated, local); diff != "" {
			rt.Error("alone:\n" + diff)
		}
	})
}

// A command happens once, and only while its node has the slot.
func TestFence(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "parlor.db"), Options{Replicated: true})
	index := uint64(0)
	say := func(node string, life, number, epoch, after uint64) error {
		index++
		c := Commit{Room: "room", After: after, Entries: entries("words")}
		return apply(t, s, index, Command{&Fence{node, life, number, 1, epoch}, &appendCommit{Commit: c}})[0]
	}
	assign := func(epoch uint64, node string) error {
		index++
		return apply(t, s, index, AssignSlot(1, epoch, node))[0]
	}
	for i, step := range []struct {
		got, want error
	}{
		{say("n1", 1, 1, 0, 0), ErrFenced},
		{assign(1, "n1"), nil},
		{assign(1, "n2"), ErrFenced},
		{say("n1", 1, 1, 1, 0), ErrStale}, // it was refused, and that stays so
		{say("n1", 1, 2, 1, 0), nil},
		{say("n1", 1, 2, 1, 0), ErrStale},
		{say("n1", 1, 2, 1, 1), ErrStale},
		{say("n1", 1, 4, 1, 1), nil},
		{say("n1", 1, 3, 1, 2), ErrStale}, // overtaken
		{say("n1", 2, 1, 1, 2), nil},
		{say("n1", 1, 9, 1, 3), ErrStale}, // of the life before
		{assign(2, "n2"), nil},
		{say("n1", 2, 2, 1, 0), ErrFenced}, // and not that it conflicts
		{say("n1", 2, 3, 2, 3), ErrFenced},
		{say("n2", 1, 1, 2, 3), nil},
		{say("n2", 1, 2, 2, 3), ErrConflict},
		{say("n2", 1, 3, 2, 4), nil},
	} {
		if !errors.Is(step.got, step.want) {
			t.Errorf("step %d: %v, want %v", i, step.got, step.want)
		}
	}
	if slots, err := s.Slots(); err != nil || len(slots) != 1 || slots[1] != (Slot{"n2", 2}) {
		t.Errorf("slots %v, %v", slots, err)
	}
	if err := do(func(done func(error)) { s.PutSession("key", nil, done) }); !errors.Is(err, ErrInvalid) {
		t.Errorf("a change past the log: %v, want ErrInvalid", err)
	}
}

func do(write func(done func(error))) error {
	done := make(chan error, 1)
	write(func(err error) { done <- err })
	return <-done
}

// A copy takes the place of what was there, with its epoch and its index, while it is read. What
// is no whole copy changes nothing.
func TestRestore(t *testing.T) {
	dir := t.TempDir()
	from := openStore(t, filepath.Join(dir, "from"), Options{Replicated: true})
	to := openStore(t, filepath.Join(dir, "to"), Options{Replicated: true})
	apply(t, from, 1, SetEpoch("epoch"), Command{change: &appendCommit{Commit: Commit{Room: "room", Entries: entries("one", strings.Repeat("x", 50_000))}}})
	apply(t, to, 1, Command{change: &putAccount{"key", []byte("value")}})
	b, err := from.Backup()
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if _, err := b.WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	b.Close()
	apply(t, from, 2, Command{change: &deleteRoom{"room"}})
	before := dump(t, to)
	broken := bytes.Clone(file.Bytes())
	copy(broken[bytes.Index(broken, []byte("xxxxxxxxxx")):], "damaged")
	for name, r := range map[string]io.Reader{"short": bytes.NewReader(file.Bytes()[:file.Len()/2]), "damaged": bytes.NewReader(broken), "empty": new(bytes.Buffer), "other": strings.NewReader("words")} {
		if err := to.Restore(r); err == nil {
			t.Errorf("%s: it is taken", name)
		}
		if diff := cmp.Diff(before, dump(t, to)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if err := to.Restore(&file); err != nil {
		t.Fatal(err)
	}
	index, err := to.Applied()
	if to.Epoch() != "epoch" || index != 1 || err != nil {
		t.Errorf("epoch %q, index %d, %v", to.Epoch(), index, err)
	}
	if refused := apply(t, to, 1, Command{change: &deleteRoom{"room"}}); refused != nil {
		t.Errorf("applied again: %v", refused)
	}
	apply(t, to, 2, Command{change: &deleteRoom{"room"}})
	if diff := cmp.Diff(dump(t, from), dump(t, to)); diff != "" {
		t.Error(diff)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*restore*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if err := to.Close(); err != nil {
		t.Error(err)
	}
	if _, err := to.Apply(3, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "to")); err != nil {
		t.Error(err)
	}
}

// The values of a copy that is encrypted are read with the operator's keys, and without them it
// is refused.
func TestRestoreOfAnEncryptedCopy(t *testing.T) {
	dir, ring := t.TempDir(), testRing(t, testKey("one", 'o'))
	from := openStore(t, filepath.Join(dir, "from"), Options{Replicated: true, Keys: ring})
	apply(t, from, 1, SetEpoch("epoch"), Command{change: &appendCommit{Commit: Commit{Room: "room", Entries: entries("one", strings.Repeat("x", 50_000))}}})
	b, err := from.Backup()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var file bytes.Buffer
	if _, err := b.WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	plain := openStore(t, filepath.Join(dir, "plain"), Options{Replicated: true})
	if err := plain.Restore(bytes.NewReader(file.Bytes())); !errors.Is(err, ErrKey) {
		t.Errorf("without the key: %v, want ErrKey", err)
	}
	to := openStore(t, filepath.Join(dir, "to"), Options{Replicated: true, Keys: ring})
	if err := to.Restore(&file); err != nil {
		t.Fatal(err)
	}
	apply(t, to, 2, Command{change: &appendCommit{Commit: Commit{Room: "room", After: 2, Entries: entries("three")}}})
	for i := range 2 {
		if diff := cmp.Diff([]string{"one", strings.Repeat("x", 50_000), "three"}, contents(t, to, "room")); diff != "" {
			t.Errorf("time %d: %s", i, diff)
		}
		if err := to.Close(); err != nil {
			t.Fatal(err)
		}
		to = openStore(t, filepath.Join(dir, "to"), Options{Replicated: true, Keys: ring})
	}
}
