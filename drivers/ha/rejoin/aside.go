package rejoin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
)

// What is put aside lies outside of the group, where nothing looks after it: its snapshots are held, and what ZFS would refuse on
// the way there is told before anything moves.

// Kept is the tag that holds what was put aside.
const Kept = "dplane:kept"

// maxName is how long the name of a dataset may be, with that of a snapshot.
const maxName = 255

// reservations can't be had twice for nothing.
var reservations = []string{"refreservation", "reservation"}

func parent(name string) string { return name[:max(0, strings.LastIndex(name, "/"))] }

// along are datasets that are put aside for what is below them: what has its key from one above it can't leave that one ("cannot
// move encrypted child outside of its encryption root"), so all from that one down to it go along. Where one stands aside
// already, it is from those above it that do too.
func (w *weaving) along(how string) map[string]bool {
	at, all := map[string]string{}, map[string]bool{}
	for _, d := range w.all {
		at[d.Name] = d.At
	}
	for _, d := range w.all {
		root, err := w.root(d.Name)
		if leaves := d.Stands == Apart || d.Stands == Diverged && how == ha.Keep; err != nil || !leaves || d.keyOf == "" {
			continue
		}
		keyOf := d.keyOf
		if rest, moved := strings.CutPrefix(keyOf, w.aside(root, root)); moved {
			keyOf = root + rest
		}
		for up := parent(d.Name); strings.HasPrefix(up+"/", keyOf+"/") && strings.HasPrefix(up+"/", root+"/"); up = parent(up) {
			if d.At == "" || at[up] != "" {
				all[up] = true
			}
		}
	}
	for name := range all { // what is above the group's topmost stays where it is, and so does the key
		if root, err := w.root(name); err == nil && w.keyAbove(root) {
			delete(all, name)
		}
	}
	return all
}

// keyAbove tells whether the group's topmost dataset has its key from one above it: beside it that is above as well.
func (w *weaving) keyAbove(root string) bool {
	for _, name := range []string{root, w.aside(root, root)} {
		if p := w.props[name]; p != nil && p.EncryptionRoot != "" && strings.HasPrefix(root, p.EncryptionRoot+"/") {
			return true
		}
	}
	return false
}

// hold keeps what only this node has from being destroyed, by dplane and by a slip: first of all, so that it is never without.
func (w *weaving) hold(ctx context.Context, d Dataset, at, aside string) error {
	var names []string
	for _, own := range d.Own {
		if strings.HasPrefix(own, "@") {
			names = append(names, own)
		}
	}
	if d.Written > 0 {
		name := w.free(d)
		w.do(zfs.TakeSnapshots("", []string{at + name})...)
		names = append(names, name)
	}
	var list []string
	for _, name := range names {
		list, w.keeps[Kept] = append(list, at+name), append(w.keeps[Kept], aside+name)
	}
	w.do(zfs.Hold(Kept, list)...)
	before, err := w.holds(ctx, d.held)
	if err != nil {
		return err
	}
	for tag, snapshots := range before { // of a replication: they go along
		for _, s := range snapshots {
			if strings.HasPrefix(tag, "dplane:") && tag != Kept {
				w.keeps[tag] = append(w.keeps[tag], aside+s[strings.Index(s, "@"):])
			}
		}
	}
	return nil
}

// letGo is what a person types to have done with it.
func (w *weaving) letGo() {
	for _, tag := range sortedKeys(w.keeps) {
		w.LetGo = append(w.LetGo, zfs.Release(tag, w.keeps[tag])...)
	}
	for _, root := range w.Group {
		all := w.aside(string(root), string(root))
		if slices.ContainsFunc(w.Plan.Aside, func(at string) bool { return at == all || strings.HasPrefix(at, all+"/") }) {
			w.LetGo = append(w.LetGo, host.Write("zfs", "destroy", "-r", all))
		}
	}
}

