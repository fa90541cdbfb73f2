package dataset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// tree is where the random machines and specs take their datasets from; v is a volume.
var tree = []string{"tank", "tank/a", "tank/a/b", "tank/a/b/c", "tank/a/d", "tank/e", "tank/e/f", "tank/v"}

// values that a random property takes.
var values = map[string][]string{
	"compression":    {"on", "off", "lz4", "zstd", "gzip-6", "zstd-3"},
	"atime":          {"on", "off"},
	"readonly":       {"on", "off"},
	"sync":           {"standard", "disabled", "always"},
	"recordsize":     {"128K", "1M", "4096"},
	"acltype":        {"off", "posixacl", "posix"},
	"mountpoint":     {"/srv", "/tank/a", "/tank/a/b", "none", "legacy"},
	"canmount":       {"on", "off", "noauto"},
	"quota":          {"none", "1G", "4G"},
	"reservation":    {"none", "64K"},
	"com.example:a":  {"x", "y z", ""},
	"com.example:b":  {"x", "-"},
	"userquota@root": {"none", "1G"},
}

var volumeOnly = []string{"compression", "readonly", "sync", "com.example:a", "com.example:b"}

// randomProps draws name=value words for a dataset.
func randomProps(t *rapid.T, dataset string, most int) map[string]string {
	names := slices.Sorted(func(yield func(string) bool) {
		for n := range values {
			if (dataset != "tank/v" || slices.Contains(volumeOnly, n)) && !yield(n) {
				return
			}
		}
	})
	props := map[string]string{}
	for range rapid.IntRange(0, most).Draw(t, dataset+" properties") {
		n := rapid.SampledFrom(names).Draw(t, "property")
		props[n] = rapid.SampledFrom(values[n]).Draw(t, "value")
	}
	return props
}

// randomMachine is a fake with a pool whose datasets, marks and received values are anything.
func randomMachine(t *rapid.T) *zfsfake.Fake {
	f := zfsfake.New()
	f.Model.Devices["/dev/a"] = &zfsfake.Device{Size: 64 << 30}
	do(t, f, "zpool", "create", "tank", "/dev/a")
	for _, name := range tree[1:] {
		parent := string(spec.DatasetName(name).Parent())
		if f.Model.Pools["tank"].Datasets[parent] == nil || !rapid.Bool().Draw(t, name+" exists") {
			continue
		}
		if name == "tank/v" {
			do(t, f, "zfs", "create", "-V", fmt.Sprint(rapid.SampledFrom([]int{1 << 20, 1 << 21}).Draw(t, "volsize")), name)
		} else {
			do(t, f, "zfs", "create", name)
		}
	}
	for _, name := range tree {
		d := f.Model.Pools["tank"].Datasets[name]
		if d == nil {
			continue
		}
		props := randomProps(t, name, 5)
		marked := map[string]bool{}
		for _, n := range sortedKeys(props) {
			stay := ""
			if n == "mountpoint" && rapid.IntRange(0, 2).Draw(t, "left where it is") == 0 {
				stay = "-u "
			}
			if _, err := f.Do("zfs set " + stay + quoted(n+"="+props[n]) + " " + name); err == nil { // a mountpoint may be taken
				marked[n] = rapid.Bool().Draw(t, "marked")
			}
		}
		if v := editedMark(t, marked); v != "" {
			do(t, f, "zfs", "set", "dplane:applied="+v, name)
		}
		d.Written = rapid.SampledFrom([]uint64{0, 0, 0, 2 << 30}).Draw(t, "written")
		if rapid.IntRange(0, 3).Draw(t, "received") == 0 {
			d.Received = map[string]string{"compression": "lzjb", "com.example:a": "received"}
		}
	}
	for _, name := range tree {
		if d := f.Model.Pools["tank"].Datasets[name]; d != nil && d.Mounted && rapid.IntRange(0, 3).Draw(t, name+" is unmounted") == 0 {
			do(t, f, "zfs", "unmount", name)
		}
	}
	if rapid.IntRange(0, 3).Draw(t, "files in the way") == 0 {
		f.AddDir(rapid.SampledFrom(values["mountpoint"][:3]).Draw(t, "where"), "file")
	}
	return f
}

// editedMark is the mark, at times as somebody left it who edited it by hand: out of order, and with words that
// dplane never writes there.
func editedMark(t *rapid.T, marked map[string]bool) string {
	if !rapid.Bool().Draw(t, "edited") {
		return state.EncodeApplied(marked)
	}
	words := strings.Split(state.EncodeApplied(marked), ",")
	for range rapid.IntRange(0, 3).Draw(t, "words") {
		words = append(words, rapid.SampledFrom([]string{"-r", "type", "dplane:applied", "dplane:trash.guid", "-r:x", "nosuch", " atime", "volsize", ""}).Draw(t, "word"))
	}
	slices.Reverse(words)
	return strings.Join(words, ",")
}

func quoted(word string) string { return "'" + word + "'" }

