package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// TestUnits has systemd read the example units, where it is installed, and looks for their
// flags among ours.
func TestUnits(t *testing.T) {
	const folder = "../../docs/deploy/systemd"
	dir := t.TempDir()
	var paths []string
	for _, name := range []string{"parlor.service", "parlor.socket"} {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, flag := range regexp.MustCompile(` --([a-z-]+)`).FindAllSubmatch(regexp.MustCompile(`(?m)^ExecStart=.*`).Find(text), -1) {
			if _, ok := samples[string(flag[1])]; !ok && string(flag[1]) != "config" {
				t.Errorf("%s: parlor has no flag --%s", name, flag[1])
			}
		}
		path := filepath.Join(dir, name)
		paths = append(paths, path)
		text = bytes.ReplaceAll(text, []byte("/usr/bin/parlor"), []byte("/bin/true")) // it must exist
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	out, err := exec.Command("systemd-analyze", append([]string{"verify", "--man=no"}, paths...)...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
