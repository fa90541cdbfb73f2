package receive

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
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

// headSize is how much of a stream tells what it is.
const headSize = 40

// head is the beginning of a stream: the first bytes of a dmu_replay_record_t that is a drr_begin (sys/zfs_ioctl.h).
type head struct {
	compound bool // several snapshots: see sift
	more     bool // with properties, or of several datasets (zfs send -p, -R)
	volume   bool
	clone    bool // it begins with a snapshot of another dataset, wherever zfs finds one of that guid
}

const (
	magic    = 0x2F5bacbac // DMU_BACKUP_MAGIC
	ofVolume = 3           // DMU_OST_ZVOL
	ofFiles  = 2           // DMU_OST_ZFS
)

// parseHead reads the beginning of a stream, which has the byte order of who made it.
func parseHead(b []byte) (head, error) {
	if len(b) < headSize {
		return head{}, errors.New("the stream is cut off")
	}
	var order binary.ByteOrder = binary.LittleEndian
	if order.Uint64(b[8:]) != magic {
		order = binary.BigEndian
	}
	kind, of := order.Uint64(b[16:])&3, order.Uint32(b[32:]) // DMU_SUBSTREAM 1, DMU_COMPOUNDSTREAM 2
	switch {
	case order.Uint64(b[8:]) != magic || order.Uint32(b) != 0:
		return head{}, errors.New("it is no stream of zfs")
	case kind == 2: // one of a row of snapshots alone says nothing more of itself
		return head{compound: true, more: order.Uint32(b[4:]) != 0}, nil
	case kind != 1 || of != ofFiles && of != ofVolume:
		return head{}, errors.New("it is no stream of a file system or volume")
	}
	return head{volume: of == ofVolume, clone: order.Uint32(b[36:])&1 != 0}, nil // DRR_FLAG_CLONE
}

// stream refuses one that is not what the request says. dplane sends what is new plain, and several snapshots at once only
// on top of what is there.
func (q *Request) stream(ctx context.Context, run host.Runner, first []byte) error {
	h, err := parseHead(first)
	if err == nil {
		err = h.fits(q.Volume)
	}
	if err != nil || !h.compound {
		return err
	}
	q.Row = true
	res, err := run.Run(ctx, zfs.ListType(q.Receive))
	if err != nil {
		return fmt.Errorf("a stream of several snapshots or datasets, and %s is not there to receive it", q.Receive)
	}
	if is := strings.TrimSpace(string(res.Stdout)) == "volume"; is != q.Volume {
		return fmt.Errorf("%s is a %s, and the request of a %s", q.Receive, kind(is), kind(q.Volume))
	}
	return nil
}

// fits refuses what dplane never sends.
func (h head) fits(volume bool) error {
	switch {
	case h.clone:
		return errors.New("the stream is of a clone, which would hang on a dataset of somebody else")
	case h.more:
		return errors.New("the stream has properties, or is of several datasets (zfs send -p, -R)")
	case !h.compound && h.volume != volume:
		return fmt.Errorf("the stream is of a %s, and the request of a %s", kind(h.volume), kind(volume))
	}
	return nil
}

func kind(volume bool) string {
	if volume {
		return "volume"
	}
	return "file system"
}
