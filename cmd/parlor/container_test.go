//go:build linux

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A container is what the last stage of a Containerfile says.
type container struct {
	root     string
	uid      uint32
	dir      string
	env      []string
	command  []string
	health   []string
	out, top string // where the stage before has put its files, and the sources
}

// TestContainer carries out the steps of the Containerfile without a container engine: what the
// first stage runs, and then the last one in a root directory of its own, as its user.
func TestContainer(t *testing.T) {
	if testing.Short() {
		t.Skip("to build takes its time")
	}
	c := &container{root: t.TempDir(), out: t.TempDir(), top: repository}
	for _, dir := range []string{c.root, c.out} { // the user of the container comes past them
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		_ = os.Chmod(filepath.Dir(dir), 0o755)
	}
	text, err := os.ReadFile(filepath.Join(repository, "docs", "deploy", "container", "Containerfile"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		instruction, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if instruction != "" && instruction[0] != '#' {
			c.carryOut(t, instruction, rest)
		}
	}
	c.try(t)
}

func (c *container) carryOut(t *testing.T, instruction, rest string) {
	t.Helper()
	list := func(text string) (all []string) {
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			t.Fatalf("%s %s: %v", instruction, rest, err)
		}
		return all
	}
	switch instruction {
	case "RUN":
		cmd := exec.Command("sh", "-c", strings.ReplaceAll(rest, "/out/", c.out+"/"))
		cmd.Dir = c.top
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("RUN %s: %v\n%s", rest, err, out)
		}
	case "COPY":
		c.copyFile(t, strings.Fields(rest))
	case "USER":
		uid, err := strconv.ParseUint(strings.Split(rest, ":")[0], 10, 32)
		if err != nil || uid == 0 {
			t.Fatalf("USER %s: it has to be a number that is not root's, which Kubernetes checks", rest)
		}
		c.uid = uint32(uid)
	case "WORKDIR":
		c.dir = rest
	case "ENV":
		name := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(strings.Split(rest, "=")[0], "PARLOR_"), "_", "-"))
		if _, ok := samples[name]; strings.HasPrefix(rest, "PARLOR_") && !ok {
			t.Errorf("ENV %s: there is no such setting", rest)
		}
		c.env = append(c.env, rest)
	case "ENTRYPOINT", "CMD":
		c.command = append(c.command, list(rest)...)
	case "HEALTHCHECK":
		c.health = list(rest[strings.Index(rest, "["):])
	case "FROM", "VOLUME", "EXPOSE":
	default:
		t.Errorf("%s: the test does not know it", instruction)
	}
}

// copyFile copies from the stage before. What COPY . . brings to the first stage is there.
func (c *container) copyFile(t *testing.T, words []string) {
	t.Helper()
	if words[0] == "." {
		return
	}
	from := strings.Replace(words[len(words)-2], "/out", c.out, 1)
	to := filepath.Join(c.root, words[len(words)-1])
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("COPY %v: %v\n%s", words, err, out)
	}
	if owner := regexp.MustCompile(`--chown=(\d+):`).FindStringSubmatch(strings.Join(words, " ")); owner != nil && os.Geteuid() == 0 {
		uid, _ := strconv.Atoi(owner[1])
		if err := os.Chown(to, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
}

// run is a command in the container. Root becomes its user; others are that user in a namespace.
func (c *container) run(t *testing.T, command []string, env ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Path, cmd.Dir, cmd.Env = command[0], c.dir, append(c.env, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: c.root}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: c.uid, Gid: c.uid}
		return cmd
	}
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
	cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: int(c.uid), HostID: os.Getuid(), Size: 1}}
	return cmd
}

// try starts the container, asks it how it is as the engine would, and stops it.
func (c *container) try(t *testing.T) {
	t.Helper()
	more := []string{"PARLOR_LISTEN=127.0.0.1:" + freePort(t), "PARLOR_JWT_SECRET=0123456789abcdef0123456789abcdef"}
	serve := c.run(t, c.command, more...)
	var log strings.Builder
	serve.Stderr = &log
	if err := serve.Start(); err != nil {
		t.Skipf("this system lets nobody change the root directory, so the container was not tried: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- serve.Wait() }()
	said := ""
	for tries := 0; !strings.Contains(said, "ready") && tries < 200; tries++ {
		out, _ := c.run(t, c.health, more...).CombinedOutput()
		said = string(out)
		time.Sleep(50 * time.Millisecond)
	}
	_ = serve.Process.Signal(syscall.SIGTERM)
	if err := <-ended; err != nil || !strings.Contains(said, "ready") {
		t.Fatalf("%v; the health check says %q\n%s", err, said, &log)
	}
	info, err := os.Stat(filepath.Join(c.root, "data", "parlor.db"))
	if err != nil {
		t.Fatal(err)
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; os.Geteuid() == 0 && uid != c.uid {
		t.Errorf("the data file is of user %d, want %d", uid, c.uid)
	}
	if out, err := c.run(t, c.health, more...).CombinedOutput(); err == nil {
		t.Errorf("the health check of a server that has stopped: %s", out)
	}
}
