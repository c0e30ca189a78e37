//go:build unix

package mcp

import (
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func start(t *testing.T, script string, env map[string]string) *process {
	t.Helper()
	lookup := func(name string) (string, bool) {
		v, ok := map[string]string{"PATH": "/usr/bin:/bin", "SECRET": "ours"}[name]
		return v, ok
	}
	c := Config{Command: "sh", Args: []string{"-c", script}, Env: env}
	l, err := startProcess(c, environment(c, lookup), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.end)
	return l.(*process)
}

// How a process has ended is told with the end of what it wrote to stderr. It gets no
// environment but what it needs, and what is configured.
func TestEndOfProcess(t *testing.T) {
	for script, want := range map[string]string{
		`echo "KEY is missing: $KEY" >&2; exit 3`:      "its process has ended: exit status 3; the end of its stderr: KEY is missing: given",
		`echo "[$SECRET]" >&2`:                         "exit status 0; the end of its stderr: []",
		`yes flood | head -c 600000 >&2; echo end >&2`: "flood\nend",
		`kill -9 $$`:      "signal: killed",
		`sleep 1000 & :`:  "exit status 0", // which would hold the pipes open
		`exec no-such-of`: "no-such-of",
	} {
		p := start(t, script, map[string]string{"KEY": "given"})
		<-p.done
		if got := p.why(); !strings.Contains(got, want) || len(got) > 2*maxTail {
			t.Errorf("%s: got %.300q, want %q", script, got, want)
		}
	}
	l, err := startProcess(Config{Command: "/no/such/program"}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	<-l.(*process).done
	if got := l.why(); !strings.Contains(got, "cannot be started: ") || !strings.Contains(got, "/no/such/program") {
		t.Errorf("got %q", got)
	}
}

// A process that ignores everything ends, and so does what it has started.
func TestStubbornProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as a process may take to end")
	}
	p := start(t, `trap "" TERM HUP INT; sleep 1000 & echo $! >&2; while :; do sleep 1; done`, nil)
	var child int
	for child == 0 {
		child, _ = strconv.Atoi(strings.TrimSpace(p.stderr.String()))
		time.Sleep(10 * time.Millisecond)
	}
	p.end()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
	if err == nil && !strings.Contains(string(stat), ") Z ") || os.IsNotExist(err) && runtime.GOOS != "linux" && syscall.Kill(child, 0) == nil {
		t.Errorf("process %d still lives: %s", child, stat)
	}
}

func TestTail(t *testing.T) {
	var text tail
	for range 1000 {
		_, _ = text.Write([]byte(strings.Repeat("é", 100)))
	}
	_, _ = text.Write([]byte("end"))
	if got := text.String(); len(got) > maxTail || !strings.HasSuffix(got, "ééend") || cap(text.text) > 4*maxTail {
		t.Errorf("%d bytes, %d kept", len(got), cap(text.text))
	}
	_, _ = text.Write([]byte(strings.Repeat("x", 10*maxTail)))
	if got := text.String(); got != strings.Repeat("x", maxTail) {
		t.Errorf("%d bytes", len(got))
	}
}
