package render

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
)

// symbols and colours of the verbs.
var verbLook = map[string]struct{ symbol, color string }{
	string(drivers.Create):  {"+", green},
	string(drivers.Update):  {"~", yellow},
	string(drivers.Destroy): {"-", red},
	string(drivers.Run):     {">", cyan},
	string(drivers.Blocked): {"!", magenta},
}

var riskColor = map[string]string{"safe": dim, "disruptive": yellow, "irreversible": magenta, "destructive": bold + ";" + red}

// PlanText writes a plan for people: grouped by object, what destroys data first. The order in which it would be
// carried out is that of PlanJSON; here "after" tells what an action waits for.
func PlanText(w io.Writer, p *reconcile.Plan, opt TextOptions) error { return newPlan(p).text(w, opt) }

// RecordedPlanText writes the plan of a record, a document that PlanJSON made.
func RecordedPlanText(w io.Writer, doc []byte, opt TextOptions) error {
	p, err := parsePlan(doc)
	if err != nil {
		return err
	}
	return p.text(w, opt)
}

func (p *plan) text(w io.Writer, opt TextOptions) error {
	t := &text{opt: opt}
	if p.ObservedAt != nil {
		t.printf("Generation %s, observed %s.\n", t.in(bold, short(p.Generation)), timeText(*p.ObservedAt))
	}
	named := map[string]string{}
	for _, a := range p.Actions {
		named[a.ID] = a.Verb + " " + a.Object.String()
	}
	for _, group := range p.byObject() {
		t.printf("\n")
		for _, a := range group {
			t.action(a, named)
		}
	}
	p.asides(t)
	t.printf("\n%s\n", p.summary(t))
	return t.writeTo(w)
}

// byObject groups the actions by their object, each group in its order; groups in which data is lost come first, or
// they would be missed between the harmless ones.
func (p *plan) byObject() [][]action {
	index := map[object]int{}
	var groups [][]action
	for _, a := range p.Actions {
		i, ok := index[a.Object]
		if !ok {
			i = len(groups)
			index[a.Object], groups = i, append(groups, nil)
		}
		groups[i] = append(groups[i], a)
	}
	destroys := func(group []action) bool {
		return slices.ContainsFunc(group, func(a action) bool { return a.Risk == spec.Destructive.String() })
	}
	slices.SortStableFunc(groups, func(a, b []action) int {
		switch da, db := destroys(a), destroys(b); {
		case da == db:
			return 0
		case da:
			return -1
		}
		return 1
	})
	return groups
}

// shownOfRun is how many lines of work that only runs are shown; of what changes and goes all are.
const shownOfRun = 20

// action writes one action: a headline that grep finds whole, then what changes, why, and at what price.
func (t *text) action(a action, named map[string]string) {
	look := verbLook[a.Verb]
	t.printf("%s  %s  %s\n", t.in(look.color+";"+bold, clean(look.symbol+" "+a.Verb+" "+a.Object.String())),
		t.in(riskColor[a.Risk], "risk "+clean(a.Risk)), t.in(dim, "id "+clean(a.ID)))
	if few := shownOfRun; a.Verb == string(drivers.Run) && len(a.Fields) > few { // an hour's snapshots of a thousand datasets
		t.fields(a.Fields[:few])
		t.printf("    and %d more (--json has all)\n", len(a.Fields)-few)
	} else {
		t.fields(a.Fields)
	}
	t.lines("    ", "why:  ", why(a.Reason))
	if a.Undo != "" {
		t.lines("    ", "undo: ", a.Undo)
	}
	for _, id := range a.After {
		if n, ok := named[id]; ok {
			id = n
		}
		t.lines("    ", "after:", id)
	}
	for _, n := range a.Notes {
		t.lines("    ", "note: ", n)
	}
	if a.Held != "" {
		t.colored("    ", yellow, "held: ", a.Held)
	}
	if t.opt.Commands {
		for _, argv := range a.Commands {
			t.printf("    $ %s\n", clean(host.Command{Argv: argv}.String()))
		}
	}
}

