package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/state"
)

func (a *app) haExplain() *cobra.Command {
	return &cobra.Command{
		Use:   "explain [ID]",
		Short: "Show what was decided in the group and why; of one decision, what it was made from, and make it once more",
		Long: `Each decision is recorded with all that it was made from. With an ID it is made again from that, and what comes out is
compared with what was done then.`,
		Example: "  dplane ha explain\n  dplane ha explain 12",
		Args:    args(0, 1),
		RunE: func(c *cobra.Command, given []string) error {
			var id int64
			if len(given) > 0 {
				n, err := strconv.ParseInt(given[0], 10, 64)
				if err != nil || n < 1 {
					return usagef("%q is no number of a decision; dplane ha explain lists them", given[0])
				}
				id = n
			}
			db, err := a.journal()
			if err != nil {
				return failf("run it as root, where the daemon runs", "read the decisions: %w", err)
			}
			defer db.Close()
			all, err := db.Decisions(c.Context(), id, 50)
			switch {
			case err != nil:
				return err
			case id == 0:
				return a.decisions(all)
			case len(all) == 0:
				return failf("dplane ha explain lists them", "there is no decision %d", id)
			}
			return a.explainDecision(&all[0])
		},
	}
}

func (a *app) decisions(all []state.Decision) error {
	if a.json {
		doc, err := json.MarshalIndent(map[string]any{"version": 1, "decisions": append([]state.Decision{}, all...)}, "", "  ")
		return a.print(append(doc, '\n'), err)
	}
	for _, d := range all {
		what := fmt.Sprintf("%s -> %s", d.From, d.To)
		if d.Refused {
			what = "refused"
		} else if d.From == d.To {
			what = string(d.To)
		}
		if _, err := fmt.Fprintf(a.stdout, "%5d  %s  %-10s %s, term %d: %s\n", d.ID, d.At.UTC().Format("2006-01-02T15:04:05Z"), d.Event, what, d.Term, d.Why); err != nil {
			return err
		}
	}
	return nil
}

// decisionDoc is the document of one decision.
type decisionDoc struct {
	Version  int            `json:"version"`
	Decision state.Decision `json:"decision"`
	After    state.HA       `json:"after"` // what is decided from the same inputs now
	Actions  []ha.Action    `json:"actions"`
	Same     bool           `json:"same"`
}

func (a *app) explainDecision(d *state.Decision) error {
	in, after, acts, err := ha.Replay(d)
	if err != nil {
		return err
	}
	again, err := ha.Explain(in, after, acts)
	same := err == nil && again != nil && again.Why == d.Why && again.To == d.To && again.Term == d.Term && reflect.DeepEqual(again.Refused, d.Refused)
	if a.json {
		doc, err := json.MarshalIndent(decisionDoc{1, *d, after, acts, same}, "", "  ")
		return a.print(append(doc, '\n'), err)
	}
	event, err := json.MarshalIndent(in.Event, "  ", "  ")
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "decision %d, %s\n  it was %s in term %d (active: %s), and %s\n  why: %s\n  what happened: %s\n", d.ID, d.At.UTC().Format("2006-01-02T15:04:05Z"),
		d.From, in.State.Term, in.State.Holder, became(d), d.Why, event)
	for name, p := range in.State.Peers {
		fmt.Fprintf(a.stdout, "  peer %s was %s\n", name, p.State)
	}
	for _, x := range acts {
		fmt.Fprintf(a.stdout, "  then: %s %s %s\n", x.Do, x.Step, x.Peer)
	}
	text := "from the same inputs the same is decided now"
	if !same {
		text = "from the same inputs this release decides something else: it is not the one that decided then"
	}
	_, err = fmt.Fprintln(a.stdout, "  "+text)
	return err
}

func became(d *state.Decision) string {
	if d.Refused {
		return "the order was refused"
	}
	return fmt.Sprintf("became %s in term %d", d.To, d.Term)
}
