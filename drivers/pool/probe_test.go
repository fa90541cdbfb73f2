package pool

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// answers is a machine that knows some command lines by heart: what each prints to standard output and, after
// a !, to standard error, and its exit status, as captured.
type answers map[string]answer

type answer struct {
	code     int
	out, err string
}

func (a answers) Run(_ context.Context, c host.Command) (host.Result, error) {
	r, ok := a[c.String()]
	if !ok {
		return host.Result{}, fmt.Errorf("run %s: %w", c.Argv[0], host.ErrNotFound)
	}
	res := host.Result{Stdout: []byte(r.out), Stderr: []byte(r.err), Code: r.code}
	if r.code != 0 {
		return res, &host.ExitError{Command: c, Code: r.code, Stderr: r.err}
	}
	return res, nil
}

const (
	noLabel  = "failed to unpack label 0\nfailed to unpack label 1\nfailed to unpack label 2\nfailed to unpack label 3\n"
	unsigned = "{\n   \"signatures\": [\n\n   ]\n}\n"
	oneDisk  = `{"blockdevices": [{"name":"/dev/sda", "type":"disk", "ro":false, "fstype":null, "mountpoint":null}]}`
	expLabel = "------------------------------------\nLABEL 0 \n------------------------------------\n    version: 5000\n    name: 'exp'\n    state: %d\n    pool_guid: 130\n"
)

// blank is a disk on which nothing is.
func blank(device string) answers {
	return answers{
		"stat -L -c %F " + device: {0, "block special file\n", ""},
		"blkid -p " + device:      {2, "", ""},
		"lsblk -J -p -o NAME,TYPE,RO,FSTYPE,MOUNTPOINT " + device: {0, oneDisk, ""},
		"zdb -l " + device:                {2, noLabel, ""},
		"wipefs -J " + device:             {0, unsigned, ""},
		"losetup -n -O NAME -j " + device: {0, "", ""},
	}
}

// with is blank with other answers; an answer of nil takes the program away.
func (a answers) with(line string, r *answer) answers {
	if r == nil {
		delete(a, line)
	} else {
		a[line] = *r
	}
	return a
}

