package main

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// A content is a file of the package, as nfpm reads it.
type content struct {
	Source string   `yaml:"src"`
	Path   string   `yaml:"dst"`
	Type   string   `yaml:"type,omitempty"`
	Info   fileInfo `yaml:"file_info"`
}

type fileInfo struct {
	Mode uint32 `yaml:"mode"`
}

// debian makes the Debian package. It brings the systemd units, and makes a user; it starts
// nothing, since who may come in has to be said first.
func (b *build) debian(ctx context.Context, program, processor string) error {
	contents, err := b.contents(program)
	if err != nil {
		return err
	}
	config, err := yaml.Marshal(map[string]any{
		"name": "parlor", "arch": processor, "platform": "linux", "version": b.Version, "version_schema": "none",
		"section": "net", "priority": "optional", "maintainer": "parlor <root@localhost>", "license": "MIT",
		"depends":     []string{"passwd"}, // for useradd
		"description": "people and AI assistants talk in rooms, over Socket.IO\n One program that keeps rooms in which people talk with an AI assistant.",
		"mtime":       b.time, "contents": contents,
		"scripts": map[string]string{"postinstall": "cmd/parlor-release/debian/postinst", "preremove": "cmd/parlor-release/debian/prerm", "postremove": "cmd/parlor-release/debian/postrm"},
	})
	if err != nil {
		return err
	}
	path := filepath.Join(b.work, "nfpm-"+processor+".yaml")
	if err := os.WriteFile(path, config, 0o644); err != nil {
		return err
	}
	pack := exec.CommandContext(ctx, filepath.Join(b.work, "tools", "nfpm"), "package", "--config", path, "--packager", "deb",
		"--target", filepath.Join(b.Out, fmt.Sprintf("parlor_%s_%s.deb", b.Version, processor)))
	pack.Env = append(os.Environ(), fmt.Sprintf("SOURCE_DATE_EPOCH=%d", b.time.Unix()))
	return run(pack)
}

func (b *build) contents(program string) ([]content, error) {
	shared := filepath.Join(b.work, "shared")
	all := []content{
		{program, "/usr/bin/parlor", "", fileInfo{0o755}},
		{filepath.Join(shared, "parlor.yaml"), "/etc/parlor/parlor.yaml", "config|noreplace", fileInfo{0o640}},
		{"LICENSE", "/usr/share/doc/parlor/copyright", "", fileInfo{0o644}},
		{filepath.Join(shared, "completions", "parlor.bash"), "/usr/share/bash-completion/completions/parlor", "", fileInfo{0o644}},
		{filepath.Join(shared, "completions", "parlor.zsh"), "/usr/share/zsh/vendor-completions/_parlor", "", fileInfo{0o644}},
		{filepath.Join(shared, "completions", "parlor.fish"), "/usr/share/fish/vendor_completions.d/parlor.fish", "", fileInfo{0o644}},
		{"docs/deploy/systemd/parlor.service", "/lib/systemd/system/parlor.service", "", fileInfo{0o644}},
		{"docs/deploy/systemd/parlor.socket", "/lib/systemd/system/parlor.socket", "", fileInfo{0o644}},
	}
	pages, err := filepath.Glob(filepath.Join(shared, "man", "*.1"))
	if err != nil {
		return nil, err
	}
	for _, page := range pages {
		packed := filepath.Join(b.work, filepath.Base(page)+".gz")
		if err := pack(page, packed); err != nil {
			return nil, err
		}
		all = append(all, content{packed, "/usr/share/man/man1/" + filepath.Base(packed), "", fileInfo{0o644}})
	}
	return all, nil
}

// pack compresses a file, without its name and time.
func pack(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	w, err := gzip.NewWriterLevel(f, gzip.BestCompression)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return errors.Join(err, w.Close(), f.Close())
}
