package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
)

// richPool, richDatasets and the daemon's keys have a word of each kind whose loss, or the loss of its end, could be
// mistaken for a wish; names begin like others that exist.
const richPool = `pools:
  tank:
    vdevs:
      - mirror: [/dev/a, /dev/b]
    log:
      - stripe: [/dev/l]
    spare: [/dev/sp]
    properties:
      ashift: 12
      autotrim: on
      comment: ours
    remove: [/dev/x]
    scrub: {monthly: "1 03:00"}
`

var richDatasets = []string{`  tank:
    properties:
      atime: off
`, `  tank/home:
    properties:
      compression: zstd
      mountpoint: /srv/home
      sharenfs: on
      canmount: on
      readonly: off
      quota: 500M
    allow:
      user:anna: [send, hold]
`, `  tank/h:
    properties:
      canmount: noauto
`, `  tank/new:
    renamedFrom: tank/before
    properties:
      readonly: off
      mountpoint: /srv/home2
`, `  tank/new/x: {}
`, `  tank/secret:
    encryption:
      format: raw
      keyFile: /etc/keys/secret.key
    properties:
      mountpoint: /secret
`, `  tank/secret/below: {}
`, `  tank/vol:
    volume:
      size: 64M
      sparse: true
`, `  tank/golden: {}
`, `  tank/web:
    origin: tank/golden@v3
    properties:
      mountpoint: legacy
`, `  tank/gone:
    absent: true
`}

// rich is all of it in one file, but for what the loop may do.
var rich = richPool + "datasets:\n" + strings.Join(richDatasets, "")

// daring says that in a file of its own, which stays whole.
const daring = "daemon:\n  apply: disruptive\n"

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
	m, err := New(t.TempDir(), "/dev/a", "/dev/b", "/dev/l", "/dev/sp", "/dev/x")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Store.Close() })
	for _, line := range []string{"key /etc/keys/secret.key raw:32", "user anna"} {
		if err := m.ZFS.Control(line); err != nil {
			t.Fatal(err)
		}
	}
	before := strings.NewReplacer("tank/new:\n    renamedFrom: tank/before\n", "tank/before:\n", "tank/new/x", "tank/before/x", "    absent: true\n", "    properties: {}\n",
		"  tank/web:\n    origin: tank/golden@v3\n    properties:\n      mountpoint: legacy\n", "").Replace(rich)
	pass(t, m, load(t, before))
	do(t, m, "zfs snapshot tank/golden@v3", "zfs create tank/golden/undeclared")
	pass(t, m, load(t, rich))
	return m
}

// unasked are the commands that the daemon would run by itself, its limits apart.
func unasked(t *testing.T, m *Machine, want *spec.Spec) (commands [][]string) {
	t.Helper()
	consent := reconcile.Daemon(want)
	consent.Limits = nil
	p, _, err := m.Loop(host.ReadOnly{Runner: m.ZFS}).Plan(t.Context(), want, consent)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range p.Actions {
		if a.Runnable() && !a.Scheduled {
			for _, c := range a.Steps {
				commands = append(commands, c.Argv)
			}
		}
	}
	return commands
}

// TestCut: the files cut at any byte are invalid, or lead to nothing that hurts, though the loop may do what is
// disruptive. So do files that are empty.
func TestCut(t *testing.T) {
	m := shrunk(t)
	seen := map[string]bool{}
	for n := range len(rich) {
		files := map[string][]byte{"tank.yaml": []byte(rich[:n]), "daemon.yaml": []byte(daring)}
		want, err := spec.LoadFiles(files, spec.LoadOptions{Hostname: "sim"})
		if err != nil {
			continue
		}
		key := fmt.Sprint(want.Generation, n == 0 || rich[n-1] == '\n')
		if seen[key] {
			continue // but for blanks it is as before
		}
		seen[key] = true
		for _, argv := range unasked(t, m, want) {
			if harmful(argv) {
				t.Errorf("cut after %q: %s", rich[max(0, n-30):n], strings.Join(argv, " "))
			}
		}
	}
	if len(seen) < 50 {
		t.Errorf("only %d different configurations of %d cuts: the test has lost its subject", len(seen), len(rich))
	}
}

// TestFileGone: one of several files gone, as in the middle of a checkout.
func TestFileGone(t *testing.T) {
	m := shrunk(t)
	files := map[string][]byte{"pool.yaml": []byte(richPool), "daemon.yaml": []byte(daring)}
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