func TestProbe(t *testing.T) {
	const dev = "/dev/sda"
	for name, c := range map[string]struct {
		machine answers
		want    state.Device
		labels  []state.Label
	}{
		"blank": {blank(dev), state.Device{Exists: true}, nil},
		"a blank file": {blank(dev).with("stat -L -c %F "+dev, &answer{0, "regular file\n", ""}).with("lsblk -J -p -o NAME,TYPE,RO,FSTYPE,MOUNTPOINT "+dev, nil),
			state.Device{Exists: true, File: true}, nil},
		"not there": {blank(dev).with("stat -L -c %F "+dev, &answer{1, "", "stat: cannot statx '/dev/sda': No such file or directory\n"}), state.Device{}, nil},
		"a directory": {blank(dev).with("stat -L -c %F "+dev, &answer{0, "directory\n", ""}),
			state.Device{Exists: true, Error: "/dev/sda is a directory: a vdev is a disk, a partition or a file"}, nil},
		"an empty file": {blank(dev).with("stat -L -c %F "+dev, &answer{0, "regular empty file\n", ""}),
			state.Device{Exists: true, Error: "/dev/sda is an empty file: a vdev has 64 MiB at least (truncate -s SIZE)"}, nil},
		"a file system": {blank(dev).with("blkid -p "+dev, &answer{0, `/dev/sda: UUID="d3" VERSION="1.0" LABEL="my data" BLOCK_SIZE="1024" TYPE="ext4" USAGE="filesystem"` + "\n", ""}),
			state.Device{Exists: true, Used: []string{"signature of ext4, named my data"}}, nil},
		"contradicting signatures": {blank(dev).with("blkid -p "+dev, &answer{8, "", "blkid: /dev/sda: ambivalent result\n"}),
			state.Device{Exists: true, Used: []string{"several signatures that contradict each other"}}, nil},
		"no right to read": {blank(dev).with("blkid -p "+dev, &answer{2, "", "blkid: error: /dev/sda: Permission denied\n"}),
			state.Device{Exists: true, Error: "blkid -p /dev/sda: exit status 2: blkid: error: /dev/sda: Permission denied"}, nil},
		"no blkid": {blank(dev).with("blkid -p "+dev, nil),
			state.Device{Exists: true, Error: "run blkid: program not found: install the package util-linux"}, nil},
		"no zdb": {blank(dev).with("zdb -l "+dev, nil),
			state.Device{Exists: true, Error: "run zdb: program not found: install the package zfsutils-linux"}, nil},
		"partitions": {blank(dev).
			with("blkid -p "+dev, &answer{0, `/dev/sda: PTUUID="a7" PTTYPE="gpt"` + "\n", ""}).
			with("lsblk -J -p -o NAME,TYPE,RO,FSTYPE,MOUNTPOINT "+dev, &answer{0, `{"blockdevices": [{"name":"/dev/sda", "type":"disk", "ro":false, "fstype":null, "mountpoint":null,
				"children": [{"name":"/dev/sda1", "type":"part", "fstype":"zfs_member", "mountpoint":null}]}]}`, ""}).
			with("wipefs -J /dev/sda1", &answer{0, unsigned, ""}).
			with("zdb -l /dev/sda1", &answer{0, fmt.Sprintf(expLabel, 2), ""}),
			state.Device{Exists: true, Used: []string{"partition table (gpt)", "partition /dev/sda1 with zfs_member", "ZFS label of pool exp (destroyed, guid 130)"}},
			[]state.Label{{Pool: "exp", GUID: "130", State: "destroyed"}}},
		"swap": {blank(dev).with("lsblk -J -p -o NAME,TYPE,RO,FSTYPE,MOUNTPOINT "+dev, &answer{0, strings.Replace(oneDisk, `"mountpoint":null`, `"mountpoint":"[SWAP]"`, 1), ""}),
			state.Device{Exists: true, Used: []string{"/dev/sda is in use at [SWAP]"}, Held: []string{"swapoff /dev/sda"}}, nil},
		"read-only": {blank(dev).with("lsblk -J -p -o NAME,TYPE,RO,FSTYPE,MOUNTPOINT "+dev, &answer{0, strings.Replace(oneDisk, `"ro":false`, `"ro":true`, 1), ""}),
			state.Device{Exists: true, Used: []string{"read-only"}, Held: []string{"make /dev/sda writable"}}, nil},
		"a holder": {blank(dev).with("lsblk -J -p -o NAME,TYPE,RO,FSTYPE,MOUNTPOINT "+dev, &answer{0, `{"blockdevices": [{"name":"/dev/sda", "type":"disk", "ro":false, "fstype":null, "mountpoint":null,
				"children": [{"name":"/dev/md0", "type":"raid1", "fstype":"ext4", "mountpoint":"/srv"}]}]}`, ""}),
			state.Device{Exists: true, Used: []string{"in use by /dev/md0 (raid1) with ext4", "/dev/md0 is in use at /srv"}, Held: []string{"umount /srv", "mdadm --stop /dev/md0"}}, nil},
		"an exported pool": {blank(dev).with("zdb -l "+dev, &answer{0, fmt.Sprintf(expLabel, 1), ""}),
			state.Device{Exists: true, Used: []string{"ZFS label of pool exp (exported, guid 130)"}}, []state.Label{{Pool: "exp", GUID: "130", State: "exported"}}},
		"a blank partition": {blank(dev).with("blkid -p "+dev, &answer{0, `/dev/sda: PART_ENTRY_SCHEME="gpt" PART_ENTRY_NAME="my TYPE=" PART_ENTRY_UUID="8e6a8b56-08cd" PART_ENTRY_NUMBER="1" PART_ENTRY_DISK="254:48"` + "\n", ""}).
			with("lsblk -J -p -o NAME,TYPE,RO,FSTYPE,MOUNTPOINT "+dev, &answer{0, strings.Replace(oneDisk, `"disk"`, `"part"`, 1), ""}),
			state.Device{Exists: true, Partition: true}, nil},
		"an extended partition": {blank(dev).with("blkid -p "+dev, &answer{0, `/dev/sda: PTTYPE="dos" PART_ENTRY_SCHEME="dos" PART_ENTRY_NUMBER="2"` + "\n", ""}).
			with("lsblk -J -p -o NAME,TYPE,RO,FSTYPE,MOUNTPOINT "+dev, &answer{0, strings.Replace(oneDisk, `"disk"`, `"part"`, 1), ""}),
			state.Device{Exists: true, Partition: true, Used: []string{"partition table (dos)"}}, nil},
		"a path of a multipath disk": {blank(dev).with("lsblk -J -p -o NAME,TYPE,RO,FSTYPE,MOUNTPOINT "+dev, &answer{0, `{"blockdevices": [{"name":"/dev/sda", "type":"disk", "ro":false, "fstype":null, "mountpoint":null,
				"children": [{"name":"/dev/mapper/mpa", "type":"mpath", "ro":false, "fstype":null, "mountpoint":null}]}]}`, ""}),
			state.Device{Exists: true, Used: []string{"in use by /dev/mapper/mpa (mpath)"}, Held: []string{"multipath -f /dev/mapper/mpa"}}, nil},
		"a volume on a partition": {blank(dev).with("lsblk -J -p -o NAME,TYPE,RO,FSTYPE,MOUNTPOINT "+dev, &answer{0, `{"blockdevices": [{"name":"/dev/sda", "type":"disk", "ro":false, "fstype":null, "mountpoint":null,
				"children": [{"name":"/dev/sda1", "type":"part", "ro":false, "fstype":"LVM2_member", "mountpoint":null,
				"children": [{"name":"/dev/mapper/vg0-lv0", "type":"lvm", "ro":false, "fstype":null, "mountpoint":null}]}]}]}`, ""}).
			with("zdb -l /dev/sda1", &answer{2, noLabel, ""}).with("wipefs -J /dev/sda1", &answer{0, unsigned, ""}),
			state.Device{Exists: true, Used: []string{"partition /dev/sda1 with LVM2_member", "in use by /dev/mapper/vg0-lv0 (lvm)"}, Held: []string{"lvchange -an /dev/mapper/vg0-lv0"}}, nil},
		"a loop device on a file": {blank(dev).with("stat -L -c %F "+dev, &answer{0, "regular file\n", ""}).with("losetup -n -O NAME -j "+dev, &answer{0, "/dev/loop0\n", ""}),
			state.Device{Exists: true, File: true, Used: []string{"in use by /dev/loop0 (loop)"}, Held: []string{"losetup -d /dev/loop0"}}, nil},
		"no losetup": {blank(dev).with("stat -L -c %F "+dev, &answer{0, "regular file\n", ""}).with("losetup -n -O NAME -j "+dev, nil),
			state.Device{Exists: true, File: true, Error: "run losetup: program not found: install the package mount"}, nil},
		"a spare": {blank(dev).with("zdb -l "+dev, &answer{0, "LABEL 0 \n    version: 5000\n    state: 3\n    guid: 9\n", ""}),
			state.Device{Exists: true, Vdev: "9", Used: []string{"ZFS label spare"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c.want.Path = dev
			d := &Driver{Runner: c.machine}
			got, labels := d.probe(context.Background(), dev)
			got.Traces, got.Answers = nil, nil // TestTraces
			if fmt.Sprintf("%+v", *got) != fmt.Sprintf("%+v", c.want) || !slices.Equal(labels, c.labels) {
				t.Errorf("got  %+v %v\nwant %+v %v", *got, labels, c.want, c.labels)
			}
		})
	}
}

// The guards of a create ask the same questions as the probe, and accept blank devices alone.
func TestExpectBlank(t *testing.T) {
	disk := blank("/dev/sda")
	disk["zdb -l -q /dev/sda"] = answer{2, "", ""}
	disk["lsblk -n -r -o MOUNTPOINT /dev/sda"] = answer{0, "\n", ""}
	check := func(m answers, dev *state.Device) error {
		for _, g := range expectBlank(dev) {
			if g.Command.Effect != host.Reads {
				t.Errorf("a guard that writes: %s", g.Command)
			}
			if err := g.Check(context.Background(), m); err != nil {
				return err
			}
		}
		return nil
	}
	if err := check(disk, &state.Device{Path: "/dev/sda"}); err != nil {
		t.Errorf("a blank disk is refused: %v", err)
	}
	// A blank partition has words of its own for blkid, and a file may have a loop device on it.
	part := blank("/dev/sda1").with("blkid -p /dev/sda1", &answer{0, `/dev/sda1: PART_ENTRY_SCHEME="gpt"` + "\n", ""})
	part["zdb -l -q /dev/sda1"], part["lsblk -n -r -o MOUNTPOINT /dev/sda1"] = answer{2, "", ""}, answer{0, "\n", ""}
	part["wipefs --noheadings -O TYPE /dev/sda1"] = answer{}
	if err := check(part, &state.Device{Path: "/dev/sda1", Partition: true}); err != nil {
		t.Errorf("a blank partition is refused: %v", err)
	}
	part["wipefs --noheadings -O TYPE /dev/sda1"] = answer{0, "ext4\n", ""}
	if check(part, &state.Device{Path: "/dev/sda1", Partition: true}) == nil {
		t.Error("a partition with a file system passes")
	}
	file := blank("/f").with("stat -L -c %F /f", &answer{0, "regular file\n", ""})
	file["zdb -l -q /f"] = answer{2, "", ""}
	if err := check(file, &state.Device{Path: "/f", File: true}); err != nil {
		t.Errorf("a blank file is refused: %v", err)
	}
	file["losetup -n -O NAME -j /f"] = answer{0, "/dev/loop0\n", ""}
	if check(file, &state.Device{Path: "/f", File: true}) == nil {
		t.Error("a file with a loop device on it passes")
	}
	for line, used := range map[string]answer{
		"blkid -p /dev/sda":                  {0, "/dev/sda: TYPE=\"ext4\"\n", ""},
		"zdb -l -q /dev/sda":                 {0, "", ""},
		"lsblk -n -r -o MOUNTPOINT /dev/sda": {0, "\n\n", ""},
		"stat -L -c %F /dev/sda":             {0, "regular file\n", ""},
	} {
		before := disk[line]
		disk[line] = used
		if check(disk, &state.Device{Path: "/dev/sda"}) == nil {
			t.Errorf("%s says %q, and the guard lets it pass", line, used.out)
		}
		disk[line] = before
	}
}

// Of a missing pool every declared device is probed, and one search finds what could be imported.
func TestObserveMissing(t *testing.T) {
	m := blank("/dev/sda")
	m["zfs version"] = answer{0, "zfs-2.3.9-1\nzfs-kmod-2.3.9-1\n", ""}
	m["zpool list -Hp -o name,guid,size,allocated,free,fragmentation,capacity,health"] = answer{}
	m["zpool import -d /dev"] = answer{0, "  pool: tank\n    id: 77\n state: ONLINE\naction: The pool can be imported using its name or numeric identifier.\n", ""}
	want := &spec.Spec{Pools: map[spec.PoolName]*spec.Pool{
		"tank":  {Name: "tank", Vdevs: []spec.Vdev{{Type: "stripe", Devices: []spec.Device{{Path: "/dev/sda"}}}}},
		"rpool": {Name: "rpool"},
	}}
	observe := func() *state.Observed {
		obs := state.NewObserved(time.Unix(0, 0), "test")
		if err := (&Driver{Runner: m}).Observe(context.Background(), want, obs); err != nil {
			t.Fatal(err)
		}
		return obs
	}
	obs := observe()
	if len(obs.Devices) != 1 || !obs.Devices["/dev/sda"].Blank() {
		t.Errorf("devices: %+v", obs.Devices)
	}
	if want := (state.Importable{Name: "tank", GUID: "77", From: "zpool import (ONLINE)", State: "ONLINE", Ready: true}); len(obs.Importable) != 1 || obs.Importable[0] != want {
		t.Errorf("importable: %+v", obs.Importable)
	}
	m["zpool import -d /dev"] = answer{1, "", "cannot discover pools: permission denied\n"}
	if obs := observe(); !strings.Contains(obs.UnseenPool("tank"), "run dplane as root") || obs.UnseenPool("rpool") != "" {
		t.Errorf("after a search that failed: %+v", obs.Unseen)
	}
	delete(m, "zfs version")
	if obs := observe(); obs.ZFS.Error == "" || obs.ZFS.Hint == "" {
		t.Errorf("without ZFS: %+v", obs.ZFS)
	}
}
