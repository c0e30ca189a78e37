package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"parlor/transport/auth"
	"parlor/transport/listen"
)

// A syncBuffer may be written and read at once.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

// take returns what was written since the last call.
func (s *syncBuffer) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.b.Reset()
	return s.b.String()
}

// reloading returns settings that come from a file, and a way to replace that.
func reloading(t *testing.T, text string) (s *Settings, write func(string)) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "parlor.yaml")
	write = func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(text)
	read := func() (*Settings, error) {
		_, s, err := load([]string{"serve", "--config=" + file}, nil, &streams{})
		return s, err
	}
	s, err := read()
	if err != nil {
		t.Fatal(err)
	}
	s.reload = read
	return s, write
}

func reloadableOf(s *Settings, level *slog.LevelVar) []reloadable {
	server := &server{level: level, verifier: auth.New(auth.Options{Secret: string(s.JWTSecret)})}
	return server.reloadable(new(listen.Listener))
}

func TestReload(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	s, write := reloading(t, "log-level: warn\njwt-secret: "+secret+"\n")
	var level slog.LevelVar
	level.Set(s.LogLevel)
	var text syncBuffer
	log := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: &level}))
	r := &reloader{settings: s, log: log, parts: reloadableOf(s, &level)}
	for _, step := range []struct {
		file  string
		level slog.Level
		says  []string
	}{
		{"log-level: debug\njwt-secret: " + secret + "\n", slog.LevelDebug, []string{"another level", "nothing else"}},
		{"log-level: debug\njwt-secret: x" + secret + "\nwindow: 7\n", slog.LevelDebug, []string{"other keys", "need a restart", "settings=window"}},
		{"log-level: loud\n", slog.LevelDebug, []string{"nothing was changed", "log-level"}},
		{"log-level: info\nlisten: :80\n", slog.LevelDebug, []string{"nothing was changed", "there is no secret"}},
		{"log-level: info\njwt-secret: " + secret + "\n", slog.LevelInfo, []string{"another level", "nothing else"}},
	} {
		write(step.file)
		r.reload()
		got := text.take()
		if level.Level() != step.level || strings.Contains(got, secret) {
			t.Errorf("%q: level %v, want %v; logged %s", step.file, level.Level(), step.level, got)
		}
		for _, want := range step.says {
			if !strings.Contains(got, want) {
				t.Errorf("%q: logged %s, want %q in it", step.file, got, want)
			}
		}
	}
}

func TestHangupReloads(t *testing.T) {
	s, write := reloading(t, "log-level: warn\n")
	var level slog.LevelVar
	var text syncBuffer
	r := &reloader{settings: s, log: slog.New(slog.NewTextHandler(&text, nil)), parts: reloadableOf(s, &level)}
	hangups := make(chan os.Signal, 1)
	write("log-level: error\n")
	hangups <- syscall.SIGHUP // also one that came before the server was ready
	defer r.onHangup(t.Context(), hangups)()
	for deadline := time.Now().Add(10 * time.Second); level.Level() != slog.LevelError; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the level is %v; logged %s", level.Level(), text.take())
		}
	}
}

// Every setting that differs is named.
func TestDiffering(t *testing.T) {
	var args [2][]string
	var want []string
	for _, flag := range allSettings(t) {
		if values, ok := samples[flag.Name]; ok {
			want = append(want, flag.Name)
			for i := range args {
				args[i] = append(args[i], "--"+flag.Name+"="+values[i])
			}
		}
	}
	var s [2]*Settings
	for i := range s {
		var err error
		if s[i], err = loadIn(t, "", nil, args[i]...); err != nil {
			t.Fatal(err)
		}
	}
	if got := differing(s[0], s[1]); !slices.Equal(got, want) {
		t.Errorf("differing %q\nwant %q", got, want)
	}
	if got := differing(s[0], s[0]); len(got) > 0 {
		t.Errorf("the same settings differ in %q", got)
	}
}
