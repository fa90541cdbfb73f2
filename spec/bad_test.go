package spec

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-multierror"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the expected messages of testdata/bad")

// TestBad loads each folder of mistakes and compares every message, word for word.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil || len(files) < 60 {
		t.Fatalf("%d archives: %v", len(files), err)
	}
	cache := NewCache()
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { checkBad(t, file, cache) })
	}
}

func checkBad(t *testing.T, file string, cache *Cache) {
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want, files := "", map[string][]byte{}
	var kept []txtar.File
	for _, f := range a.Files {
		if f.Name == "want" {
			want = string(f.Data)
			continue
		}
		files[f.Name] = f.Data
		kept = append(kept, f)
	}
	s, err := LoadFiles(files, LoadOptions{Hostname: "nas-a", Dir: "/etc/dplaneos", Cache: cache})
	if err == nil || s != nil {
		t.Fatalf("loaded: %v", s)
	}
	got := messages(t, err)
	if *update {
		a.Files = append(kept, txtar.File{Name: "want", Data: []byte(got)})
		if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

// messages are the problems of an error, one a line.
func messages(t *testing.T, err error) string {
	t.Helper()
	var all *multierror.Error
	if !errors.As(err, &all) {
		t.Fatalf("the error is a %T", err)
	}
	var b strings.Builder
	for _, e := range all.Errors {
		var p *Problem
		if !errors.As(e, &p) {
			t.Fatalf("the error holds a %T", e)
		}
		b.WriteString(p.Error() + "\n")
	}
	return b.String()
}

// TestEveryProblemIsWhole: a message has a place, what is expected, and an example.
func TestEveryProblemIsWhole(t *testing.T) {
	files, _ := filepath.Glob("testdata/bad/*.txtar")
	cache := NewCache()
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		files := map[string][]byte{}
		for _, f := range a.Files {
			files[f.Name] = f.Data
		}
		delete(files, "want")
		_, err = LoadFiles(files, LoadOptions{Hostname: "nas-a", Dir: "/etc/dplaneos", Cache: cache})
		var all *multierror.Error
		errors.As(err, &all)
		for _, e := range all.Errors {
			p := e.(*Problem)
			if p.Pos.File == "" || p.Pos.Line < 1 || p.Pos.Column < 1 || p.Message == "" || p.Expected == "" || p.Example == "" {
				t.Errorf("%s: %+v", file, p)
			}
		}
	}
}
