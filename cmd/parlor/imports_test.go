package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "parlor/"

// mayImport says which of our trees each tree may import, besides itself.
var mayImport = map[string][]string{
	"protocol":    {},
	"persistence": {},
	"transport":   {"protocol"},
	"actors":      {"protocol", "persistence"},
	"cmd":         {"protocol", "persistence", "transport", "actors"},
}

// wires are the packages that know how clients are spoken to. Rooms know none, nor
// does what lets clients come back, to whatever namespace.
var wires = []string{"parlor/protocol/assistant", "parlor/protocol/socketio", "parlor/protocol/engineio"}

// never are imports that break the direction inside a tree.
var never = map[string][]string{
	"actors/system":       {"parlor/actors/", "parlor/protocol/", "parlor/persistence"},
	"actors/access":       append([]string{"parlor/actors/", "parlor/persistence"}, wires...),
	"actors/room":         append([]string{"parlor/actors/rooms", "parlor/actors/session", "parlor/actors/assistant"}, wires...),
	"actors/turn":         append([]string{"parlor/actors/room", "parlor/actors/voice", "parlor/actors/session"}, wires...),
	"actors/voice":        append([]string{"parlor/actors/room", "parlor/actors/session"}, wires...),
	"actors/title":        append([]string{"parlor/actors/room", "parlor/actors/session"}, wires...),
	"actors/conversation": append([]string{"parlor/actors/", "os", "net", "net/http", "sync", "log/slog"}, wires...),
	"actors/rooms":        append([]string{"parlor/actors/session", "parlor/actors/assistant"}, wires...),
	"actors/session":      {"parlor/actors/room", "parlor/actors/assistant"},
	"actors/recovery":     append([]string{"parlor/actors/"}, wires...),
	"actors/resume":       append([]string{"parlor/actors/room", "parlor/actors/session", "parlor/actors/assistant"}, wires...),
	"protocol":            {"os", "net", "net/http", "context", "sync", "log/slog"},
}

// owners are the only trees that may import a dependency.
var owners = map[string]string{
	"github.com/asynkron/protoactor-go":   "actors/system",
	"go.etcd.io/bbolt":                    "persistence",
	"github.com/gorilla/websocket":        "transport",
	"github.com/tmaxmax/go-sse":           "transport",
	"github.com/sashabaranov/go-openai":   "transport",
	"github.com/golang-jwt/jwt":           "transport/auth",
	"github.com/rs/cors":                  "transport",
	"github.com/prometheus/client_golang": "transport",
	"github.com/alecthomas/kong":          "cmd",
	"github.com/modelcontextprotocol/go":  "transport",
}

// TestImports keeps the layout of DESIGN §2. It parses the source itself: a
// test that asked the go command would be answered from the test cache.
func TestImports(t *testing.T) {
	for file, f := range sources(t) {
		dir := filepath.Dir(file)
		test := strings.HasSuffix(file, "_test.go")
		for _, spec := range f.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			checkImport(t, dir, path, test)
		}
	}
}

func checkImport(t *testing.T, dir, path string, test bool) {
	t.Helper()
	tree, _, _ := strings.Cut(dir, "/")
	if ours, ok := strings.CutPrefix(path, module); ok {
		to, _, _ := strings.Cut(ours, "/")
		if to != tree && !slices.Contains(mayImport[tree], to) {
			t.Errorf("%s imports %s", dir, path)
		}
	}
	for prefix, owner := range owners {
		if within(path, prefix) && !within(dir, owner) && !test {
			t.Errorf("%s imports %s, which belongs to %s", dir, path, owner)
		}
	}
	for prefix, forbidden := range never {
		for _, f := range forbidden {
			if within(dir, prefix) && within(path, strings.TrimSuffix(f, "/")) && !within(path, module+dir) && !test {
				t.Errorf("%s imports %s", dir, path)
			}
		}
	}
}

func within(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, prefix+"/") || strings.HasPrefix(path, prefix+"-")
}

// TestPure: no goroutine and no clock in the codecs, nor in what rooms know and
// how they decide.
func TestPure(t *testing.T) {
	for file, f := range sources(t) {
		pure := strings.HasPrefix(file, "protocol/") || strings.HasPrefix(file, "actors/conversation/")
		if !pure || strings.HasSuffix(file, "_test.go") {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine", file)
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && n.Sel.Name == "Now" {
					t.Errorf("%s reads the clock", file)
				}
			}
			return true
		})
	}
}

// TestTopLevel keeps the top level to what the order fixes.
func TestTopLevel(t *testing.T) {
	want := []string{
		"LICENSE", "Makefile", "README.md", "actors", "bin", "cmd", "docs", "go.mod", "go.sum",
		"persistence", "protocol", "transport",
	}
	entries, err := os.ReadDir("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(want, e.Name()) && !strings.HasPrefix(e.Name(), "parlor.") {
			t.Errorf("%s does not belong to the top level", e.Name())
		}
	}
}

// sources parses every Go file of the repository, by its path from the top.
func sources(t *testing.T) map[string]*ast.File {
	t.Helper()
	files := make(map[string]*ast.File)
	top := filepath.Join("..", "..")
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata"):
			return filepath.SkipDir
		case !strings.HasSuffix(path, ".go"):
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, path)
		files[filepath.ToSlash(rel)] = f
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 10 {
		t.Fatalf("found only %d files", len(files))
	}
	return files
}
