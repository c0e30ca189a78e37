package transport

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"parlor/protocol/engineio"
)

// answerPiece is the number of bytes of an answer that the client has to read
// within a WriteTimeout.
const answerPiece = 32 << 10

var (
	noopFrame  = engineio.Packet{Type: engineio.TypeNoop}.Frame()
	closeFrame = engineio.Packet{Type: engineio.TypeClose}.Frame()

	errCut = errors.New("transport: connection cut off")
)

// An answer is the answer to one GET.
type answer struct {
	conn    *Conn
	control *http.ResponseController
	frames  []engineio.Frame
	cost    int  // of the frames that were taken from the queue
	last    bool // no answer follows, the connection ends
}

// turn returns an answer without frames.
func (p *polling) turn(w http.ResponseWriter) *answer {
	return &answer{conn: p.conn, control: http.NewResponseController(w)}
}

// write writes the answer, and returns when the kernel has all of it.
func (a *answer) write(w http.ResponseWriter, r *http.Request) error {
	pollHeader(w, r)
	size := engineio.PayloadSize(a.frames)
	above := a.conn.server.opts.CompressAbove
	coding := contentCoding(strings.Join(r.Header.Values("Accept-Encoding"), ","))
	var err error
	if above >= 0 && size > above && coding != "" && slices.ContainsFunc(a.frames, worthCompressing) {
		err = a.writeCompressed(w, coding)
	} else {
		w.Header().Set("Content-Length", strconv.Itoa(size))
		err = a.writePayload(&pieces{answer: a, w: w})
	}
	if err != nil {
		return err
	}
	if err := a.control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	_ = a.control.SetWriteDeadline(time.Time{}) // the next request has its own
	return nil
}

func worthCompressing(f engineio.Frame) bool { return !f.Plain }

func (a *answer) writePayload(w io.Writer) error {
	for part := range engineio.Payload(a.frames) {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// writeCompressed compresses the whole answer before it writes it, so that its
// length is known.
func (a *answer) writeCompressed(w http.ResponseWriter, coding string) error {
	buf := buffers.Get().(*bytes.Buffer)
	defer spare(buf)
	pool := compressors[coding]
	z := pool.Get().(compressor)
	defer pool.Put(z)
	z.Reset(buf)
	if err := a.writePayload(z); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	w.Header().Set("Content-Encoding", coding)
	w.Header().Set("Content-Length", strconv.Itoa(buf.Len()))
	_, err := (&pieces{answer: a, w: w}).Write(buf.Bytes())
	return err
}

// pieces writes an answer, however long it takes, as long as the client reads
// a piece now and then and the connection is not cut off.
type pieces struct {
	*answer
	w    io.Writer
	left int // bytes that may be written before the deadline is extended
}

// Write implements [io.Writer].
func (p *pieces) Write(b []byte) (n int, err error) {
	for n < len(b) {
		if p.left == 0 {
			if err := p.extend(); err != nil {
				return n, err
			}
			p.left = answerPiece
		}
		m, err := p.w.Write(b[n:min(len(b), n+p.left)])
		n, p.left = n+m, p.left-m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// extend gives the client a WriteTimeout from now.
func (a *answer) extend() error {
	a.conn.mu.Lock()
	defer a.conn.mu.Unlock()
	if a.conn.end.abrupt {
		return errCut
	}
	_ = a.control.SetWriteDeadline(time.Now().Add(a.conn.server.opts.WriteTimeout))
	return nil
}

// A compressor is a gzip.Writer or a zlib.Writer.
type compressor interface {
	io.WriteCloser
	Reset(io.Writer)
}

// compressors are pools of compressors, by content coding. Each compressor takes
// hundreds of kilobytes. Few are needed, since none waits for the network.
var compressors = map[string]*sync.Pool{
	"gzip": {New: func() any {
		z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // fails for unknown levels
		return z
	}},
	"deflate": {New: func() any {
		z, _ := zlib.NewWriterLevel(nil, zlib.BestSpeed)
		return z
	}},
}

// contentCoding returns the content coding for a client with this
// Accept-Encoding header (RFC 9110, section 12.5.3): "gzip", "deflate", or none.
func contentCoding(accept string) string {
	coding := ""
	for item := range strings.SplitSeq(accept, ",") {
		name, weight, _ := strings.Cut(item, ";")
		_, q, _ := strings.Cut(weight, "=")
		if v, err := strconv.ParseFloat(strings.TrimSpace(q), 64); err == nil && v == 0 {
			continue
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "gzip":
			return "gzip"
		case "deflate":
			coding = "deflate"
		}
	}
	return coding
}
