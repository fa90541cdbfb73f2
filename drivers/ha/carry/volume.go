package carry

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// closed is nil where nobody has one of the group's volumes open. OpenZFS 2.3.9 refuses at once what is written to a volume that
// was open when readonly=on came; older ones let its writer go on (openzfs #5826). Whoever has it open is a service that was not
// stopped, in either case. A volume whose device is not seen is one of which that is not known.
func (n *Node) closed(ctx context.Context, list []*state.Dataset) error {
	pools := map[string][]string{}
	for _, d := range list {
		if d.Type == "volume" && d.Properties["volmode"].Value != "none" { // that has no device
			pool := string(spec.DatasetName(d.Name).Pool())
			pools[pool] = append(pools[pool], d.Name)
		}
	}
	var errs []error
	for _, pool := range sortedKeys(pools) {
		errs = append(errs, n.volumesClosed(ctx, pool, pools[pool]))
	}
	return errors.Join(errs...)
}

func (n *Node) volumesClosed(ctx context.Context, pool string, volumes []string) error {
	res, err := n.look(ctx, 1, zfs.FindDevices(pool, volumes))
	if err != nil {
		return fmt.Errorf("find the volumes' devices: %w", err)
	}
	devices := zfs.ParseDevices(res.Stdout)
	var errs []error
	for _, name := range volumes {
		if device := deviceOf(name, devices); device == "" {
			errs = append(errs, fmt.Errorf("%s: its device is not seen below /dev/zvol, so that it is not known whether somebody has it open: udevadm trigger", name))
		} else if err := n.kernelReadonly(ctx, name, device); err != nil {
			errs = append(errs, err)
		}
	}
	users, err := n.users(ctx, devices)
	for _, who := range users {
		errs = append(errs, fmt.Errorf("%s: close it first", who))
	}
	return errors.Join(append(errs, err)...)
}

func deviceOf(volume string, devices map[string]string) string {
	for _, device := range sortedKeys(devices) {
		if devices[device] == volume {
			return device
		}
	}
	return ""
}

// kernelReadonly asks the kernel, which may lag behind the property while somebody has the volume open.
func (n *Node) kernelReadonly(ctx context.Context, name, device string) error {
	res, err := n.Runner.Run(ctx, host.Read("blockdev", "--getro", device))
	if err != nil {
		return fmt.Errorf("%s: whether it can be written is not known: %w", name, err)
	}
	if said := strings.TrimSpace(string(res.Stdout)); said != "1" {
		return fmt.Errorf("%s can be written still, for the kernel says that %s is not read-only: close what has it open, fuser -v %[2]s", name, device)
	}
	return nil
}

// users are who has the devices open: processes, devices above them, mounts and swap, and what the kernel serves.
func (n *Node) users(ctx context.Context, devices map[string]string) (all []string, err error) {
	if len(devices) == 0 {
		return nil, nil
	}
	mounts, err := n.Runner.Run(ctx, host.Read("cat", "/proc/self/mounts", "/proc/swaps"))
	if err != nil {
		return nil, fmt.Errorf("see where volumes are mounted: %w", err)
	}
	for line := range strings.Lines(string(mounts.Stdout)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		if vol, ok := zfs.VolumeOf(unescaped.Replace(f[0]), devices); ok {
			all = append(all, fmt.Sprintf("%s (%s) is used at %s", vol, f[0], unescaped.Replace(f[1])))
		}
	}
	served, err := n.look(ctx, 2, zfs.Served)
	if err != nil {
		return all, fmt.Errorf("see what the kernel serves: %w", err)
	}
	for _, s := range zfs.ParseServed(served.Stdout) {
		if vol, ok := zfs.VolumeOf(s.What, devices); ok {
			all = append(all, fmt.Sprintf("%s serves %s", s.Name, vol))
		}
	}
	open, err := n.look(ctx, 1, zfs.FindUsers(nil, devices))
	if err != nil {
		return all, fmt.Errorf("see who has volumes open: %w", err)
	}
	for line := range strings.Lines(string(open.Stdout)) {
		if who := opener(strings.TrimSuffix(line, "\n"), devices); !slices.Contains(all, who) {
			all = append(all, who)
		}
	}
	return all, nil
}

// opener tells of a link that FindUsers found.
func opener(line string, devices map[string]string) string {
	link, to, _ := strings.Cut(line, "\t")
	if rest, ok := strings.CutPrefix(link, "/sys/class/block/"); ok {
		device, _, _ := strings.Cut(rest, "/")
		return fmt.Sprintf("%s stands on %s", path.Base(link), devices["/dev/"+device])
	}
	pid, _, _ := strings.Cut(strings.TrimPrefix(link, "/proc/"), "/")
	return fmt.Sprintf("process %s has %s open", pid, devices[to])
}

// look runs a program that ends with a status up to that one where it saw all there is.
func (n *Node) look(ctx context.Context, most int, c host.Command) (host.Result, error) {
	res, err := n.Runner.Run(ctx, c)
	var exit *host.ExitError
	if errors.As(err, &exit) && exit.Code > 0 && exit.Code <= most {
		err = nil
	}
	return res, err
}
