package dataset

import (
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
)

func TestAllow(t *testing.T) {
	for name, c := range map[string]struct {
		machine []string
		want    string
		plan    string
		left    string
		shown   string // the permissions of tank/a afterwards, in one line
	}{
		"granted": {
			machine: []string{"zfs create tank/a"},
			want:    `{allow: {"user:root": [send, hold], everyone: [mount]}}`,
			plan:    "update safe drift: zfs set dplane:allowed=everyone,user:root tank/a; zfs allow -e mount tank/a; zfs allow -u root hold,send tank/a",
			shown:   "Local+Descendent permissions: user root hold,send everyone mount",
		},
		"with a new dataset": {
			want:  `{allow: {"user:root": [send]}}`,
			plan:  "create safe missing: zfs create tank/a | update safe drift: zfs set dplane:allowed=user:root tank/a; zfs allow -u root send tank/a",
			shown: "Local+Descendent permissions: user root send",
		},
		"there already": {
			machine: []string{"zfs create tank/a", "zfs allow -u root send tank/a"},
			want:    `{allow: {"user:root": [send]}}`,
			shown:   "Local+Descendent permissions: user root send",
		},
		"only here, or only below": {
			machine: []string{"zfs create tank/a", "zfs allow -l -u root send tank/a", "zfs allow -d -u root hold tank/a"},
			want:    `{allow: {"user:root": [send, hold]}}`,
			plan:    "update safe drift: zfs set dplane:allowed=user:root tank/a; zfs allow -u root hold,send tank/a",
			shown:   "Local+Descendent permissions: user root hold,send",
		},
		"too much, and a stranger's": {
			machine: []string{"zfs create tank/a", "zfs allow -u root send,hold tank/a", "zfs allow -u nobody mount tank/a"},
			want:    `{allow: {"user:root": [send]}}`,
			plan:    "update disruptive drift: zfs unallow -u root hold tank/a",
			shown:   "Local+Descendent permissions: user nobody mount user root send",
		},
		"no longer declared": {
			machine: []string{"zfs create -o dplane:allowed=everyone,user:root tank/a", "zfs allow -u root send,hold tank/a", "zfs allow -e mount tank/a", "zfs allow -u nobody mount tank/a"},
			want:    `{allow: {everyone: [mount]}}`,
			plan:    "update disruptive removed: zfs unallow -u root hold,send tank/a; zfs set dplane:allowed=everyone tank/a",
			shown:   "Local+Descendent permissions: user nobody mount everyone mount",
		},
		"the last one no longer declared": {
			machine: []string{"zfs create -o dplane:allowed=user:root tank/a", "zfs allow -u root send tank/a"},
			want:    `{allow: {}}`,
			plan:    "update disruptive removed: zfs unallow -u root send tank/a; zfs inherit dplane:allowed tank/a",
		},
		"taken back by hand": {
			machine: []string{"zfs create -o dplane:allowed=user:root tank/a"},
			want:    `{allow: {}}`,
			plan:    "update safe removed: zfs inherit dplane:allowed tank/a",
		},
		"nothing is said": {
			machine: []string{"zfs create -o dplane:allowed=user:root tank/a", "zfs allow -u root send tank/a"},
			want:    `{}`,
			shown:   "Local+Descendent permissions: user root send",
		},
		"an inherited mark is none": {
			machine: []string{"zfs set dplane:allowed=user:root tank", "zfs create tank/a", "zfs allow -u root send tank/a"},
			want:    `{allow: {}}`,
			shown:   "Local+Descendent permissions: user root send",
		},
		"nobody": {
			machine: []string{"zfs create tank/a"},
			want:    `{allow: {"user:nosuch": [send], "user:4242": [hold]}}`,
			plan: "blocked drift tank/a: create it first, name it by its number, or take it out of allow | " +
				"update safe drift: zfs set dplane:allowed=user:4242 tank/a; zfs allow -u 4242 hold tank/a",
			left:  "blocked drift tank/a: create it first, name it by its number, or take it out of allow",
			shown: "Local+Descendent permissions: user (unknown: 4242) hold",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := keyMachine(t, c.machine...)
			want := loadYAML(t, "  tank/a: "+c.want+"\n")
			if got := settle(t, f, want, ""); got != c.plan {
				t.Errorf("got\n%s\nwant\n%s", got, c.plan)
			}
			if _, text := plan(want, look(t, f, want)); strings.Join(text, " | ") != c.left {
				t.Errorf("then\n%s\nwant\n%s", strings.Join(text, " | "), c.left)
			}
			out, err := f.Do("zfs allow tank/a")
			if err != nil {
				t.Fatal(err)
			}
			_, out, _ = strings.Cut(out, "\n")
			if got := strings.Join(strings.Fields(out), " "); got != c.shown {
				t.Errorf("zfs allow shows %q, want %q", got, c.shown)
			}
		})
	}
}

// TestAllowIsReadSeldom: once at start, again after a change, and hourly; and not at all where nothing is declared.
func TestAllowIsReadSeldom(t *testing.T) {
	f := keyMachine(t, "zfs create tank/a", "zfs create tank/b")
	n := &host.Counter{Runner: f}
	d := &Driver{Runner: n}
	some, other := loadYAML(t, "  tank/a: {allow: {\"user:root\": [send]}}\n  tank/b: {}\n"), loadYAML(t, "  tank/a: {allow: {\"user:root\": [hold]}}\n")
	now := time.Date(2026, 11, 24, 7, 0, 0, 0, time.UTC)
	reads := func(after time.Duration, want string) int {
		now = now.Add(after)
		s := some
		if want == "other" {
			s = other
		}
		obs := look(t, f, s)
		obs.At = now
		before := n.Count["zfs"]
		for _, ds := range obs.Datasets {
			ds.Delegations = nil
		}
		if err := d.observeAllow(t.Context(), s, obs); err != nil {
			t.Fatal(err)
		}
		if obs.Datasets["tank/a"].Delegations == nil || obs.Datasets["tank/b"].Delegations != nil {
			t.Error("what is declared was not read, or what is not was")
		}
		return n.Count["zfs"] - before
	}
	for i, c := range []struct {
		after time.Duration
		want  string
		reads int
		apply bool
	}{
		{0, "", 1, false}, {time.Minute, "", 0, false}, {time.Minute, "other", 1, false}, {time.Minute, "other", 0, true},
		{time.Minute, "other", 1, false}, {59 * time.Minute, "other", 0, false}, {time.Minute, "other", 1, false},
	} {
		if got := reads(c.after, c.want); got != c.reads {
			t.Errorf("step %d: read %d times, want %d", i, got, c.reads)
		}
		if c.apply {
			_ = d.Apply(t.Context(), drivers.Action{Object: ref("tank/a")})
		}
	}
}
