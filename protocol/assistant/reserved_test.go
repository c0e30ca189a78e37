package assistant_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"parlor/protocol/assistant"
)

// TestReserved looks in the source for the events that clients are told. Other backends
// must not be able to forge them.
func TestReserved(t *testing.T) {
	found := 0
	for _, dir := range []string{".", "../../actors/assistant"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				for _, event := range eventsIn(n) {
					found++
					for _, name := range []string{event, event + " rabc"} {
						if !assistant.Reserved(name) {
							t.Errorf("%q is an event of the server, and is not reserved", name)
						}
					}
				}
				return true
			})
		}
	}
	if found < 40 {
		t.Errorf("found %d events only: this test does not see them any more", found)
	}
	for _, name := range []string{"progress", "my-app:ping", "messages", "Message"} {
		if assistant.Reserved(name) {
			t.Errorf("%q is reserved", name)
		}
	}
}

// eventsIn returns the constant names in a call that makes an event.
func eventsIn(n ast.Node) (events []string) {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return nil
	}
	switch f := call.Fun.(type) {
	case *ast.Ident:
		ok = f.Name == "Event" || f.Name == "EventFrame" || f.Name == "name"
	case *ast.SelectorExpr:
		ok = f.Sel.Name == "Event" || f.Sel.Name == "emit" || f.Sel.Name == "EventFrame"
	default:
		ok = false
	}
	if !ok {
		return nil
	}
	for _, arg := range call.Args {
		if lit, isText := arg.(*ast.BasicLit); isText && lit.Kind == token.STRING {
			text, _ := strconv.Unquote(lit.Value)
			if text = strings.TrimSpace(text); text != "" {
				events = append(events, text)
			}
		}
	}
	return events
}
