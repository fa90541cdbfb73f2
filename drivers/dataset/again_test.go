package dataset

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// Between the plan and the yes somebody may begin to use a volume: act one looks again, and does nothing then.
func TestUsedSinceThePlan(t *testing.T) {
	f := tankOn(t)
	do(t, f, "zfs", "create", "-s", "-V", "16M", "tank/vol")
	want := declare(t, "tank/vol absent")
	d := &Driver{Runner: f}
	obs := state.NewObserved(time.Unix(0, 0), "")
	obs.Pools["tank"] = look(t, f, want).Pools["tank"]
	if err := d.Observe(t.Context(), want, obs); err != nil {
		t.Fatal(err)
	}
	var act drivers.Action
	for _, a := range d.Diff(drivers.Input{Want: want, Have: obs, Now: obs.At}).Actions {
		if act = a; a.Verb == drivers.Create {
			if err := d.Apply(t.Context(), a); err != nil {
				t.Fatal(err)
			}
		}
	}
	vol := f.Model.Pools["tank"].Datasets["tank/vol"]
	vol.Served = "/sys/devices/virtual/block/loop0/loop/backing_file"
	var changed *host.Unexpected
	if err := d.Apply(t.Context(), act); !errors.As(err, &changed) || !strings.Contains(err.Error(), "loop0 serves tank/vol") {
		t.Errorf("%v", err)
	}
	if len(vol.Local) > 1 {
		t.Errorf("something was set: %v", vol.Local)
	}
	vol.Served = ""
	if err := d.Apply(t.Context(), act); err != nil {
		t.Error(err)
	}
}

// The grace begins when a dataset gets into the trash, also where an earlier act one left its marks, or somebody took it
// out by hand.
func TestGraceBeginsAnew(t *testing.T) {
	want, obs := declare(t, "tank/old absent"), machine("tank", "tank/.dplane-trash canmount=off", "tank/old")
	local := func(v string) state.Property { return state.Property{Value: v, Source: "local"} }
	old := obs.Datasets["tank/old"]
	old.Properties[state.TrashName], old.Properties[state.TrashGUID] = local("tank/old"), local(old.GUID)
	old.Properties[state.TrashTime], old.Properties[state.TrashReadonly] = local("2026-11-01T00:00:00Z"), local("on local")
	now := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	for _, a := range new(Driver).Diff(drivers.Input{Want: want, Have: obs, Now: now}).Actions {
		first := a.Steps[0].String()
		if a.Verb == drivers.Destroy && (!strings.Contains(first, "dplane:trash.time=2026-11-24T00:00:00Z") || strings.Contains(first, state.TrashReadonly)) {
			t.Errorf("%s", first)
		}
	}
}

// A child that took the name of one known before keeps the tree from going.
func TestForeignChildStays(t *testing.T) {
	want, obs := declare(t, "tank/old absent", "tank/old/c absent"), machine("tank", "tank/old", "tank/old/c")
	obs.Recorded = recorded("dataset", "tank/old/c", "7")
	actions, text := plan(want, obs)
	if len(actions) != 1 || actions[0].Verb != drivers.Blocked || actions[0].Object != ref(spec.DatasetName("tank/old")) || !strings.Contains(actions[0].Notes[0], "dplane adopt tank/old/c") {
		t.Error(strings.Join(text, "\n"))
	}
}
