package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestMaxConnections(t *testing.T) {
	for _, tt := range []struct {
		set, files, want int
		says             string
	}{
		{100, 0, 100, ""},
		{100, 1000, 100, ""},
		{1000, 1000, 500, "level=WARN"},
		{1000, 256, 128, "connections=128"},
		{100_000, 1 << 20, 100_000, ""},
	} {
		var text syncBuffer
		s := &server{Settings: Settings{Values: Values{MaxConnections: tt.set}, rows: []row{{name: "max-connections", source: "flag"}}}, log: slog.New(slog.NewTextHandler(&text, nil))}
		got, said := s.maxConnections(tt.files), text.take()
		if got != tt.want || !strings.Contains(said, tt.says) || tt.says == "" && said != "" {
			t.Errorf("%d with %d files: %d, want %d; logged %q", tt.set, tt.files, got, tt.want, said)
		}
	}
}

// A server that stops waits for the first requests of connections that it has accepted, and not
// for long if none comes.
func TestNewcomers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n newcomers
		waited := func() time.Duration {
			began := time.Now()
			ctx, end := context.WithTimeout(t.Context(), newcomerGrace)
			defer end()
			n.wait(ctx)
			return time.Since(began)
		}
		if got := waited(); got != 0 {
			t.Errorf("waited %v for nobody", got)
		}
		slow, idle, silent := new(net.TCPConn), new(net.TCPConn), new(net.TCPConn)
		n.note(idle, http.StateNew)
		n.note(idle, http.StateActive)
		n.note(idle, http.StateIdle)
		n.note(slow, http.StateNew)
		time.AfterFunc(time.Second, func() { n.note(slow, http.StateActive) })
		if got := waited(); got != time.Second {
			t.Errorf("waited %v, want until the request came", got)
		}
		n.note(silent, http.StateNew)
		if got := waited(); got != newcomerGrace {
			t.Errorf("waited %v for a connection without a request", got)
		}
		n.note(silent, http.StateClosed)
		if got := waited(); got != 0 {
			t.Errorf("waited %v when it was closed", got)
		}
	})
}

func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h health
		want := func(why string) {
			t.Helper()
			if got := h.unready(); got != why {
				t.Errorf("not ready for %q, want %q", got, why)
			}
		}
		h.committed(nil)
		want("")
		h.committed(errors.New("the disk is full"))
		want("storage_unavailable")
		time.Sleep(storageDoubt)
		want("") // somebody may try again
		h.committed(errors.New("the disk is full"))
		h.committed(nil)
		want("")
		h.stopping.Store(true)
		want("stopping")
	})
}
