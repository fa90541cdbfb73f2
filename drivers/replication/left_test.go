package replication

import (
	"regexp"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// What a person is told to type ends the bookmarks of this replication, and of no other one.
func TestByHandTakesOnlyItsOwn(t *testing.T) {
	d := &Driver{}
	x, err := d.lookLeft(t.Context(), &spec.Spec{}, &state.Observed{}, leaving{name: "off", way: state.Way{From: "nas", Source: "tank/a", To: "nas", Target: "usb/a"}})
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`grep (-E )?'([^']*)'`).FindStringSubmatch(strings.Join(x.Unseen, "\n"))
	if m == nil {
		t.Fatal(x.Unseen)
	}
	re := regexp.MustCompile(m[2])
	if name := "tank/a#" + bookmarkOf("off", "17"); !re.MatchString(name) {
		t.Errorf("%s leaves %s", m[0], name)
	}
	for _, other := range []string{"off-2", "off-site"} {
		if name := "tank/a#" + bookmarkOf(other, "17"); re.MatchString(name) {
			t.Errorf("%s takes %s of the replication %s", m[0], name, other)
		}
	}
}

// What a replication left is the basis of whichever sends some of the same to the same place.
func TestInherits(t *testing.T) {
	end := func(name string) spec.End { return spec.End{Dataset: spec.DatasetName(name)} }
	was := state.Way{Source: "tank/a", Target: "usb/a", Recursive: true}
	for _, c := range []struct {
		r    spec.Replication
		want bool
	}{
		{spec.Replication{Source: end("tank/a"), Target: end("usb/a")}, true},
		{spec.Replication{Source: end("tank/a/b"), Target: end("usb/a/b")}, true},
		{spec.Replication{Source: end("tank/a/b"), Target: end("usb/b")}, false},
		{spec.Replication{Source: end("tank"), Target: end("usb"), Recursive: true}, true},
		{spec.Replication{Source: end("tank"), Target: end("usb")}, false},
		{spec.Replication{Source: end("tank/ab"), Target: end("usb/ab"), Recursive: true}, false},
		{spec.Replication{Source: spec.End{Remote: "nas", Dataset: "tank/a"}, Target: end("usb/a")}, false},
	} {
		if got := inherits(&spec.Spec{}, &c.r, was); got != c.want {
			t.Errorf("%s to %s: %t", c.r.Source.Dataset, c.r.Target.Dataset, got)
		}
	}
	if was.Recursive = false; inherits(&spec.Spec{}, &spec.Replication{Source: end("tank/a/b"), Target: end("usb/a/b")}, was) {
		t.Error("it never sent what was below")
	}
}
