package main

import (
	"archive/zip"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"parlor/protocol/exports"
)

// An archive is a folder or a zip beside an export, with the bytes of attachments. It is read
// where it is: nothing is unpacked, so no name in it can lead anywhere.
type archive struct {
	name    string
	files   []archived            // by their names, then by their paths
	folders map[string][]archived // by the name of the folder that they are in
	titles  map[string]string     // the names that people gave them, by their names here
	strange int                   // links, devices, and names that are no paths
	close   func() error
}

// An archived is a file in an archive.
type archived struct {
	name, path string
	open       func() (io.ReadCloser, error)
}

// openFolder reads the names of a folder. Links in it are not followed.
func openFolder(name string) (*archive, error) {
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	a := &archive{name: name, close: root.Close}
	err = fs.WalkDir(root.FS(), ".", func(p string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			a.add(p, e.Type(), func() (io.ReadCloser, error) { return root.Open(p) })
		}
		return err
	})
	if err == nil {
		err = a.finish()
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return a, nil
}

const zipMagic = "PK\x03\x04"

// openZip reads the names of a zip, or returns nil if the file is none.
func openZip(f *os.File, name string) (*archive, error) {
	head := make([]byte, len(zipMagic))
	if n, _ := f.ReadAt(head, 0); string(head[:n]) != zipMagic {
		return nil, nil
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	z, err := zip.NewReader(f, info.Size())
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	a := &archive{name: name, close: func() error { return nil }}
	for _, e := range z.File {
		if !e.Mode().IsDir() {
			a.add(e.Name, e.Mode().Type(), e.Open)
		}
	}
	return a, a.finish()
}

func (a *archive) add(p string, kind fs.FileMode, open func() (io.ReadCloser, error)) {
	if !kind.IsRegular() || !fs.ValidPath(p) {
		a.strange++
		return
	}
	a.files = append(a.files, archived{path.Base(p), p, open})
}

// titlesFile is where ChatGPT writes what files were called that are called file-….dat now.
const titlesFile = "conversation_asset_file_names.json"

func (a *archive) finish() error {
	slices.SortStableFunc(a.files, func(x, y archived) int { return cmp.Or(cmp.Compare(x.name, y.name), cmp.Compare(x.path, y.path)) })
	a.folders = make(map[string][]archived)
	for _, f := range a.files {
		if folder := path.Base(path.Dir(f.path)); folder != "." {
			a.folders[folder] = append(a.folders[folder], f)
		}
	}
	for _, f := range a.named(titlesFile) {
		in, err := f.open()
		if err != nil {
			return err
		}
		err = json.NewDecoder(io.LimitReader(in, exports.MaxValueBytes)).Decode(&a.titles)
		if err = errors.Join(err, in.Close()); err != nil {
			return fmt.Errorf("%s: %s: %w", a.name, f.path, err)
		}
	}
	return nil
}

// from returns the files from a name on.
func (a *archive) from(name string) []archived {
	at, _ := slices.BinarySearchFunc(a.files, name, func(f archived, name string) int { return cmp.Compare(f.name, name) })
	return a.files[at:]
}

// named returns the files with a name.
func (a *archive) named(name string) (found []archived) {
	for _, f := range a.from(name) {
		if f.name != name {
			break
		}
		found = append(found, f)
	}
	return found
}

// conversations are the files in which ChatGPT has written conversations. Files that people sent
// lie deeper, or are called otherwise.
func (a *archive) conversations() (found []archived) {
	depth := func(f archived) int { return strings.Count(f.path, "/") }
	for _, f := range a.from("conversations") {
		if !strings.HasPrefix(f.name, "conversations") {
			break
		}
		if strings.HasSuffix(f.name, ".json") {
			found = append(found, f)
		}
	}
	if len(found) == 0 {
		return nil
	}
	highest := depth(slices.MinFunc(found, func(x, y archived) int { return depth(x) - depth(y) }))
	return slices.DeleteFunc(found, func(f archived) bool { return depth(f) > highest })
}

// find returns the bytes of an attachment, or nil if they are not there.
func (a *archive) find(f exports.File) *archived {
	if found := a.byPath(f.Path); found != nil {
		return found
	}
	return a.byID(f.ID)
}

// byPath returns the file at a path of the other server. The archive may begin above or below
// the folder from which that path goes.
func (a *archive) byPath(p string) *archived {
	p, _, _ = strings.Cut(p, "?")
	if p = strings.Trim(p, "/"); p == "" {
		return nil
	}
	for _, f := range a.named(path.Base(p)) {
		if f.path == p || strings.HasSuffix(f.path, "/"+p) || strings.Contains(f.path, "/") && strings.HasSuffix(p, "/"+f.path) {
			return &f
		}
	}
	return nil
}

// minIDBytes is the length from which on an id is looked for in names.
const minIDBytes = 8

// byID returns the file whose name is the id, or begins with it: Open WebUI writes ID_NAME,
// LibreChat ID__NAME, ChatGPT ID-NAME and ID.dat. It may also be alone in a folder of that name.
func (a *archive) byID(id string) *archived {
	if len(id) < minIDBytes {
		return nil
	}
	for _, f := range a.from(id) {
		rest, begins := strings.CutPrefix(f.name, id)
		if !begins {
			break
		}
		if rest == "" || strings.ContainsRune("._-", rune(rest[0])) {
			return &f
		}
	}
	if alone := a.folders[id]; len(alone) == 1 {
		return &alone[0]
	}
	return nil
}
