package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// copied is a Backup that writes itself, and then its error.
type copied struct {
	text   string
	err    error
	closed chan struct{}
}

func (c copied) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, c.text)
	return int64(n), errors.Join(err, c.err)
}

func (c copied) Close() { close(c.closed) }

func start(t *testing.T, o Options) (path string) {
	t.Helper()
	path = Path(filepath.Join(t.TempDir(), "parlor.db"))
	s, err := Listen(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if names, err := os.ReadDir(filepath.Dir(path)); len(names) > 0 || err != nil {
			t.Errorf("left %v, %v", names, err)
		}
	})
	return path
}

func dial(t *testing.T, path string) *Client {
	t.Helper()
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestRelease(t *testing.T) {
	path := start(t, Options{Release: func(_ context.Context, room string) (bool, error) {
		if room == "none" {
			return false, errors.New("there is no such room")
		}
		return room == "quarantined", nil
	}})
	c := dial(t, path)
	for room, want := range map[string]bool{"quarantined": true, "healthy": false} {
		if was, err := c.Release(t.Context(), room); was != want || err != nil {
			t.Errorf("%s: %v, %v, want %v", room, was, err, want)
		}
	}
	if _, err := c.Release(t.Context(), "none"); err == nil || !strings.Contains(err.Error(), "there is no such room") {
		t.Errorf("no room: %v", err)
	}
}

func TestAccount(t *testing.T) {
	path := start(t, Options{Account: func(_ context.Context, command []byte) ([]byte, error) {
		if string(command) == "bad" {
			return nil, errors.New("there is no such command")
		}
		return append([]byte("did "), command...), nil
	}})
	c := dial(t, path)
	if got, err := c.Account(t.Context(), []byte("this")); string(got) != "did this" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	for says, command := range map[string]string{"no such command": "bad", "too large": strings.Repeat("x", maxCommand+1)} {
		if got, err := c.Account(t.Context(), []byte(command)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.9s: got %q, %v, want %q", command, got, err, says)
		}
	}
}

func TestBackup(t *testing.T) {
	text := strings.Repeat("0123456789", 100_000)
	failure := error(nil)
	closed := make(chan struct{})
	path := start(t, Options{Backup: func() (Backup, error) {
		if failure != nil {
			return nil, failure
		}
		return copied{text: text, closed: closed}, nil
	}})
	c := dial(t, path)
	var got bytes.Buffer
	if err := c.Backup(t.Context(), &got); err != nil || got.String() != text {
		t.Errorf("%d bytes, %v, want %d", got.Len(), err, len(text))
	}
	<-closed
	failure = errors.New("no backup today")
	if err := c.Backup(t.Context(), &got); err == nil || !strings.Contains(err.Error(), "no backup today") {
		t.Errorf("got %v, want the server's error", err)
	}
}

// An answer that fails in its middle is not taken for a short one.
func TestFailureInTheMiddle(t *testing.T) {
	path := start(t, Options{
		Export: func(_ context.Context, w io.Writer, chat string) error {
			_, err := fmt.Fprintf(w, "chat %q", chat)
			return errors.Join(err, errors.New("first line\nsecond line"))
		},
	})
	var got bytes.Buffer
	err := dial(t, path).Export(t.Context(), &got, "a b&c")
	if got.String() != `chat "a b&c"` || err == nil || !strings.Contains(err.Error(), "first line second line") {
		t.Errorf("got %q, %v", got.String(), err)
	}
}

// An answer in whose middle the server panics is an error too, and the panic
// is in the log.
func TestPanicInTheMiddle(t *testing.T) {
	log := make(lines, 1)
	path := start(t, Options{
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelError})),
		Export: func(_ context.Context, w io.Writer, _ string) error {
			_, _ = w.Write(make([]byte, 1<<20))
			panic("a bug")
		},
	})
	if err := dial(t, path).Export(t.Context(), io.Discard, ""); err == nil || !strings.Contains(err.Error(), "ended in the middle") {
		t.Errorf("got %v, want that the server ended in the middle", err)
	}
	if line := <-log; !strings.Contains(line, "a bug") {
		t.Errorf("logged %q, want the panic", line)
	}
}

// lines receives what is logged.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// A failing destination is told as that.
func TestFailingDestination(t *testing.T) {
	path := start(t, Options{
		Export: func(_ context.Context, w io.Writer, _ string) error {
			_, err := w.Write(make([]byte, 1<<20))
			return err
		},
	})
	full := errors.New("disk full")
	r, w := io.Pipe()
	r.CloseWithError(full)
	if err := dial(t, path).Export(t.Context(), w, ""); err != full {
		t.Errorf("got %v, want %v", err, full)
	}
}

// Closing the server cuts off an operator who does not read, who hears of it.
func TestCloseCutsOff(t *testing.T) {
	path := Path(filepath.Join(t.TempDir(), "parlor.db"))
	begun, ended := make(chan struct{}), make(chan error, 1)
	s, err := Listen(path, Options{Export: func(_ context.Context, w io.Writer, _ string) error {
		w.Write(make([]byte, 64<<10)) // more than is gathered before the answer begins
		close(begun)
		for {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				ended <- err
				return err
			}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	hold, release := io.Pipe()
	outcome := make(chan error, 1)
	c := dial(t, path)
	go func() { outcome <- c.Export(t.Context(), release, "") }()
	<-begun
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	<-ended
	go io.Copy(io.Discard, hold)
	if err := <-outcome; err == nil || !strings.Contains(err.Error(), "ended in the middle") {
		t.Errorf("got %v", err)
	}
	hold.Close()
	if _, err := Dial(t.Context(), path); err != ErrNoServer {
		t.Errorf("Dial: %v, want ErrNoServer", err)
	}
}

// An operator who does not read is given up after a while.
func TestWriteTimeout(t *testing.T) {
	ended := make(chan error, 1)
	path := start(t, Options{
		WriteTimeout: 10 * time.Millisecond,
		Export: func(_ context.Context, w io.Writer, _ string) error {
			for {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					ended <- err
					return err
				}
			}
		},
	})
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /export HTTP/1.1\r\nHost: parlor\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want a timeout", err)
	}
}

func TestSocketIsTheOwnersAndReplacesStaleOnes(t *testing.T) {
	path := start(t, Options{})
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
	stale := Path(filepath.Join(t.TempDir(), "parlor.db"))
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close() // as a crash leaves it
	if _, err := Dial(t.Context(), stale); err != ErrNoServer {
		t.Errorf("Dial: %v, want ErrNoServer", err)
	}
	s, err := Listen(stale, Options{})
	if err != nil {
		t.Fatal(err)
	}
	dial(t, stale)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestPathTooLong(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("x", 100))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := Path(filepath.Join(dir, "parlor.db"))
	if _, err := Listen(path, Options{}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("Listen: %v, want an error with the path", err)
	}
	if _, err := Dial(t.Context(), path); err != ErrNoServer {
		t.Errorf("Dial: %v, want ErrNoServer", err)
	}
	if names, err := os.ReadDir(dir); len(names) > 0 || err != nil {
		t.Errorf("left %v, %v", names, err)
	}
}
