package spec

import (
	"path/filepath"
	"testing"
)

// TestExamples: what people copy loads, with no error and no warning.
func TestExamples(t *testing.T) {
	nodes := map[string]*Spec{}
	for _, dir := range []string{"home-nas", "pair/nas-a", "pair/nas-b", "laptop"} {
		abs, err := filepath.Abs(filepath.Join("../examples", dir))
		if err != nil {
			t.Fatal(err)
		}
		s, err := LoadDir(abs, LoadOptions{Hostname: "example"})
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range s.Warnings {
			t.Errorf("%s: %v", dir, w.Error())
		}
		roundTrip(t, s)
		nodes[dir] = s
	}
	a, b := nodes["pair/nas-a"], nodes["pair/nas-b"]
	if a == nil || b == nil || string(a.HA.encode().yaml()) != string(b.HA.encode().yaml()) || a.Generation == b.Generation {
		t.Error("the nodes of the pair share ha, and differ in their own part")
	}
}

// roundTrip: the canonical form loads to the same generation.
func roundTrip(t interface {
	Fatalf(string, ...any)
}, s *Spec) {
	text := s.Encode()
	again, err := LoadFiles(map[string][]byte{"canonical.yaml": text}, LoadOptions{Hostname: s.Node.Name})
	if err != nil {
		t.Fatalf("the canonical form does not load: %v\n%s", err, text)
	}
	if again.Generation != s.Generation {
		t.Fatalf("another generation:\n%s\n%s", text, again.Encode())
	}
}
