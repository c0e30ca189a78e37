package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestDependenciesAreListed compares docs/dependencies.md with go.mod, both ways.
func TestDependenciesAreListed(t *testing.T) {
	const path = `([a-z0-9-]+(?:\.[a-z0-9-]+)+(?:/[A-Za-z0-9._-]+)+)`
	required := find(t, "go.mod", `(?m)^\t`+path+` v`)
	listed := find(t, "docs/dependencies.md", "`"+path+"`")
	if len(required) < 10 {
		t.Fatalf("go.mod requires only %d modules", len(required))
	}
	for module := range required {
		if !listed[module] {
			t.Errorf("docs/dependencies.md lacks %s: say what it is for and what it costs", module)
		}
	}
	for module := range listed {
		if !required[module] {
			t.Errorf("docs/dependencies.md lists %s, which go.mod does not require", module)
		}
	}
}

// find returns what the group of pattern matches in a file of the repository.
func find(t *testing.T, file, pattern string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", file))
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]bool)
	for _, match := range regexp.MustCompile(pattern).FindAllSubmatch(text, -1) {
		found[string(match[1])] = true
	}
	return found
}
