package pool

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/state"
)

// packages name the Debian package of each program that a probe needs.
var packages = map[string]string{
	"stat": "coreutils", "blkid": "util-linux", "lsblk": "util-linux", "wipefs": "util-linux", "losetup": "mount", "zdb": "zfsutils-linux",
}

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

// loops prints the loop devices on a file, a line for each.
func loops(file string) host.Command { return host.Read("losetup", "-n", "-O", "NAME", "-j", file) }

// probe looks at one device with reads alone (PRODUCT.md section 4, promise 3), and gives the ZFS labels that
// name a pool. A probe that can't be carried out is in Error, and the device then counts as used.
func (d *Driver) probe(ctx context.Context, device string) (*state.Device, []state.Label) {
	p := prober{Driver: d, seen: &state.Device{Path: device}, traces: map[string]*state.Trace{}}
	if err := p.all(ctx, device); err != nil {
		p.seen.Error = withPackage(err)
	} else if p.seen.Exists {
		p.measure(ctx, device)
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
	labels []state.Label
	traces map[string]*state.Trace // by path
}

func (p *prober) found(what string) { p.seen.Used = append(p.seen.Used, what) }

// held notes what uses the device now, and what ends that: what stands on top is ended first.
func (p *prober) held(what, free string) {
	p.found(what)
	p.seen.Held = append([]string{free}, p.seen.Held...)
}

// read runs one read and keeps its answer.
func (p *prober) read(ctx context.Context, c host.Command) (host.Result, error) {
	res, err := p.Runner.Run(ctx, c)
	var exit *host.ExitError
	if err == nil || errors.As(err, &exit) {
		p.seen.Answers = append(p.seen.Answers, state.Answer{Argv: c.Argv, Code: res.Code, Output: string(res.Stdout)})
	}
	return res, err
}

func (p *prober) all(ctx context.Context, device string) error {
	paths, err := p.look(ctx, device)
	if err == nil && len(p.seen.Used) > 0 {
		err = p.written(ctx, paths)
	}
	if err != nil || len(p.seen.Used) == 0 {
		p.seen.Answers = nil // they are for what may be wiped
	}
	return err
}

// look asks all that shows whether the device is blank, and gives the paths that something can be written on: the
// partitions, then itself.
func (p *prober) look(ctx context.Context, device string) ([]string, error) {
	kind, err := p.exists(ctx, device)
	if err != nil || !p.seen.Exists {
		return nil, err
	}
	if err := p.signature(ctx, device); err != nil {
		return nil, err
	}
	var paths []string
	switch {
	case kind == blockDevice:
		paths, err = p.holders(ctx, device)
	case kind == plainFile:
		p.seen.File = true
		err = p.loops(ctx, device)
	case kind == "regular empty file":
		err = fmt.Errorf("%s is an empty file: a vdev has 64 MiB at least (truncate -s SIZE)", device)
	default:
		err = fmt.Errorf("%s is a %s: a vdev is a disk, a partition or a file", device, kind)
	}
	paths = append(paths, device)
	for _, path := range paths {
		if err == nil {
			err = p.label(ctx, path)
		}
	}
	return paths, err
}

func (p *prober) exists(ctx context.Context, device string) (kind string, err error) {
	res, err := p.read(ctx, statType(device))
	var exit *host.ExitError
	if errors.As(err, &exit) && strings.Contains(exit.Stderr, "No such file or directory") {
		return "", nil
	}
	p.seen.Exists = err == nil
	return strings.TrimSpace(string(res.Stdout)), err
}

func (p *prober) signature(ctx context.Context, device string) error {
	res, err := p.read(ctx, signatures(device))
	var exit *host.ExitError
	switch {
	case err == nil:
		if what := describe(string(res.Stdout)); what != "" {
			p.found(what)
		}
	case !errors.As(err, &exit):
		return err
	case exit.Code == 8:
		p.found("several signatures that contradict each other")
	case exit.Code != 2 || len(res.Stdout) > 0 || len(res.Stderr) > 0:
		return err
	}
	return nil
}

// describe makes "signature of ext4, named backup" of the KEY="VALUE" words of blkid. A partition has words that
// say which one it is (PART_ENTRY_SCHEME and so on), also where nothing is on it: that gives "".
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
	case words["PART_ENTRY_SCHEME"] != "" && words["USAGE"] == "":
		return ""
	}
	if words["LABEL"] != "" {
		what += ", named " + words["LABEL"]
	}
	return what
}

// loops notes a loop device that stands on a file.
func (p *prober) loops(ctx context.Context, file string) error {
	res, err := p.read(ctx, loops(file))
	for _, name := range strings.Fields(string(res.Stdout)) {
		p.held("in use by "+name+" (loop)", "losetup -d "+name)
	}
	return err
}

func (p *prober) label(ctx context.Context, device string) error {
	res, err := p.read(ctx, zfs.ReadLabel(device))
	var exit *host.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.Code == 2) {
		return err
	}
	labels := zfs.ParseLabels(res.Stdout)
	if err == nil && len(labels) == 0 {
		labels = []state.Label{{}} // zdb says that there is one, and not what it is
	}
	for _, l := range labels {
		if l.Pool == "" {
			p.found(strings.TrimSpace("ZFS label " + l.State))
		} else {
			p.found(fmt.Sprintf("ZFS label of pool %s (%s, guid %s)", l.Pool, l.State, l.GUID))
			p.labels = append(p.labels, l)
		}
		if p.seen.Vdev == "" {
			p.seen.Vdev = l.Vdev
		}
		p.trace(device).Labels = append(p.trace(device).Labels, l)
	}
	return nil
}

func (p *prober) trace(path string) *state.Trace {
	if p.traces[path] == nil {
		p.traces[path] = &state.Trace{Path: path}
	}
	return p.traces[path]
}

// expectBlank are the reads that must still find nothing on a device when it is taken.
func expectBlank(dev *state.Device) []host.Expect {
	device, kind := dev.Path, blockDevice
	if dev.File {
		kind = plainFile
	}
	guard := []host.Expect{
		{Command: statType(device), Output: kind + "\n", Means: device + " is a " + kind},
		{Command: signatures(device), Code: 2, Means: device + " has no signature"},
		zfs.ExpectNoLabel(device),
	}
	if dev.Partition { // of which blkid always has something to say
		guard[1] = host.Expect{Command: host.Read("wipefs", "--noheadings", "-O", "TYPE", device), Means: device + " has no signature"}
	}
	if dev.File {
		return append(guard, host.Expect{Command: loops(device), Means: "no loop device stands on " + device})
	}
	return append(guard, host.Expect{
		Command: host.Read("lsblk", "-n", "-r", "-o", "MOUNTPOINT", device), Output: "\n", // one line: itself, and nothing mounted
		Means: device + " has no partitions, is not mounted and nothing holds it",
	})
}
