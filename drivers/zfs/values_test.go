package zfs_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/spec"
)

// Each property that a file can declare, with each value and alias: what spec calls canonical is what
// `zfs get -p` prints after it was set. So a plan is empty once it was applied.

func TestPropertyValuesFake(t *testing.T) { propertyValues(t, fakeMachine(t)) }

func TestPropertyValuesReal(t *testing.T) { propertyValues(t, realMachine(t)) }

// unsettable are properties that no test may touch, or whose value names something else.
var unsettable = map[string]string{
	"bootfs": "names a dataset", "cachefile": "moves the list of pools of this machine", "ashift": "is for vdevs to come",
}

// after21 are values that came after OpenZFS 2.1. (A recordsize above 1M needs a module parameter there.)
var after21 = map[string][]string{
	"checksum": {"blake3"}, "dedup": {"blake3", "blake3,verify"}, "snapdir": {"disabled"}, "recordsize": {"16777216"},
}

// later is how a release refuses a property or value that is not for it, nil for what it must take. That it does
// not know a property is seen as dplane sees it: it does not print it.
func (m *machine) later(name, canonical string, on spec.DatasetType) error {
	switch {
	case name == "special_small_blocks" && on == spec.Volumes:
		return zfs.ErrWrongType // until 2.4
	case !m.prints(name, on):
		return zfs.ErrBadProperty
	case m.v21 && slices.Contains(after21[name], canonical):
		return zfs.ErrBadValue
	}
	return nil
}

// prints says whether zfs or zpool shows the property among all of the pool, its file system fs or its volume vol.
func (m *machine) prints(name string, on spec.DatasetType) bool {
	m.t.Helper()
	if on == spec.PoolProps {
		props, err := zfs.ParsePoolProperties(m.pool, []byte(m.do(zfs.GetPool(m.pool))))
		if err != nil {
			m.t.Fatal(err)
		}
		_, has := props[name]
		return has
	}
	d := m.datasets()[map[spec.DatasetType]string{spec.Filesystems: "/fs", spec.Volumes: "/vol"}[on]]
	_, has := d.Properties[name]
	return has
}

// samples are the values to try.
func samples(p spec.PropertyInfo) []string {
	values := append(slices.Clone(p.Values), slices.Sorted(maps.Keys(p.Alias))...)
	switch p.Shape {
	case spec.OnOff:
		return []string{"on", "off"}
	case spec.Bytes:
		if p.Power2 {
			return append(values, "512", "4K", "128k", "1M", "16M")
		}
		if p.Name == "special_small_blocks" {
			return []string{"0", "512", "32K", "1M"} // 2.3 wants a power of two, 2.4 does not
		}
		return append(values, "3M", "none", "5000000", "0")
	case spec.Count:
		return append(values, "100", "none")
	case spec.Path:
		return append(values, "/dplane-test/mount", "/dplane-test//double/")
	case spec.Text:
		return text(p.Name, values)
	}
	return values
}

// text: more than these needs an NFS or Samba server, or SELinux.
func text(name string, values []string) []string {
	switch name {
	case "sharenfs", "sharesmb":
		return []string{"off"}
	case "context", "fscontext", "defcontext", "rootcontext":
		return []string{"none"}
	}
	return append(values, "some text")
}

func propertyValues(t *testing.T, m *machine) {
	if m.real {
		t.Cleanup(func() {
			if _, err := m.Run(context.Background(), host.Write("zpool", "destroy", m.pool)); err != nil {
				t.Errorf("pool %s is left behind: %v", m.pool, err)
			}
		})
	}
	m.do(zfs.CreatePool(m.pool, map[string]string{"cachefile": "none"}, map[string]string{"mountpoint": "none"}, []string{m.file("a"), "special", m.file("b")}))
	fs, vol := m.pool+"/fs", m.pool+"/vol"
	m.do(zfs.CreateFilesystem(fs, nil))
	m.do(zfs.CreateVolume(vol, 8<<20, false, nil))
	for _, on := range []spec.DatasetType{spec.Filesystems, spec.Volumes, spec.PoolProps} {
		name := map[spec.DatasetType]string{spec.Filesystems: fs, spec.Volumes: vol, spec.PoolProps: m.pool}[on]
		for _, p := range spec.PropertyNames(on) {
			info, _ := spec.LookupProperty(p, on)
			t.Run(on.String()+"/"+p, func(t *testing.T) {
				m.t = t
				m.property(name, info, on)
			})
		}
	}
	m.t = t
}

// property tries each value of one: as it is written and, where ZFS knows no such spelling, as dplane sends it.
func (m *machine) property(name string, p spec.PropertyInfo, on spec.DatasetType) {
	if why := unsettable[p.Name]; why != "" {
		m.t.Skip(why)
	}
	values := samples(p)
	if _, both := spec.LookupProperty(p.Name, spec.Filesystems); both && on == spec.Volumes && len(values) > 4 {
		values = values[:4] // the rest was tried on a file system
	}
	for _, value := range values {
		if p.Name == "refreservation" && value == "auto" && on != spec.Volumes || p.Name == "checksum" && value == "noparity" {
			continue
		}
		canonical, err := p.Canonical(value)
		if err != nil {
			m.t.Errorf("spec refuses %s=%s: %v", p.Name, value, err)
			continue
		}
		target, err := m.set(name, p, on, value)
		if err != nil {
			target, err = m.set(name, p, on, canonical)
		}
		if err != nil {
			if want := m.later(p.Name, canonical, on); want == nil || !errors.Is(zfs.Classify(err), want) {
				m.t.Errorf("%s=%s: %v, want %v", p.Name, value, err, want)
			}
			continue
		}
		m.readsBack(target, p, on, value, canonical)
	}
}

// set gives the property a value, at creation where there is no other way.
func (m *machine) set(name string, p spec.PropertyInfo, on spec.DatasetType, value string) (target string, err error) {
	switch {
	case on == spec.PoolProps:
		_, err = m.Run(m.t.Context(), zfs.SetPool(name, p.Name, value))
	case p.Change == spec.AtCreation:
		name += "-" + p.Name + value
		_, err = m.Run(m.t.Context(), zfs.CreateFilesystem(name, map[string]string{p.Name: value}))
	default:
		_, err = m.Run(m.t.Context(), zfs.Set(name, map[string]string{p.Name: value}))
	}
	return name, err
}

// readsBack: what is printed is the canonical form. One is kept as it was written (a mountpoint), some depend on
// the release (xattr, and no limit) and one is computed (refreservation=auto): those have to count as the same.
func (m *machine) readsBack(name string, p spec.PropertyInfo, on spec.DatasetType, value, canonical string) {
	m.t.Helper()
	program := "zfs"
	if on == spec.PoolProps {
		program = "zpool"
	}
	got := strings.TrimSuffix(m.do(host.Read(program, "get", "-Hp", "-o", "value", p.Name, name)), "\n")
	loose := p.Name == "mountpoint" || p.Name == "xattr" || m.v21 && p.Shape == spec.Count
	switch {
	case got == canonical, p.Name == "refreservation" && value == "auto":
	case loose && spec.SameValue(p.Name, canonical, got, on):
	default:
		m.t.Errorf("%s=%s reads back as %q, spec says %q", p.Name, value, got, canonical)
	}
}
