package main

import (
	"testing"

	"github.com/dplaneos/dplane/drivers/ha/history"
)

// TestPair: a pair is made, handed over and back, and its history is sound; and a history with a second writer is not.
func TestPair(t *testing.T) {
	t.Parallel()
	p := newPair(t, pairOptions{})
	p.begin()
	p.a.take("two")
	p.a.expect(0, "ha", "switchover", "--to", "nas-b", "--yes")
	p.b.take("three")
	p.b.expect(0, "ha", "switchover", "--to", "nas-a", "--yes")
	p.judge()

	p.b.must("zfs", "set", "readonly=off", pairHome)
	p.b.must("zfs", "mount", pairHome)
	if wrong := history.Check([]string{"nas-a", "nas-b"}, p.facts()); len(wrong) == 0 {
		t.Errorf("two nodes write, and nothing is wrong with it:\n%s", lines(p.facts()))
	}
}
