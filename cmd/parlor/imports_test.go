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

// inActors says what each package of actors may import of actors and of protocol.
// A package that is not named here may import nothing of either. So a room, and
// whatever a room is made of, can know no wire: of protocol it has chat alone.
var inActors = map[string][]string{
	"actors/system":       {},
	"actors/access":       {"protocol/chat"},
	"actors/conversation": {"protocol/chat"},
	"actors/ledger":       {"protocol/chat"},
	"actors/recovery":     {"protocol/chat"},
	"actors/retention":    {"protocol/chat"},
	"actors/resume":       {"protocol/chat", "actors/recovery"},
	"actors/turn":         {"protocol/chat", "actors/system", "actors/conversation", "actors/ledger"},
	"actors/completion":   {"protocol/chat", "actors/conversation", "actors/ledger"},
	"actors/title":        {"protocol/chat", "actors/conversation", "actors/ledger", "actors/turn"},
	"actors/voice":        {"protocol/chat", "actors/system", "actors/conversation", "actors/turn"},
	"actors/room": {
		"protocol/chat", "actors/system", "actors/access", "actors/conversation", "actors/ledger",
		"actors/title", "actors/turn", "actors/voice",
	},
	"actors/rooms":    {"protocol/chat", "actors/system", "actors/room"},
	"actors/commands": {"protocol/chat", "actors/conversation", "actors/room"},
	"actors/search":   {"protocol/chat"},
	"actors/queries":  {"protocol/chat", "actors/access", "actors/conversation", "actors/ledger", "actors/search"},
	"actors/feed":     {"protocol/chat", "actors/access", "actors/conversation", "actors/queries", "actors/room"},
	"actors/files":    {"protocol/chat", "actors/access", "actors/conversation", "actors/queries", "actors/room"},
	"actors/chats": {
		"protocol/chat", "actors/system", "actors/access", "actors/conversation", "actors/room", "actors/rooms", "actors/commands",
		"actors/queries", "actors/feed", "actors/files",
	},
	"actors/follow":    {"protocol/chat", "actors/resume", "actors/room"},
	"actors/webhook":   {"protocol/chat", "actors/conversation"},
	"actors/emit":      {"protocol/chat", "protocol/engineio", "protocol/socketio", "actors/session"},
	"actors/session":   {"protocol/engineio", "protocol/socketio", "actors/system"},
	"actors/door":      {"protocol/chat", "actors/session"},
	"actors/assistant": {"protocol", "actors/door", "actors/emit", "actors/recovery", "actors/resume", "actors/room", "actors/session"},
	"actors/openwebui": {"protocol", "actors/door", "actors/emit", "actors/room", "actors/session"},
	"actors/observe":   {"protocol/admin", "protocol/chat", "actors/room", "actors/session", "actors/system"},
	"actors/actortest": {"protocol", "actors"},
}

// withPersistence are the packages of actors that may import persistence.
var withPersistence = []string{
	"actors/conversation", "actors/ledger", "actors/recovery", "actors/retention", "actors/turn", "actors/title", "actors/completion",
	"actors/room", "actors/queries", "actors/feed", "actors/files", "actors/chats", "actors/webhook", "actors/actortest",
}

// never are imports that nobody in a tree may have: what is pure has no I/O, no
// goroutines and no chance.
var never = map[string][]string{
	"actors/conversation": {"os", "io", "net", "sync", "log", "math/rand", "crypto/rand", "github.com/google/uuid"},
	"protocol":            {"os", "net", "context", "sync", "log", "math/rand", "crypto/rand"},
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
	"github.com/SherClockHolmes/webpush":  "transport/push",
	"github.com/prometheus/client_golang": "transport",
	"github.com/alecthomas/kong":          "cmd",
	"golang.org/x/time":                   "transport/limit",
	"golang.org/x/net":                    "transport/tools",
	"github.com/getkin/kin-openapi":       "transport/tools",
	"github.com/go-jose/go-jose":          "transport/auth",
	"github.com/coreos/go-oidc":           "transport/auth",
	"golang.org/x/crypto/argon2":          "transport/auth",
	"golang.org/x/oauth2":                 "transport",
	"github.com/klippa-app/go-pdfium":     "transport/pdf",
	"github.com/tetratelabs/wazero":       "transport/pdf",
	"golang.org/x/crypto/x509roots":       "cmd",
	"github.com/modelcontextprotocol/go":  "transport",
	"github.com/coreos/go-systemd":        "transport/listen",
	"golang.org/x/crypto/acme":            "transport/listen",
	"github.com/minio/minio-go":           "transport/backups",
	"go.opentelemetry.io/otel":            "transport/traces",
	"go.opentelemetry.io/proto/otlp":      "transport/traces",
	"google.golang.org/protobuf":          "transport/traces",
	"github.com/hashicorp/raft":           "persistence/replicated",
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
		if to != tree && !slices.Contains(mayImport[tree], to) || tree == "actors" && !test && !actorMayImport(dir, ours) {
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
			if within(dir, prefix) && within(path, f) && !test {
				t.Errorf("%s imports %s", dir, path)
			}
		}
	}
}

// actorMayImport reports whether the package of actors in dir may import ours.
func actorMayImport(dir, ours string) bool {
	if within(ours, "persistence") {
		return slices.Contains(withPersistence, dir)
	}
	return slices.ContainsFunc(inActors[dir], func(allowed string) bool { return within(ours, allowed) })
}

func within(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, prefix+"/") || strings.HasPrefix(path, prefix+"-")
}

// clock are the functions of package time that read the clock or wait for it.
var clock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

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
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clock, n.Sel.Name) {
					t.Errorf("%s uses the clock: time.%s", file, n.Sel.Name)
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

// parsed has the lines of what sources has parsed.
var parsed = token.NewFileSet()

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
		f, err := parser.ParseFile(parsed, path, nil, 0)
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
