package pool

import (
	"reflect"
	"testing"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// A release without JSON tells the same in text, with one process more.
func TestStatusOfEachRelease(t *testing.T) {
	f := machine("/dev/a", "/dev/b", "/dev/c", "/dev/d")
	if _, err := f.Do("zpool create tank mirror /dev/a /dev/b log /dev/c spare /dev/d"); err != nil {
		t.Fatal(err)
	}
	want := declared(&spec.Pool{Name: "tank"})
	seen := map[string]*state.Pool{}
	for release, zpool := range map[string]int{"2.3.9-0+deb13u1": 3, "2.1.11-1+deb12u1": 4} {
		f.Model.Release = release
		counter := &host.Counter{Runner: f}
		obs := look(t, counter, want)
		if counter.Count["zpool"] != zpool || obs.UnseenPool("tank") != "" {
			t.Errorf("%s: %v, unseen %v", release, counter.Count, obs.Unseen)
		}
		seen[release] = obs.Pools["tank"]
	}
	a, b := seen["2.3.9-0+deb13u1"], seen["2.1.11-1+deb12u1"]
	if len(a.Vdevs) != 3 || a.Vdevs[0].Children[1].GUID == "" || !reflect.DeepEqual(a.Vdevs, b.Vdevs) {
		t.Errorf("JSON %+v\ntext %+v", a.Vdevs, b.Vdevs)
	}
}
