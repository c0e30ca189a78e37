package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	startTimeout = 30 * time.Second // until a server listens
	stopTimeout  = 15 * time.Second // until one that was asked to stop is killed
	keptLog      = 4 << 10          // bytes of a server's log that an error shows
)

var listening = regexp.MustCompile(`listening on (http://[\w.:\[\]]+)`)

// A process is a server under load. Whoever started it stops it.
type process struct {
	cmd *exec.Cmd
	url string
	log tail

	read chan struct{} // closed at the end of its log
}

// start runs a command until it says where it listens.
func start(ctx context.Context, cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, read: make(chan struct{})}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	// Should the benchmark be killed, its servers are too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	url := make(chan string, 1)
	go p.follow(stderr, url)
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case p.url = <-url:
		return p, nil
	case <-p.read:
		err = errors.New("it has ended")
	case <-ctx.Done():
		err = ctx.Err()
	}
	p.stop()
	return nil, fmt.Errorf("%s does not listen: %w\n%s", cmd.Path, err, &p.log)
}

// follow reads the log to its end, and sends the URL once it is told.
func (p *process) follow(log io.Reader, url chan<- string) {
	defer close(p.read)
	lines := bufio.NewScanner(log)
	for told := false; lines.Scan(); {
		p.log.add(lines.Bytes())
		if m := listening.FindSubmatch(lines.Bytes()); m != nil && !told {
			told = true
			url <- string(m[1])
		}
	}
	_, _ = io.Copy(io.Discard, log) // a line was too long
}

// stop ends the process, by force if it does not end in time, and waits.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(stopTimeout, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	<-p.read
	_ = p.cmd.Wait()
}

// The kinds of resident memory, as /proc/PID/status names them (proc(5)).
const (
	allMemory = "VmRSS:"
	ownMemory = "RssAnon:" // without what is mapped from files, which the kernel can drop
)

// resident returns the process's resident memory of a kind in bytes.
func (p *process) resident(kind string) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("read resident memory: %w", err)
	}
	return parseResident(status, kind)
}

// processorTime returns how long processors have worked for the process, rounded to
// hundredths of a second, or zero if the kernel does not tell (proc(5)).
func (p *process) processorTime() time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // the name in front may have blanks
	var ticks int64
	for _, field := range fields[11:13] { // in user mode, and in the kernel
		n, _ := strconv.ParseInt(string(field), 10, 64)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

func parseResident(status []byte, kind string) (int64, error) {
	for line := range bytes.Lines(status) {
		value, ok := bytes.CutPrefix(line, []byte(kind))
		if !ok {
			continue
		}
		number, _, _ := bytes.Cut(bytes.TrimSpace(value), []byte(" "))
		kib, err := strconv.ParseInt(string(number), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read resident memory: %w", err)
		}
		return kib << 10, nil
	}
	return 0, errors.New("read resident memory: the kernel does not tell (Linux only)")
}

// A tail is the end of a log. It may be used by several goroutines at once.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) add(line []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(append(t.text, line...), '\n')
	t.text = t.text[max(0, len(t.text)-keptLog):]
}

// String implements [fmt.Stringer].
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
