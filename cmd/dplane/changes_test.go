package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
)

// The README's table of changes and the end-to-end tests on real ZFS have the same rows.
func TestChangesAreProved(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, m := range regexp.MustCompile(`(?m)^\| ([^|]+) \| (?:safe|disruptive|irreversible|destructive) \|`).FindAllSubmatch(readme, -1) {
		told = append(told, string(m[1]))
	}
	proved := provedChanges(t)
	for _, name := range told {
		if !slices.Contains(proved, name) {
			t.Errorf("the README names the change %q, and no row in e2e/change_*_test.go makes it", name)
		}
	}
	for _, name := range proved {
		if !slices.Contains(told, name) {
			t.Errorf("the change %q is tested, and the README does not name it", name)
		}
	}
}

// provedChanges are the names of the rows in the end-to-end tests, which are built under a tag of their own.
func provedChanges(t *testing.T) []string {
	files, err := filepath.Glob("e2e/change_*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no end-to-end rows: %v", err)
	}
	var names []string
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			kv, ok := n.(*ast.KeyValueExpr)
			if !ok {
				return true
			}
			key, isName := kv.Key.(*ast.Ident)
			value, isText := kv.Value.(*ast.BasicLit)
			if isName && key.Name == "name" && isText {
				name, err := strconv.Unquote(value.Value)
				if err != nil {
					t.Fatal(err)
				}
				names = append(names, name)
			}
			return true
		})
	}
	return names
}
