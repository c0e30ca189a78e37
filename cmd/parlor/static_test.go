//go:build linux

package main

import (
	"bufio"
	"crypto/x509"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestStaticBinary builds as make build does, and serves from a directory with
// nothing but the program, and checks what that has written.
func TestStaticBinary(t *testing.T) {
	if testing.Short() {
		t.Skip("to build takes its time")
	}
	root := t.TempDir()
	build := exec.Command("make", "--no-print-directory", "build", "BIN="+root)
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("make build: %v\n%s", err, out)
	}
	program, err := elf.Open(filepath.Join(root, "parlor"))
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("parlor is a dynamic executable: it has a segment %v", p.Type)
		}
	}
	serveInRoot(t, root)
	check := inRoot(t, root, "check", "--data=/parlor.db")
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("in an empty root directory: check: %v\n%s", err, out)
	}
}

// inRoot is the program with root as the root of its file system.
func inRoot(t *testing.T, root string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), "/parlor", args...)
	cmd.Path, cmd.Dir, cmd.Env = "/parlor", "/", []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
	}
	return cmd
}

// serveInRoot starts the program with root as the root of its file system, and
// ends it when it serves.
func serveInRoot(t *testing.T, root string) {
	serve := inRoot(t, root, "serve", "--listen=127.0.0.1:0", "--data=/parlor.db")
	stderr, err := serve.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.Start(); err != nil {
		t.Skipf("this system lets nobody change the root directory, so the program was not tried in an empty one: %v", err)
	}
	hurry := time.AfterFunc(30*time.Second, func() { serve.Process.Kill() })
	defer hurry.Stop()
	log, listens := "", false
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		log += lines.Text() + "\n"
		if strings.Contains(lines.Text(), "listening on http://") {
			listens = true
			serve.Process.Signal(syscall.SIGTERM)
		}
	}
	if err := serve.Wait(); err != nil || !listens {
		t.Errorf("in an empty root directory: %v; it wrote\n%s", err, log)
	}
}

// Where the system has no certificate authorities the built-in ones are used.
func TestBuiltInRoots(t *testing.T) {
	const child = "PARLOR_TEST_ROOTS"
	if os.Getenv(child) != "" {
		pool, err := x509.SystemCertPool()
		if err != nil || pool.Equal(x509.NewCertPool()) {
			t.Errorf("there are no roots: %v", err)
		}
		return
	}
	again := exec.Command(os.Args[0], "-test.run=^TestBuiltInRoots$")
	again.Env = append(os.Environ(), child+"=1", "SSL_CERT_FILE=/nowhere", "SSL_CERT_DIR=/nowhere")
	if out, err := again.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
