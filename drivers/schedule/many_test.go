package schedule

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// crowded has any dataset, with so many snapshots, and starts no process whose arguments Linux would not take: 2 MiB with
// the environment, 128 KiB for one (execve(2)).
type crowded struct {
	each  int
	gone  string // a dataset that is not there
	marks int    // how many were asked for
}

func (m *crowded) Run(_ context.Context, c host.Command) (res host.Result, err error) {
	size := 4096
	for _, w := range c.Argv {
		if size += len(w) + 9; size > 2<<20 || len(w) >= 128<<10 {
			return res, errors.New("argument list too long")
		}
	}
	var out strings.Builder
	switch c.Argv[1] {
	case "list":
		for _, n := range c.Argv[9:] {
			if n == m.gone {
				err = exits("cannot open '" + n + "': dataset does not exist\n")
				continue
			}
			for i := range m.each {
				name := fmt.Sprintf("%s@dplane-%016dZ", n, i)
				fmt.Fprintf(&out, "%s\t%d\t%d\t1795500000\t0\t0\t-\t0\tstandard\t%[1]s\n", name, i+1, i+1)
			}
		}
	case "get":
		for _, n := range c.Argv[12:] {
			m.marks++
			for i := range m.each {
				fmt.Fprintf(&out, "%s@dplane-%016dZ\n", n, i)
			}
		}
	case "destroy": // two thirds of each are shared with those before and after
		fmt.Fprintf(&out, "reclaim\t%d\n", 3*strings.Count(c.Argv[3], ",")+1)
	}
	res.Stdout = []byte(out.String())
	return res, err
}

// More datasets than one command line takes are listed and asked for their marks; what is gone of them is known to be,
// though the next command exits 0.
func TestManyDatasets(t *testing.T) {
	var names []string
	v := &view{byName: map[string]*covered{}}
	for i := range 10000 {
		n := fmt.Sprintf("tank/%s%05d", strings.Repeat("d", 200), i)
		names = append(names, n)
		v.byName[n] = &covered{Dataset: &state.Dataset{Name: n}, mem: &state.Taken{}}
	}
	for _, gone := range []string{"", names[0]} {
		m := &crowded{each: 1, gone: gone}
		d, _ := driverOn(nil)
		d.Runner = m
		list, missing, err := d.snapshots(t.Context(), names)
		if err == nil {
			err = d.mark(t.Context(), v, list)
		}
		if err != nil {
			t.Fatal(err)
		}
		there := len(names)
		if gone != "" {
			there--
		}
		if missing != (gone != "") || len(list) != there || m.marks != there || !list[0].Marked || !list[there-1].Marked {
			t.Errorf("without %q: %d listed, %d asked for their marks, missing: %t", gone, len(list), m.marks, missing)
		}
	}
}

// What more snapshots than one word takes hold is told as no more than is known.
func TestManySnapshots(t *testing.T) {
	want, err := spec.LoadFiles(map[string][]byte{"a.yaml": []byte("schedules: {standard: {keep: {hourly: 3}}}\npools: {tank: {}}\ndatasets: {tank: {snapshots: standard}}\n")}, spec.LoadOptions{Hostname: "h"})
	if err != nil {
		t.Fatal(err)
	}
	obs := &state.Observed{Pools: map[string]*state.Pool{"tank": {GUID: "9"}}, Datasets: map[string]*state.Dataset{"tank": {Name: "tank", GUID: "1"}}}
	for n, atLeast := range map[int]bool{10: false, 9000: true} {
		d, _ := driverOn(nil)
		d.Runner = &crowded{each: n}
		all, err := d.Show(t.Context(), want, obs, []string{"tank"})
		if err != nil {
			t.Fatal(err)
		}
		if s := all[0]; len(s.Own) != n || s.AtLeast != atLeast || s.Reclaimable == 0 || s.Reclaimable >= uint64(3*n) {
			t.Errorf("of %d: %d of dplane, %d free, at least: %t", n, len(s.Own), s.Reclaimable, s.AtLeast)
		}
	}
}
