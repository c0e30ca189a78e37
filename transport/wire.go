package transport

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// batchBytes is the number of bytes that are collected before they are written.
const batchBytes = 16 << 10

var batches = sync.Pool{New: func() any { return new([batchBytes]byte) }}

// A wire is the network connection below a WebSocket. While it is corked,
// small writes are collected, so that many frames leave in one system call.
//
// One goroutine may read and others may write. Close and the deadlines' setters
// may be called by any.
type wire struct {
	net.Conn
	timeout time.Duration // of a write that makes no progress

	readErr error // of the last Read, for the goroutine that reads

	mu     sync.Mutex
	corked bool
	batch  *[batchBytes]byte // the bytes that are collected, nil if there are none
	n      int               // bytes in batch
}

// Read implements [net.Conn].
func (w *wire) Read(p []byte) (n int, err error) {
	n, err = w.Conn.Read(p)
	if err != nil {
		w.readErr = err
	}
	return n, err
}

// SetWriteDeadline does nothing. The WebSocket sets a deadline for each frame,
// but a frame may be collected and written later. Each write to the network has
// w.timeout instead.
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// Write implements [net.Conn]. While the wire is corked, p may be written only by
// flush, which then returns the error.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.n+len(p) > batchBytes || !w.corked {
		if err := w.sendBatch(); err != nil {
			return 0, err
		}
	}
	if len(p) > batchBytes || !w.corked {
		return len(p), w.send(p)
	}
	if w.batch == nil {
		w.batch = batches.Get().(*[batchBytes]byte)
	}
	w.n += copy(w.batch[w.n:], p)
	return len(p), nil
}

// cork begins to collect writes.
func (w *wire) cork() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.corked = true
}

// flush writes the collected bytes, and ends the collecting.
func (w *wire) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.corked = false
	return w.sendBatch()
}

func (w *wire) sendBatch() error {
	if w.batch == nil {
		return nil
	}
	err := w.send(w.batch[:w.n])
	batches.Put(w.batch)
	w.batch, w.n = nil, 0
	return err
}

// send writes p. It takes as long as it needs, unless the client reads nothing
// for w.timeout.
func (w *wire) send(p []byte) error {
	for {
		_ = w.Conn.SetWriteDeadline(time.Now().Add(w.timeout))
		n, err := w.Conn.Write(p)
		p = p[n:]
		if n > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		return err
	}
}

// closeWrite closes the sending half of the connection, if it has halves (TCP
// and TLS do).
func (w *wire) closeWrite() {
	if half, ok := w.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}
