package schedule

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/retention"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Diff takes what is due, in one command for each pool, and prunes what is no longer kept then.
func (d *Driver) Diff(in drivers.Input) (r drivers.Result) {
	v := newView(in.Want, in.Have, in.Have.Taken, in.Now)
	r.Notices = append(v.notices, v.uncovered()...)
	for _, pool := range slices.Sorted(maps.Keys(in.Have.Unlisted)) {
		r.Notices = append(r.Notices, fmt.Sprintf("pool %s: nothing is taken or pruned by schedule: %s", pool, in.Have.Unlisted[pool]))
	}
	for _, name := range slices.Sorted(maps.Keys(in.Have.Datasets)) { // also of what no schedule covers any more
		if t := in.Have.Taken[in.Have.Datasets[name].GUID]; t != nil && t.Quiesced != nil {
			r.Actions = append(r.Actions, release(name, in.Have.Datasets[name].GUID, t.Quiesced))
		}
	}
	due, troubled := map[string][]taking{}, map[string][]taking{} // by place, and by pool
	var prunes []drivers.Action
	for _, c := range v.sets {
		if c.list, c.isListed = in.Have.Listed[c.Name]; !c.isListed {
			continue
		}
		x := v.decide(c)
		r.Notices = append(r.Notices, c.tells(x, v.now)...)
		if x.unknown != "" {
			r.Notices = append(r.Notices, x.unknown)
		}
		if len(x.goes) > 0 {
			prunes = append(prunes, c.prunes(x, v.now)...)
		}
		if x.take != "" {
			place := c.pool()
			if !c.mem.Failed.IsZero() { // by itself, so that it keeps no other from being taken
				troubled[place] = append(troubled[place], taking{c, x.take})
				continue
			}
			due[place] = append(due[place], taking{c, x.take})
		}
	}
	for pool, list := range troubled {
		for _, t := range list {
			place := t.Name
			if h := t.Snapshots; h.Before != nil || h.After != nil { // those of one hook stay together
				place = string(t.At)
			}
			if place == pool || len(list) > fewTroubled { // the object of all others is the pool's name
				place = pool + "/"
			}
			due[place] = append(due[place], t)
		}
	}
	takes := map[string]string{} // dataset -> the action that takes it
	for _, place := range slices.Sorted(maps.Keys(due)) {
		a := v.take(place, due[place])
		a.Identify()
		for _, t := range due[place] {
			takes[t.Name] = a.ID
		}
		r.Actions = append(r.Actions, a)
	}
	for _, a := range prunes {
		if a.Counts != "" {
			a.After = append(a.After, takes[a.Object.Name])
		}
		r.Actions = append(r.Actions, a)
	}
	slices.Sort(r.Notices)
	r.Notices = slices.Compact(r.Notices)
	return r
}

// fewTroubled is how many datasets of a pool that failed before are taken each for itself.
const fewTroubled = 8

type taking struct {
	*covered
	name string
}

// take is the action that takes what is due in one place.
func (v *view) take(place string, due []taking) drivers.Action {
	a := drivers.Action{
		Object: spec.Ref{Kind: spec.KindSchedule, Name: place}, GUID: v.Have.Pools[due[0].pool()].GUID, Verb: drivers.Run, Risk: spec.Safe, Scheduled: true,
		Undo: "zfs destroy of the snapshots", Taking: &drivers.Taking{},
	}
	var marks, names []string
	hooks := map[spec.DatasetName]int{}
	oldest := v.now
	for _, t := range due {
		s := t.Schedule.Name
		if !slices.Contains(marks, s) {
			marks = append(marks, s)
			a.Reason = drivers.Reason{Code: drivers.Due, At: t.Schedule.Pos.At()}
		}
		since := t.policy.Boundary(v.now)
		if since.Before(oldest) {
			oldest = since
		}
		a.Fields = append(a.Fields, drivers.Field{Name: t.Name, To: "due since " + retention.Moment(since)})
		a.Taking.Of = append(a.Taking.Of, drivers.Taken{Dataset: t.Name, GUID: t.GUID, Name: t.name, Hook: hook(a.Taking, hooks, t.Cover)})
		names = append(names, t.Name+"@"+t.name)
	}
	slices.Sort(marks)
	a.Taking.Mark = clip(strings.Join(marks, ","))
	a.Reason.Observed = fmt.Sprintf("%d dataset(s) without a snapshot since %s", len(due), retention.Moment(oldest))
	for _, h := range a.Taking.Hooks {
		if h.Before != nil {
			a.Steps = append(a.Steps, *h.Before)
		}
	}
	a.Apart = len(a.Taking.Hooks) == 0 // nobody knows what those do
	a.Steps = append(a.Steps, zfs.TakeSnapshots(a.Taking.Mark, names)...)
	for _, h := range slices.Backward(a.Taking.Hooks) {
		if h.After != nil {
			a.Steps = append(a.Steps, *h.After)
			a.Notes = append(a.Notes, h.After.String()+" runs whatever happened before")
		}
	}
	return a
}

// longestMark is far below what zfs takes (8,191 bytes).
const longestMark = 1000

func clip(s string) string { return s[:min(len(s), longestMark)] }

