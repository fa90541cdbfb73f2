package main

import (
	"os"
	"strings"
	"testing"
)

// says edits ha.active in the files of a node.
func (n *pairNode) says(active string) {
	n.p.t.Helper()
	file := n.path("etc", "shared.yaml")
	text, err := os.ReadFile(file)
	n.p.must(err)
	for _, old := range []string{"nas-a", "nas-b"} {
		text = []byte(strings.Replace(string(text), "\n  active: "+old+"\n", "\n  active: "+active+"\n", 1))
	}
	n.p.must(os.WriteFile(file, text, 0o644))
}

func (n *pairNode) plans(parts ...string) {
	n.p.t.Helper()
	defer func() {
		if n.p.t.Failed() {
			n.p.t.Log(n.dplane("plan").out)
		}
	}()
	n.p.until(n.name+" plans "+strings.Join(parts, ", "), func() bool {
		out := n.dplane("plan", "--commands").out
		for _, part := range parts {
			if !strings.Contains(out, part) {
				return false
			}
		}
		return true
	})
}

// TestPairDeclared: an edit of ha.active is a switchover that waits for leave, on the node that is active; a promotion by command
// overrules it on both until it is edited, and nothing fails back by itself, whatever the daemon may do unasked.
func TestPairDeclared(t *testing.T) {
	t.Parallel()
	p := newPair(t, pairOptions{every: "4s"})
	p.begin()
	p.a.take("two")

	p.a.says("nas-b")
	p.b.says("nas-b")
	p.a.plans("update ha group", "active  nas-a  -> nas-b", "disruptive", "$ dplane ha switchover --to nas-b", "shared.yaml:")
	p.b.plans("nas-a, which is active, hands over by its own plan")
	if out := p.a.dplane("replication", "test", "pair").out; !strings.Contains(out, "what tells no valid term is refused there") {
		t.Errorf("the term is not tested: %s", out)
	}
	p.a.expect(2, "plan", "--detailed-exitcode", "--only", "group")
	p.a.role("active") // the daemon may do what is safe, and no more
	p.a.expect(3, "apply")
	if out := p.a.expect(0, "apply", "--dry-run").out; !strings.Contains(out, "dplane ha switchover --to nas-b") {
		t.Errorf("the exact command is not shown: %s", out)
	}
	p.a.expect(0, "apply", "--yes")
	p.b.role("active")
	p.a.role("standby")
	if out := p.b.dplane("ha", "status").out; strings.Contains(out, "ha.active (") {
		t.Errorf("what was obeyed is said to be overruled: %s", out)
	}
	p.b.take("three")

	// By command to the other side: the files are overruled, on both.
	p.b.expect(0, "ha", "switchover", "--to", "nas-a", "--yes")
	for _, n := range p.nodes() {
		n.plans("blocked", "ha.active says nas-b; nas-a was promoted by command in term 3", "shared.yaml:")
		n.until("it is degraded, and says why", func(s *haShown) bool {
			return s.State == "degraded" && strings.Contains(strings.Join(s.Reasons, "\n"), "ha.active (shared.yaml:") && strings.Contains(strings.Join(s.Reasons, "\n"), "says nas-b")
		})
		n.expect(3, "apply", "--yes")
	}
	p.a.kill()
	p.a.start()
	p.a.role("active")
	p.a.plans("blocked", "ha.active says nas-b; nas-a was promoted by command in term 3")

	// Edited, first to what is so and then anew: it counts again. The daemon that may is not asked.
	p.a.says("nas-a")
	p.b.says("nas-a")
	for _, n := range p.nodes() {
		n.until("it is well", func(s *haShown) bool { return s.State == "ok" })
		n.expect(0, "plan", "--detailed-exitcode")
	}
	for _, n := range p.nodes() {
		file := n.path("etc", "node.yaml")
		text, err := os.ReadFile(file)
		p.must(err)
		p.must(os.WriteFile(file, []byte(strings.Replace(string(text), "daemon: {", "daemon: {apply: disruptive, ", 1)), 0o644))
	}
	p.a.says("nas-b")
	p.b.says("nas-b")
	p.b.role("active")
	p.a.role("standby")
	p.judge()
}
