package pool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/state"
)

// packages name the Debian package of each program that a probe needs.
var packages = map[string]string{"stat": "coreutils", "blkid": "util-linux", "lsblk": "util-linux", "zdb": "zfsutils-linux"}

// The types that `stat -L -c %F` prints for what can be a vdev.
const (
	blockDevice = "block special file"
	plainFile   = "regular file"
)

func statType(device string) host.Command { return host.Read("stat", "-L", "-c", "%F", device) }

// signatures: blkid exits 2 and prints nothing where it finds none, but also for what it may not read (then
// with a word on standard error), and 8 where it finds several.
func signatures(device string) host.Command { return host.Read("blkid", "-p", device) }

// tree lists a device with its partitions and whatever else holds it: md, LVM, dm, multipath.
func tree(device string) host.Command {
	return host.Read("lsblk", "-J", "-p", "-o", "NAME,TYPE,RO,FSTYPE,MOUNTPOINT", device)
}

// probe looks at one device with reads alone (PRODUCT.md section 4, promise 3), and gives the ZFS labels that
// name a pool. A probe that can't be carried out is in Error, and the device then counts as used.
func (d *Driver) probe(ctx context.Context, device string) (*state.Device, []zfs.Label) {
	p := prober{Driver: d, seen: &state.Device{Path: device}}
	if err := p.all(ctx, device); err != nil {
		p.seen.Error = withPackage(err)
	}
	return p.seen, p.labels
}

func withPackage(err error) string {
	var program string
	if !errors.Is(err, host.ErrNotFound) {
		return err.Error()
	}
	for name := range packages {
		if strings.HasPrefix(err.Error(), "run "+name) {
			program = name
		}
	}
	return fmt.Sprintf("%v: install the package %s", err, packages[program])
}

// prober gathers what is found on one device.
type prober struct {
	*Driver
	seen   *state.Device
	labels []zfs.Label
}

func (p *prober) found(what string) { p.seen.Used = append(p.seen.Used, what) }

func (p *prober) all(ctx context.Context, device string) error {
	kind, err := p.exists(ctx, device)
	if err != nil || !p.seen.Exists {
		return err
	}
	if err := p.signature(ctx, device); err != nil {
		return err
	}
	parts := []string{device}
	switch {
	case kind == blockDevice:
		if parts, err = p.holders(ctx, device); err != nil {
			return err
		}
	case kind == plainFile:
		p.seen.File = true
	case kind == "regular empty file":
		return fmt.Errorf("%s is an empty file: a vdev has 64 MiB at least (truncate -s SIZE)", device)
	default:
		return fmt.Errorf("%s is a %s: a vdev is a disk, a partition or a file", device, kind)
	}
	for _, part := range parts {
		if err := p.label(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

func (p *prober) exists(ctx context.Context, device string) (kind string, err error) {
	res, err := p.Runner.Run(ctx, statType(device))
	var exit *host.ExitError
	if errors.As(err, &exit) && strings.Contains(exit.Stderr, "No such file or directory") {
		return "", nil
	}
	p.seen.Exists = err == nil
	return strings.TrimSpace(string(res.Stdout)), err
}

func (p *prober) signature(ctx context.Context, device string) error {
	res, err := p.Runner.Run(ctx, signatures(device))
	var exit *host.ExitError
	switch {
	case err == nil:
		p.found(describe(string(res.Stdout)))
	case !errors.As(err, &exit):
		return err
	case exit.Code == 8:
		p.found("several signatures that contradict each other")
	case exit.Code != 2 || len(res.Stdout) > 0 || len(res.Stderr) > 0:
		return err
	}
	return nil
}

// describe makes "signature of ext4, named backup" of the KEY="VALUE" words of blkid.
func describe(out string) string {
	words := map[string]string{}
	for _, field := range strings.Split(out, `" `) {
		key, value, ok := strings.Cut(field, `="`)
		if ok {
			words[key[strings.LastIndexByte(key, ' ')+1:]] = strings.TrimRight(value, "\"\n")
		}
	}
	what := "a signature"
	switch {
	case words["TYPE"] != "":
		what = "signature of " + words["TYPE"]
	case words["PTTYPE"] != "":
		what = "partition table (" + words["PTTYPE"] + ")"
	}
	if words["LABEL"] != "" {
		what += ", named " + words["LABEL"]
	}
	return what
}

// node is one device of lsblk's tree.
type node struct {
	Name, Type string
	RO         any // true or false; "0" or "1" before util-linux 2.34
	Fstype     *string
	Mountpoint *string
	Children   []node
}

// holders notes what stands on a block device and where it is mounted, and gives the paths on which a ZFS
// label may be: the device and its partitions.
func (p *prober) holders(ctx context.Context, device string) ([]string, error) {
	res, err := p.Runner.Run(ctx, tree(device))
	if err != nil {
		return nil, err
	}
	var out struct{ Blockdevices []node }
	if err := json.Unmarshal(res.Stdout, &out); err != nil {
		return nil, fmt.Errorf("read what lsblk says of %s: %w", device, err)
	}
	if len(out.Blockdevices) != 1 {
		return nil, fmt.Errorf("lsblk shows %d devices for %s", len(out.Blockdevices), device)
	}
	paths := []string{device}
	p.walk(out.Blockdevices[0], true, &paths)
	return paths, nil
}

func (p *prober) walk(n node, top bool, paths *[]string) {
	switch {
	case top && (n.RO == true || n.RO == "1"):
		p.found("read-only")
	case top:
	case n.Type == "part":
		*paths = append(*paths, n.Name)
		p.found("partition " + n.Name + of(n.Fstype))
	default:
		p.found("in use by " + n.Name + " (" + n.Type + ")" + of(n.Fstype))
	}
	if n.Mountpoint != nil && *n.Mountpoint != "" {
		p.found(n.Name + " is in use at " + *n.Mountpoint)
	}
	for _, c := range n.Children {
		p.walk(c, false, paths)
	}
}

func of(fstype *string) string {
	if fstype == nil || *fstype == "" {
		return ""
	}
	return " with " + *fstype
}

func (p *prober) label(ctx context.Context, device string) error {
	res, err := p.Runner.Run(ctx, zfs.ReadLabel(device))
	var exit *host.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.Code == 2) {
		return err
	}
	l, found := zfs.ParseLabel(res.Stdout)
	if found && p.seen.Vdev == "" {
		p.seen.Vdev = l.Vdev
	}
	switch {
	case err != nil && !found:
		return nil
	case l.Pool == "":
		p.found(strings.TrimSpace("ZFS label " + l.State))
	default:
		p.found(fmt.Sprintf("ZFS label of pool %s (%s, guid %s)", l.Pool, l.State, l.GUID))
		p.labels = append(p.labels, l)
	}
	return nil
}

// expectBlank are the reads that must still find nothing on a device when the pool is created.
func expectBlank(dev *state.Device) []host.Expect {
	device := dev.Path
	kind := blockDevice
	guard := []host.Expect{
		{Command: signatures(device), Code: 2, Means: device + " has no signature"},
		zfs.ExpectNoLabel(device),
	}
	if dev.File {
		kind = plainFile
	} else {
		guard = append(guard, host.Expect{
			Command: host.Read("lsblk", "-n", "-r", "-o", "MOUNTPOINT", device), Output: "\n", // one line: itself, and nothing mounted
			Means: device + " has no partitions, is not mounted and nothing holds it",
		})
	}
	return append([]host.Expect{{Command: statType(device), Output: kind + "\n", Means: device + " is a " + kind}}, guard...)
}
