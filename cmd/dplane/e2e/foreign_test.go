//go:build e2e

package e2e

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// foreignState is all that an operator has decided about a pool, as text: two of them are equal if and only
// if nobody wrote to the pool's configuration between. Sizes and counters are left out.
func foreignState(t *testing.T, pool string) string {
	t.Helper()
	return section("history", must(t, "zpool", "history", "-il", pool)) +
		section("pool properties", poolProperties(t, pool)) +
		section("vdevs", vdevs(t, pool)) +
		datasetState(t, pool)
}

// datasetState is the same for a dataset and what is below it, for foreign datasets in a pool that dplane
// may write to. What they inherit is not theirs.
func datasetState(t *testing.T, name string) string {
	t.Helper()
	kinds := "filesystem,volume,snapshot,bookmark"
	return section("guids", must(t, "zfs", "get", "-Hpr", "-t", kinds, "-o", "name,property,value", "guid,createtxg", name)) +
		section("properties", must(t, "zfs", "get", "-Hpr", "-t", "filesystem,volume,snapshot", "-s", "local,received", "-o", "name,property,value,source", "all", name)) +
		section("holds", holds(t, name)) +
		section("mounts", mounts(t, name))
}

func section(title, body string) string { return "## " + title + "\n" + body + "\n" }

// poolProperties are those that have a source: the others are measured.
func poolProperties(t *testing.T, pool string) string {
	return keep(must(t, "zpool", "get", "-Hpo", "property,value,source", "all", pool), func(f []string) bool {
		return f[len(f)-1] != "-" || f[0] == "guid"
	})
}

// vdevs are the names of the tree's rows, with indentation lost but order kept.
func vdevs(t *testing.T, pool string) string {
	var names []string
	for _, line := range strings.Split(must(t, "zpool", "list", "-HPv", pool), "\n") {
		if f := strings.Fields(line); len(f) > 0 {
			names = append(names, f[0])
		}
	}
	return strings.Join(names, "\n")
}

func holds(t *testing.T, name string) string {
	var held []string
	for _, line := range strings.Split(must(t, "zfs", "list", "-Hpr", "-t", "snapshot", "-o", "name,userrefs", name), "\n") {
		if f := strings.Fields(line); len(f) == 2 && f[1] != "0" {
			held = append(held, must(t, "zfs", "holds", "-H", f[0]))
		}
	}
	return strings.Join(held, "\n")
}

// mounts are the lines of the mount table whose source is name, something below it, or a snapshot of either;
// its mount ids, which change with every mount, are the point.
func mounts(t *testing.T, name string) string {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return keep(string(table), func(f []string) bool {
		i := slices.Index(f, "-") // ends the optional fields; type and source follow
		if i < 0 || i+2 >= len(f) || f[i+1] != "zfs" {
			return false
		}
		rest, ok := strings.CutPrefix(f[i+2], name)
		return ok && (rest == "" || rest[0] == '/' || rest[0] == '@')
	})
}

// keep gives the lines whose fields pass.
func keep(text string, pass func(fields []string) bool) string {
	var kept []string
	for _, line := range strings.Split(text, "\n") {
		if f := strings.Fields(line); len(f) > 0 && pass(f) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}
