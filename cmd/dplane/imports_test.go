package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

const module = "github.com/dplaneos/dplane/"

// rooms says which of the project's packages each package may import directly; a trailing /... covers
// what is below. Tests may import more: they are not looked at.
var rooms = []struct{ room, may, why string }{
	{"schema", "", "what may be said depends on nothing"},
	{"spec", "schema", "what should be knows no ZFS command and no SQL"},
	{"state", "spec", "what is, is plain data"},
	{"state/sqlite", "state spec", "memory knows data, not who decides"},
	{"drivers", "drivers/host state spec", "the contract knows no kind"},
	{"drivers/host", "spec", "commands are data"},
	{"drivers/host/process", "drivers/host", "an edge"},
	{"drivers/zfs", "drivers/host state spec", "the language decides nothing"},
	{"drivers/zfs/zfsfake", "drivers/host drivers/zfs state spec", "a model behind the runner"},
	{"drivers/zfs/stream", "drivers/host drivers/zfs", "what zfs send writes"},
	{"drivers/ha/carry", "drivers/ha drivers/ha/rejoin drivers/host drivers/zfs spec state", "what ha decides, done here"},
	{"drivers/ha/fence", "drivers/host spec state", "a proof for ha, got from programs: it decides nothing"},
	{"drivers/drivertest", "drivers state spec", "tests only: what those of several kinds share"},
	{"drivers/retention", "state spec", "pure: what stays, for all kinds that prune"},
	{"drivers/ha/rejoin", "drivers/ha drivers/host drivers/zfs spec state", "what a node has that the active one lacks, and the ways out"},
	{"drivers/ha/gate", "drivers/ha state", "what other processes know of the role"},
	{"drivers/ha/handover", "drivers drivers/ha drivers/host spec state", "what ha.active asks for, as a kind of its own"},
	{"drivers/ha/exec", "drivers/ha drivers/ha/carry drivers/ha/rejoin state", "it joins what ha decides with who does it"},
	{"drivers/ha/beat", "drivers/ha spec state", "an edge of ha: it says what ha makes it say, and asks no machine"},
	{"drivers/*", "drivers drivers/host drivers/retention drivers/zfs drivers/zfs/stream state spec", "no kind imports another, a process or SQL"},
	{"reconcile", "drivers drivers/host state spec", "order and consent know no kind"},
	{"reconcile/sim", "...", "tests only: it joins everything"},
	{"cmd/internal/render", "reconcile drivers drivers/host state spec", "pure"},
	{"cmd/internal/web", "cmd/internal/render reconcile state spec", "reads the store, never a driver"},
	{"cmd/internal/*", "reconcile drivers drivers/host state spec", "rooms of the command"},
	{"cmd/dplane", "...", "joins everything"},
	{"cmd/dplane/*", "...", "tests on the real thing"},
}

// homes are the effects that have one home each.
var homes = []struct{ pkg, home, why string }{
	{"os/exec", "drivers/host/process", "commands run in one place"},
	{"database/sql", "state/sqlite", "SQL has one room"},
	{"github.com/mattn/go-sqlite3", "state/sqlite", "SQL has one room"},
	{"net/http", "cmd/internal/web", "one listener for people and programs"},
	{"net/http", "drivers/ha/beat", "peers watch each other over TLS with their own keys: it is no page, and must not wait for one"},
	{"cuelang.org/go", "spec", "the schema is evaluated by the loader alone"},
	{"github.com/spf13/cobra", "cmd/dplane", "the command line is one way to reach the rooms"},
	{"github.com/coreos/go-systemd", "cmd/dplane", "the daemon alone is a service"},
	{"github.com/fsnotify/fsnotify", "cmd/internal/watch", "files are watched in one place"},
}

// TestImports holds each package's direct imports against the rules of the house.
func TestImports(t *testing.T) {
	found := directImports(t, "../..")
	if len(found) < 10 {
		t.Fatalf("only %d packages were found: the test looks in the wrong place", len(found))
	}
	for pkg, imports := range found {
		for imp, file := range imports {
			if inner, ok := strings.CutPrefix(imp, module); ok {
				checkRoom(t, pkg, inner, file)
				continue
			}
			checkHome(t, pkg, imp, file)
		}
	}
}

// checkHome: an effect may have several homes.
func checkHome(t *testing.T, pkg, imp, file string) {
	var others []string
	for _, h := range homes {
		if imp != h.pkg && !strings.HasPrefix(imp, h.pkg+"/") {
			continue
		}
		if pkg == h.home {
			return
		}
		others = append(others, h.home+" ("+h.why+")")
	}
	if len(others) > 0 {
		t.Errorf("%s imports %s, whose home is %s", file, imp, strings.Join(others, ", "))
	}
}

func checkRoom(t *testing.T, pkg, imp, file string) {
	for _, r := range rooms {
		if !covers(r.room, pkg) {
			continue
		}
		for _, may := range strings.Fields(r.may) {
			if may == "..." || may == imp {
				return
			}
		}
		t.Errorf("%s (package %s) imports %s: %s; it may import: %s", file, pkg, imp, r.why, r.may)
		return
	}
	t.Errorf("package %s is no room of the house: add it to the rules with a reason", pkg)
}

func covers(room, pkg string) bool {
	if base, ok := strings.CutSuffix(room, "/*"); ok {
		return strings.HasPrefix(pkg, base+"/")
	}
	return room == pkg
}

// directImports maps package -> import -> a file that has it.
func directImports(t *testing.T, root string) map[string]map[string]string {
	found := map[string]map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2) {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(rel)
		if found[pkg] == nil {
			found[pkg] = map[string]string{}
		}
		for _, i := range f.Imports {
			found[pkg][strings.Trim(i.Path.Value, `"`)] = path
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestTopLevel: the top level is closed.
func TestTopLevel(t *testing.T) {
	allowed := strings.Fields("cmd reconcile spec drivers state examples schema go.mod go.sum Makefile README.md bin")
	entries, err := os.ReadDir("../..")
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(allowed)
	for _, e := range entries {
		i := sort.SearchStrings(allowed, e.Name())
		if !strings.HasPrefix(e.Name(), ".") && (i == len(allowed) || allowed[i] != e.Name()) {
			t.Errorf("%s does not belong at the top level", e.Name())
		}
	}
}
