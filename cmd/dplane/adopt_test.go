package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/state"
)

// TestAdoption: only what took the name gives the old memory an end, and what is missing stays missing.
func TestAdoption(t *testing.T) {
	recorded := []state.Recorded{
		{Kind: "dataset", Name: "tank", GUID: "10"}, {Kind: "dataset", Name: "tank/home", GUID: "11"},
		{Kind: "dataset", Name: "tank/home/anna", GUID: "12"}, {Kind: "pool", Name: "tank", GUID: "1"},
	}
	for name, c := range map[string]struct {
		ask  string
		now  string // name guid; the pool is +
		edit func(*state.Observed)
		old  string
		err  string
		hint string
	}{
		"another dataset":            {ask: "tank/home", now: "+tank 1, tank 10, tank/home 99, tank/home/anna 12", old: "dataset tank/home"},
		"what is below stays known":  {ask: "tank/home", now: "+tank 1, tank 10, tank/home 99", old: "dataset tank/home"},
		"nothing took the name":      {ask: "tank/home", now: "+tank 1, tank 10, tank/away 11", err: "nothing took the name tank/home", hint: "dplane forget tank/home"},
		"the one that is known":      {ask: "tank/home", now: "+tank 1, tank 10, tank/home 11", err: "tank/home is the one that is recorded"},
		"never seen":                 {ask: "tank/new", now: "+tank 1, tank 10, tank/new 99", err: "tank/new is not recorded"},
		"another pool":               {ask: "tank", now: "+tank 2, tank 20, tank/home 21", old: "dataset tank, dataset tank/home, dataset tank/home/anna, pool tank"},
		"a pool with a new guid":     {ask: "tank", now: "+tank 2, tank 10, tank/home 11, tank/anna 12", old: "pool tank"},
		"the same pool, less in it":  {ask: "tank", now: "+tank 1, tank 10", err: "tank is the one that is recorded"},
		"another root, less in it":   {ask: "tank", now: "+tank 1, tank 99", old: "dataset tank"},
		"the pool is away":           {ask: "tank", err: "nothing took the name tank", hint: "dplane forget tank"},
		"its pool is away":           {ask: "tank/home", err: "nothing took the name tank/home", hint: "dplane forget tank/home"},
		"a suspended pool":           {ask: "tank/home", now: "+tank 1", edit: func(o *state.Observed) { o.Unseen = []state.Unseen{{Pool: "tank", Why: "it is suspended"}} }, err: "pool tank could not be looked at: it is suspended"},
		"a pool that is not managed": {ask: "tank", now: "+tank 2", edit: func(o *state.Observed) { o.Pools["tank"].Managed = false }, err: "pool tank is not declared"},
		"no ZFS":                     {ask: "tank", edit: func(o *state.Observed) { o.ZFS.Error = "no module" }, err: "nothing can be looked at: no module"},
	} {
		t.Run(name, func(t *testing.T) {
			obs := state.NewObserved(time.Unix(0, 0), "nas-a")
			obs.Recorded = recorded
			for _, w := range strings.Split(c.now, ", ") {
				name, guid, _ := strings.Cut(w, " ")
				if pool, ok := strings.CutPrefix(name, "+"); ok {
					obs.Pools[pool] = &state.Pool{Name: pool, GUID: guid, Managed: true}
				} else if name != "" {
					obs.Datasets[name] = &state.Dataset{Name: name, GUID: guid}
				}
			}
			if c.edit != nil {
				c.edit(obs)
			}
			old, err := adoption(obs, c.ask)
			var got []string
			for _, r := range old {
				got = append(got, r.Kind+" "+r.Name)
			}
			slices.Sort(got)
			if s := strings.Join(got, ", "); s != c.old {
				t.Errorf("gives way: %q, want %q", s, c.old)
			}
			var e *exitError
			if (err == nil) != (c.err == "") || err != nil && (!errors.As(err, &e) || !strings.Contains(err.Error(), c.err) || !strings.Contains(e.hint, c.hint)) {
				t.Errorf("%v (%+v), want %q", err, e, c.err)
			}
		})
	}
}
