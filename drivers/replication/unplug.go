package replication

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// A removable pool that replications send to is imported when there is something for it, and exported once it has all: then it
// may be taken away.

// justSent is how long after a run the pool is exported. Later it is a person who keeps it busy.
const justSent = 15 * time.Minute

// loadGUID is what tells one import of a pool from another: zfs makes it anew each time (zpoolprops(7)). What was imported since
// the run was so by a person.
const loadGUID = "load_guid"

// loaded is the import of the removable pool that a replication sends to, "" where it sends to none.
func loaded(in drivers.Input, r *spec.Replication) string {
	name := r.Target.Dataset.Pool()
	p, have := in.Want.Pools[name], in.Have.Pools[string(name)]
	if !into(r, name) || p == nil || !p.Removable || have == nil {
		return ""
	}
	return have.Properties[loadGUID].Value
}

// exports lets go of removable pools to which all was sent a moment ago.
func exports(in drivers.Input, r *drivers.Result) {
	for _, name := range in.Want.PoolNames() {
		want, have := in.Want.Pools[name], in.Have.Pools[string(name)]
		if !want.Removable || have == nil || in.Have.UnseenPool(string(name)) != "" || foreign(in.Have, string(name)) || have.Scanned.Runs() {
			continue
		}
		load := have.Properties[loadGUID]
		ended, to, own := sentAll(in, name, r.Actions)
		switch {
		case ended.IsZero() || in.Now.Sub(ended) >= justSent || to != load.Value || to == "":
		case !own:
			r.Notices = append(r.Notices, fmt.Sprintf("pool %s has all that is to be sent to it, and stays imported: a person imported it, or the boot, and not dplane. Once nobody needs it: zpool export %[1]s", name))
		default:
			r.Actions = append(r.Actions, drivers.Action{
				Object: spec.Ref{Kind: spec.KindPool, Name: string(name)}, GUID: have.GUID, Verb: drivers.Run, Risk: spec.Safe, Scheduled: true,
				Reason: drivers.Reason{Code: drivers.Sent, At: want.Pos.At(), Observed: "all that is to be sent to it was sent at " + moment(ended)},
				Fields: []drivers.Field{{Name: "export", From: have.GUID}},
				Undo:   "zpool import " + string(name),
				Notes:  []string{"its file systems are unmounted; then it may be taken away"},
				Guard:  []host.Expect{zfs.ExpectPoolProps(string(name), map[string]state.Property{"guid": {Value: have.GUID, Source: "-"}, loadGUID: load})},
				Steps:  []host.Command{zfs.ExportPool(string(name))},
			})
		}
	}
}

// sentAll is when the last of the replications into a pool ended, to which import of it that one sent, and whether that is dplane's own;
// zero where one of them has something to do, or did not go well, or the pool is sent on from.
func sentAll(in drivers.Input, pool spec.PoolName, planned []drivers.Action) (ended time.Time, load string, own bool) {
	own = true
	for _, name := range slices.Sorted(maps.Keys(in.Want.Replications)) {
		want, seen := in.Want.Replications[name], in.Have.Replications[name]
		if want.Source.Remote == "" && want.Source.Dataset.Pool() == pool {
			return time.Time{}, "", false
		}
		if !into(want, pool) {
			continue
		}
		concerns := func(a drivers.Action) bool {
			return a.Object.Kind == spec.KindReplication && (a.Object.Name == name || strings.HasPrefix(a.Object.Name, name+":"))
		}
		if seen == nil || seen.Running || seen.Unseen != "" || slices.ContainsFunc(planned, concerns) {
			return time.Time{}, "", false
		}
		if known := seen.Remembered; known != nil && len(known.Runs) > 0 {
			last := known.Runs[0]
			if last.Outcome != state.Done || last.Ended.After(in.Now) {
				return time.Time{}, "", false
			}
			if last.Ended.After(ended) {
				ended, load = last.Ended, last.Load
			}
			own = own && known.Loaded == in.Have.Pools[string(pool)].Properties[loadGUID].Value
		}
	}
	return ended, load, own
}

// noteLoad remembers which import of the removable pool that a replication sends to is dplane's own: the one that follows upon a look
// from which dplane imports it.
func (d *Driver) noteLoad(ctx context.Context, want *spec.Spec, r *spec.Replication, obs *state.Observed, own *state.Replicated, seen *state.Replication) error {
	pool := r.Target.Dataset.Pool()
	p := want.Pools[pool]
	if own == nil || own.Way == nil || !d.Learns || seen.Running || p == nil || !p.Removable || !into(r, pool) || obs.UnseenPool(string(pool)) != "" {
		return nil
	}
	loaded, awaited := own.Loaded, own.Awaited
	if have := obs.Pools[string(pool)]; have == nil {
		here := func(i state.Importable) bool { return i.Ready && i.Name == string(pool) }
		awaited = seen.Ahead && slices.ContainsFunc(obs.Importable, here)
	} else {
		if loaded == "" || awaited {
			loaded = have.Properties[loadGUID].Value
		}
		awaited = false
	}
	if loaded == own.Loaded && awaited == own.Awaited {
		return nil
	}
	own.Loaded, own.Awaited = loaded, awaited
	return d.Memory.SaveReplicated(ctx, r.Name, own)
}

// into tells whether a replication sends to a pool here.
func into(r *spec.Replication, pool spec.PoolName) bool {
	return r.Target.Remote == "" && r.Target.Dataset.Pool() == pool
}

// ahead tells whether the source has what a removable pool lacks that is here and not imported, as far as is remembered. One that
// is sent by hand is: whoever plugs the disk in is about to.
func (d *Driver) ahead(ctx context.Context, r *spec.Replication, obs *state.Observed, known *state.Replicated) (bool, error) {
	here := func(i state.Importable) bool { return i.Ready && i.Name == string(r.Target.Dataset.Pool()) }
	if r.When.Manual || known == nil || !slices.ContainsFunc(obs.Importable, here) {
		return true, nil
	}
	w := way(r)
	sources, err := d.list(ctx, w.From, w.Recursive, w.Source)
	if errors.Is(zfs.Classify(err), zfs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("list the source %s: %w", w.Source, err)
	}
	b := &batch{want: r, seen: &state.Replication{Remembered: known}}
	for _, s := range sources {
		if excluded(w, s.Name) {
			continue
		}
		txg := uint64(0)
		if had := b.had(state.Pair{Source: s}); had != nil {
			for _, p := range slices.Concat(s.Snapshots, s.Bookmarks) {
				if p.GUID == had.GUID {
					txg = p.TXG
				}
			}
		}
		if len(chosen(after(s.Snapshots, txg), b.wanted)) > 0 {
			return true, nil
		}
	}
	return false, nil
}
