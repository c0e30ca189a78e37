package requests

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync/atomic"
)

// A recorder counts what is answered. Answers that go on for long are written from several
// goroutines.
type recorder struct {
	http.ResponseWriter
	status atomic.Int64
	bytes  atomic.Int64
}

// answered returns the status of the answer.
func (w *recorder) answered(whole bool) int {
	status := int(w.status.Load())
	if status == 0 && whole {
		return http.StatusOK // which a handler that writes nothing answers
	}
	return status
}

// WriteHeader implements [http.ResponseWriter].
func (w *recorder) WriteHeader(status int) {
	if status >= http.StatusOK || status == http.StatusSwitchingProtocols { // others only announce
		w.status.CompareAndSwap(0, int64(status))
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *recorder) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	w.count(int64(n))
	return n, err
}

func (w *recorder) count(n int64) {
	w.status.CompareAndSwap(0, http.StatusOK)
	w.bytes.Add(n)
}

// ReadFrom implements [io.ReaderFrom], by which a file goes to its client without being
// copied.
func (w *recorder) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(w.ResponseWriter, r)
	w.count(n)
	return n, err
}

// Hijack implements [http.Hijacker]. What is sent on a WebSocket is not counted.
func (w *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.status.CompareAndSwap(0, http.StatusSwitchingProtocols)
	}
	return conn, rw, err
}

// Flush implements [http.Flusher].
func (w *recorder) Flush() { _ = w.FlushError() } // as that of the server does

// FlushError is for [http.ResponseController].
func (w *recorder) FlushError() error { return http.NewResponseController(w.ResponseWriter).Flush() }

// Unwrap is for [http.ResponseController].
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
