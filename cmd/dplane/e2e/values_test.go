//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/spec"
)

// variants is how many datasets share the values among them: each has another one of every property.
const variants = 12

// valuesOf are the spellings to declare. Left out is what needs a server, SELinux, encryption, a device
// of its own, or a later release; and what would hide the others.
func valuesOf(p spec.PropertyInfo) []string {
	switch p.Name {
	case "sharenfs", "sharesmb", "context", "fscontext", "defcontext", "rootcontext", "mlslabel", "pbkdf2iters", "zoned", "utf8only":
		return nil
	}
	if strings.HasPrefix(p.Name, "default") {
		return nil
	}
	words := append(slices.Clone(p.Values), slices.Sorted(maps.Keys(p.Alias))...)
	switch p.Shape {
	case spec.OnOff:
		return []string{"on", "off", "true", "false"}
	case spec.Bytes:
		switch {
		case p.Name == "recordsize":
			return []string{"512", "4K", "128k", "1M"}
		case p.Name == "special_small_blocks":
			return []string{"0", "32K"}
		case strings.HasSuffix(p.Name, "reservation"):
			return []string{"1M", "none", "65536"}
		}
		return []string{"20M", "none", "21.5M", "30000000"}
	case spec.Count:
		return []string{"100", "none"}
	case spec.Path:
		return []string{"none", "legacy"}
	}
	return slices.DeleteFunc(words, func(w string) bool { return w == "noparity" })
}

// after21 are values that came after OpenZFS 2.1.
var after21 = map[string][]string{"checksum": {"blake3"}, "dedup": {"blake3", "blake3,verify"}, "snapdir": {"disabled"}}

// known are the properties that this machine's release has, with the values to declare.
func known(t *testing.T, pool string, on spec.DatasetType) map[string][]string {
	t.Helper()
	probe := pool + "/probe"
	create := map[spec.DatasetType][]string{spec.Filesystems: {probe}, spec.Volumes: {"-s", "-V", "1M", probe}}[on]
	must(t, append([]string{"zfs", "create"}, create...)...)
	defer func() {
		for range 100 { // udev looks at a volume that was just made, and ZFS calls that busy
			if run(t, "zfs", "destroy", probe).Code == 0 {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		must(t, "zfs", "destroy", probe)
	}()
	v21 := on21(t)
	values := map[string][]string{}
	printed := strings.Fields(must(t, "zfs", "get", "-Ho", "property", "all", probe))
	for _, name := range spec.PropertyNames(on) {
		if !slices.Contains(printed, name) {
			continue
		}
		info, _ := spec.LookupProperty(name, on)
		values[name] = slices.DeleteFunc(valuesOf(info), func(v string) bool { return v21 && slices.Contains(after21[name], v) })
	}
	return values
}

// declare gives dataset i its values; creation-only ones stay what they were at the first turn.
func declare(known map[string][]string, i, turn int, on spec.DatasetType) string {
	var props []string
	for _, name := range slices.Sorted(maps.Keys(known)) {
		info, _ := spec.LookupProperty(name, on)
		values := known[name]
		if len(values) == 0 || on == spec.Volumes && name == "special_small_blocks" {
			continue // for volumes from 2.4 on
		}
		at := i + turn*variants
		if info.Change == spec.AtCreation {
			at = i
		}
		props = append(props, fmt.Sprintf("%s: \"%s\"", name, values[at%len(values)]))
	}
	return "{" + strings.Join(props, ", ") + "}"
}

// TestEveryValue declares every value of every settable property in every spelling: it is applied, at the
// creation and by a change, and the plan is empty then.
func TestEveryValue(t *testing.T) {
	b := newBox(t)
	pool := b.pool("tank")
	disk := b.disk("a")
	pools := fmt.Sprintf("pools: {%s: {vdevs: [{stripe: [%s]}]}}\ndatasets:\n  %s: {properties: {mountpoint: none}}\n", pool, disk, pool)
	b.write("tank.yaml", pools)
	b.expect(0, "apply", "--yes")
	filesystems, volumes := known(t, pool, spec.Filesystems), known(t, pool, spec.Volumes)
	most := 0
	for _, values := range filesystems {
		most = max(most, len(values))
	}
	turns := (most + variants - 1) / variants
	for turn := range turns {
		var y strings.Builder
		y.WriteString(pools)
		for i := range variants {
			fmt.Fprintf(&y, "  %s/f%d: {properties: %s}\n", pool, i, declare(filesystems, i, turn, spec.Filesystems))
			if i < 4 {
				fmt.Fprintf(&y, "  %s/v%d: {volume: {size: 1M, sparse: true}, properties: %s}\n", pool, i, declare(volumes, i, turn, spec.Volumes))
			}
		}
		b.write("tank.yaml", y.String())
		if r := b.dplane("apply", "--yes", "--allow-limits"); r.Code != 0 {
			t.Fatalf("turn %d: apply: exit status %d\n%s%s", turn, r.Code, r.Stdout, r.Stderr)
		}
		if r := b.dplane("plan", "--detailed-exitcode"); r.Code != 0 {
			t.Fatalf("turn %d: something is left to do:\n%s", turn, r.Stdout)
		}
	}
	t.Logf("%d turns of %d file systems with %d properties and 4 volumes with %d", turns, variants, len(filesystems), len(volumes))
}
