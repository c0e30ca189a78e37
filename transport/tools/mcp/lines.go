package mcp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

// lines is a connection of one message a line. Lines that are no message are dropped, and
// a call whose answer is too long fails: with the connection of the SDK either would end
// the session.
type lines struct {
	in    io.ReadCloser
	lines *bufio.Reader
	out   io.WriteCloser
	queue chan []byte // what is to be written
	done  chan struct{}
	close func() error
	log   strays
}

// maxQueue is how many messages wait for a server that does not read.
const maxQueue = 16

func newLines(in io.ReadCloser, out io.WriteCloser, log *slog.Logger) *lines {
	l := &lines{in: in, lines: bufio.NewReaderSize(in, 64<<10), out: out, queue: make(chan []byte, maxQueue), done: make(chan struct{}), log: strays{log: log}}
	l.close = sync.OnceValue(func() error {
		close(l.done)
		return errors.Join(l.out.Close(), l.in.Close())
	})
	go l.write()
	return l
}

// write writes what waits, until the connection is closed. So a server that does not read
// holds up no call beyond its time.
func (l *lines) write() {
	for {
		select {
		case <-l.done:
			return
		case line := <-l.queue:
			if _, err := l.out.Write(line); err != nil {
				_ = l.close()
				return
			}
		}
	}
}

// Read implements [sdk.Connection].
func (l *lines) Read(context.Context) (jsonrpc.Message, error) {
	for {
		line, size, err := l.next()
		if size > maxMessage {
			if m := tooLong(line, size); m != nil {
				return m, nil
			}
		} else if m, bad := jsonrpc.DecodeMessage(line); bad == nil {
			return m, nil
		}
		if len(bytes.TrimSpace(line)) > 0 {
			l.log.note(line, size)
		}
		if err != nil {
			return nil, err
		}
	}
}

// edge is how much is kept of the beginning and of the end of a line that is too long.
const edge = 512

// next returns the next line. Of one that is too long it returns both ends.
func (l *lines) next() (line []byte, size int, err error) {
	for {
		part, err := l.lines.ReadSlice('\n')
		size += len(part)
		line = append(line, part...)
		if size > maxMessage && len(line) > 2*edge {
			line = append(line[:edge:edge], line[len(line)-edge:]...)
		}
		if err != bufio.ErrBufferFull {
			return line, size, err
		}
	}
}

// idAtEdge finds the id of an answer where servers write it: before or behind the result.
var idAtEdge = regexp.MustCompile(`^\{"jsonrpc":"2\.0","id":(\d+),"(?:result|error)"|"id":(\d+)(?:,"jsonrpc":"2\.0")?\}\s*$`)

// tooLong returns the failure of the call whose answer is too long, or nil if its id cannot
// be found.
func tooLong(line []byte, size int) jsonrpc.Message {
	found := idAtEdge.FindSubmatch(line)
	if found == nil {
		return nil
	}
	n, err := strconv.ParseInt(string(append(found[1], found[2]...)), 10, 64)
	if err != nil {
		return nil
	}
	id, err := jsonrpc.MakeID(float64(n))
	if err != nil {
		return nil
	}
	return failed(id, fmt.Sprintf("its answer has %d bytes; at most %d are read. It may have had its effect", size, maxMessage))
}

// failed answers a call in the place of its server.
func failed(id jsonrpc.ID, why string) *jsonrpc.Response {
	return &jsonrpc.Response{ID: id, Error: &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: why}}
}

// Write implements [sdk.Connection].
func (l *lines) Write(ctx context.Context, m jsonrpc.Message) error {
	line, err := jsonrpc.EncodeMessage(m)
	if err != nil {
		return err
	}
	select {
	case <-l.done:
		return io.ErrClosedPipe
	default:
	}
	select {
	case l.queue <- append(line, '\n'):
		deliveryOf(ctx).sent.Store(true)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-l.done:
		return io.ErrClosedPipe
	}
}

// Close implements [sdk.Connection].
func (l *lines) Close() error { return l.close() }

// SessionID implements [sdk.Connection].
func (l *lines) SessionID() string { return "" }

// strays logs lines that are no message, and not all of a flood.
type strays struct {
	log   *slog.Logger
	since time.Time // the last one that was logged
	more  int       // that were not
}

const (
	straysEvery = 10 * time.Second
	maxStray    = 200 // bytes of one that are logged
)

func (s *strays) note(line []byte, size int) {
	if time.Since(s.since) < straysEvery {
		s.more++
		return
	}
	s.log.Warn("an MCP server wrote a line to stdout that is no message", "line", string(line[:min(len(line), maxStray)]), "bytes", size, "others_before", s.more)
	s.since, s.more = time.Now(), 0
}
