//go:build unix

package mcp

import (
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

// GuardCommand is the first argument of our program when it is the guard of a server. The
// others are the server's command.
const GuardCommand = "mcp-guard"

// The files of a guard, behind the three that it passes to the server.
const (
	guardLife   = 3 // ends when the host has, or wants the server to end
	guardStatus = 4 // takes how the server has ended
)

// Guard starts a server and ends it, and all that it has started, when the host ends, even
// by kill -9. Host and server alone could not do that: many servers go on when nobody
// reads what they say.
//
//	host ── life ──→ guard ─┬─ server ── what it has started
//	     ←─ status ─────────┘   stdin, stdout and stderr are the host's
//
// All are one process group, whose number is that of the guard.
func Guard(command []string) int {
	syscall.CloseOnExec(guardLife)
	syscall.CloseOnExec(guardStatus)
	life, status := os.NewFile(guardLife, "life"), os.NewFile(guardStatus, "status")
	if life == nil || status == nil || len(command) == 0 {
		return 2
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP) // which the group gets
	server := exec.Command(command[0], command[1:]...)
	server.Stdin, server.Stdout, server.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := server.Start(); err != nil {
		_, _ = io.WriteString(status, "its process cannot be started: "+err.Error())
		return 1
	}
	ended, released := make(chan struct{}), make(chan struct{})
	go func() {
		_ = server.Wait()
		close(ended)
	}()
	go func() {
		_, _ = io.Copy(io.Discard, life)
		close(released)
	}()
	select {
	case <-ended:
	case <-released:
		endGroup(ended)
	}
	select {
	case <-ended:
		_, _ = io.WriteString(status, "its process has ended: "+server.ProcessState.String())
	default:
	}
	_ = syscall.Kill(0, syscall.SIGKILL) // the whole group, and so the guard itself
	return 1
}

// endGroup gives the server time to end by itself.
func endGroup(ended <-chan struct{}) {
	select {
	case <-ended:
		return
	case <-time.After(endOfInput):
	}
	_ = syscall.Kill(0, syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(endOfTerm):
	}
}

// guarded is a server behind a guard, as its host sees it.
type guarded struct {
	cmd    *exec.Cmd
	life   *os.File // to close, so that the server ends
	result *os.File
	theirs []*os.File
}

// guard returns what starts a server with its guard.
func guard(command []string) (*exec.Cmd, *guarded, error) {
	self, err := ourselves()
	if err != nil {
		return nil, nil, err
	}
	lifeRead, life, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	result, resultWrite, err := os.Pipe()
	if err != nil {
		lifeRead.Close()
		life.Close()
		return nil, nil, err
	}
	cmd := exec.Command(self, append([]string{GuardCommand}, command...)...)
	cmd.Args[0] = "parlor"
	cmd.ExtraFiles = []*os.File{lifeRead, resultWrite}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd, &guarded{cmd: cmd, life: life, result: result, theirs: cmd.ExtraFiles}, nil
}

// ourselves returns our program, even if its file has been replaced.
func ourselves() (string, error) {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe", nil
	}
	return os.Executable()
}

// started closes what only the guard needs, whether it was started or not.
func (g *guarded) started() {
	for _, f := range g.theirs {
		f.Close()
	}
}

// release has the guard end the server. It may be called again.
func (g *guarded) release() { g.life.Close() }

// kill ends the whole group at once.
func (g *guarded) kill() {
	if g.cmd.Process != nil {
		_ = syscall.Kill(-g.cmd.Process.Pid, syscall.SIGKILL)
	}
}

// status returns how the server has ended. It is called once, after that.
func (g *guarded) status() string {
	defer g.result.Close()
	text, _ := io.ReadAll(io.LimitReader(g.result, 1<<10))
	return string(text)
}
