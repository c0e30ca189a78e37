package chaos

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	startTimeout = 30 * time.Second // until the server listens
	stopTimeout  = 20 * time.Second // for SIGTERM
	keptLines    = 60               // of the server's log
)

// settings make faults meet: small windows, short waits.
var settings = []string{
	"--queue-bytes", "48KiB", "--max-message-bytes", "8KiB", "--max-emit-bytes", "8KiB", "--max-queued-turns", "8",
	"--breaker-failures", "0", // all models have one server here, and some of them fail
	"--first-token-timeout", "2s", "--silence-timeout", "2s", "--room-idle-timeout", "2s",
	"--ping-interval", "5s", "--ping-timeout", "5s",
	"--max-user-rate", "0", "--max-event-rate", "0", "--max-address-rate", "0",
}

// A server is parlor, however often it is started. Its methods belong to one
// goroutine at a time.
type server struct {
	h       *harness
	address string
	cmd     *exec.Cmd
	ended   chan struct{} // closed at the end of the process

	alive atomic.Bool // the process is meant to run

	mu   sync.Mutex
	tail []string
}

// newServer chooses the address and writes the configuration.
func newServer(h *harness) (*server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{h: h, address: listener.Addr().String()}
	if err := listener.Close(); err != nil {
		return nil, err
	}
	config, err := json.Marshal(map[string]any{"models": h.provider.config(), "tools": h.provider.toolConfig()}) // JSON is YAML
	if err != nil {
		return nil, err
	}
	return s, os.WriteFile(s.config(), config, 0o600)
}

func (s *server) config() string { return filepath.Join(s.h.dir, "parlor.yaml") }

// start starts the process and waits until it listens.
func (s *server) start(ctx context.Context) error {
	args := append([]string{"serve", "--listen", s.address, "--data", s.h.data(), "--config", s.config()}, settings...)
	s.cmd = exec.Command(s.h.Parlor, args...)
	s.cmd.Dir = s.h.dir
	s.cmd.Env = []string{"GORACE=atexit_sleep_ms=0", "CHAOS_BUG=" + s.h.Bug, fmt.Sprint("CHAOS_UNKNOWN=", s.h.Unknown)}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", s.h.Parlor, err)
	}
	s.alive.Store(true)
	listening := make(chan struct{})
	s.ended = make(chan struct{})
	go s.follow(stderr, listening, s.ended)
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case <-listening:
		return nil
	case <-s.ended:
		return fmt.Errorf("parlor does not start:\n%s", s.log())
	case <-ctx.Done():
		return fmt.Errorf("parlor does not listen: %w\n%s", ctx.Err(), s.log())
	}
}

// follow reads the log to its end, and then waits for the process's.
func (s *server) follow(log io.Reader, listening, ended chan<- struct{}) {
	defer close(ended)
	lines, told := bufio.NewScanner(log), false
	for lines.Scan() {
		if s.line(lines.Text()) && !told {
			told = true
			close(listening)
		}
	}
	_, _ = io.Copy(io.Discard, log) // a line was too long
	if s.alive.Swap(false) {
		s.h.violate("server", "", 0, fmt.Errorf("it ended by itself:\n%s", s.log()))
	}
}

// line takes a line of the log, and reports whether it says that the server
// listens.
func (s *server) line(text string) bool {
	s.mu.Lock()
	s.tail = append(s.tail, text)
	s.tail = s.tail[max(0, len(s.tail)-keptLines):]
	s.mu.Unlock()
	switch {
	case strings.Contains(text, "listening on "):
		return true
	case strings.Contains(text, "the log does not know yet"):
		s.h.report.unknown.Add(1)
	case strings.Contains(text, "actor failed"):
		s.h.report.panicked.Add(1)
		if !strings.Contains(text, "chaos: panic") {
			s.h.violate("server", "", 0, errors.New(text))
		}
	case strings.Contains(text, "WARNING: DATA RACE"):
		s.h.violate("server", "", 0, errors.New("a data race"))
	}
	return false
}

func (s *server) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(slices.Clone(s.tail), "\n")
}

// kill ends the process at once, if it runs, and waits.
func (s *server) kill() {
	if !s.alive.Swap(false) {
		return
	}
	_ = s.cmd.Process.Kill()
	<-s.ended
	_ = s.cmd.Wait()
}

// terminate asks the process to end, which it has to do in time and without an
// error.
func (s *server) terminate() error {
	s.alive.Store(false)
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(stopTimeout, func() { _ = s.cmd.Process.Kill() })
	<-s.ended
	err := s.cmd.Wait()
	switch {
	case !late.Stop():
		return fmt.Errorf("it did not end within %s of SIGTERM:\n%s", stopTimeout, s.log())
	case err != nil:
		return fmt.Errorf("SIGTERM: %w\n%s", err, s.log())
	}
	return nil
}

// limitDisk lets no file of the process grow past a number of bytes, nor be
// written there.
func (s *server) limitDisk(bytes uint64) error {
	limit := unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}
	return unix.Prlimit(s.cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil)
}
