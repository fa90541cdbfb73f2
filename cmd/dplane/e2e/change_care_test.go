//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPoolCare are the rows of what keeps a pool well, but for what is scheduled.
func TestPoolCare(t *testing.T) {
	pool := func(more string) string {
		return "pools: {POOL: {vdevs: [{stripe: [DISK:a]}]" + more + "}}\ndatasets: {POOL: {properties: {mountpoint: none}}}\n"
	}
	export := func(p *place) { must(p.T, "zpool", "export", p.pool) }
	away := func(p *place) { p.want("exit status", exitOf(p, "zpool", "list", p.pool), "1") }
	here := func(p *place) { p.want("exit status", exitOf(p, "zpool", "list", p.pool), "0") }
	rows(t, []row{
		{
			name: "import a pool", before: pool(""), hand: export, after: pool(""),
			verb: "run", risk: "disruptive", plan: []string{"$ zpool import -d DIR "}, see: here,
			twin: twin{ // destroyed by hand
				hand: func(p *place) { must(p.T, "zpool", "destroy", p.pool) }, after: pool(""),
				verb: "blocked", risk: "safe", plan: []string{"zpool import -D -d DIR ", "dplane forget"}, unchanged: away,
			},
			more: []twin{{ // made anew where it was
				hand: func(p *place) { p.expect(0, "forget", p.pool) }, after: pool(""),
				verb: "blocked", risk: "safe", plan: []string{"dplane apply --wipe DISK:a"}, unchanged: away,
				wipe: []string{"DISK:a"}, applied: here,
			}},
		},
		{
			name: "import a removable pool", before: pool(", removable: true"), hand: export, after: pool(", removable: true"),
			verb: "run", risk: "safe", plan: []string{"$ zpool import -d DIR "}, see: here,
			twin: twin{ // a stranger's pool of the same name
				hand: func(p *place) {
					export(p)
					if err := os.Mkdir(filepath.Join(p.dir, "elsewhere"), 0o755); err != nil {
						p.Fatal(err)
					}
					if err := os.Rename(p.file("a"), filepath.Join(p.dir, "elsewhere/a")); err != nil {
						p.Fatal(err)
					}
					must(p.T, "zpool", "create", "-O", "mountpoint=none", p.pool, p.file("b"))
					export(p)
				},
				after: pool(", removable: true"), verb: "blocked", risk: "safe", plan: []string{"its guid is not that of the pool known by this name"}, unchanged: away,
			},
		},
		{
			name: "enable features", before: pool(", compatibility: openzfs-2.0-linux"), after: pool(", compatibility: openzfs-2.1-linux"),
			verb: "update", risk: "irreversible", plan: []string{"$ zpool set feature@draid=enabled POOL", "zpool checkpoint POOL"},
			see: func(p *place) {
				p.want("feature@draid", must(p.T, "zpool", "get", "-Ho", "value", "feature@draid", p.pool), "enabled")
			},
			twin: twin{ // of a release that is not here
				after: pool(", compatibility: openzfs-9.9"), verb: "blocked", risk: "safe", plan: []string{"no feature set openzfs-9.9"},
				unchanged: func(p *place) {
					p.want("compatibility", must(p.T, "zpool", "get", "-Ho", "value", "compatibility", p.pool), "openzfs-2.1-linux")
				},
			},
		},
		{
			name: "set a property of a pool", before: pool(""), after: pool(", properties: {autotrim: on, comment: the big one, failmode: continue}"),
			verb: "update", risk: "safe", plan: []string{"$ zpool set autotrim=on POOL"},
			see: func(p *place) {
				p.want("comment", must(p.T, "zpool", "get", "-Ho", "value", "comment", p.pool), "the big one")
			},
			twin: twin{ // imported read-only
				hand:  func(p *place) { export(p); p.readonly() },
				after: pool(", properties: {autotrim: off}"), verb: "blocked", risk: "safe", plan: []string{"is imported read-only"},
				unchanged: func(p *place) {
					p.want("autotrim", must(p.T, "zpool", "get", "-Ho", "value", "autotrim", p.pool), "on")
					p.writable()
				},
			},
		},
	})
}

// readonly imports the pool so; writable makes it one that can be changed again.
func (p *place) readonly() {
	p.Helper()
	must(p.T, "zpool", "import", "-o", "readonly=on", "-d", p.dir, p.pool)
}

func (p *place) writable() {
	p.Helper()
	must(p.T, "zpool", "export", p.pool)
	must(p.T, "zpool", "import", "-d", p.dir, p.pool)
}

// workRow is a row whose twin is no action: the plan tells of it, or does not have it.
type workRow struct {
	name          string
	before, after string
	hand          func(p *place)
	verb, risk    string
	plan          []string
	see           func(p *place)
	twinHand      func(p *place)
	twin          string // YAML
	says          string // in the twin's plan
	never         string // in no plan of the twin
	unchanged     func(p *place)
}

