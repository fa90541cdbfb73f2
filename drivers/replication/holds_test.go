package replication

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/state"
)

// tagged answers zfs holds with one tag of each snapshot; or never.
type tagged struct {
	tag   string
	asked int
	begun chan bool // nil: it does not wait
}

func (r *tagged) Run(ctx context.Context, c host.Command) (host.Result, error) {
	r.asked++
	if r.begun != nil {
		close(r.begun)
		<-ctx.Done()
		return host.Result{}, ctx.Err()
	}
	out := ""
	for _, name := range c.Argv[3:] {
		out += fmt.Sprintf("%s\t%s\tWed Nov 25 07:00 2026\n", name, r.tag)
	}
	return host.Result{Stdout: []byte(out)}, nil
}

// What is known of a hold ends with it: another one, of somebody else, is not taken for it.
func TestHoldsThatWent(t *testing.T) {
	r := &tagged{tag: "dplane:off:source"}
	d := &Driver{Runner: r}
	w := &drivers.Sending{Replication: "off", Source: "tank/a", Target: "usb/a"}
	look := func(holds int) bool {
		t.Helper()
		pairs := []state.Pair{{Source: state.End{Name: "tank/a", GUID: "7", Snapshots: []state.Point{{Name: "one", GUID: "1", Holds: holds}}}}}
		if err := d.tags(t.Context(), w, pairs); err != nil {
			t.Fatal(err)
		}
		return pairs[0].Source.Snapshots[0].Ours
	}
	for range 2 {
		if !look(1) || r.asked != 1 {
			t.Errorf("asked %d times", r.asked)
		}
	}
	if look(0) {
		t.Error("it is not held")
	}
	r.tag = "another"
	if look(1) {
		t.Error("the hold of another is taken for ours")
	}
	d.forgetHolds(w, nil)
	if len(d.holds) != 0 {
		t.Errorf("a dataset that is gone is remembered: %v", d.holds)
	}
}

// A machine that does not answer keeps nobody from looking at another one.
func TestHoldsOfOneThatHangs(t *testing.T) {
	r := &tagged{tag: "dplane:off:source", begun: make(chan bool)}
	d := &Driver{Runner: r}
	pairs := func() []state.Pair {
		return []state.Pair{{Source: state.End{Name: "tank/a", GUID: "7", Snapshots: []state.Point{{Name: "one", GUID: "1", Holds: 1}}}}}
	}
	ctx, cancel := context.WithCancel(t.Context())
	hanging := make(chan error)
	go func() { hanging <- d.tags(ctx, &drivers.Sending{Replication: "off"}, pairs()) }()
	<-r.begun
	free := make(chan bool)
	go func() {
		d.forgetHolds(&drivers.Sending{Replication: "other"}, nil)
		close(free)
	}()
	select {
	case <-free:
	case <-time.After(10 * time.Second):
		t.Error("the mutex is held while a machine is asked")
	}
	cancel()
	if err := <-hanging; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if len(d.holds) > 0 {
		t.Errorf("what was not answered is remembered: %v", d.holds)
	}
}

// What a run held and let go of itself is known without asking.
func TestHoldsOfOurOwn(t *testing.T) {
	r := &tagged{tag: "dplane:off:source"}
	d := &Driver{Runner: r}
	run := &transfer{Driver: d, Sending: &drivers.Sending{Replication: "off", Source: "tank/a", Target: "usb/a"}}
	pairs := func(holds int) []state.Pair {
		return []state.Pair{{Source: state.End{Name: "tank/a", GUID: "7", Snapshots: []state.Point{{Name: "one", GUID: "1", Holds: holds}}}}}
	}
	look := func(holds int) bool {
		t.Helper()
		p := pairs(holds)
		if err := d.tags(t.Context(), run.Sending, p); err != nil {
			t.Fatal(err)
		}
		return p[0].Source.Snapshots[0].Ours
	}
	tag := func(holds int, hold bool) {
		t.Helper()
		sources, _ := endsOf(pairs(holds))
		if err := run.tag(t.Context(), "", r.tag, sources, []string{"tank/a@one"}, hold); err != nil {
			t.Fatal(err)
		}
		r.asked-- // that was no question
	}
	look(0)
	tag(0, true)
	if !look(1) || r.asked != 0 {
		t.Errorf("asked %d times whether it is held", r.asked)
	}
	tag(1, false)
	if look(0) || r.asked != 0 {
		t.Errorf("asked %d times whether it is let go", r.asked)
	}
	tag(0, true)
	if look(2); r.asked != 1 { // and somebody else
		t.Errorf("asked %d times who else holds it", r.asked)
	}
}
