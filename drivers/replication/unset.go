package replication

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
)

// writable are the targets that are to be read-only, and are not. zfs receive does not tell by its exit status, and a person may
// have set it: what is written there stops the replication.
func (b *batch) writable() (open []string) {
	if way(b.want).Set["readonly"] != "on" {
		return nil
	}
	for _, p := range b.seen.Pairs {
		if p.Target != nil && !p.Target.Partial && !p.Target.ReadOnly {
			open = append(open, p.To)
		}
	}
	return open
}

// mayBeWritten says so, and how that is mended.
func (b *batch) mayBeWritten(open []string) (what, how string) {
	const most = 5 // in a line that somebody copies
	how = "as root " + where(b.want.Target.Remote) + ": " + zfs.SetAll(open[:min(len(open), most)], map[string]string{"readonly": "on"})[0].String()
	if len(open) > most {
		how += ", and so on"
	}
	return drivers.Some(open) + " may be written to, which stops the replication", how
}

// where is the machine of an end, in words.
func where(remote string) string {
	if remote == "" {
		return "here"
	}
	return "on " + remote
}

// notSet notes which properties the last receive into a target did not set. Its exit status does not tell: an ordinary user
// without the right to set readonly receives all the same, into a replica that can be mounted and written to.
func (t *transfer) notSet(target string, res host.Result) {
	t.noting.Lock()
	defer t.noting.Unlock()
	if t.unset == nil {
		t.unset = map[string]map[string]string{}
	}
	t.unset[target] = zfs.Unset(res.Stderr, target, t.Set)
}

// open is the error of the targets that received, and have not the properties that they were to have. What stands below them is
// sent to all the same.
func (t *transfer) open() error {
	var errs []error
	for _, target := range slices.Sorted(maps.Keys(t.unset)) {
		errs = append(errs, t.openOne(target, t.unset[target]))
	}
	return errors.Join(errs...)
}

func (t *transfer) openOne(target string, unset map[string]string) error {
	if len(unset) == 0 {
		return nil
	}
	set, names, denied := map[string]string{}, []string{}, []string{}
	for _, name := range slices.Sorted(maps.Keys(unset)) {
		set[name] = t.Set[name]
		names = append(names, fmt.Sprintf("%s (%s)", name+"="+t.Set[name], unset[name]))
		if unset[name] == "permission denied" {
			denied = append(denied, rightTo(name))
		}
	}
	harm := ""
	if _, writable := unset["readonly"]; writable {
		harm = ", so that it may be written to"
	}
	err := fmt.Errorf("%s has received what was sent, but zfs did not set %s%s. As root %s: %s", target, strings.Join(names, ", "), harm, where(t.To), zfs.Set(target, set))
	if len(denied) > 0 {
		err = fmt.Errorf("%w. For all that comes its user lacks the right to set %s: dplane replication setup %s prints the command", err, strings.Join(slices.Compact(denied), ", "), t.Replication)
	}
	return err
}
