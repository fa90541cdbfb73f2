package schedule

import (
	"context"
	"testing"
	"time"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// What `zfs send -R tank/src@s | zfs recv tank/R` leaves (2.3.9): no property of the dataset is received (it had none,
// or recv -x, or zfs inherit later), each snapshot shows the mark of the other machine, and its source is received. zfs
// get -s local prints nothing.
func TestReceivedMarksAreNoProof(t *testing.T) {
	now := time.Date(2026, 11, 28, 7, 0, 0, 0, time.UTC)
	m := &machine{} // answers every question with nothing
	d, _ := driverOn(m)
	c := &covered{Dataset: &state.Dataset{Name: "tank/R", GUID: "1"}, mem: &state.Taken{}}
	c.Schedule = &spec.Schedule{Name: "standard", Keep: map[string]int{"hourly": 3}}
	v := &view{now: now, byName: map[string]*covered{"tank/R": c}}
	list := []state.Snapshot{{Dataset: "tank/R", Name: "dplane-20261124T070000Z", GUID: "7", TXG: 13, Creation: now.Add(-96 * time.Hour), Mark: "standard"}}
	if err := d.mark(context.Background(), v, list); err != nil {
		t.Fatal(err)
	}
	c.list = list
	if got := c.settle(nil, now).Snapshots; len(got) > 0 {
		t.Errorf("a received copy is dplane's own, and will be pruned: %+v (asked %v)", got, m.ran)
	}
}
