//go:build !unix

package mcp

import "os/exec"

// GuardCommand is never given: there are no process groups here.
const GuardCommand = "mcp-guard"

// Guard does nothing.
func Guard([]string) int { return 2 }

// guarded is a server without a guard. What it has started itself may outlive it.
type guarded struct{ cmd *exec.Cmd }

func guard(command []string) (*exec.Cmd, *guarded, error) {
	cmd := exec.Command(command[0], command[1:]...)
	return cmd, &guarded{cmd}, nil
}

func (g *guarded) started()       {}
func (g *guarded) release()       {}
func (g *guarded) status() string { return "" }

func (g *guarded) kill() {
	if g.cmd.Process != nil {
		_ = g.cmd.Process.Kill()
	}
}
