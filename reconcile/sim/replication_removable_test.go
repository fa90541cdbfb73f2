package sim

import (
	"strings"
	"testing"
)

// A removable pool is exported once it has all. One that a person imports a moment later stays, until there is more for it.
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
	for _, at := range []string{"08:00", "08:01"} {
		x.at("2026-11-24T" + at + ":00Z")
		x.tick()
	}
	here(false, "it got more")
}
