package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// asDeclared is a recorded state in which all is as the files say, with every settable property of every
// dataset, and the memory of each: what `dplane observe` prints on such a machine.
func asDeclared(want *spec.Spec) *state.Observed {
	obs := state.NewObserved(time.Date(2026, 11, 24, 7, 3, 0, 0, time.UTC), "bench")
	for _, name := range want.PoolNames() {
		p := &state.Pool{Name: string(name), GUID: "1", Health: "ONLINE", Managed: true, Properties: map[string]state.Property{}}
		obs.Pools[p.Name] = p
		obs.Recorded = append(obs.Recorded, state.Recorded{Kind: "pool", Name: p.Name, GUID: p.GUID, Seen: obs.At})
		obs.Datasets[p.Name] = observedDataset(p.Name, "2", nil)
	}
	for i, name := range want.DatasetNames() {
		d := observedDataset(string(name), fmt.Sprint(100+i), want.Datasets[name].Properties)
		obs.Datasets[d.Name] = d
		obs.Recorded = append(obs.Recorded, state.Recorded{Kind: "dataset", Name: d.Name, GUID: d.GUID, Seen: obs.At})
	}
	return obs
}

func observedDataset(name, guid string, declared map[string]spec.Property) *state.Dataset {
	d := &state.Dataset{Name: name, Type: "filesystem", GUID: guid, Mounted: true, Properties: map[string]state.Property{}}
	for _, p := range spec.PropertyNames(spec.Filesystems) {
		d.Properties[p] = state.Property{Value: "off", Source: "default"}
	}
	applied := map[string]bool{}
	for p, v := range declared {
		d.Properties[p] = state.Property{Value: v.Value, Source: "local"}
		applied[p] = true
	}
	d.Properties[state.AppliedProperty] = state.Property{Value: state.EncodeApplied(applied), Source: "local"}
	return d
}

// modelMachine writes the file of a model machine that has the declared disks, blank.
func modelMachine(t testing.TB, path string, want *spec.Spec) {
	t.Helper()
	fake := zfsfake.New()
	for _, name := range want.PoolNames() {
		for _, d := range want.Pools[name].Devices() {
			fake.AddDisk(d.Path, 1<<44)
		}
	}
	if err := fake.Save(path); err != nil {
		t.Fatal(err)
	}
}
