//go:build e2e

package e2e

import (
	"regexp"
	"strings"
	"testing"
)

// row is one kind of change in the README's table: the files before and after, what the plan says of it, and what
// is seen on the pool once it is applied. Its twin is the change beside it that is blocked or dangerous.
//
// In the YAML POOL is the name of the pool, DISK:a the path of a file for use as a vdev, made where it is first
// named, and DIR a directory of the box.
type row struct {
	name          string // as it stands in the table
	before, after string
	hand          func(p *place) // what somebody does by hand between the two; may be nil
	verb, risk    string         // of the action that makes the change
	plan          []string       // texts that the plan holds
	wipe          []string       // disks that are named to be cleared
	see           func(p *place)
	twin          twin
	more          []twin // that come after it
}

// twin comes after its row, on the same pool. A dangerous one is applied as well, with the word of a person that it
// needs: --wipe where it names disks, --yes where that is enough, else --allow ID.
type twin struct {
	before, after string // before: applied first, where it is not ""
	hand          func(p *place)
	verb, risk    string
	plan          []string
	unchanged     func(p *place) // what must hold after an apply without that word
	wipe          []string       // disks that are named to be cleared where it is applied
	yes           bool           // --yes covers it, and nothing is done without it
	applied       func(p *place) // what is seen then; nil: blocked, or only planned
}

// place is where a row is played: a box with one pool.
type place struct {
	*testing.T
	*box
	pool  string
	disks map[string]string
	wipe  []string // of the row
	guid  string   // of what a row wants to know again: rows run side by side, and share nothing
}

// rows plays each row on a pool of its own, as many at once as there are processors.
func rows(t *testing.T, all []row) {
	for _, r := range all {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t)
			p := &place{T: t, box: b, pool: b.pool("tank"), disks: map[string]string{}}
			p.change(r)
			p.twin(r.twin)
			for _, w := range r.more {
				p.twin(w)
			}
		})
	}
}

func (p *place) change(r row) {
	p.Helper()
	p.start(r.before, r.hand)
	p.declare(r.after)
	p.wipe = r.wipe
	p.planned(r.verb, r.risk, r.plan)
	p.expect(0, p.flags("apply", "--yes")...)
	p.wipe = nil
	p.expect(0, "plan", "--detailed-exitcode")
	r.see(p)
}

func (p *place) twin(w twin) {
	p.Helper()
	p.start(w.before, w.hand)
	p.declare(w.after)
	id := p.planned(w.verb, w.risk, w.plan)
	without, word := []string{"apply", "--yes"}, []string{"--allow", id}
	if w.yes {
		without, word = without[:1], []string{"--yes"}
	}
	p.expect(3, without...)
	w.unchanged(p)
	if w.applied == nil {
		return
	}
	if p.wipe = w.wipe; p.wipe != nil {
		word = nil
	}
	p.expect(0, p.flags(append(without, word...)...)...)
	p.wipe = nil
	p.expect(0, "plan", "--detailed-exitcode")
	w.applied(p)
}

// start brings the place to where the change begins.
func (p *place) start(yaml string, hand func(*place)) {
	p.Helper()
	if yaml != "" {
		p.declare(yaml)
		p.expect(0, "apply", "--yes")
	}
	if hand != nil {
		hand(p)
	}
}

var (
	diskWord = regexp.MustCompile(`DISK:\w+`)
	poolWord = regexp.MustCompile(`\bPOOL\b`)
	dirWord  = regexp.MustCompile(`\bDIR\b`)
)

// text fills in the words of a row's YAML.
func (p *place) text(yaml string) string {
	yaml = diskWord.ReplaceAllStringFunc(yaml, func(w string) string { return p.file(strings.TrimPrefix(w, "DISK:")) })
	return dirWord.ReplaceAllLiteralString(poolWord.ReplaceAllLiteralString(yaml, p.pool), p.dir)
}

// file is the path of a vdev by its short name. One whose name begins with big has a gigabyte, of which none is written.
func (p *place) file(name string) string {
	if p.disks[name] == "" {
		p.disks[name] = p.disk(name)
		if strings.HasPrefix(name, "big") {
			must(p.T, "truncate", "-s", "1G", p.disks[name])
		}
	}
	return p.disks[name]
}

// flags adds the disks that are to be cleared.
func (p *place) flags(command ...string) []string {
	for _, disk := range p.wipe {
		command = append(command, "--wipe", p.text(disk))
	}
	return command
}

func (p *place) declare(yaml string) { p.write("row.yaml", p.text(yaml)) }

// get is the value of a property of a dataset of the pool; "" names the pool's root.
func (p *place) get(property, below string) string {
	p.Helper()
	return zfsGet(p.T, property, strings.TrimSuffix(p.pool+"/"+below, "/"))
}

// want fails where a value is not what it should be.
func (p *place) want(what, got, want string) {
	p.Helper()
	if got != want {
		p.Errorf("%s is %q, want %q", what, got, want)
	}
}

// headline is that of an action in a plan as a person reads it: verb, object, risk, id.
var headline = regexp.MustCompile(`(?m)^\S (\w+) .*  risk (\w+)  id (\w+)$`)

// planned looks for an action with verb and risk in the plan as a person reads it, and for all the texts, and gives
// the action's id.
func (p *place) planned(verb, risk string, texts []string) (id string) {
	p.Helper()
	plan := p.expect(0, p.flags("plan", "--commands")...).Stdout
	for _, text := range texts {
		if !strings.Contains(plan, p.text(text)) {
			p.Errorf("the plan does not say %q:\n%s", p.text(text), plan)
		}
	}
	for _, m := range headline.FindAllStringSubmatch(plan, -1) {
		if m[1] == verb && m[2] == risk {
			return m[3]
		}
	}
	p.Fatalf("the plan has no action with verb %s and risk %s:\n%s", verb, risk, plan)
	return ""
}