// prunes are the actions that destroy what goes of one dataset: one, but where what goes only because less is to be kept
// has to wait, and the rest does not wait with it.
func (c *covered) prunes(x decision, now time.Time) []drivers.Action {
	settles := c.mem.Since.Add(retention.Unasked)
	switch {
	case len(x.excess) == 0:
		return []drivers.Action{c.prune(x, x.goes)}
	case x.hold != "" || x.tooMany == "" && !now.Before(settles) || len(x.excess) == len(x.goes):
		a := c.prune(x, x.goes)
		a.Hold, a.Settles = cmp.Or(x.hold, x.tooMany), settles
		return []drivers.Action{a}
	}
	more := map[string]bool{}
	for _, s := range x.excess {
		more[s.GUID] = true
	}
	rest := c.prune(x, slices.DeleteFunc(slices.Clone(x.goes), func(s state.Snapshot) bool { return more[s.GUID] }))
	a := c.prune(x, x.excess)
	a.Hold, a.Settles = x.tooMany, settles
	return []drivers.Action{rest, a}
}

// prune is the action that destroys some of what goes of one dataset.
func (c *covered) prune(x decision, goes []state.Snapshot) drivers.Action {
	a := drivers.Action{
		Object: spec.Ref{Kind: spec.KindSchedule, Name: c.Name}, GUID: c.GUID, Verb: drivers.Destroy, Risk: spec.Safe, Scheduled: true, Apart: true,
		Reason: drivers.Reason{Code: drivers.Expired, At: c.Schedule.Pos.At(), Observed: fmt.Sprintf("%d of its %d own snapshots are no longer kept", len(goes), len(x.own))},
		Undo:   "nothing: what schedule " + c.Schedule.Name + " took, it lets go",
		Hold:   x.hold,
	}
	if x.take != "" && c.mem.Failed.IsZero() {
		a.Counts = x.take
	}
	var names []string
	var frees uint64
	for _, s := range goes {
		names = append(names, s.Name)
		frees += s.Used
		a.Destroy = append(a.Destroy, s.GUID)
		a.Fields = append(a.Fields, drivers.Field{Name: s.Name, To: "no longer kept"})
	}
	a.Notes = []string{fmt.Sprintf("frees %s at least", spec.Size(frees))}
	a.Steps = zfs.DestroySnapshots(c.Name, names)
	return a
}

// release is what must still run after a program that quiesced something, whose dplane died.
func release(name, guid string, q *state.Quiesced) drivers.Action {
	cmd := host.Write(q.Run...)
	cmd.Timeout = q.Timeout
	return drivers.Action{
		Object: spec.Ref{Kind: spec.KindSchedule, Name: name}, GUID: guid, Verb: drivers.Run, Risk: spec.Safe, Scheduled: true,
		Reason: drivers.Reason{Code: drivers.Due, Observed: "what was quiesced " + retention.Moment(q.At) + " to take snapshots was left so: dplane ended before this ran"},
		Fields: []drivers.Field{{Name: "after", To: cmd.String()}}, Undo: "nothing",
		Steps: []host.Command{cmd},
	}
}

// tells are notices of a dataset.
func (c *covered) tells(x decision, now time.Time) (all []string) {
	var future []string
	for _, s := range x.own {
		if s.Creation.After(now) {
			future = append(future, s.Name)
		}
	}
	if len(future) > 0 {
		all = append(all, fmt.Sprintf("%s: dated in the future, kept, and filling no period: %s", c.Name, drivers.Some(future)))
	}
	return all
}

// uncovered tells of datasets whose snapshots are remembered and that no schedule covers now: what was taken stays.
func (v *view) uncovered() (all []string) {
	for _, name := range slices.Sorted(maps.Keys(v.Have.Datasets)) {
		t := v.Have.Taken[v.Have.Datasets[name].GUID]
		if t == nil || v.Want.Covering(spec.DatasetName(name)).Schedule != nil || spec.DatasetName(name).InTrash() {
			continue
		}
		n := 0
		for _, s := range t.Snapshots {
			if s.Gone.IsZero() {
				n++
			}
		}
		if n > 0 {
			all = append(all, fmt.Sprintf("%s is in no schedule any more: the %d snapshots that dplane took of it stay, and are not pruned", name, n))
		}
	}
	return all
}

// hook is the number of the hook of a declaration, from 1, among those of the taking; 0 where it has none.
func hook(t *drivers.Taking, numbers map[spec.DatasetName]int, c spec.Cover) int {
	before, after := c.Snapshots.Before, c.Snapshots.After
	if before == nil && after == nil {
		return 0
	}
	if n := numbers[c.At]; n > 0 {
		return n
	}
	h := drivers.Hook{Before: program(before), After: program(after), Skip: before != nil && before.OnFailure != "snapshot"}
	t.Hooks = append(t.Hooks, h)
	numbers[c.At] = len(t.Hooks)
	return len(t.Hooks)
}

// program is the command of a hook, nil where there is none.
func program(h *spec.Hook) *host.Command {
	if h == nil {
		return nil
	}
	c := host.Write(h.Run...)
	c.Timeout = h.Timeout.Std()
	return &c
}
