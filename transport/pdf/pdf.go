// Package pdf reads the text of PDF files. They come from strangers, and to read one is to run a
// large program over it. So PDFium does it in a WebAssembly sandbox without files and network,
// in a process of its own that knows no secrets and has little memory and little time.
//
//	Reader.Text ──starts──▶ parlor pdf-text (Extract)
//	     file ────stdin───▶
//	        ◀────stdout──── its text, pages divided by form feeds
package pdf

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"time"

	"parlor/protocol/chat"
)

// Command is the first argument of our program when it reads a file.
const Command = "pdf-text"

// Refusals of files.
var (
	errLocked  = chat.Refuse(chat.CodeUnsupportedType, "the PDF file is locked with a password")
	errDamaged = chat.Refuse(chat.CodeUnsupportedType, "the PDF file cannot be read: it is damaged, or too large to be read here")
	errEmpty   = chat.Refuse(chat.CodeUnsupportedType, "the PDF file holds no text: send pictures of its pages")
	errBusy    = chat.Refuse(chat.CodeBusy, "many PDF files are being read; try again later")
	errSlow    = chat.Refuse(chat.CodeUnsupportedType, "the PDF file takes too long to read")
)

// Options say how files are read.
type Options struct {
	Timeout time.Duration // for one file, and to wait for its turn. Zero means 30 s
	Memory  int64         // that PDFium may use, in bytes. Zero means 256 MiB
	AtOnce  int           // files that are read at the same time; others wait. Zero means 1
	Cache   string        // a folder for compiled code, without which each file takes seconds more; may be empty

	// For tests: our program, and the time that it has before it begins with a file.
	program []string
	compile time.Duration
}

// A Reader reads the text of files. Its methods may be called at the same time.
type Reader struct {
	o     Options
	seats chan struct{}

	mu    sync.Mutex
	users map[chat.UserID]*turns
}

// turns lets one file of a user wait for a seat, so that users take turns.
type turns struct {
	seat    chan struct{}
	waiting int
}

// New returns a reader.
func New(o Options) *Reader {
	o.compile = cmp.Or(o.compile, 2*time.Minute)
	o.Timeout, o.Memory, o.AtOnce = cmp.Or(o.Timeout, 30*time.Second), cmp.Or(o.Memory, 256<<20), cmp.Or(o.AtOnce, 1)
	return &Reader{o: o, seats: make(chan struct{}, o.AtOnce), users: make(map[chat.UserID]*turns)}
}

// Text returns the text of a file, at most limit bytes of UTF-8, with form feeds between its
// pages.
func (r *Reader) Text(ctx context.Context, by chat.UserID, file io.Reader, limit int64) ([]byte, error) {
	waiting, stop := context.WithTimeoutCause(ctx, r.o.Timeout, errBusy)
	leave, err := r.enter(waiting, by)
	stop()
	if err != nil {
		return nil, err
	}
	defer leave()
	timed, cancel := context.WithTimeoutCause(ctx, r.o.compile+r.o.Timeout, errSlow)
	defer cancel()
	text, err := r.run(timed, file, limit)
	switch {
	case timed.Err() != nil:
		return nil, context.Cause(timed)
	case err != nil:
		return nil, err
	}
	return text, nil
}

// enter waits until a file of the user may be read.
func (r *Reader) enter(ctx context.Context, by chat.UserID) (leave func(), err error) {
	r.mu.Lock()
	own := r.users[by]
	if own == nil {
		own = &turns{seat: make(chan struct{}, 1)}
		r.users[by] = own
	}
	own.waiting++
	r.mu.Unlock()
	forget := func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if own.waiting--; own.waiting == 0 {
			delete(r.users, by)
		}
	}
	for i, seat := range []chan struct{}{own.seat, r.seats} {
		select { // a free seat is taken also when the time is over: nobody is busy
		case seat <- struct{}{}:
			continue
		default:
		}
		select {
		case seat <- struct{}{}:
		case <-ctx.Done():
			if i > 0 {
				<-own.seat
			}
			forget()
			return nil, context.Cause(ctx)
		}
	}
	return func() { <-r.seats; <-own.seat; forget() }, nil
}

func (r *Reader) run(ctx context.Context, file io.Reader, limit int64) ([]byte, error) {
	program := r.o.program
	if program == nil {
		self, err := ourselves()
		if err != nil {
			return nil, err
		}
		program = []string{self}
	}
	args := append(program[1:], Command, strconv.FormatInt(r.o.Memory, 10), r.o.Timeout.String(), r.o.Cache)
	cmd := exec.CommandContext(ctx, program[0], args...)
	cmd.Args[0], cmd.Env, cmd.WaitDelay = "parlor", []string{}, time.Second
	text, said := &limited{left: limit}, &limited{left: 4 << 10}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = file, text, said
	err := cmd.Run()
	status, ended := errors.AsType[*exec.ExitError](err)
	switch {
	case text.more:
		return nil, chat.Refuse(chat.CodeTooLarge, fmt.Sprintf("the text of a PDF file may have %d bytes", limit))
	case ended && refusals[status.ExitCode()] != nil:
		return nil, refusals[status.ExitCode()]
	case ended: // the memory was not enough, for example
		return nil, fmt.Errorf("%w (%w: %s)", errDamaged, err, bytes.TrimSpace(said.taken.Bytes()))
	case err != nil:
		return nil, fmt.Errorf("pdf: %w", err)
	}
	return text.taken.Bytes(), nil
}

// ourselves is the path of our program, also after another one was installed in its place.
func ourselves() (string, error) {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe", nil
	}
	return os.Executable()
}

// A limited buffer takes so many bytes, and then fails.
type limited struct {
	taken bytes.Buffer
	left  int64
	more  bool // than it takes
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= int64(len(p)); l.left < 0 {
		l.more = true
		return 0, io.ErrShortBuffer
	}
	return l.taken.Write(p)
}
