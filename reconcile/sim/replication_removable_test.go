package sim

import (
	"strings"
	"testing"
)

// A removable pool is exported once it has all. One that a person imports stays, also once there was more for it; one that dplane imports
// is exported.
func TestReplicationRemovableByHand(t *testing.T) {
	x := newSending(t)
	x.want = policyOf(t, strings.NewReplacer("usb: {}\nreplications", "usb: {vdevs: [{stripe: [/pool/b]}], removable: true}\nreplications", "  usb: {}\npools", "pools").Replace(replicated))
	here := func(want bool, when string) {
		t.Helper()
		if got := strings.Contains(x.do("zpool list -H -o name"), "usb"); got != want {
			t.Errorf("%s: usb is imported: %t", when, got)
		}
	}
	x.snap("one")
	x.tick()
	x.at("2026-11-24T07:01:00Z")
	x.tick()
	here(false, "it has all")
	x.do("zpool import -d /pool usb")
	for _, at := range []string{"07:02", "07:05", "07:30"} {
		x.at("2026-11-24T" + at + ":00Z")
		x.tick()
		here(true, "imported by a person, at "+at)
	}
	x.snap("two")
	for _, at := range []string{"08:00", "08:01", "08:30"} {
		x.at("2026-11-24T" + at + ":00Z")
		step := x.tick()
		here(true, "imported by a person, it got more")
		if told := strings.Contains(strings.Join(step.Plan.Notices, "\n"), "pool usb has all that is to be sent to it, and stays imported"); told != (at == "08:01") {
			t.Errorf("at %s that it stays is told: %t", at, told)
		}
	}
	if got := x.there("usb/a"); len(got) != 2 {
		t.Errorf("it has %v", got)
	}
	x.do("zpool export usb")
	for _, at := range []string{"09:00", "09:01"} {
		x.at("2026-11-24T" + at + ":00Z")
		x.tick()
		here(false, "it has all")
	}
	x.snap("three")
	x.at("2026-11-24T10:00:00Z")
	x.tick()
	here(true, "there is more")
	for _, at := range []string{"10:01", "10:02"} {
		x.at("2026-11-24T" + at + ":00Z")
		x.tick()
	}
	here(false, "imported by dplane, it has all")
	x.do("zpool import -d /pool usb")
	if got := x.there("usb/a"); len(got) != 3 {
		t.Errorf("it has %v", got)
	}
}
