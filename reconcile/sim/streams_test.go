package sim

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/reconcile"
)

// piped keeps the pipes that run.
type piped struct {
	host.Runner
	all []host.Command
}

func (p *piped) Run(ctx context.Context, c host.Command) (host.Result, error) {
	if c.Stdin != nil {
		p.all = append(p.all, c)
	}
	return p.Runner.Run(ctx, c)
}

// Every stream, whole, on top, or gone on with, keeps to the declared rate, ends when nothing moves and never because it takes
// long, and is received so that it can go on, is not mounted, is read-only, and overwrites nothing.
func TestEveryStream(t *testing.T) {
	x := newSending(t)
	x.want = policyOf(t, strings.Replace(replicated, "recursive: true", "recursive: true, rateLimit: 3M", 1))
	x.do("zfs create -s -V 8M tank/a/vol")
	p := &piped{Runner: x.ZFS}
	for i, at := range []string{"2026-11-24T08:00:00Z", "2026-11-24T08:10:00Z", "2026-11-24T08:20:00Z", "2026-11-24T08:30:00Z", "2026-11-24T08:40:00Z"} {
		if i < 3 {
			x.snap(string(rune('a' + i)))
			x.do("zfs snapshot tank/a/vol@" + string(rune('a'+i)))
		}
		if i == 2 {
			x.ZFS.Model.Cuts = []uint64{1 << 18}
		}
		x.at(at)
		l := x.Loop(p)
		consent := reconcile.ByHand(&x.want.Daemon.Limits, nil)
		plan, obs, err := l.Plan(t.Context(), x.want, consent)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Carry(t.Context(), x.want, plan, obs, consent, "sim"); err != nil {
			t.Fatal(err)
		}
	}
	kinds := map[string]int{}
	for _, c := range p.all {
		send, receive := c.Stdin.Argv, c.Argv
		kind := "full"
		for _, flag := range []string{"-i", "-I", "-t"} {
			if slices.Contains(send, flag) {
				kind = flag
			}
		}
		kinds[kind]++
		if c.Pipe.Rate != 3<<20 || c.Pipe.Stall == 0 || c.Timeout != 0 || c.Stdin.Timeout != 0 {
			t.Errorf("%s: %+v, timeouts %s and %s", c, c.Pipe, c.Timeout, c.Stdin.Timeout)
		}
		volume := strings.HasSuffix(receive[len(receive)-1], "/vol")
		if !slices.Equal(receive[:4], []string{"zfs", "receive", "-s", "-u"}) || !slices.Contains(receive, "readonly=on") || slices.Contains(receive, "canmount=noauto") == volume || slices.Contains(receive, "-F") {
			t.Errorf("%s", c)
		}
	}
	if kinds["full"] != 3 || kinds["-i"] < 3 || kinds["-t"] != 1 {
		t.Errorf("the test does not see all kinds of streams: %v", kinds)
	}
	if out := x.do("zfs get -Hp -r -t filesystem -o value mounted,readonly,canmount usb/a"); strings.Contains(out, "yes") || strings.Contains(out, "off") || strings.Contains(out, "canmount\ton") {
		t.Errorf("%s", out)
	}
}
