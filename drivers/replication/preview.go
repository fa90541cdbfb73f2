package replication

import (
	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/state"
)

// preview are the commands of a run as they will be, if nothing breaks off.
func preview(w drivers.Sending, pairs []state.Pair) (all []host.Command) {
	for _, c := range zfs.Hold(sourceTag(w.Replication), toHold(&w, pairs)) {
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
		for _, l := range judge(&p.Source, p.Target, inPlan(plan), plan.Raw).Legs {
			all = append(all, pipe(&w, p.Source.Type, p.To, streamOf(&w, p, l, plan)))
		}
	}
	return all
}
