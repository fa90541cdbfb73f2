package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
)

// richPool, richDatasets and richDaemon have a word of each kind whose loss could be mistaken for a wish.
const richPool = `pools:
  tank:
    vdevs:
      - mirror: [/dev/a, /dev/b]
    properties: {ashift: 12, autotrim: on}
    scrub: {monthly: "1 03:00"}
`

var richDatasets = []string{`  tank:
    properties: {atime: off}
`, `  tank/home:
    properties:
      compression: zstd
      mountpoint: /srv/home
      sharenfs: on
      canmount: on
      quota: 500M
`, `  tank/new:
    renamedFrom: tank/before
    properties:
      readonly: off
`, `  tank/new/x: {}
`, `  tank/vol:
    volume:
      size: 64M
      sparse: true
`, `  tank/golden: {}
`, `  tank/web:
    origin: tank/golden@v3
`, `  tank/gone:
    absent: true
`}

const richDaemon = "daemon:\n  apply: safe\n"

// rich is all of it in one file.
var rich = richPool + "datasets:\n" + strings.Join(richDatasets, "") + richDaemon

// harmful are the commands that a configuration which shrank by accident must not lead to.
func harmful(argv []string) bool {
	words := strings.Join(argv[:2], " ")
	shares := slices.ContainsFunc(argv[2:], func(w string) bool {
		name, _, _ := strings.Cut(w, "=")
		return slices.Contains([]string{"mountpoint", "canmount", "sharenfs", "sharesmb", "keylocation", "volsize"}, name)
	})
	return argv[0] == "zpool" || shares || argv[0] != "zfs" || !slices.Contains([]string{"zfs set", "zfs inherit", "zfs create"}, words)
}

// shrunk is the machine as rich declares it, with a dataset beside what it names that was in it before.
func shrunk(t *testing.T) *Machine {
	m := newMachine(t)
	before := strings.NewReplacer("tank/new:\n    renamedFrom: tank/before\n", "tank/before:\n", "tank/new/x", "tank/before/x", "    absent: true\n", "    properties: {}\n",
		"  tank/web:\n    origin: tank/golden@v3\n", "").Replace(rich)
	pass(t, m, load(t, before))
	do(t, m, "zfs snapshot tank/golden@v3", "zfs create tank/golden/undeclared")
	pass(t, m, load(t, rich))
	return m
}

// unasked are the commands of the plan that the daemon would run by itself.
func unasked(t *testing.T, m *Machine, want *spec.Spec) (commands [][]string) {
	t.Helper()
	step, _, err := m.Pass(want, reconcile.Consent{}, nil)
	if err != nil || len(step.Outcomes) > 0 {
		t.Fatalf("%v, %d outcomes", err, len(step.Outcomes))
	}
	for _, a := range step.Remaining.Actions {
		if a.Verb != drivers.Blocked && a.Risk <= want.Daemon.Apply && !a.Scheduled {
			for _, c := range a.Steps {
				commands = append(commands, c.Argv)
			}
		}
	}
	return commands
}

// TestCut: the files cut at any byte are invalid, or lead to nothing that hurts. So do files that are empty.
func TestCut(t *testing.T) {
	m := shrunk(t)
	valid := 0
	for n := range len(rich) {
		want, err := spec.LoadFiles(map[string][]byte{"tank.yaml": []byte(rich[:n])}, spec.LoadOptions{Hostname: "sim"})
		if err != nil {
			continue
		}
		valid++
		for _, argv := range unasked(t, m, want) {
			if harmful(argv) {
				t.Errorf("cut after %q: %s", rich[max(0, n-30):n], strings.Join(argv, " "))
			}
		}
	}
	if valid < 20 {
		t.Errorf("only %d of %d cuts are valid files: the test has lost its subject", valid, len(rich))
	}
}

// TestFileGone: one of several files gone, as in the middle of a checkout.
func TestFileGone(t *testing.T) {
	m := shrunk(t)
	files := map[string][]byte{"pool.yaml": []byte(richPool), "daemon.yaml": []byte(richDaemon)}
	for i, d := range richDatasets {
		files[fmt.Sprintf("d%d.yaml", i)] = []byte("datasets:\n" + d)
	}
	for gone := range files {
		rest := maps.Clone(files)
		delete(rest, gone)
		want, err := spec.LoadFiles(rest, spec.LoadOptions{Hostname: "sim"})
		if err != nil {
			continue
		}
		for _, argv := range unasked(t, m, want) {
			if harmful(argv) {
				t.Errorf("without\n%s: %s", files[gone], strings.Join(argv, " "))
			}
		}
	}
}
