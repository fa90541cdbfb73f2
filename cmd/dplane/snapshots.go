package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dplaneos/dplane/cmd/internal/render"
	"github.com/dplaneos/dplane/drivers/retention"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

func (a *app) snapshots() *cobra.Command {
	c := &cobra.Command{
		Use:     "snapshots",
		Short:   "List, take and explain snapshots",
		Example: "  dplane snapshots explain tank/home\n  dplane snapshots explain --policy standard.yaml --simulate 1y",
		Args:    args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			return usagef("no command given; `dplane snapshots --help` lists them")
		},
	}
	c.AddCommand(a.listSnapshots(), a.takeSnapshot(), a.explain())
	return c
}

// explaining are the flags of `snapshots explain`.
type explaining struct {
	policy, now, simulate string
}

func (a *app) explain() *cobra.Command {
	var x explaining
	c := &cobra.Command{
		Use:   "explain [DATASET]",
		Short: "Tell for each snapshot whether it is kept, and why",
		Long: `For a dataset: tells which of its snapshots are kept and which destroyed, by which period or protection, when each
will go, and when the next one is due. Nothing is changed.

With --policy it needs neither root nor ZFS: it reads the body of one schedule from FILE, and a list of snapshots from standard input, one a line: name, TAB,
creation in seconds since 1970, TAB, guid. It takes each as one that dplane took, and tells which are kept and which
destroyed, by which period or protection, when each will go, and when the next one is due.

With --simulate it reads no list: it runs the policy from --now over that time and tells what it took, what exists at
its end, and how many existed at most.`,
		Example: `  dplane snapshots explain tank/home
  zfs list -Hp -t snapshot -o name,creation,guid -d 1 tank/home | dplane snapshots explain --policy standard.yaml
  dplane snapshots explain --policy standard.yaml --simulate 1y --now 2026-01-01T00:00:00Z`,
		Args: args(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 1 && (x.policy != "" || x.simulate != ""):
				return usagef("--policy and --simulate are of a file; a dataset has the policy that covers it")
			case len(args) == 1:
				return a.explainDataset(c.Context(), args[0], x)
			}
			return a.explainPolicy(x)
		},
	}
	f := c.Flags()
	f.StringVar(&x.policy, "policy", "", "file with the body of one schedule")
	f.StringVar(&x.now, "now", "", "the time to explain, as 2026-11-24T07:00:00Z; default now")
	f.StringVar(&x.simulate, "simulate", "", "run the policy over this time, as 1y or 30d")
	return c
}

func (a *app) explainPolicy(x explaining) error {
	now, length, err := x.parse()
	if err != nil {
		return err
	}
	s, err := spec.LoadScheduleFile(x.policy)
	if err != nil {
		return failf("mend "+x.policy, "read the policy: %w", err)
	}
	p, err := retention.NewPolicy(s, "UTC")
	if err != nil {
		return err
	}
	if x.simulate != "" {
		return a.showSimulation(p.Simulate(now, length), s, now, length)
	}
	own, err := readSnapshots(a.stdin)
	if err != nil {
		return failf("give lines of name, TAB, seconds since 1970, TAB, guid", "read the snapshots: %w", err)
	}
	e := explained(p, own, now)
	if a.json {
		return a.print(render.ExplainJSON(e))
	}
	return render.ExplainText(a.stdout, e, render.TextOptions{Color: a.colorOn(a.stdout)})
}

// at is the time that is asked about; now, where none is.
func (x explaining) at() (time.Time, error) {
	if x.now == "" {
		return (reconcile.Wall{}).Now(), nil
	}
	at, err := time.Parse(time.RFC3339, x.now)
	if err != nil {
		return at, usagef("--now %q is no time such as 2026-11-24T07:00:00Z", x.now)
	}
	return at, nil
}

func (x explaining) parse() (now time.Time, length time.Duration, err error) {
	if x.policy == "" {
		return now, 0, usagef("give a DATASET, or --policy FILE: the body of one schedule, such as `keep: {hourly: 24, daily: 30}`")
	}
	if now, err = x.at(); err != nil {
		return now, 0, err
	}
	if x.simulate != "" {
		d, err := spec.ParseDuration(x.simulate)
		if err != nil {
			return now, 0, usagef("--simulate: %v", err)
		}
		length = d.Std()
	}
	return now, length, nil
}

func (a *app) showSimulation(got retention.Simulation, s *spec.Schedule, from time.Time, length time.Duration) error {
	doc := render.Simulated{From: from, Until: from.Add(length), Exist: got.Exist, Most: got.Most}
	for _, name := range s.Counted() {
		doc.Periods = append(doc.Periods, render.SimulatedPeriod{Name: name, Taken: got.Periods[name].Taken, Kept: got.Periods[name].Kept})
	}
	if a.json {
		return a.print(render.SimulateJSON(doc))
	}
	return render.SimulateText(a.stdout, doc, render.TextOptions{Color: a.colorOn(a.stdout)})
}

// explained judges each dataset of the list on its own: a policy is of one.
func explained(p *retention.Policy, own []state.Snapshot, now time.Time) render.Explained {
	out := render.Explained{Now: now, Zone: p.Zone()}
	sets := map[string][]state.Snapshot{}
	for _, s := range own {
		sets[s.Dataset] = append(sets[s.Dataset], s)
	}
	if len(own) == 0 {
		sets[""] = nil
	}
	var all []retention.Verdict
	for _, set := range sets {
		all = append(all, p.Foresee(set, now)...)
		if due := p.Due(set, now); out.Next.IsZero() || due.Before(out.Next) {
			out.Next = due
		}
	}
	slices.SortFunc(all, func(a, b retention.Verdict) int {
		return cmp.Or(a.Creation.Compare(b.Creation), cmp.Compare(a.Name, b.Name))
	})
	for _, v := range all {
		out.Snapshots = append(out.Snapshots, render.ExplainedSnapshot{Name: v.Name, Keep: v.Keep, Reasons: v.Reasons, Goes: v.Goes})
	}
	return out
}

// readSnapshots reads lines of name, creation and guid. What stands before an @ is the dataset; the whole stays the
// name, as the operator gave it.
func readSnapshots(r io.Reader) (list []state.Snapshot, err error) {
	lines, n := bufio.NewScanner(r), 1
	at := map[string]int{} // the lines of names
	for ; lines.Scan(); n++ {
		if lines.Text() == "" {
			continue
		}
		f := strings.Split(lines.Text(), "\t")
		if len(f) != 3 || f[0] == "" || f[2] == "" {
			return nil, fmt.Errorf("line %d: %q is not name, creation and guid", n, lines.Text())
		}
		seconds, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil || seconds < 0 || seconds > latest {
			return nil, fmt.Errorf("line %d: %q is no number of seconds since 1970", n, f[1])
		}
		if first := at[f[0]]; first > 0 {
			return nil, fmt.Errorf("lines %d and %d: %s twice", first, n, f[0])
		}
		at[f[0]] = n
		dataset, _, _ := strings.Cut(f[0], "@")
		if dataset == f[0] {
			dataset = ""
		}
		list = append(list, state.Snapshot{Dataset: dataset, Name: f[0], GUID: f[2], Creation: time.Unix(seconds, 0).UTC()})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", n, err)
	}
	return list, nil
}

// latest is the end of the year 9999, the last that RFC 3339 can say.
const latest = 253402300799