// TestPoolWork are the rows of what is due, or there to be taken.
func TestPoolWork(t *testing.T) {
	pool := func(more string) string {
		return "pools: {POOL: {vdevs: [{mirror: [DISK:a, DISK:b]}]" + more + "}}\ndatasets: {POOL: {properties: {mountpoint: none}}}\n"
	}
	size := func(p *place) string { return must(p.T, "zpool", "list", "-Hpo", "size", p.pool) }
	soon := func(*place) { time.Sleep(1100 * time.Millisecond) } // due each second of the real clock
	larger := func(bytes int64) func(p *place) {
		return func(p *place) {
			for _, d := range []string{"a", "b"} {
				if err := os.Truncate(p.file(d), bytes); err != nil {
					p.Fatal(err)
				}
				must(p.T, "zpool", "online", p.pool, p.file(d)) // ZFS looks again, and takes it where autoexpand is on
			}
		}
	}
	for _, r := range []workRow{
		{
			name: "scrub a pool", before: pool(""), hand: soon, after: pool(", scrub: {every: 1s}"),
			verb: "run", risk: "safe", plan: []string{"$ zpool scrub POOL", "due since"},
			see: func(p *place) {
				p.until("a scrub that ended", func() bool { return strings.Contains(must(p.T, "zpool", "status", p.pool), "scrub repaired") })
			},
			twinHand: func(p *place) { must(p.T, "zpool", "export", p.pool); p.readonly(); soon(p) }, twin: pool(", scrub: {every: 1s}"),
			says: "imported read-only, so no scrub", never: "$ zpool scrub", unchanged: func(p *place) { p.writable() },
		},
		{
			name: "trim a pool", before: pool(""), hand: soon, after: pool(", trim: {every: 1s}"),
			verb: "run", risk: "safe", plan: []string{"$ zpool trim POOL"},
			see: func(p *place) {
				p.until("a trim that ended", func() bool { return strings.Contains(must(p.T, "zpool", "status", "-t", p.pool), "(100% trimmed") })
			},
			twin: pool(", trim: {cron: \"0 0 29 2 *\"}"), says: "No changes", never: "zpool trim", unchanged: func(*place) {},
		},
		{
			name: "grow a vdev", before: pool(""), hand: larger(400 << 20), after: pool(", properties: {autoexpand: on}"),
			verb: "update", risk: "irreversible", plan: []string{"$ zpool online -e POOL DISK:a DISK:b"},
			see:      func(p *place) { p.want("size", size(p), "402653184") },
			twinHand: func(p *place) { must(p.T, "zpool", "set", "autoexpand=off", p.pool); larger(500 << 20)(p) }, twin: pool(", properties: {autoexpand: off}"), says: "declare autoexpand: on", never: "$ zpool online",
			unchanged: func(p *place) { p.want("size", size(p), "402653184") },
		},
	} {
		t.Run(r.name, func(t *testing.T) { r.play(t) })
	}
}

func (r workRow) play(t *testing.T) {
	b := newBox(t)
	p := &place{T: t, box: b, pool: b.pool("tank"), disks: map[string]string{}}
	p.change(row{name: r.name, before: r.before, after: r.after, hand: r.hand, verb: r.verb, risk: r.risk, plan: r.plan, see: r.see})
	p.start("", r.twinHand)
	p.declare(r.twin)
	plan := p.expect(0, "plan", "--commands").Stdout
	if !strings.Contains(plan, r.says) || strings.Contains(plan, r.never) {
		p.Errorf("the plan does not say %q, or says %q:\n%s", r.says, r.never, plan)
	}
	p.expect(0, "apply", "--yes")
	r.unchanged(p)
}

// until waits for the real kernel, which has no clock to fake.
func (p *place) until(what string, ok func() bool) {
	p.Helper()
	for range 150 {
		if ok() {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	p.Fatalf("after half a minute still not: %s", what)
}

// The daemon takes a removable pool in when it is plugged in, and begins what is due; a checkpoint is told and left.
func TestDaemonCaresForPools(t *testing.T) {
	b := newBox(t)
	p := &place{T: t, box: b, pool: b.pool("usb"), disks: map[string]string{}}
	p.declare("pools: {POOL: {vdevs: [{stripe: [DISK:a]}], removable: true, scrub: {every: 3s}}}\n")
	p.expect(0, "apply", "--yes")
	must(t, "zpool", "export", p.pool)
	r := b.daemon("")
	r.until("the pool is imported", func() bool { return run(t, "zpool", "list", p.pool).Code == 0 })
	r.until("the pool is scrubbed", func() bool { return strings.Contains(must(t, "zpool", "status", p.pool), "scrub repaired") })
	r.stop()
	must(t, "zpool", "checkpoint", p.pool)
	if plan := p.expect(0, "plan").Stdout; !strings.Contains(plan, "it has a checkpoint of") || !strings.Contains(plan, "--rewind-to-checkpoint") {
		t.Errorf("the plan does not tell of the checkpoint:\n%s", plan)
	}
	p.expect(0, "apply", "--yes")
	if must(t, "zpool", "get", "-Hpo", "value", "checkpoint", p.pool) == "-" {
		t.Error("the checkpoint is gone")
	}
	must(t, "zpool", "checkpoint", "-d", p.pool)
}
