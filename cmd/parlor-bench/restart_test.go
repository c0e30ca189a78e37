package main

import (
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestRestart stops and starts a server under a few clients, none of which may miss anything.
func TestRestart(t *testing.T) {
	if testing.Short() {
		t.Skip("to build takes its time")
	}
	program := filepath.Join(t.TempDir(), "parlor")
	build := exec.Command("go", "build", "-o", program, "./cmd/parlor")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c := restartCmd{Connections: 100, Rooms: 10, Restarts: 1, Every: 20 * time.Millisecond, Parlor: program}
	if err := c.Run(t.Context()); err != nil {
		t.Error(err)
	}
}
