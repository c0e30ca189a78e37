package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// An entry is a file of an archive.
type entry struct {
	name   string // in the archive
	source string
	mode   fs.FileMode
}

// entries are the files of the archive of a target, by name.
func (b *build) entries(program, system string) ([]entry, error) {
	all := []entry{
		{filepath.Base(program), program, 0o755}, {"LICENSE", "LICENSE", 0o644}, {"README.md", "README.md", 0o644},
		{"parlor.yaml", filepath.Join(b.work, "shared", "parlor.yaml"), 0o644},
	}
	folders := map[string]string{"completions": filepath.Join(b.work, "shared", "completions"), "man": filepath.Join(b.work, "shared", "man")}
	if system == "linux" {
		folders["systemd"] = "docs/deploy/systemd"
	}
	for folder, source := range folders {
		files, err := os.ReadDir(source)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			all = append(all, entry{path.Join(folder, f.Name()), filepath.Join(source, f.Name()), 0o644})
		}
	}
	slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

// archive writes name.zip for Windows, and else name.tar.gz.
func (b *build) archive(name, program, system string) (err error) {
	entries, err := b.entries(program, system)
	if err != nil {
		return err
	}
	folder, write, ending := filepath.Base(name), b.tar, ".tar.gz"
	if system == "windows" {
		write, ending = b.zip, ".zip"
	}
	f, err := os.Create(name + ending)
	if err != nil {
		return err
	}
	return errors.Join(write(f, folder, entries), f.Close())
}

func (b *build) tar(w io.Writer, folder string, entries []entry) error {
	packed := gzip.NewWriter(w)
	archive := tar.NewWriter(packed)
	for _, e := range entries {
		content, err := os.ReadFile(e.source)
		if err != nil {
			return err
		}
		header := &tar.Header{Name: path.Join(folder, e.name), Mode: int64(e.mode), Size: int64(len(content)), ModTime: b.time, Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(content); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), packed.Close())
}

func (b *build) zip(w io.Writer, folder string, entries []entry) error {
	archive := zip.NewWriter(w)
	for _, e := range entries {
		content, err := os.ReadFile(e.source)
		if err != nil {
			return err
		}
		header := &zip.FileHeader{Name: path.Join(folder, e.name), Method: zip.Deflate, Modified: b.time}
		header.SetMode(e.mode)
		file, err := archive.CreateHeader(header)
		if err != nil {
			return err
		}
		if _, err := file.Write(content); err != nil {
			return err
		}
	}
	return archive.Close()
}
