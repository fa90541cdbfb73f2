package spec

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
)

// FuzzLoad: whatever is in a file, loading ends soon with a Spec or with errors that have a place; what
// loads has a canonical form that loads again to the same.
func FuzzLoad(f *testing.F) {
	good, _ := filepath.Glob("testdata/good/*.yaml")
	for _, name := range good {
		if data, err := os.ReadFile(name); err == nil {
			f.Add(data)
		}
	}
	bad, _ := filepath.Glob("testdata/bad/*.txtar")
	for _, name := range bad {
		if a, err := txtar.ParseFile(name); err == nil {
			for _, file := range a.Files {
				if file.Name != "want" {
					f.Add(file.Data)
				}
			}
		}
	}
	cache := NewCache()
	f.Fuzz(func(t *testing.T, data []byte) {
		start := time.Now()
		opts := LoadOptions{Hostname: "h", Dir: "/etc/dplaneos", Cache: cache}
		s, err := LoadFiles(map[string][]byte{"a.yaml": data}, opts)
		if d := time.Since(start); d > time.Minute {
			t.Fatalf("took %s", d)
		}
		if err != nil {
			messages(t, err)
			return
		}
		text := s.Encode()
		again, err := LoadFiles(map[string][]byte{"b.yaml": text}, opts)
		if err != nil {
			t.Fatalf("the canonical form does not load: %v\n%s", err, text)
		}
		if again.Generation != s.Generation {
			t.Fatalf("another generation:\n%s\n%s", text, again.Encode())
		}
	})
}
