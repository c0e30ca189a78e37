package main

import (
	"strings"
	"testing"
	"time"

	"parlor/protocol/admin"
	adminapi "parlor/transport/admin"
)

func TestTop(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	ms := 0.002
	top := adminapi.Top{
		Overview: admin.Overview{
			Version: "parlor v1", Started: now.Add(-25 * time.Hour), Ready: "storage_unavailable", Users: 2,
			Now:       admin.Point{Connections: 5, Sessions: 3, Rooms: 1, Turns: 0.5, CommitP50: &ms, CommitP99: &ms},
			Series:    []admin.Point{{Turns: 0}, {Turns: 1}, {Turns: 2}},
			Providers: []admin.Provider{{Name: "openai", State: "open", Requests: map[string]uint64{"failed": 7}}},
		},
		Page: admin.Page{Total: 9, Actors: []admin.Actor{{
			ID: "rooms/r1.2", State: "answering", Queue: 4, Restarts: 1, Since: now.Add(-61 * time.Second),
			Room:    &admin.Room{Owner: "alice", Listeners: 2, Running: &admin.Turn{ModelID: "m", By: "bob\x1b[31m", Since: now.Add(-3 * time.Second)}},
			Failure: &admin.Failure{At: now.Add(-time.Hour), Reason: "boom\nagain"},
		}}},
	}
	var text strings.Builder
	writeTop(&text, top, now)
	for _, want := range []string{
		"parlor v1   up 1d01h   storage unavailable", "2 users   5 connections (3 signed in", "0.5/s", "▁▄█", "p50 2.0 ms, p99 2.0 ms", "openai", "open", "7",
		"rooms/r1.2", "answering", "1m01s", "of alice, 2 listen; m answers bob", "for 3s; failed 1h00m ago", "and 8 more",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is missing in\n%s", want, text.String())
		}
	}
	if strings.Contains(text.String(), "\x1b") || strings.Contains(text.String(), "boom\n") {
		t.Errorf("what somebody else has chosen reaches the terminal as it is:\n%q", text.String())
	}
}

// A screen that cannot be drawn on gets plain text, one look behind the other.
func TestScreen(t *testing.T) {
	var plain, fancy strings.Builder
	for _, s := range []*screen{screenOn(&plain, "xterm", false), {w: &fancy, anew: true}} {
		for _, text := range []string{"one\n", "two\n"} {
			if err := s.draw(text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got, want := plain.String(), "one\n\ntwo\n"; got != want {
		t.Errorf("plain: %q, want %q", got, want)
	}
	if got, want := fancy.String(), "\x1b[2J\x1b[Hone\n\x1b[Htwo\x1b[K\n\x1b[J"; got != want {
		t.Errorf("drawn: %q, want %q", got, want)
	}
}
