package receive

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/drivers/zfs/stream"
	"github.com/dplaneos/dplane/spec"
)

// harmless are properties that a sender may set on what it sends, with their values; nil: any that it can have.
var harmless = map[string][]string{
	"readonly": {"on"}, "canmount": {"noauto", "off"}, "mountpoint": {"none"}, "setuid": {"off"}, "exec": {"off"}, "devices": {"off"},
	"sharenfs": {"off"}, "sharesmb": {"off"}, "snapdir": {"hidden"}, "snapdev": {"hidden"}, "volmode": {"none"}, "atime": {"off"},
	"compression": nil, "recordsize": nil, "primarycache": nil, "secondarycache": nil, "com.sun:auto-snapshot": {"false"},
}

// never are properties that are not taken from a stream, which can carry any (send -p, -R): what mounts, shares or runs
// something here, or takes room from others. -x does nothing where the stream has none.
var never = []string{
	"mountpoint", "sharenfs", "sharesmb", "setuid", "exec", "devices", "overlay", "zoned", "reservation", "refreservation",
	"org.openzfs.systemd:wanted-by", "org.openzfs.systemd:required-by", "org.openzfs.systemd:requires",
	"org.openzfs.systemd:before", "org.openzfs.systemd:after", "org.zfsbootmenu:active", "org.zfsbootmenu:commandline",
}

// receive takes a stream into a target, or gives up what came of one.
func (r *Rules) receive(w []string) (*Request, error) {
	target := w[len(w)-1]
	if err := dataset(target, r.targets()...); err != nil {
		return nil, err
	}
	if w[2] == "-A" {
		return exactly(w, zfs.DiscardPartial(target).Argv)
	}
	set, without := map[string]string{}, []string(nil)
	for i := 2; i+1 < len(w); i++ {
		switch w[i] {
		case "-o":
			name, value, _ := strings.Cut(w[i+1], "=")
			set[name] = value
		case "-x":
			without = append(without, w[i+1])
		}
	}
	if _, err := exactly(w, zfs.Receive(target, set, without).Argv); err != nil {
		return nil, err
	}
	if err := r.target(target).properties(set, without); err != nil {
		return nil, err
	}
	for _, name := range append(slices.Clone(never), "canmount") {
		if _, given := set[name]; !given && !slices.Contains(without, name) {
			without = append(without, name)
		}
	}
	// dplane gives canmount to file systems alone, for a volume has none: so it says what the stream has to be.
	_, mounts := set["canmount"]
	return &Request{Argv: zfs.Receive(target, set, without).Argv, Receive: target, Volume: !mounts}, nil
}

// properties refuses what is not to be set, or left out.
func (t *Target) properties(set map[string]string, without []string) error {
	for _, name := range slices.Sorted(maps.Keys(set)) {
		value := set[name]
		values, known := harmless[name]
		declared, ok := t.Set[name]
		switch {
		case ok && value == declared:
			continue
		case !known || values != nil && !slices.Contains(values, value):
			return fmt.Errorf("%s=%s is nothing that this key may set on %s (--set)", name, value, t.Dataset)
		}
		if _, _, err := spec.CheckProperty(name, value, spec.Filesystems|spec.Volumes); err != nil {
			return err
		}
	}
	for i, name := range without {
		_, native := spec.LookupProperty(name, spec.Filesystems|spec.Volumes)
		_, twice := set[name]
		if !native && !spec.IsUserProperty(name) || twice || slices.Contains(without[:i], name) || name == "readonly" || name == "canmount" {
			return fmt.Errorf("%s is nothing to be left out", name)
		}
	}
	if _, ok := set["readonly"]; !ok {
		return errors.New("it does not say readonly=on, without which nothing is received")
	}
	return nil
}

// stream refuses one that is not what the request says. dplane sends what is new plain, and several snapshots at once only
// on top of what is there.
func (q *Request) stream(ctx context.Context, run host.Runner, first []byte) error {
	h, err := stream.ParseHead(first)
	if err == nil {
		err = h.Fits(q.Volume)
	}
	if err != nil || !h.Row {
		return err
	}
	q.Row = true
	res, err := run.Run(ctx, zfs.ListType(q.Receive))
	if err != nil {
		return fmt.Errorf("a stream of several snapshots or datasets, and %s is not there to receive it", q.Receive)
	}
	if is := strings.TrimSpace(string(res.Stdout)) == "volume"; is != q.Volume {
		return fmt.Errorf("%s is a %s, and the request of a %s", q.Receive, stream.Kind(is), stream.Kind(q.Volume))
	}
	return nil
}
