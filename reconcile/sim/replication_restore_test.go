package sim

import (
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/replication"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
)

// bringBack restores all of the replication into a dataset, with a fault; died tells whether that ended the process.
func (x *ticking) bringBack(to string, fault *host.Faulty) (died bool, err error) {
	x.t.Helper()
	_, obs, err := x.Loop(x.ZFS).Plan(x.t.Context(), x.want, reconcile.ByHand(&x.want.Daemon.Limits, nil))
	if err != nil {
		x.t.Fatal(err)
	}
	var r host.Runner = x.ZFS
	if fault != nil {
		fault.Runner = x.ZFS
		r = fault
	}
	d := &replication.Driver{Runner: r, Memory: x.Store, Now: x.Clock.Now, After: x.Clock.After}
	var a drivers.Action
	if a, _, err = d.PlanRestore(x.t.Context(), x.want, obs, "off", replication.Wish{To: spec.DatasetName(to)}); err != nil {
		return false, err
	}
	defer func() {
		if e := recover(); e != nil {
			if _, ok := e.(host.Died); !ok {
				panic(e)
			}
			died = true
		}
	}()
	return false, d.Apply(x.t.Context(), a)
}

// What stands empty in the place of what comes back is as it was if it can't be kept aside, at whatever step that fails; and
// where the process died in the middle the same command ends it.
func TestRestoreAsideFails(t *testing.T) {
	const ask = "zfs get -Hp -r -t filesystem -o name,property,value,source canmount,mounted,guid tank/new"
	prepare := func() *ticking {
		x := newSending(t)
		x.snap("one")
		x.tick()
		x.do("zfs create -o mountpoint=/srv/new tank/new")
		x.do("zfs create -o canmount=on tank/new/b")
		return x
	}
	for n := 1; n <= 5; n++ { // two file systems unmounted and set, and the rename
		x := prepare()
		was := x.do(ask)
		if _, err := x.bringBack("tank/new", &host.Faulty{N: n, Fault: host.FailBefore}); err == nil {
			t.Fatalf("write %d: it did not fail", n)
		}
		if is := x.do(ask); is != was {
			t.Errorf("write %d failed, and it is\n%swas\n%s", n, is, was)
		}
	}
	for _, fault := range []host.Fault{host.DieBefore, host.DieAfter} {
		for n := 1; ; n++ {
			x := prepare()
			guid := guidOf(x, "tank/new")
			died, err := x.bringBack("tank/new", &host.Faulty{N: n, Fault: fault})
			if !died {
				if n < 7 || err != nil {
					t.Fatalf("fault %d: only %d writes: %v", fault, n-1, err)
				}
				break
			}
			marked := strings.Contains(x.do("zfs get -Hp -r -t filesystem -o value dplane:restore tank"), "off")
			if _, err := x.bringBack("tank/new", nil); err != nil && (marked || n < 7) {
				t.Errorf("fault %d at write %d: %v", fault, n, err)
				continue
			}
			if got := x.there("tank/new/b"); len(got) != 1 || guidOf(x, "tank/new.empty-"+guid) != guid {
				t.Errorf("fault %d at write %d: %v", fault, n, got)
			}
			for line := range strings.Lines(x.do("zfs get -Hp -r -t filesystem -o value canmount,mounted tank/new.empty-" + guid)) {
				if line != "noauto\n" && line != "no\n" {
					t.Errorf("fault %d at write %d: what is aside is %s", fault, n, line)
				}
			}
		}
	}
}
