package persistence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
)

// checkedBbolt is the version of bbolt whose sources this package was compared
// with. What it relies on is private to bbolt.
const checkedBbolt = "v1.5.0"

const whatToCompare = `This package reads bbolt's pages itself, and relies on what bbolt does in a commit.
Compare these files of the new bbolt with ours, run all tests of this package, and put the version into checkedBbolt:
  internal/common/page.go, inode.go, bucket.go: headers, elements, flags, inline buckets   scan.go
  internal/common/meta.go: fields and checksum of the root pages                           check.go (validRoot), freelist.go (listOf)
  node.go, splitTwo and splitIndex: which rows share a leaf                                large.go
  internal/freelist/shared.go, Read and Write: the list of free pages                      freelist.go
  tx.go, Commit: pages, sync, root page, sync; when NoFreelistSync is read                 disk.go, freelist.go (keepFreeList)
  tx.go, WriteTo: the two root pages come first                                            backup.go (metaPages)
  db.go, Open and mmap: which goroutines follow pages, what waits for readers              format.go (examine), disk.go, mend.go`

// A new bbolt may lay pages out in another way, so somebody has to look.
func TestBboltWasLookedAt(t *testing.T) {
	data, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := "none"
	if m := regexp.MustCompile(`(?m)^\s*(?:require\s+)?go\.etcd\.io/bbolt (\S+)`).FindSubmatch(data); m != nil {
		version = string(m[1])
	}
	if version != checkedBbolt {
		t.Errorf("go.mod requires bbolt %s, the version that was compared is %s.\n%s", version, checkedBbolt, whatToCompare)
	}
	if regexp.MustCompile(`(?m)go\.etcd\.io/bbolt.*=>`).Match(data) {
		t.Errorf("go.mod replaces bbolt.\n%s", whatToCompare)
	}
}

// The flags of root pages, which [newScan] does not look at.
const metaFlag = 4

// A rawFile is a file that is read with the constants of scan.go and freelist.go
// alone.
type rawFile struct {
	data []byte
	size int // of a page
	kind map[int]string
	rows map[string]string // bucket 0x00 key → value
}

// meta returns the newer of the root pages, without its header.
func (f *rawFile) meta(t *testing.T) []byte {
	t.Helper()
	newest := []byte(nil)
	for i := range 2 {
		page := f.data[i*f.size:]
		if id := binary.NativeEndian.Uint64(page); id != uint64(i) {
			t.Errorf("root page %d says that it is page %d", i, id)
		}
		if flags := binary.NativeEndian.Uint16(page[8:]); flags != metaFlag {
			t.Errorf("root page %d has flags %#x, want %#x", i, flags, metaFlag)
		}
		if !validRoot(page) {
			t.Errorf("root page %d: the checksum is not where validRoot looks", i)
		}
		meta := page[pageHeaderLen:]
		got := [3]uint32{binary.NativeEndian.Uint32(meta), binary.NativeEndian.Uint32(meta[4:]), binary.NativeEndian.Uint32(meta[8:])}
		if want := [3]uint32{0xED0CDAED, 2, uint32(f.size)}; got != want {
			t.Errorf("root page %d has magic, version, page size %#x, want %#x", i, got, want)
		}
		const txid = 48
		if newest == nil || binary.NativeEndian.Uint64(meta[txid:]) > binary.NativeEndian.Uint64(newest[txid:]) {
			newest = meta
		}
	}
	f.kind[0], f.kind[1] = "meta", "meta"
	return newest
}

// walk reads a page of a tree and all pages below it. bucket is "" in the tree of
// the root.
func (f *rawFile) walk(id int, bucket string) error {
	page := f.data[id*f.size:]
	page = page[:(1+int(binary.NativeEndian.Uint32(page[12:])))*f.size]
	if got := binary.NativeEndian.Uint64(page); got != uint64(id) {
		return fmt.Errorf("page %d says that it is page %d", id, got)
	}
	if binary.NativeEndian.Uint16(page[8:]) == leafFlag {
		f.kind[id] = "leaf"
		return f.leaf(page, bucket)
	}
	f.kind[id] = "branch"
	for i := range int(binary.NativeEndian.Uint16(page[10:])) {
		if err := f.walk(int(binary.NativeEndian.Uint64(element(page, i)[8:])), bucket); err != nil {
			return err
		}
	}
	return nil
}

