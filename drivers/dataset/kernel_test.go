package dataset

import (
	"slices"
	"testing"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/state"
)

// A volume that the kernel serves, to a loop device or over the network, is open in no process, and yet in use.
func TestServedVolumeIsBusy(t *testing.T) {
	for file, by := range map[string]string{
		"/sys/devices/virtual/block/loop0/loop/backing_file":                          "loop0",
		"/sys/devices/virtual/block/loop1/loop1p2/loop/backing_file":                  "loop1",
		"/sys/kernel/config/target/core/iblock_0/disk/udev_path":                      "iblock_0/disk of LIO",
		"/sys/kernel/config/nvmet/subsystems/nqn.2026:tank/namespaces/1/device_path":  "nqn.2026:tank/namespaces/1 of nvmet",
		"/sys/kernel/config/target/core/user_0/tcmu/udev_path":                        "user_0/tcmu of LIO",
		"/sys/kernel/config/target/core/iblock_0/a disk with a long name/x/udev_path": "iblock_0/a disk with a long name/x of LIO",
	} {
		f := tankOn(t)
		do(t, f, "zfs", "create", "-s", "-V", "16M", "tank/vol")
		f.Model.Pools["tank"].Datasets["tank/vol"].Served = file
		want := declare(t, "tank/vol absent")
		obs := look(t, f, want)
		if want := []state.Busy{{Dataset: "tank/vol", By: by + " serves tank/vol (/dev/zvol/tank/vol)"}}; !slices.Equal(obs.Busy, want) {
			t.Errorf("%s: busy %v, want %v", file, obs.Busy, want)
		}
	}
}

// Where the kernel's tables can't be read, nothing goes: not to know is not to be free.
func TestServedUnseen(t *testing.T) {
	f := tankOn(t)
	do(t, f, "zfs", "create", "-s", "-V", "16M", "tank/vol")
	f.Model.Missing = []string{"grep"}
	want := declare(t, "tank/vol absent")
	obs := look(t, f, want)
	if len(obs.Busy) != 1 || obs.Busy[0].Dataset != "tank/vol" {
		t.Errorf("busy: %v", obs.Busy)
	}
}

func TestMountedAsWell(t *testing.T) {
	v := newView(drivers.Input{Want: declare(t, "tank/old absent", "tank/old/x absent"), Have: machine("tank", "tank/old", "tank/old/x")})
	tree := v.newToTrash(v.Have.Datasets["tank/old"])
	mounts := "tank/old /tank/old zfs rw 0 0\ntank/old /srv/bind\\040mount zfs rw 0 0\ntank/old/x /tank/old/x zfs rw 0 0\n/dev/sda /tank/old/usb ext4 rw 0 0\n"
	got := mountedOn(mounts, tree, tree.places(), nil)
	if want := []string{"tank/old is mounted at /srv/bind mount as well", "/dev/sda is mounted below it, at /tank/old/usb"}; !slices.Equal(got, want) {
		t.Errorf("busy %q, want %q", got, want)
	}
}
