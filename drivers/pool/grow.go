package pool

import (
	"fmt"
	"strings"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// grow takes what devices grew by, where autoexpand is declared: ZFS itself does so only for what grows while the pool is
// imported and the kernel tells.
func grow(want *spec.Pool, have *state.Pool) (actions []drivers.Action, notices []string) {
	if !grew(have) {
		return nil, nil
	}
	var fields []drivers.Field
	var devices []string
	for _, v := range grownDevices(have.Vdevs) {
		devices = append(devices, v.Name)
		fields = append(fields, drivers.Field{Name: v.Name, To: "grows by " + spec.Size(v.Grown).String()})
	}
	if len(devices) == 0 {
		return nil, nil
	}
	observed := strings.Join(devices, ", ") + " grew, and the pool does not use that yet"
	auto, declared := want.Properties["autoexpand"]
	if !declared || !same("autoexpand", auto.Value, "on") {
		return nil, []string{fmt.Sprintf("pool %s (%s): %s: declare autoexpand: on under its properties, or by hand: %s",
			have.Name, want.Pos.At(), observed, zfs.ExpandVdevs(have.Name, devices))}
	}
	a := drivers.Action{
		Object: ref(want.Name), GUID: have.GUID, Verb: drivers.Update, Risk: spec.Irreversible, Fields: fields,
		Reason: drivers.Reason{Code: drivers.Drift, At: auto.Pos.At(), Observed: observed},
		Undo:   "nothing takes it back: a vdev does not shrink",
		Steps:  []host.Command{zfs.ExpandVdevs(have.Name, devices)},
		Guard: []host.Expect{zfs.ExpectPoolProps(have.Name, map[string]state.Property{
			"guid": {Value: have.GUID, Source: "-"}, "expandsize": have.Properties["expandsize"],
		})},
	}
	if have.Properties["readonly"].Value == "on" {
		a = notOnReadOnly(want, a)
	}
	return []drivers.Action{a}, nil
}

func grownDevices(vdevs []state.Vdev) []state.Vdev {
	var out []state.Vdev
	for _, v := range vdevs {
		out = append(out, grownDevices(v.Children)...)
		if v.Grown > 0 {
			out = append(out, v)
		}
	}
	return out
}

// checkpointNotice says of a checkpoint what it costs, and the two ways out of it. dplane takes neither.
func checkpointNotice(want *spec.Pool, have *state.Pool) []string {
	c := have.Checkpoint
	if c == nil || c.State != "exists" {
		return nil
	}
	return []string{fmt.Sprintf("pool %s (%s): it has a checkpoint of %s, which keeps %s from being freed; while it is there no device is attached, detached, removed or replaced. "+
		"To give it up: zpool checkpoint -d %s. To go back to it, and lose what was written since: zpool export %s, then zpool import --rewind-to-checkpoint %s",
		have.Name, want.Pos.At(), moment(c.Start), spec.Size(c.Space), have.Name, have.Name, have.Name)}
}
