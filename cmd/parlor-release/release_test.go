package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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

// TestPublished makes what is published for this computer, as make release does, and tries it: the
// program says its version, the list of what is in it is one, and the package can be installed,
// upgraded and removed in a copy of this system. A build that was interrupted goes on.
func TestPublished(t *testing.T) {
	if testing.Short() {
		t.Skip("to build takes its time")
	}
	if runtime.GOOS != "linux" {
		t.Skip("only for Linux there is a package")
	}
	t.Chdir(filepath.Join("..", ".."))
	b := &build{cli: cli{Version: "1.2.3", Out: filepath.Join(t.TempDir(), "release")}, commit: "abc", time: time.Unix(1e9, 0).UTC(), work: t.TempDir()}
	for _, step := range []func() error{
		b.begin, func() error { return b.prepare(t.Context()) }, func() error { return b.publish(t.Context(), "linux", runtime.GOARCH) },
		func() error { return os.WriteFile(b.finished("linux", runtime.GOARCH), nil, 0o600) }, b.begin, // again: nothing is lost
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(b.finished("linux", runtime.GOARCH)); err != nil {
		t.Error(err)
	}
	if err := b.sum(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(b.Out, "parlor_1.2.3_linux_"+runtime.GOARCH)
	if out, err := exec.Command("sh", "-c", "cd "+b.Out+" && sha256sum -c SHA256SUMS && ls -A && tar xzf "+name+".tar.gz && */parlor version").CombinedOutput(); err != nil ||
		!strings.Contains(string(out), "parlor 1.2.3 abc go1.") || strings.Count(string(out), ": OK") != 3 || strings.Contains(string(out), ".finished") {
		t.Errorf("%v: %s", err, out)
	}
	checkSBOM(t, name+".cdx.json")
	deb := filepath.Join(b.Out, "parlor_1.2.3_"+runtime.GOARCH+".deb")
	t.Run("installed", func(t *testing.T) { install(t, deb) })
	t.Run("under systemd", func(t *testing.T) { boot(t, deb) })
}

// checkSBOM reads a list of what is in a program, by the fields that CycloneDX demands and that scanners look at.
func checkSBOM(t *testing.T, path string) {
	t.Helper()
	var bom struct {
		Format   string `json:"bomFormat"`
		Spec     string `json:"specVersion"`
		Metadata struct {
			Component struct{ Name, Type, Version string }
		}
		Components []struct {
			Name, Type, Version, PURL string
			Hashes                    []struct{ Alg, Content string }
		}
	}
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &bom)
	}
	if err != nil || bom.Format != "CycloneDX" || bom.Spec < "1.4" || bom.Metadata.Component.Name != "parlor" || bom.Metadata.Component.Version != "1.2.3" {
		t.Errorf("%v: %+v", err, bom.Metadata)
	}
	found := false
	for _, c := range bom.Components {
		if c.Name == "" || c.Type == "" || c.Version == "" || !strings.HasPrefix(c.PURL, "pkg:golang/") || len(c.Hashes) == 0 && c.Name != "std" {
			t.Errorf("%+v", c)
		}
		found = found || c.Name == "go.etcd.io/bbolt"
	}
	if !found {
		t.Errorf("bbolt is not among %d components", len(bom.Components))
	}
}

// steps try a package at /p.deb. They change nothing outside the root in which they run.
const steps = `set -ex
dpkg -i /p.deb
parlor version
test "$(stat -c '%U:%G:%a' /etc/parlor/parlor.yaml)" = root:parlor:640
su -s /bin/sh parlor -c 'cd / && parlor config check --config /etc/parlor/parlor.yaml'
if command -v systemd-analyze; then systemd-analyze verify /lib/systemd/system/parlor.service /lib/systemd/system/parlor.socket; fi
gzip -t /usr/share/man/man1/parlor*.1.gz
echo 'log-level: debug' >> /etc/parlor/parlor.yaml
dpkg -i /p.deb
tail -n 1 /etc/parlor/parlor.yaml | grep debug
dpkg -r parlor
test ! -e /usr/bin/parlor && test -e /etc/parlor/parlor.yaml
dpkg -P parlor
test ! -e /etc/parlor`

// install tries a package in a root that looks like this system and keeps nothing.
func install(t *testing.T, deb string) {
	t.Helper()
	_, unshare := exec.LookPath("unshare")
	if _, err := exec.LookPath("dpkg"); err != nil || unshare != nil || os.Getuid() != 0 {
		t.Skip("to install a package takes Debian, and root")
	}
	dir := t.TempDir()
	script := "set -e; mount -t tmpfs tmpfs " + dir + "; cd " + dir + "; mkdir upper work root; mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root || exit 77\n" +
		"mount --bind /proc root/proc; mount --bind /dev root/dev; cp " + deb + " root/p.deb; exec chroot root sh -c \"$STEPS\""
	cmd := exec.Command("unshare", "-m", "sh", "-c", script)
	cmd.Env = append(os.Environ(), "STEPS="+steps, "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == 77 {
		t.Skip("no overlay can be mounted here")
	}
	if err != nil || !strings.Contains(string(out), "parlor 1.2.3 abc") {
		t.Errorf("%v:\n%s", err, out)
	}
}

// boot tries the units of a package under the systemd of this computer, in namespaces of its own.
func boot(t *testing.T, deb string) {
	t.Helper()
	for _, tool := range []string{"unshare", "nsenter", "ip", "dpkg", "systemctl", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	dir := t.TempDir()
	for name, from := range map[string]string{"p.deb": deb, "probe.sh": "cmd/parlor-release/testdata/probe.sh", "boot.sh": "cmd/parlor-release/testdata/boot.sh"} {
		content, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	group := ownGroup(t)
	cmd := exec.Command("sh", "-c", "echo $$ > "+group+"/cgroup.procs && exec timeout -s KILL 400 unshare -mpiunC --fork --kill-child=KILL sh "+dir+"/boot.sh")
	cmd.Env = append(os.Environ(), "DIR="+dir, "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.CombinedOutput()
	said, _ := os.ReadFile(filepath.Join(dir, "said"))
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == 77 || len(said) == 0 {
		t.Skipf("systemd cannot be started here: %v, %s", err, out)
	}
	if !strings.HasSuffix(string(said), "\nwhole\n") {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		t.Errorf("%v, %s:\n%s\nthe log:\n%s", err, out, said, log)
	}
}

// ownGroup makes a control group, so that what begins in it sees no other.
func ownGroup(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat("/lib/systemd/systemd"); err != nil || os.Getuid() != 0 {
		t.Skip("it takes systemd, and root")
	}
	for _, root := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		if _, err := os.Stat(filepath.Join(root, "cgroup.procs")); err != nil {
			continue
		}
		group, err := os.MkdirTemp(root, "parlor-test-")
		if err != nil {
			continue
		}
		t.Cleanup(func() { _ = exec.Command("find", group, "-depth", "-type", "d", "-delete").Run() })
		return group
	}
	t.Skip("there are no control groups of version 2 that may be used")
	return ""
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
