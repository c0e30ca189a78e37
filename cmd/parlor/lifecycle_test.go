package main

import (
	"errors"
	"log/slog"
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
