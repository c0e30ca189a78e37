// Package control lets operators reach a running server. The server holds the
// lock of its data file, so a command that wants a copy has to ask the server.
//
//	parlor backup, export, release, user, key, webhook, tools, encryption → [Client] ─ HTTP over a Unix-domain socket → [Server] → [Options]
//
// The socket is a file beside the data file; [Path] returns its name. Only its
// owner can open it, and there is no other authentication.
//
// # Outcome
//
// An answer is streamed, and may fail when half of it has been sent. Its
// trailer says how it ended; an answer without one was cut off, as it is when
// the server panics.
package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Path returns the name of the socket of a data file.
func Path(data string) string { return data + ".ctl" }

const (
	outcome   = "Parlor-Outcome" // the trailer
	succeeded = "ok"
)

// A Backup is a copy of the data file as it was at one moment.
type Backup interface {
	io.WriterTo
	Close()
}

// Options configure a [Server]. The functions have no default, and may be
// called from any goroutine.
type Options struct {
	// Backup begins a copy. The server closes it.
	Backup func() (Backup, error)

	// Export writes the chat of that id, or all chats if chat is empty.
	Export func(ctx context.Context, w io.Writer, chat string) error

	// ExportUser writes what is kept of a user.
	ExportUser func(ctx context.Context, w io.Writer, user string) error

	// Release ends the quarantine of a room, and reports whether it was in one.
	Release func(ctx context.Context, room string) (was bool, err error)

	// Account carries out a command about who may sign in, as JSON, and returns the result.
	Account func(ctx context.Context, command []byte) ([]byte, error)

	// Webhook carries out a command about webhooks, in the same way.
	Webhook func(ctx context.Context, command []byte) ([]byte, error)

	// Tools carries out a command about tools and their servers, in the same way.
	Tools func(ctx context.Context, command []byte) ([]byte, error)

	// Encryption carries out a command about the keys of the data file, in the same way.
	Encryption func(ctx context.Context, command []byte) ([]byte, error)

	// Runtime answers what an operator wants to know of the server that runs, in the same way.
	Runtime func(ctx context.Context, query []byte) ([]byte, error)

	// Logger gets a record of each request. Nil discards the records.
	Logger *slog.Logger

	// WriteTimeout limits how long a client may take to read a piece of an
	// answer: while a backup is open the file cannot reuse space. Zero means
	// 1 minute.
	WriteTimeout time.Duration
}

// A Server answers on a socket. Who called [Listen] closes it.
type Server struct {
	Options
	path string
	http *http.Server
	done chan struct{}
}

// Listen serves on the socket at path. It replaces a socket that is there: the
// caller holds the lock of the data file, so no other server uses that socket.
// It fails if path is longer than the system allows for sockets, which is about
// 100 bytes.
func Listen(path string, o Options) (*Server, error) {
	o.WriteTimeout = cmp.Or(o.WriteTimeout, time.Minute)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	l, err := listen(path)
	if err != nil {
		return nil, fmt.Errorf("listen for operators on %s: %w", path, err)
	}
	s := &Server{Options: o, path: path, done: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /backup", s.backup)
	mux.HandleFunc("GET /export", s.export)
	mux.HandleFunc("GET /user", s.exportUser)
	mux.HandleFunc("POST /release", s.release)
	mux.HandleFunc("POST /account", s.command("command about accounts", o.Account))
	mux.HandleFunc("POST /webhook", s.command("command about webhooks", o.Webhook))
	mux.HandleFunc("POST /tools", s.command("command about tools", o.Tools))
	mux.HandleFunc("POST /encryption", s.command("command about encryption", o.Encryption))
	mux.HandleFunc("POST /runtime", s.command("", o.Runtime))
	s.http = &http.Server{Handler: mux, ReadHeaderTimeout: o.WriteTimeout, ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelError)}
	go func() {
		defer close(s.done)
		s.http.Serve(l) // until Close
	}()
	return s, nil
}

// listen makes the socket in a directory that nobody else can enter, and then
// moves it to its place. So nobody else can open it at any moment, and an old
// socket is replaced without a gap.
func listen(path string) (net.Listener, error) {
	dir, err := os.MkdirTemp(filepath.Dir(path), ".ctl")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	fresh := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: fresh, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	err = os.Chmod(fresh, 0o600)
	if err == nil {
		err = os.Rename(fresh, path)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Close removes the socket, cuts off requests that are being answered, and waits
// until no more connections are accepted.
func (s *Server) Close() error {
	err := errors.Join(os.Remove(s.path), s.http.Close())
	<-s.done
	return err
}

func (s *Server) backup(w http.ResponseWriter, r *http.Request) {
	b, err := s.Backup()
	if err != nil {
		s.Logger.Error("backup", "err", err)
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer b.Close()
	s.answer(w, "backup", func(w io.Writer) error {
		_, err := b.WriteTo(w)
		return err
	})
}

func (s *Server) export(w http.ResponseWriter, r *http.Request) {
	s.answer(w, "export", func(w io.Writer) error { return s.Export(r.Context(), w, r.FormValue("chat")) })
}

func (s *Server) exportUser(w http.ResponseWriter, r *http.Request) {
	s.answer(w, "export of a user", func(w io.Writer) error { return s.ExportUser(r.Context(), w, r.FormValue("user")) })
}

func (s *Server) release(w http.ResponseWriter, r *http.Request) {
	s.answer(w, "release", func(w io.Writer) error {
		was, err := s.Release(r.Context(), r.FormValue("room"))
		if err == nil {
			_, err = fmt.Fprint(w, was)
		}
		return err
	})
}

// answer streams what write writes, and then sends the outcome as a trailer.
func (s *Server) answer(w http.ResponseWriter, name string, write func(io.Writer) error) {
	begun := time.Now()
	w.Header().Set("Trailer", outcome)
	w.Header().Set("Content-Type", "application/octet-stream")
	out := &timely{w: w, control: http.NewResponseController(w), limit: s.WriteTimeout}
	if err := write(out); err != nil {
		s.Logger.Error(name+" for an operator failed", "err", err)
		w.Header().Set(outcome, oneLine(err))
		return
	}
	level := slog.LevelInfo
	if name == "" { // asked again and again
		name, level = "question", slog.LevelDebug
	}
	s.Logger.Log(context.Background(), level, name+" for an operator", "bytes", out.n, "took", time.Since(begun))
	w.Header().Set(outcome, succeeded)
}

// oneLine returns the text of an error without line breaks, which a header
// cannot hold.
func oneLine(err error) string {
	text := []rune(err.Error())
	for i, r := range text {
		if r < ' ' {
			text[i] = ' '
		}
	}
	return string(text)
}

// timely is a response that sets a new deadline before each write.
type timely struct {
	w       io.Writer
	control *http.ResponseController
	limit   time.Duration
	n       int64
}

func (t *timely) Write(p []byte) (int, error) {
	if err := t.control.SetWriteDeadline(time.Now().Add(t.limit)); err != nil {
		return 0, err
	}
	n, err := t.w.Write(p)
	t.n += int64(n)
	return n, err
}

// command answers with what do makes of the command that the request brings.
func (s *Server) command(name string, do func(ctx context.Context, command []byte) ([]byte, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.answer(w, name, func(w io.Writer) error {
			command, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxCommand))
			if err != nil {
				return err
			}
			result, err := do(r.Context(), command)
			if err == nil {
				_, err = w.Write(result)
			}
			return err
		})
	}
}

// maxCommand limits a command, in bytes.
const maxCommand = 64 << 10
