package dataset

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
)

// backing are the files of the kernel that name what it serves: loop devices, LIO (iSCSI and its like), NVMe over
// fabrics. No process has that open, and no holder is listed. One command, whatever there is of them.
var backing = host.Read("grep", "-r", "-s", "-H", "-Z", "--include=backing_file", "--include=udev_path", "--include=device_path", "",
	"/sys/devices/virtual/block", "/sys/kernel/config/target/core", "/sys/kernel/config/nvmet/subsystems")

// served are the uses that the kernel itself makes of the volumes, and of files below the places.
func (d *Driver) served(ctx context.Context, places []string, devices map[string]string) (busy []string, err error) {
	res, err := d.Runner.Run(ctx, backing)
	var exit *host.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.Code <= 2) { // 1: none is there; 2: a directory is not
		return nil, err
	}
	for line := range strings.Lines(string(res.Stdout)) {
		where, what, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\x00") // names of targets hold colons
		if !ok {
			continue
		}
		if name, ok := volumeOf(what, devices); ok {
			busy = append(busy, fmt.Sprintf("%s serves %s (%s)", server(where), name, what))
		} else if slices.ContainsFunc(places, func(p string) bool { return strings.HasPrefix(what, strings.TrimSuffix(p, "/")+"/") }) {
			busy = append(busy, fmt.Sprintf("%s serves %s", server(where), what))
		}
	}
	return busy, nil
}

// volumeOf is the volume, or the partition of one, that a path names: by its device or by its link.
func volumeOf(what string, devices map[string]string) (string, bool) {
	if name, ok := devices[what]; ok {
		return name, true
	}
	for _, name := range devices {
		if what == "/dev/zvol/"+name {
			return name, true
		}
	}
	return "", false
}

// server is what serves by a file: loop0, iblock_0/disk of LIO, NQN/namespaces/1 of nvmet.
func server(file string) string {
	if rest, ok := strings.CutPrefix(path.Dir(file), "/sys/kernel/config/target/core/"); ok {
		return rest + " of LIO"
	}
	if rest, ok := strings.CutPrefix(path.Dir(file), "/sys/kernel/config/nvmet/subsystems/"); ok {
		return rest + " of nvmet"
	}
	for dir := path.Dir(file); dir != "/" && dir != "."; dir = path.Dir(dir) {
		if path.Base(path.Dir(dir)) == "block" {
			return path.Base(dir)
		}
	}
	return file
}