// named fails where one that moves would have too long a name, with its snapshots.
func (w *weaving) named(root string, d Dataset) error {
	for _, x := range w.all {
		if x.At != "" || x.Name != d.Name && !strings.HasPrefix(x.Name, d.Name+"/") {
			continue
		}
		to, longest := w.aside(root, x.Name), ""
		if x.Written > 0 {
			longest = w.free(x)
		}
		for _, name := range x.names {
			if len(name) > len(longest) {
				longest = name
			}
		}
		switch over := len(to) + len(longest) - maxName; {
		case over <= 0:
		case len(to)+len(w.free(x)) <= maxName:
			return fmt.Errorf("%s%s would be called %[3]s%[2]s, which is %[4]d characters longer than ZFS allows: zfs rename %[1]s%[2]s %[1]s@SHORTER", x.Name, longest, to, over)
		default:
			return fmt.Errorf("%s would be called %s, which is longer than ZFS allows (%d, with its snapshots): copy by hand what is wanted of it, and then %s", x.Name, to, maxName, w.otherwise())
		}
	}
	return nil
}

// otherwise is what a person can do where nothing can be put aside.
func (w *weaving) otherwise() string {
	if w.as == "ahead" {
		return "leave consistency out of the files"
	}
	return "--discard"
}

// takes is what is left to be done when the clone is there: it gets the space and the delegations of what it takes the place of,
// which it needs to be received into by an ordinary user, and then its snapshots. What is aside gives back the space that it
// reserved.
func (w *weaving) takes(ctx context.Context, d Dataset, local map[string]string, root, aside string) error {
	w.replaced = append(w.replaced, d.Name)
	set, none := map[string]string{}, map[string]string{}
	for _, name := range reservations {
		if n, err := strconv.ParseUint(local[name], 10, 64); err == nil && n > 0 {
			set[name], none[name] = local[name], "none"
		}
	}
	if len(set) > 0 {
		w.do(zfs.Set(d.Name, set))
		if w.needs == nil {
			w.needs = map[string][]Dataset{}
		}
		w.needs[root] = append(w.needs[root], Dataset{Name: d.Name, At: cmp.Or(d.At, d.Name), local: set})
	}
	res, err := w.Runner.Run(ctx, zfs.Allowed(w.now(d, aside)))
	if err != nil {
		return fmt.Errorf("see what is delegated on %s: %w", d.Name, err)
	}
	allow, err := zfs.Delegations(w.now(d, aside), d.Name, res.Stdout)
	if err != nil {
		return err
	}
	w.do(allow...)
	w.do(zfs.Promote(d.Name))
	if len(none) > 0 {
		w.do(zfs.Set(aside, none))
	}
	return nil
}

// now is where what a clone takes the place of stands before anything is done.
func (w *weaving) now(d Dataset, aside string) string {
	if d.Stands == Halfway {
		return aside
	}
	return cmp.Or(d.At, d.Name)
}

// local are the properties of what stands aside, of which a clone was made already.
func (w *weaving) local(aside string, d Dataset) map[string]string {
	set := map[string]string{}
	if p := w.props[aside]; p != nil {
		for _, name := range reservations {
			if v := p.Properties[name]; v.Local() {
				set[name] = v.Value
			}
		}
	}
	return set
}

// room fails where what reserves space could not do so a second time, while both are there.
func (w *weaving) room() error {
	for _, root := range sortedKeys(w.needs) {
		p := w.props[parent(root)]
		if p == nil {
			continue
		}
		var sum uint64
		for _, d := range w.needs[root] {
			for _, name := range sortedKeys(d.local) {
				n, _ := strconv.ParseUint(d.local[name], 10, 64) // takes has seen that it is one
				if sum += n; sum > p.Available {
					return fmt.Errorf("%s reserves %s (%s), which what takes its place needs as well while both are there, and %s has %s free: zfs set %[3]s=none %[6]s, and set it again afterwards",
						d.Name, spec.Size(n), name, p.Name, spec.Size(p.Available), d.At)
				}
			}
		}
	}
	return nil
}