func (f *rawFile) leaf(page []byte, bucket string) error {
	for i := range int(binary.NativeEndian.Uint16(page[10:])) {
		e := element(page, i)
		ksize, vsize := binary.NativeEndian.Uint32(e[8:]), binary.NativeEndian.Uint32(e[12:])
		both, err := slice(page, i, e[4:], ksize, vsize)
		if err != nil {
			return err
		}
		key, value := string(both[:ksize]), both[ksize:]
		switch flags := binary.NativeEndian.Uint32(e); {
		case flags != bucketFlag:
			f.rows[bucket+"\x00"+key] = string(value)
			continue
		case bucket != "":
			return fmt.Errorf("a bucket %q in %q", key, bucket)
		}
		if root := binary.NativeEndian.Uint64(value); root != 0 {
			err = f.walk(int(root), key)
		} else {
			err = f.leaf(value[bucketLen:], key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// list reads the list of free pages.
func (f *rawFile) list(id int) {
	f.kind[id] = "freelist"
	page := f.data[id*f.size:]
	count, ids := int(binary.NativeEndian.Uint16(page[10:])), page[pageHeaderLen:]
	if count == manyID {
		count, ids = int(binary.NativeEndian.Uint64(ids)), ids[listID:]
	}
	for i := range count {
		f.kind[int(binary.NativeEndian.Uint64(ids[i*listID:]))] = "free"
	}
}

// compareLayout reads a file with bbolt and with nothing but the constants of
// this package, and fails if the two do not see the same.
func compareLayout(t *testing.T, path string) (free int) {
	t.Helper()
	db, err := bolt.Open(path, 0, &bolt.Options{ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		t.Fatal(err)
	}
	f := &rawFile{data: readFile(t, path), size: db.Info().PageSize, kind: make(map[int]string), rows: make(map[string]string)}
	meta := f.meta(t)
	if err := f.walk(int(binary.NativeEndian.Uint64(meta[16:])), ""); err != nil {
		t.Fatal(err)
	}
	f.list(int(binary.NativeEndian.Uint64(meta[listAt-pageHeaderLen:])))
	kinds, rows := make(map[int]string), make(map[string]string)
	err = db.View(func(tx *bolt.Tx) error {
		for id := range f.kind {
			info, err := tx.Page(id)
			if err != nil {
				return err
			}
			kinds[id] = info.Type
		}
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				rows[string(name)+"\x00"+string(k)] = string(v)
				return nil
			})
		})
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(kinds, f.kind) { // of many thousand pages; cmp takes seconds
		t.Errorf("kinds of pages (-bbolt +ours):\n%.2000s", cmp.Diff(kinds, f.kind))
	}
	if diff := cmp.Diff(rows, f.rows); diff != "" {
		t.Errorf("rows (-bbolt +ours):\n%.2000s", diff)
	}
	for _, kind := range f.kind {
		if kind == "free" {
			free++
		}
	}
	return free
}

// failedLayout adds to a failed test what has to be compared.
func failedLayout(t *testing.T) {
	if t.Failed() {
		t.Errorf("bbolt's layout is not the one that this package knows.\n%s", whatToCompare)
	}
}

// bbolt writes pages as this package reads them: roots, branches, leaves with
// overflow, inline buckets, and the list of free pages.
func TestLayoutOfPages(t *testing.T) {
	defer failedLayout(t)
	path := writeClosed(t)
	s := openStore(t, path, prompt)
	mustPutSession(t, s, "large", strings.Repeat("x", 50_000)) // in its row, with overflow
	mustAppend(t, s, Commit{Room: "large", Entries: entries(strings.Repeat("x", 50_000))})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if free := compareLayout(t, path); free == 0 {
		t.Error("there are no free pages to compare")
	}
	a, data := anatomyOf(t, path), readFile(t, path)
	log := data[a.roots["log"]*a.pageSize:]
	if a.roots["meta"] != 0 || binary.NativeEndian.Uint16(log[8:]) != branchFlag {
		t.Error("there is no inline bucket or no branch to compare")
	}
}

// The list of more than 65,534 free pages begins with its length.
func TestLayoutOfALongList(t *testing.T) {
	defer failedLayout(t)
	path := newPath(t)
	const pageSize, pages = 1024, manyID + 100
	db, err := bolt.Open(path, 0o600, &bolt.Options{PageSize: pageSize, NoSync: true, FreelistType: bolt.FreelistMapType})
	if err != nil {
		t.Fatal(err)
	}
	put := func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket([]byte("b"))
		return errors.Join(err, b.Put([]byte("large"), make([]byte, pages*pageSize)), b.Put([]byte("small"), nil))
	}
	remove := func(tx *bolt.Tx) error { return tx.Bucket([]byte("b")).Delete([]byte("large")) }
	nothing := func(*bolt.Tx) error { return nil } // frees the pages of the transaction before
	if err := errors.Join(db.Update(put), db.Update(remove), db.Update(nothing), db.Close()); err != nil {
		t.Fatal(err)
	}
	if free := compareLayout(t, path); free < pages {
		t.Errorf("%d free pages, want %d or more", free, pages)
	}
}
