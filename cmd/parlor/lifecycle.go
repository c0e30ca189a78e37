package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"parlor/transport/listen"
)

// listening says where to serve.
func (s *server) listening() listen.Options {
	return listen.Options{
		Address: s.Listen, CertFile: s.TLSCertFile, KeyFile: s.TLSKeyFile, Logger: s.log,
		ACME: listen.ACME{Hosts: s.ACMEHosts, Email: s.ACMEEmail, URL: s.ACMEURL, Dir: s.ACMEDir},
	}
}

// acceptedGrace is how long requests are served at least after the last connection was
// accepted, if drain-timeout is not shorter: once http.Server.Shutdown has been called it
// drops the requests that it reads.
const acceptedGrace = 200 * time.Millisecond

// drain lets running answers end before the server stops. Until then clients stay
// connected and are told of them; new clients wait for the next start.
func (s *server) drain(listener io.Closer) {
	s.health.stopping.Store(true)
	listen.Stopping()
	s.log.Info("stopping", "answers", s.rooms.Answering())
	listener.Close()
	ctx, cancel := context.WithTimeout(context.Background(), s.DrainTimeout)
	defer cancel()
	served := time.After(min(acceptedGrace, s.DrainTimeout))
	come, end := context.WithTimeout(ctx, newcomerGrace)
	defer end()
	if left := s.rooms.Drain(ctx); left > 0 {
		s.log.Info("some answers have not ended in drain-timeout, and begin again with the next start", "answers", left)
	}
	<-served
	s.newcomers.wait(come)
}

// newcomerGrace is how long a connection that was accepted may take, after the listener was
// closed, until its first request has come. That of a slow network takes some round trips with TLS,
// and browsers open some connections that they never use.
const newcomerGrace = 2 * time.Second

// newcomers are the connections whose first request has not come yet. The zero value is ready
// to use, by several goroutines.
type newcomers struct {
	mu    sync.Mutex
	conns map[net.Conn]bool
	gone  chan struct{} // closed when there are none any more; nil: nobody waits for that
}

// note is the ConnState of [http.Server].
func (n *newcomers) note(c net.Conn, state http.ConnState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if state == http.StateNew {
		if n.conns == nil {
			n.conns = make(map[net.Conn]bool)
		}
		n.conns[c] = true
		return
	}
	delete(n.conns, c)
	if len(n.conns) == 0 && n.gone != nil {
		close(n.gone)
		n.gone = nil
	}
}

// wait waits until there are none, or ctx ends. One goroutine waits.
func (n *newcomers) wait(ctx context.Context) {
	n.mu.Lock()
	if len(n.conns) == 0 {
		n.mu.Unlock()
		return
	}
	gone := make(chan struct{})
	n.gone = gone
	n.mu.Unlock()
	select {
	case <-gone:
	case <-ctx.Done():
	}
}

// storageDoubt is how long after a commit has failed the server is not ready. Then
// somebody may try again.
const storageDoubt = 10 * time.Second

// health is what decides whether the server takes requests.
type health struct {
	stopping atomic.Bool
	failed   atomic.Int64 // when a commit failed, in Unix nanoseconds; 0 if the last one did not
}

// committed notes how a commit has ended.
func (h *health) committed(err error) {
	switch {
	case err != nil:
		h.failed.Store(time.Now().UnixNano())
	case h.failed.Load() != 0:
		h.failed.Store(0)
	}
}

// unready returns why the server does not take requests, or nothing.
func (h *health) unready() (why string) {
	failed := h.failed.Load()
	switch {
	case h.stopping.Load():
		return "stopping"
	case failed != 0 && time.Since(time.Unix(0, failed)) < storageDoubt:
		return "storage_unavailable"
	}
	return ""
}

// otherFiles are left for what is no connection of a client: providers, the data file,
// servers of tools.
const otherFiles = 500

// maxConnections returns max-connections, or what the limit of open files leaves for them:
// past that limit the system would refuse connections, without a word to their clients.
func (s *server) maxConnections(files int) int {
	most := max(files-otherFiles, files/2)
	if files == 0 || s.MaxConnections <= most {
		return s.MaxConnections
	}
	level := slog.LevelWarn
	if s.row("max-connections").source == fromDefault {
		level = slog.LevelInfo
	}
	s.log.Log(context.Background(), level, "the limit of open files allows fewer connections than max-connections (ulimit -n, LimitNOFILE)", "files", files, "connections", most)
	return most
}