func (t *text) fields(fields []drivers.Field) {
	var rows [][]string
	for _, f := range fields {
		name := clean(f.Name)
		if f.From == "" {
			rows = append(rows, []string{name, valueText(f.Name, f.To)})
		} else {
			rows = append(rows, []string{name, valueText(f.Name, f.From), "-> " + valueText(f.Name, f.To)})
		}
	}
	t.table("    ", rows, nil)
}

// valueText shows a size with its unit where that is exact, and an empty value as such.
func valueText(property, v string) string {
	if v == "" {
		return `""`
	}
	for _, on := range []spec.DatasetType{spec.Filesystems | spec.Volumes, spec.PoolProps} {
		info, ok := spec.LookupProperty(property, on)
		if n, err := strconv.ParseUint(v, 10, 64); ok && err == nil && info.Shape == spec.Bytes {
			return spec.Size(n).String()
		}
	}
	return clean(v)
}

func why(r drivers.Reason) string {
	s := r.Code
	if r.At != "" {
		s = r.At + ": " + s
	}
	if r.Observed != "" {
		s += "; observed: " + r.Observed
	}
	return s
}

// asides are what is in the plan and is no action.
func (p *plan) asides(t *text) {
	if len(p.ReceivedOnly) > 0 {
		t.printf("\nReceived only, not changed here:\n")
		for _, r := range p.ReceivedOnly {
			t.printf("  %s (%s)\n", clean(r.Name), clean(r.Why))
		}
	}
	if len(p.Unseen) > 0 {
		t.printf("\n%s\n", t.in(yellow, "Could not be observed, so nothing is planned for:"))
		for _, u := range p.Unseen {
			t.lines("  ", "pool "+clean(u.Pool)+":", u.Why)
		}
	}
	if len(p.Notices) > 0 {
		t.printf("\nTo know:\n")
		for _, n := range p.Notices {
			t.lines("  ", "-", n)
		}
	}
	if p.Limit != "" {
		t.printf("\n")
		t.colored("", yellow, "Limits hold the whole plan:", p.Limit)
	}
	if p.ZFSError != "" {
		t.printf("\n")
		t.colored("", red, "ZFS could not be asked:", p.ZFSError)
		if p.ZFSHint != "" {
			t.lines("", "hint:", p.ZFSHint)
		}
	}
}

// summary is the last line.
func (p *plan) summary(t *text) string {
	var parts []string
	n := maps.Clone(p.Summary)
	for _, a := range p.Actions { // act one of a destroy loses nothing
		if a.Verb == string(drivers.Destroy) && a.Risk != spec.Destructive.String() {
			n["trash"], n[a.Verb] = n["trash"]+1, n[a.Verb]-1
		}
	}
	for _, v := range []struct{ verb, word string }{
		{"create", "to create"}, {"update", "to update"}, {"trash", "to trash"}, {"destroy", "to destroy"}, {"run", "to run"}, {"blocked", "blocked"},
	} {
		if n[v.verb] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[v.verb], v.word))
		}
	}
	switch {
	case p.ZFSError != "":
		return t.in(bold, "Nothing is planned: ZFS could not be asked.")
	case len(parts) == 0 && len(p.Unseen) > 0:
		return t.in(bold, "No changes where the machine could be observed.")
	case len(parts) == 0:
		return t.in(bold+";"+green, "No changes: the machine is as declared.")
	}
	s := "Plan: " + strings.Join(parts, ", ")
	if n := p.waiting(); n == 1 {
		s += "; 1 waits for approval"
	} else if n > 1 {
		s += fmt.Sprintf("; %d wait for approval", n)
	}
	return t.in(bold, s+".")
}

// waiting counts the actions that would run if somebody said so.
func (p *plan) waiting() int {
	n := 0
	for _, a := range p.Actions {
		if a.Held != "" && a.Verb != string(drivers.Blocked) {
			n++
		}
	}
	return n
}
