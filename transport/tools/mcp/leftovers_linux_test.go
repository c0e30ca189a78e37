package mcp

import (
	"os/exec"
	"testing"
)

// A process with the mark in its environment is ended, and nothing else.
func TestLeftovers(t *testing.T) {
	run := func(env string) *exec.Cmd {
		cmd := exec.Command("sleep", "1000")
		cmd.Env = []string{"A=B", env}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	mark := markOf(t.TempDir())
	left, other := run(mark), run(mark+"x")
	if n := endLeftovers(mark); n != 1 {
		t.Errorf("%d were ended", n)
	}
	if err := left.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("got %v", err)
	}
	_ = other.Process.Kill()
	_ = other.Wait()
	if n := endLeftovers(mark); n != 0 {
		t.Errorf("%d were ended again", n)
	}
}
