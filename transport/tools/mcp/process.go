package mcp

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// Times of the end of a process.
const (
	endOfInput = time.Second            // that it has to end after its input has
	endOfTerm  = time.Second            // that it has then, after SIGTERM
	lastWords  = 300 * time.Millisecond // in which what it has written is read, after its end
	maxEnd     = endOfInput + endOfTerm + time.Second
)

// inherited are the variables of our environment that a server gets too.
var inherited = []string{"HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER"}

// A process is a server that we have started. It implements [link].
type process struct {
	conn   *lines
	stderr tail
	stop   func()
	done   chan struct{} // the process has ended, and the fields below are set
	how    string        // it has ended, as a sentence
}

// startProcess starts a server.
func startProcess(c Config, env []string, log *slog.Logger) (link, error) {
	cmd, guarded, err := guard(append([]string{c.Command}, c.Args...))
	if err != nil {
		return nil, err
	}
	cmd.Env = env
	var ours, theirs []*os.File
	closeAll := func(files []*os.File) {
		for _, f := range files {
			f.Close()
		}
	}
	for _, to := range []*io.Writer{&cmd.Stdout, &cmd.Stderr} {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(slices.Concat(ours, theirs))
			return nil, err
		}
		*to, ours, theirs = w, append(ours, r), append(theirs, w)
	}
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	closeAll(theirs)
	guarded.started()
	if err != nil {
		closeAll(ours)
		guarded.release()
		return nil, fmt.Errorf("it cannot be started: %w", err)
	}
	p := &process{done: make(chan struct{})}
	p.conn = newLines(ours[0], in, log)
	p.stop = sync.OnceFunc(func() {
		_ = in.Close()
		guarded.release()
		select {
		case <-p.done:
		case <-time.After(maxEnd):
			guarded.kill()
			<-p.done
		}
	})
	go p.wait(cmd, guarded, ours[1])
	return p, nil
}

// wait waits for the end of the process.
func (p *process) wait(cmd *exec.Cmd, guarded *guarded, stderr *os.File) {
	read := make(chan struct{})
	go func() {
		_, _ = io.Copy(&p.stderr, stderr)
		close(read)
	}()
	err := cmd.Wait()
	guarded.kill() // what it has started itself
	select {
	case <-read:
	case <-time.After(lastWords): // something that left the group holds the pipe open
	}
	stderr.Close()
	<-read
	p.how = guarded.status()
	if p.how == "" {
		p.how = "its process has ended"
		if err != nil {
			p.how += ": " + err.Error()
		}
	}
	guarded.release()
	close(p.done)
	time.AfterFunc(lastWords, func() { _ = p.conn.Close() })
}

// environment is that of a server: what everything needs, and what is configured.
func environment(c Config, lookup func(string) (string, bool)) (env []string) {
	for _, name := range inherited {
		if lookup == nil {
			break
		}
		if value, set := lookup(name); set {
			env = append(env, name+"="+value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		env = append(env, name+"="+c.Env[name])
	}
	return env
}

// The methods of [link].

func (p *process) Connect(context.Context) (sdk.Connection, error) { return p.conn, nil }

// versions: a server that does not know how the newest version begins may never answer, or
// end.
func (p *process) versions() []string { return []string{"2025-11-25"} }

func (p *process) end() { p.stop() }

func (p *process) why() string {
	select {
	case <-p.done:
	case <-p.conn.done:
		select {
		case <-p.done:
		case <-time.After(lastWords):
			return ""
		}
	default:
		return ""
	}
	if said := strings.TrimSpace(p.stderr.String()); said != "" {
		return p.how + lastWordsMark + said
	}
	return p.how
}

const lastWordsMark = "; the end of its stderr: "

// forMembers leaves out what a process has written to stderr: that is for the operator, and
// may hold keys.
func forMembers(why string) string {
	why, _, _ = strings.Cut(why, lastWordsMark)
	return why
}

// A tail is the end of what was written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// maxTail is how much of stderr is kept, in bytes.
const maxTail = 8 << 10

// Write implements [io.Writer].
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.text)+len(p) > 2*maxTail {
		keep := p
		if len(keep) > maxTail {
			keep = keep[len(keep)-maxTail:]
		}
		old := t.text[max(0, len(t.text)-(maxTail-len(keep))):]
		t.text = append(append(make([]byte, 0, 2*maxTail), old...), keep...)
		return len(p), nil
	}
	t.text = append(t.text, p...)
	return len(p), nil
}

// String returns the end, without a cut character.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.ToValidUTF8(string(t.text[max(0, len(t.text)-maxTail):]), "")
}
