package main

import (
	"go/ast"
	"path/filepath"
	"strings"
	"testing"
)

// Limits. A larger type, file or function has several jobs, and should be split by them.
const (
	maxMethods   = 45 // of a type
	maxFileLines = 400
	maxFuncLines = 50
)

// larger are the exceptions.
var larger = map[string]int{
	"cmd/parlor/server":  60, // joins all parts
	"persistence/Reader": 60, // reads all that the file has
}

// TestSizes keeps types, files and functions small enough to be read at once.
func TestSizes(t *testing.T) {
	check := func(what string, n, limit int) {
		if limit = max(limit, larger[what]); n > limit {
			t.Errorf("%s: %d, at most %d", what, n, limit)
		}
	}
	methods := make(map[string]map[string]bool) // by type; once, also if there is one for each system
	for file, f := range sources(t) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		check(file, parsed.Position(f.FileEnd).Line-1, maxFileLines)
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			check(file+" "+fn.Name.Name, parsed.Position(fn.End()).Line-parsed.Position(fn.Pos()).Line+1, maxFuncLines)
			if fn.Recv != nil {
				of := filepath.Dir(file) + "/" + nameOf(fn.Recv.List[0].Type)
				if methods[of] == nil {
					methods[of] = make(map[string]bool)
				}
				methods[of][fn.Name.Name] = true
			}
		}
	}
	for of, names := range methods {
		check(of, len(names), maxMethods)
	}
}

// nameOf returns the name of the type that a method is of.
func nameOf(receiver ast.Expr) string {
	switch r := receiver.(type) {
	case *ast.StarExpr:
		return nameOf(r.X)
	case *ast.IndexExpr:
		return nameOf(r.X)
	case *ast.Ident:
		return r.Name
	}
	return ""
}
