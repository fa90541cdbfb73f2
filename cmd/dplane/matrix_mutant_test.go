package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/ha/history"
)

// TestMatrixMutant: a daemon that takes a peer that does not answer for one that is off is built, and runs on nas-b. What it does
// has to be caught by what could be written, whatever it believes and has persisted.
func TestMatrixMutant(t *testing.T) {
	if !*matrix {
		t.Skip("a daemon is built for it: -matrix")
	}
	t.Parallel()
	p := newPair(t, pairOptions{dplane: mutant(t, "../../drivers/ha/attempt.go", map[string]string{
		"t.promised(n) || t.word(n)": "t.promised(n) || t.word(n) || !t.reached(n)",
		`t.refuse("nobody is seen to be active, who would hand over: dplane ha failover on %s shows what would be lost", to)`: "_ = to; t.attempt(nil, false)", // or a person's word is asked for
	})})
	p.begin()
	p.a.take("two")
	p.until("nas-b knows how far it is behind", func() bool {
		return strings.Contains(p.b.dplane("ha", "failover", "--plan").out, "written since, as the active node last said")
	})
	p.link.cut(true, true)
	p.b.alone()
	p.b.expect(0, "ha", "switchover", "--to", "nas-b", "--yes")
	wrong := strings.Join(history.Check([]string{"nas-a", "nas-b"}, p.facts()), "\n")
	if !strings.Contains(wrong, "I1: nas-b rw_on: nas-a can write too") {
		t.Errorf("two nodes write, and what is found is %q in\n%s", wrong, lines(p.facts()))
	}
}

// mutant builds dplane with faults in one of its files.
func mutant(t *testing.T, file string, faults map[string]string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	bad := string(text)
	for is, becomes := range faults {
		if strings.Count(bad, is) != 1 {
			t.Fatalf("%q is not once in %s: plant the fault elsewhere", is, file)
		}
		bad = strings.Replace(bad, is, becomes, 1)
	}
	dir := t.TempDir()
	abs, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	planted := filepath.Join(dir, "planted.go")
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{abs: planted}})
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string][]byte{planted: []byte(bad), filepath.Join(dir, "overlay.json"): overlay} {
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	made := filepath.Join(dir, "dplane")
	if out, err := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", made, ".").CombinedOutput(); err != nil {
		t.Fatalf("build it: %v\n%s", err, out)
	}
	return made
}
