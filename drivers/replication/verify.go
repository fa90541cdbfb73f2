package replication

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Proof is what a person wants compared.
type Proof struct {
	Dataset  string // by its name at either end; "": all
	Snapshot string // that is read; "": the newest that both have
	Deep     bool   // one snapshot of each dataset is read on both ends
}

// Verify compares both ends of a replication. A transfer may go on meanwhile.
func (d *Driver) Verify(ctx context.Context, want *spec.Spec, obs *state.Observed, name string, proof Proof) ([]state.Verified, error) {
	r := want.Replications[name]
	switch {
	case unreached(r) != "":
		return nil, because("", "%s", unreached(r))
	case obs.ZFS.Error != "":
		return nil, because(obs.ZFS.Hint, "nothing can be compared: %s", obs.ZFS.Error)
	case away(r, obs) != "":
		return nil, because("import it, or connect its disks", "nothing can be compared: %s", away(r, obs))
	}
	w := way(r)
	pairs, _, err := d.look(ctx, w)
	if err != nil {
		return nil, because("dplane replication test "+name+" tells more", "%w", err)
	}
	if proof.Dataset != "" {
		pairs = slices.DeleteFunc(pairs, func(p state.Pair) bool { return p.Source.Name != proof.Dataset && p.To != proof.Dataset })
		if len(pairs) == 0 {
			return nil, because("dplane replication list shows its datasets", "%s is no dataset of the replication %s", proof.Dataset, name)
		}
	}
	b := d.known(ctx, want, r, pairs)
	all := []state.Verified{}
	for _, p := range pairs {
		v := compare(p, b.wanted)
		if proof.Deep && p.Target != nil {
			d.deep(ctx, w, p, b.travelled(p), proof.Snapshot, &v)
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("compare %s: %w", p.Source.Name, err)
		}
		all = append(all, v)
	}
	return all, nil
}

// travelled tells whether what a target has came raw: as it is remembered or to be seen, and else as the files say. They may
// say something else by now, and the bytes of the one kind are never those of the other.
func (b *batch) travelled(p state.Pair) bool {
	if f, known := b.first(p, b.declared(p)); known {
		return f.raw
	}
	return b.raw(p.Source)
}

// compare tells what the ends of one dataset have in common, and what contradicts that the one is a replica of the other.
func compare(p state.Pair, wanted func(state.Point) bool) state.Verified {
	v := state.Verified{Source: p.Source.Name, Target: p.To, Missing: []string{}, Renamed: []state.Renamed{}, Faults: []string{}}
	fault := func(format string, args ...any) { v.Faults = append(v.Faults, fmt.Sprintf(format, args...)) }
	if p.Target == nil {
		fault("%s is not there: nothing of it was sent", p.To)
		return v
	}
	byGUID, byName := map[string]state.Point{}, map[string]state.Point{}
	for _, s := range p.Target.Snapshots {
		byGUID[s.GUID], byName[s.Name] = s, s
	}
	last := state.Point{}
	for _, s := range p.Source.Snapshots {
		if t, ok := byName[s.Name]; ok && t.GUID != s.GUID {
			fault("@%s is another snapshot there: guid %s, here %s", s.Name, t.GUID, s.GUID)
		}
		t, ok := byGUID[s.GUID]
		if !ok {
			if wanted(s) {
				v.Missing = append(v.Missing, "@"+s.Name)
			}
			continue
		}
		v.Common++
		if t.Name != s.Name {
			v.Renamed = append(v.Renamed, state.Renamed{Source: "@" + s.Name, Target: "@" + t.Name})
		}
		if !t.Creation.Equal(s.Creation) {
			fault("@%s was taken at %s, and there at %s", s.Name, moment(s.Creation), moment(t.Creation))
		}
		if t.TXG <= last.TXG {
			fault("@%s stands before @%s there, and not at the source", t.Name, last.Name)
		}
		last = t
	}
	switch {
	case p.Target.Partial:
		fault("what was sent first has not wholly come: dplane replication run goes on with it")
	case v.Common == 0 && basisOf(p) == nil && len(chosen(p.Source.Snapshots, wanted)) > 0:
		fault("they have nothing in common")
	}
	return v
}

// deep reads a snapshot on both ends, and compares what it holds.
func (d *Driver) deep(ctx context.Context, w *drivers.Sending, p state.Pair, raw bool, name string, v *state.Verified) {
	source, target, ok := shared(p, name)
	switch {
	case !ok && name != "":
		v.Faults = append(v.Faults, fmt.Sprintf("@%s is not on both ends: nothing was read", name))
		return
	case !ok:
		return // compare said what that means
	}
	// What travelled raw has the same bytes on both ends, encrypted, and needs no key.
	raw = raw && p.Source.Encrypted && p.Target.Encrypted
	v.Deep = &state.VerifiedDeep{Snapshot: "@" + source.Name}
	a, err := d.content(ctx, w, w.From, p.Source, source, raw)
	if err == nil {
		var b zfs.Digest
		if b, err = d.content(ctx, w, w.To, *p.Target, target, raw); err == nil {
			v.Deep.Bytes, v.Deep.Equal = a.Bytes, a.Sum == b.Sum
			return
		}
	}
	v.Deep.Error = err.Error()
}

// shared is the snapshot of this name, or the newest one, that both ends have, as each calls it.
func shared(p state.Pair, name string) (source, target state.Point, ok bool) {
	for _, s := range slices.Backward(p.Source.Snapshots) {
		if name != "" && s.Name != name {
			continue
		}
		for _, t := range p.Target.Snapshots {
			if t.GUID == s.GUID {
				return s, t, true
			}
		}
	}
	return source, target, false
}

// content reads one snapshot, no faster than the replication may send. zfs lets nobody destroy it meanwhile.
func (d *Driver) content(ctx context.Context, w *drivers.Sending, remote string, e state.End, s state.Point, raw bool) (zfs.Digest, error) {
	name := e.Name + "@" + s.Name
	if e.Encrypted && !e.KeyLoaded && !raw {
		return zfs.Digest{}, fmt.Errorf("read %s: its key is not loaded: zfs load-key %s", name, e.EncryptionRoot)
	}
	into := zfs.NewContent()
	c := zfs.Stream{Snapshot: name, Raw: raw}.Quiet()
	c.Host, c.Into, c.Pipe = remote, into, host.Pipe{Rate: w.Rate, Stall: stall}
	if _, err := d.Runner.Run(ctx, c); err != nil {
		if errors.Is(zfs.Classify(err), zfs.ErrNotExist) {
			return zfs.Digest{}, fmt.Errorf("read %s: it was destroyed meanwhile: verify again", name)
		}
		return zfs.Digest{}, fmt.Errorf("read %s: %w", name, err)
	}
	sum, err := into.Sum()
	switch {
	case err != nil:
		return sum, fmt.Errorf("read %s: %w", name, err)
	case sum.GUID != s.GUID:
		return sum, fmt.Errorf("read %s: the stream is of another snapshot, with the guid %s: verify again", name, sum.GUID)
	case sum.Raw != raw:
		return sum, fmt.Errorf("read %s: the stream is of the other kind (raw or plain)", name)
	}
	return sum, nil
}
