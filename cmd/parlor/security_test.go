package main

import "testing"

// TestLimitsAreListed looks in docs/security.md for every setting about access and
// limits.
func TestLimitsAreListed(t *testing.T) {
	listed := find(t, "docs/security.md", "`([a-z-]+)`")
	for _, flag := range allSettings(t) {
		if (flag.Group.Key == "access" || flag.Group.Key == "limits") && !listed[flag.Name] {
			t.Errorf("docs/security.md lacks %s: say what it bounds", flag.Name)
		}
	}
}
