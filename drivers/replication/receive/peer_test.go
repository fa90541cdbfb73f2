package receive

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// A key of the HA group reads at any time. What it changes is let through by the gate, which is told whose key it is and the
// term, and asked again when it has ended.
func TestPeer(t *testing.T) {
	rules := Rules{Targets: []Target{{Dataset: "tank/home", Prune: true, Repair: true, Peer: "nas-a"}, {Dataset: "backup/x", Prune: true}}}
	const send = farEnv + "DPLANE_TERM=7 "
	type entered struct {
		peer string
		term uint64
	}
	for _, c := range []struct {
		line  string
		gated bool
		term  uint64
	}{
		{send + "zfs list -H -o name tank/home", false, 0},
		{send + "zfs holds -H tank/home@a", false, 0},
		{send + "zfs allow tank/home", false, 0},
		{send + "zfs hold dplane:pair tank/home@a", true, 7},
		{send + "zfs release dplane:pair tank/home@a", true, 7},
		{send + "zfs destroy tank/home/x@a,b", true, 7},
		{send + "zfs rollback -r tank/home@a", true, 7},
		{send + "zfs rename -u tank/home tank/home.diverged-1", true, 7},
		{send + "zfs receive -A tank/home", true, 7},
		{send + "pkill -TERM -x -f -- '([^ ]*/)?zfs receive -s -u (-[ox] .* )?tank/home/x'", true, 7},
		{farEnv + "zfs destroy tank/home@a", true, 0}, // it tells none
		{"zfs destroy tank/home@a", true, 0},
		{send + "zfs destroy backup/x@a", false, 0},
	} {
		for _, why := range []string{"", "this node is active"} {
			var in []entered
			ran, became, left := false, false, false
			door := Door{Rules: rules, Runner: there{},
				Become: func([]string) error { became = true; return nil },
				Attend: func([]string) error { ran = !left; return nil },
				Enter: func(peer string, term uint64) (func() error, error) {
					if in = append(in, entered{peer, term}); why != "" {
						return nil, errors.New(why)
					}
					return func() error { left = true; return nil }, nil
				},
			}
			err := door.Open(t.Context(), c.line)
			var refused *Refused
			switch {
			case !c.gated:
				if err != nil || !became || len(in) > 0 {
					t.Errorf("%s: %v, ran %t, asked %v", c.line, err, became, in)
				}
			case !slices.Equal(in, []entered{{"nas-a", c.term}}) || became:
				t.Errorf("%s: asked %v, in its place %t", c.line, in, became)
			case why != "" && (ran || !errors.As(err, &refused) || !strings.Contains(err.Error(), why)):
				t.Errorf("%s: ran %t, %v", c.line, ran, err)
			case why == "" && (err != nil || !ran || !left):
				t.Errorf("%s: %v, ran %t, left %t", c.line, err, ran, left)
			}
		}
	}
	door := Door{Rules: rules, Runner: there{}, Attend: func([]string) error { return nil },
		Enter: func(string, uint64) (func() error, error) {
			return func() error { return errors.New("it was promoted meanwhile") }, nil
		},
	}
	if err := door.Open(t.Context(), send+"zfs destroy tank/home@a"); err == nil || !strings.Contains(err.Error(), "it was promoted meanwhile") {
		t.Errorf("what ended behind the gate: %v", err)
	}
	door.Enter = nil
	if err := door.Open(t.Context(), send+"zfs destroy tank/home@a"); err == nil {
		t.Error("it was done where nobody tells the role")
	}
	for _, line := range []string{"DPLANE_TERM=x zfs", "DPLANE_TERM=-1 zfs", "DPLANE_TERM=+1 zfs", "DPLANE_TERM= zfs", "DPLANE_TERM=99999999999999999999 zfs", "DPLANE_TERM=1  zfs", "DPLANE_TERM=1 DPLANE_TERM=2 zfs"} {
		if _, err := rules.Judge(farEnv + line + " list -H -o name tank/home"); err == nil {
			t.Errorf("let through: %s", line)
		}
	}
}
