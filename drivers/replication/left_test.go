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
	x, err := d.lookLeft(t.Context(), &spec.Spec{}, &state.Observed{}, "off", state.Way{From: "nas", Source: "tank/a", To: "nas", Target: "usb/a"})
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
