package pool

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// create makes the pool with its properties and those of its root dataset. Its guards are the probes of the
// plan, once more: the pool is still missing, and every device blank, from the first or since it was wiped.
func create(in drivers.Input, want *spec.Pool, wipes []drivers.Action) drivers.Action {
	name := string(want.Name)
	props := map[string]string{}
	for n, p := range declaredProperties(want) {
		props[n] = p.Value
	}
	a := drivers.Action{
		Object: ref(want.Name), Verb: drivers.Create, Risk: spec.Irreversible,
		Reason: drivers.Reason{Code: drivers.Missing, At: want.Pos.At(), Observed: "no pool " + name + " is imported, none is known, and its devices are blank"},
		Undo:   "nothing takes it back: `zpool destroy " + name + "`, by hand, frees the devices and loses what was written meanwhile",
		Guard:  []host.Expect{zfs.ExpectMissingPool(name)},
		After:  ids(wipes),
	}
	if len(wipes) > 0 {
		a.Reason.Observed += ", but for what is wiped first"
	}
	now, later := rootProperties(in, want)
	c := zfs.CreatePool(name, props, now, topology(want))
	if e := rootKey(in, want); e != nil {
		c.Prompt = zfs.NewSecret(e, name)
		a.Guard = append(a.Guard, zfs.ExpectKeyFile(e, in.Have)...)
	}
	a.Steps = []host.Command{c}
	if len(later) > 0 {
		a.Steps = append(a.Steps, zfs.Set(name, later))
	}
	for _, dev := range want.Devices() {
		a.Guard = append(a.Guard, expectBlank(in.Have.Devices[dev.Path])...)
	}
	a.Fields = createFields(want, props, now)
	for _, n := range sortedKeys(props) {
		if note := notes[n]; note != "" && n == "compatibility" {
			a.Notes = append(a.Notes, note)
		}
	}
	return a
}

// rootProperties are those of the root dataset, which go into the create where dplane may set them.
func rootProperties(in drivers.Input, want *spec.Pool) (now, later map[string]string) {
	root := in.Want.Datasets[spec.DatasetName(want.Name)]
	if root == nil || in.Want.ReceivedOnly(root.Name, in.Have.Role) != "" {
		return nil, nil
	}
	now, later = zfs.AtCreation(root.Properties)
	if root.Encryption != nil {
		maps.Copy(now, zfs.EncryptionOptions(root.Encryption))
	}
	return now, later
}

// rootKey is the key that the root dataset is made with, nil if none.
func rootKey(in drivers.Input, want *spec.Pool) *spec.Encryption {
	root := in.Want.Datasets[spec.DatasetName(want.Name)]
	if root == nil || in.Want.ReceivedOnly(root.Name, in.Have.Role) != "" {
		return nil
	}
	return root.Encryption
}

// createFields show the topology, the pool's properties, and those of its root dataset with the flag that sets
// them.
func createFields(want *spec.Pool, props, root map[string]string) []drivers.Field {
	fields := []drivers.Field{{Name: "vdevs", To: strings.Join(topology(want), " ")}}
	for _, n := range sortedKeys(props) {
		fields = append(fields, drivers.Field{Name: n, To: props[n]})
	}
	for _, n := range sortedKeys(root) {
		if n != state.AppliedProperty {
			fields = append(fields, drivers.Field{Name: "-O " + n, To: root[n]})
		}
	}
	return fields
}

// topology are the words of zpool-create(8), everything in the order of the files.
func topology(want *spec.Pool) []string {
	words := vdevs(want.Vdevs)
	for _, class := range []struct {
		word  string
		vdevs []spec.Vdev
	}{{"special", want.Special}, {"dedup", want.Dedup}, {"log", want.Log}} {
		if len(class.vdevs) > 0 {
			words = append(append(words, class.word), vdevs(class.vdevs)...)
		}
	}
	for _, class := range []struct {
		word    string
		devices []spec.Device
	}{{"cache", want.Cache}, {"spare", want.Spare}} {
		if len(class.devices) > 0 {
			words = append(append(words, class.word), paths(class.devices)...)
		}
	}
	return words
}

// vdevs puts stripes first: after a group a bare device would become its member ("mirror A B C").
func vdevs(all []spec.Vdev) []string {
	var bare, groups []string
	for _, v := range all {
		if w := typeWord(v); w != "" {
			groups = append(append(groups, w), paths(v.Devices)...)
		} else {
			bare = append(bare, paths(v.Devices)...)
		}
	}
	return append(bare, groups...)
}

// typeWord is "" for a stripe, which has none, and draid2:4d:1s:7c for a draid: parity, data devices per
// group (left out: zpool's default), distributed spares, children.
func typeWord(v spec.Vdev) string {
	switch {
	case v.Type == "stripe":
		return ""
	case !strings.HasPrefix(string(v.Type), "draid"):
		return string(v.Type)
	}
	word := string(v.Type)
	if v.Data > 0 {
		word += ":" + strconv.Itoa(v.Data) + "d"
	}
	return fmt.Sprintf("%s:%ds:%dc", word, v.Spares, len(v.Devices))
}

func paths(devices []spec.Device) []string {
	words := make([]string, len(devices))
	for i, d := range devices {
		words[i] = d.Path
	}
	return words
}
