package carry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/state"
)

// Verify is nil where this node can't write the group any more, by three ways, and does not hold its address. Whatever
// can't be seen is an error. Of a volume the ways are the property, the kernel's flag and that nobody has it open: a write
// that is tried would be one to somebody's data.
func (n *Node) Verify(ctx context.Context) error {
	list, err := n.list(ctx)
	if err != nil {
		return err
	}
	errs := []error{each(list, func(d *state.Dataset) error {
		if p := d.Properties["readonly"]; p.Value != "on" || p.Source != "local" {
			return fmt.Errorf("readonly is %s (%s): zfs set readonly=on %s", p.Value, p.Source, d.Name)
		}
		return nil
	})}
	why, err := n.writableMounts(ctx, list)
	errs = append(errs, err)
	for _, text := range why {
		errs = append(errs, errors.New(text))
	}
	errs = append(errs, each(list, func(d *state.Dataset) error { return n.probe(ctx, d) }))
	errs = append(errs, n.closed(ctx, list))
	held, err := n.hasAddress(ctx)
	if held {
		err = fmt.Errorf("the address %s is on %s still: ip address del %[1]s dev %[2]s", n.HA.VirtualAddress.Address, n.HA.VirtualAddress.Interface)
	}
	return errors.Join(append(errs, err)...)
}

// writableMounts are the mounts of the group's datasets that the kernel lets be written, whatever the property says.
func (n *Node) writableMounts(ctx context.Context, list []*state.Dataset) (why []string, err error) {
	res, err := n.Runner.Run(ctx, host.Read("cat", "/proc/self/mounts"))
	if err != nil {
		return nil, fmt.Errorf("read what is mounted: %w", err)
	}
	for line := range strings.Lines(string(res.Stdout)) {
		f := strings.Fields(line)
		if len(f) < 4 || f[2] != "zfs" || !slices.Contains(strings.Split(f[3], ","), "rw") {
			continue
		}
		name := unescaped.Replace(f[0])
		if slices.ContainsFunc(list, func(d *state.Dataset) bool { return d.Name == name }) {
			why = append(why, fmt.Sprintf("%s is mounted read-write at %s: zfs unmount %[1]s", name, unescaped.Replace(f[1])))
		}
	}
	return why, nil
}

var unescaped = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// probeName is the file that must not come about.
const probeName = ".dplane-may-not-be-written"

// probe tries to write where a dataset is mounted.
func (n *Node) probe(ctx context.Context, d *state.Dataset) error {
	if !d.Mounted {
		return nil
	}
	at := d.Properties["mountpoint"].Value + "/" + probeName
	err := n.run(ctx, host.Write("touch", at))
	var exit *host.ExitError
	switch {
	case err == nil:
		return errors.Join(fmt.Errorf("it can be written at %s: zfs unmount %s", at, d.Name), n.run(ctx, host.Write("rm", "-f", at)))
	case errors.As(err, &exit) && strings.Contains(exit.Stderr, "Read-only file system"):
		return nil
	}
	return fmt.Errorf("whether it can be written is not known: %w", err)
}