func do(t interface{ Fatalf(string, ...any) }, f *zfsfake.Fake, argv ...string) string {
	for i, w := range argv {
		argv[i] = quoted(w)
	}
	out, err := f.Do(strings.Join(argv, " "))
	if err != nil {
		t.Fatalf("%s: %v", strings.Join(argv, " "), err)
	}
	return out
}

// randomSpec declares some of the tree.
func randomSpec(t *rapid.T) *spec.Spec {
	s := &spec.Spec{
		Pools:        map[spec.PoolName]*spec.Pool{"tank": {Name: "tank"}},
		Datasets:     map[spec.DatasetName]*spec.Dataset{},
		Replications: map[string]*spec.Replication{},
	}
	for _, name := range tree {
		if !rapid.Bool().Draw(t, name+" is declared") {
			continue
		}
		d := &spec.Dataset{Name: spec.DatasetName(name)}
		if name == "tank/v" {
			sparse := true
			d.Volume = &spec.Volume{Size: spec.Size(rapid.SampledFrom([]int{1 << 20, 1<<21 + 1, 1 << 22}).Draw(t, "size")), Sparse: rapid.SampledFrom([]*bool{nil, new(bool), &sparse}).Draw(t, "sparse")}
		}
		if rapid.IntRange(0, 5).Draw(t, "says nothing of properties") > 0 {
			d.Properties = map[string]spec.Property{}
			for n, v := range randomProps(t, name, 5) {
				c, _, err := spec.CheckProperty(n, v, d.Type())
				if err != nil {
					t.Fatalf("%v", err)
				}
				d.Properties[n] = spec.Property{Value: c, Text: v}
			}
		}
		s.Datasets[d.Name] = d
	}
	return s
}

// look is one pass of observation; the pools are as the pool driver would see them.
func look(t interface{ Fatalf(string, ...any) }, r host.Runner, want *spec.Spec) *state.Observed {
	obs := state.NewObserved(time.Unix(0, 0), "test")
	res, err := r.Run(context.Background(), zfs.ListPools())
	if err != nil {
		t.Fatalf("%v", err)
	}
	pools, err := zfs.ParsePools(res.Stdout)
	if err != nil {
		t.Fatalf("%v", err)
	}
	for _, p := range pools {
		obs.Pools[p.Name] = p
	}
	d := &Driver{Runner: host.ReadOnly{Runner: r}}
	if err := d.Observe(context.Background(), want, obs); err != nil {
		t.Fatalf("%v", err)
	}
	if len(obs.Unseen) > 0 {
		t.Fatalf("unseen: %v", obs.Unseen)
	}
	return obs
}

// carryOut applies what is not blocked, each action after what it waits for; clean is false where one was
// refused.
func carryOut(t *rapid.T, f *zfsfake.Fake, actions []drivers.Action) (clean bool) {
	clean = true
	d := &Driver{Runner: f}
	makes := map[spec.Ref]string{}
	blocked, done := map[string]bool{}, map[string]bool{}
	for _, a := range actions {
		blocked[a.ID] = a.Verb == drivers.Blocked
		if a.Verb == drivers.Create || a.Verb == drivers.Blocked && a.Reason.Code != drivers.Drift {
			makes[a.Object] = a.ID
		}
	}
	ready := func(a drivers.Action) bool {
		for _, ref := range a.Waits {
			if id := makes[ref]; id != "" && id != a.ID && !done[id] {
				return false
			}
		}
		return !slices.ContainsFunc(a.After, func(id string) bool { return !done[id] })
	}
	for range actions {
		for _, a := range actions {
			if done[a.ID] || blocked[a.ID] || !ready(a) {
				continue
			}
			err := d.Apply(context.Background(), a)
			if errors.Is(zfs.Classify(err), zfs.ErrNoSpace) {
				t.Skipf("a random quota above it is full: %v", err)
			}
			var changed *host.Unexpected
			inside := errors.Is(zfs.Classify(err), zfs.ErrBusy)      // what a rename of this very plan leaves mounted there
			if (errors.As(err, &changed) || inside) && mayMount(a) { // two want one mountpoint: the guard saw the first
				blocked[a.ID], clean = true, false
				continue
			}
			if err != nil {
				t.Fatalf("%v: %v", a.Fields, err)
			}
			done[a.ID] = true
		}
	}
	return clean
}

// mayMount tells whether an action may mount something.
func mayMount(a drivers.Action) bool {
	return a.Verb != drivers.Update || slices.ContainsFunc(a.Fields, func(f drivers.Field) bool { return f.Name == "mountpoint" })
}

// isOwn tells whether a command touches nothing but a declared dataset, and has none of the forbidden flags.
func isOwn(c host.Command, want *spec.Spec) bool {
	for _, w := range c.Argv {
		if slices.Contains([]string{"-f", "-r", "-R", "-F", "-a"}, w) {
			return false
		}
	}
	return want.Datasets[spec.DatasetName(c.Argv[len(c.Argv)-1])] != nil
}

func TestLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, want := randomMachine(t), randomSpec(t)
		before := foreign(f, want)
		actions, text := plan(want, look(t, f, want))
		for _, a := range actions {
			for _, c := range a.Steps {
				if c.Effect != host.Writes || !isOwn(c, want) {
					t.Fatalf("a command that is not allowed: %s", c)
				}
			}
			if a.Verb != drivers.Blocked && a.Undo == "" || a.Risk < spec.Safe {
				t.Fatalf("no undo, or no risk: %+v", a)
			}
		}
		clean := carryOut(t, f, actions)
		again, rest := plan(want, look(t, f, want))
		for range 4 { // what stood in the way of one moved away
			if len(runnable(again)) == 0 || clean && len(runnable(actions)) == len(actions) {
				break
			}
			carryOut(t, f, again)
			again, rest = plan(want, look(t, f, want))
		}
		if len(runnable(again)) > 0 {
			t.Fatalf("the next plan is not empty:\n%s\nafter\n%s", strings.Join(rest, "\n"), strings.Join(text, "\n"))
		}
		if after := foreign(f, want); after != before {
			t.Fatalf("what is not declared changed:\n%s\nwas\n%s\nafter\n%s", after, before, strings.Join(text, "\n"))
		}
		if drift := asDeclared(t, f, want, again); drift != "" {
			t.Fatalf("the machine is not as declared: %s\nafter\n%s", drift, strings.Join(text, "\n"))
		}
	})
}

// runnable leaves out what is blocked, and what waits for it: creates, renames and restores whose parent can't be made,
// and whatever comes after. They stay in the plan.
func runnable(actions []drivers.Action) []drivers.Action {
	stuck := map[string]bool{}
	waits := func(a drivers.Action) bool {
		return a.Verb == drivers.Blocked || slices.ContainsFunc(a.After, func(id string) bool { return stuck[id] }) ||
			slices.ContainsFunc(actions, func(b drivers.Action) bool {
				return (a.Verb == drivers.Create || len(a.Waits) > 0) && b.Verb == drivers.Blocked && spec.DatasetName(a.Object.Name).Under(spec.DatasetName(b.Object.Name))
			})
	}
	for range actions {
		for _, a := range actions {
			stuck[a.ID] = stuck[a.ID] || waits(a)
		}
	}
	return slices.DeleteFunc(slices.Clone(actions), func(a drivers.Action) bool { return stuck[a.ID] })
}

// foreign is all that is set on datasets that are not declared, with their guids.
func foreign(f *zfsfake.Fake, want *spec.Spec) string {
	var b strings.Builder
	p := f.Model.Pools["tank"]
	for _, n := range sortedKeys(p.Datasets) {
		if d := p.Datasets[n]; want.Datasets[spec.DatasetName(n)] == nil {
			fmt.Fprintln(&b, n, d.GUID, d.Local, d.Received, d.Masked, d.Quotas)
		}
	}
	return b.String()
}

// asDeclared asks the model itself, property by property, whether it is as the spec says where nothing is
// blocked.
func asDeclared(t *rapid.T, f *zfsfake.Fake, want *spec.Spec, blocked []drivers.Action) string {
	for _, name := range want.DatasetNames() {
		if slices.ContainsFunc(blocked, func(a drivers.Action) bool { return name.Under(spec.DatasetName(a.Object.Name)) }) {
			continue
		}
		if f.Model.Pools["tank"].Datasets[string(name)] == nil {
			return string(name) + " is missing"
		}
		d := want.Datasets[name]
		if why := misMounted(f, string(name)); why != "" {
			return why
		}
		for _, prop := range sortedKeys(d.Properties) {
			got := strings.TrimSuffix(do(t, f, "zfs", "get", "-Hp", "-o", "value", prop, string(name)), "\n")
			if !spec.SameValue(prop, d.Properties[prop].Value, got, d.Type()) {
				return fmt.Sprintf("%s of %s is %q, declared is %q", prop, name, got, d.Properties[prop].Value)
			}
		}
	}
	return ""
}

// misMounted says what of a file system is not mounted as its properties say.
func misMounted(f *zfsfake.Fake, name string) string {
	out, err := f.Do("zfs get -Hp -o value mountpoint,canmount,mounted " + name)
	if err != nil {
		return err.Error()
	}
	v := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if strings.HasPrefix(v[0], "/") && (v[1] == "on" && v[2] == "no" || v[1] == "off" && v[2] == "yes") {
		return fmt.Sprintf("%s has mountpoint %s and canmount %s, and mounted is %s", name, v[0], v[1], v[2])
	}
	if at := f.Model.Pools["tank"].Datasets[name].At; strings.HasPrefix(v[0], "/") && v[2] == "yes" && at != "" {
		return fmt.Sprintf("%s has mountpoint %s, and is mounted at %s", name, v[0], at)
	}
	return ""
}
