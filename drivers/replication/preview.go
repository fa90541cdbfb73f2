package replication

import (
	"slices"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/state"
)

// preview are the commands of a run as they will be, if nothing breaks off.
func preview(w drivers.Sending, pairs []state.Pair) (all []host.Command) {
	var held []string
	for _, plan := range w.Pairs {
		p, err := now(plan, pairs)
		if err != nil {
			continue
		}
		for _, s := range p.Source.Snapshots {
			if !s.Ours && slices.Contains(plan.Snapshots, s.GUID) {
				held = append(held, p.Source.Name+"@"+s.Name)
			}
		}
	}
	for _, c := range zfs.Hold(Tag(w.Replication), held) {
		c.Host = w.From
		all = append(all, c)
	}
	for _, plan := range w.Pairs {
		p, err := now(plan, pairs)
		if err != nil {
			continue
		}
		if p.Target != nil && p.Target.Token != "" {
			if c, err := resumeOf(&w, p, plan); err == nil {
				all = append(all, pipe(&w, p.Source.Type, p.To, c))
			}
			continue
		}
		j := judge(&p.Source, p.Target, func(s state.Point) bool { return slices.Contains(plan.Snapshots, s.GUID) }, plan.Raw)
		for _, l := range j.Legs {
			all = append(all, pipe(&w, p.Source.Type, p.To, streamOf(&w, p, l, plan)))
		}
	}
	return all
}
