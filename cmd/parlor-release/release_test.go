package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestReproducible builds the program and its archive twice: here, and from a copy of the source in
// another folder. They have to be equal, byte by byte.
func TestReproducible(t *testing.T) {
	if testing.Short() {
		t.Skip("to build takes its time")
	}
	top, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	list, err := exec.Command("git", "-C", top, "ls-files", "-co", "--exclude-standard", "*.go", "go.*", "LICENSE", "README.md", "docs/deploy/systemd", "transport", "protocol", "persistence").Output()
	if err != nil {
		t.Skipf("this is no clone, so the source cannot be copied: %v", err)
	}
	other := t.TempDir()
	for name := range strings.FieldsSeq(string(list)) {
		content, err := os.ReadFile(filepath.Join(top, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(other, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(other, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	first := built(t, top)
	if !bytes.Equal(first, built(t, other)) {
		t.Error("two builds of one source differ")
	}
}

// built is the archive of what is built from the source in a folder.
func built(t *testing.T, source string) []byte {
	t.Helper()
	t.Chdir(source)
	b := &build{cli: cli{Version: "1.2.3"}, commit: "abc", time: time.Unix(1e9, 0).UTC(), work: t.TempDir()}
	for _, dir := range []string{"man", "completions"} {
		if err := os.MkdirAll(filepath.Join(b.work, "shared", dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(b.work, "shared", "parlor.yaml"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	program, err := b.compile(t.Context(), "linux", "amd64")
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "parlor_1.2.3_linux_amd64")
	if err := b.archive(name, program, "linux"); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(name + ".tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestArchives reads what is packed: the same entries in both kinds of archives, at the time of the commit.
func TestArchives(t *testing.T) {
	b := &build{time: time.Unix(1e9, 0).UTC(), work: t.TempDir()}
	file := filepath.Join(b.work, "file")
	if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	entries := []entry{{"a", file, 0o755}, {"d/b", file, 0o644}}
	var tarred, zipped [2]bytes.Buffer
	for i := range 2 {
		if err := b.tar(&tarred[i], "x", entries); err != nil {
			t.Fatal(err)
		}
		if err := b.zip(&zipped[i], "x", entries); err != nil {
			t.Fatal(err)
		}
		later := time.Now().Add(time.Hour)
		if err := os.Chtimes(file, later, later); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(tarred[0].Bytes(), tarred[1].Bytes()) || !bytes.Equal(zipped[0].Bytes(), zipped[1].Bytes()) {
		t.Error("archives depend on the time of files")
	}
	list := exec.Command("tar", "tvzf", "-")
	list.Env, list.Stdin = append(os.Environ(), "TZ=UTC"), &tarred[0]
	out, err := list.Output()
	if err != nil {
		t.Skipf("tar is not installed: %v", err)
	}
	if got := string(out); !strings.Contains(got, "-rwxr-xr-x 0/0") || !strings.Contains(got, "2001-09-09 01:46 x/d/b") {
		t.Errorf("in the archive:\n%s", got)
	}
}
