package dataset

import (
	"fmt"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// The defaults of a fresh file system and of a volume, as 2.3.9 prints them, as far as the tests go.
var (
	filesystemDefaults = pairs("atime=on canmount=on casesensitivity=sensitive checksum=on compression=on copies=1 dedup=off " +
		"exec=on filesystem_limit=none mountpoint=? quota=0 readonly=off recordsize=131072 refquota=0 refreservation=0 " +
		"reservation=0 sharenfs=off snapdir=hidden sync=standard xattr=on acltype=off encryption=off")
	volumeDefaults = pairs("checksum=on compression=on copies=1 dedup=off readonly=off refreservation=0 reservation=0 " +
		"snapdev=hidden sync=standard volblocksize=16384 volmode=default volsize=0 encryption=off")
)

func pairs(s string) map[string]string {
	m := map[string]string{}
	for _, w := range strings.Fields(s) {
		k, v, _ := strings.Cut(w, "=")
		m[k] = v
	}
	return m
}

// machine is a pool tank with the datasets of the lines, parents first:
//
//	tank/home compression=lz4 quota=^5 used:7    (local; received; a number that ZFS reports)
//	tank/vm/d volume volsize=1024
//
// What a line does not say is inherited or default, with the source that ZFS would print.
func machine(lines ...string) *state.Observed {
	obs := state.NewObserved(time.Unix(0, 0), "test")
	for i, line := range lines {
		words := strings.Fields(line)
		d := &state.Dataset{Name: words[0], GUID: fmt.Sprint(100 + i), TXG: uint64(i + 1), Type: "filesystem", Mounted: true}
		defaults := filesystemDefaults
		if len(words) > 1 && words[1] == "volume" {
			d.Type, d.Mounted, defaults, words = "volume", false, volumeDefaults, words[1:]
		}
		said := map[string]state.Property{}
		for _, w := range words[1:] {
			switch k, v, isProperty := strings.Cut(w, "="); {
			case isProperty && strings.HasPrefix(v, "^"):
				said[k] = state.Property{Value: v[1:], Source: "received"}
			case isProperty && strings.HasPrefix(v, "~"):
				said[k] = state.Property{Value: v[1:], Source: "temporary"}
			case isProperty:
				said[k] = state.Property{Value: v, Source: "local"}
			default:
				fill(d, w)
			}
		}
		d.Properties = inherit(obs, spec.DatasetName(d.Name), defaults, said)
		obs.Datasets[d.Name] = d
		if !strings.Contains(d.Name, "/") {
			obs.Pools[d.Name] = &state.Pool{Name: d.Name, GUID: "1" + d.GUID, Health: "ONLINE", Managed: true}
		}
	}
	return obs
}

func fill(d *state.Dataset, word string) {
	k, v, _ := strings.Cut(word, ":")
	switch k {
	case "used":
		d.Used = bytesOf(v)
	case "referenced":
		d.Referenced = bytesOf(v)
	case "available":
		d.Available = bytesOf(v)
	case "at":
		d.MountedAt = v
	case "unmounted":
		d.Mounted = false
	case "locked":
		d.KeyStatus, d.EncryptionRoot = "unavailable", d.Name
	}
}

func inherit(obs *state.Observed, name spec.DatasetName, defaults map[string]string, said map[string]state.Property) map[string]state.Property {
	props := map[string]state.Property{}
	for k, v := range defaults {
		if k == "mountpoint" {
			v = "/" + string(name)
		}
		source := "default"
		if info, ok := spec.LookupProperty(k, spec.Filesystems|spec.Volumes); ok && info.Change == spec.AtCreation {
			source = "-"
		}
		props[k] = state.Property{Value: v, Source: source}
	}
	if above := obs.Datasets[string(name.Parent())]; above != nil {
		for k, p := range above.Properties {
			_, has := props[k]
			if !spec.Inheritable(k) || p.Source == "default" || p.Source == "-" || !has && !spec.IsUserProperty(k) {
				continue
			}
			if p.Local() || p.Source == "received" {
				p.Source = "inherited from " + above.Name
			}
			if k == "mountpoint" && path.IsAbs(p.Value) {
				p.Value = path.Join(p.Value, name.Base())
			}
			props[k] = p
		}
	}
	for k, p := range said {
		props[k] = p
	}
	return props
}

// declare makes a spec with the pool tank and the datasets of the lines; line 3 stands in d.yaml:3.
//
//	tank/home compression=lz4 quota=5G
//	tank/vm/d volume:1G block:16K sparse refreservation=auto
//	tank/old absent            tank/x none   (no `properties` at all)
func declare(t testing.TB, lines ...string) *spec.Spec {
	t.Helper()
	s := &spec.Spec{Pools: map[spec.PoolName]*spec.Pool{}, Datasets: map[spec.DatasetName]*spec.Dataset{}, Replications: map[string]*spec.Replication{}}
	for i, line := range lines {
		words := strings.Fields(line)
		d := &spec.Dataset{Name: spec.DatasetName(words[0]), Pos: spec.Pos{File: "d.yaml", Line: i + 1, Column: 1}, Properties: map[string]spec.Property{}}
		for _, w := range words[1:] {
			if k, v, ok := strings.Cut(w, "="); ok {
				d.Properties[k] = spec.Property{Value: v, Text: v, Pos: d.Pos}
			} else {
				key(d, w)
			}
		}
		for k, p := range d.Properties {
			canonical, _, err := spec.CheckProperty(k, p.Value, d.Type())
			if err != nil {
				t.Fatal(err)
			}
			p.Value = canonical
			d.Properties[k] = p
		}
		s.Datasets[d.Name] = d
		pool := d.Name.Pool()
		if s.Pools[pool] == nil {
			s.Pools[pool] = &spec.Pool{Name: pool, Vdevs: []spec.Vdev{{Type: "stripe", Devices: []spec.Device{{Path: "/dev/" + string(pool)}}}}}
		}
	}
	return s
}

func key(d *spec.Dataset, word string) {
	k, v, _ := strings.Cut(word, ":")
	n, _ := spec.ParseSize(v)
	switch k {
	case "volume":
		d.Volume = &spec.Volume{Size: n, Pos: d.Pos}
	case "block":
		d.Volume.BlockSize = n
	case "sparse":
		d.Volume.Sparse = new(bool)
		*d.Volume.Sparse = true
	case "reserved":
		d.Volume.Sparse = new(bool)
	case "absent":
		d.Absent = true
	case "none":
		d.Properties = nil
	case "encrypted":
		d.Encryption = &spec.Encryption{Format: "raw", Pos: d.Pos}
	case "origin":
		d.Origin = spec.SnapshotName(v)
	case "renamed":
		d.Renamed = spec.DatasetName(v)
	}
}

// plan is Diff, and what it says in one line per action:
//
//	update safe drift tank/home d.yaml:1: zfs set ...; zfs inherit ...
//	blocked conflict tank/x: note
func plan(want *spec.Spec, have *state.Observed) (actions []drivers.Action, text []string) {
	actions = new(Driver).Diff(drivers.Input{Want: want, Have: have}).Actions
	for i := range actions {
		actions[i].Identify()
	}
	for _, a := range actions {
		if a.Verb == drivers.Blocked {
			text = append(text, fmt.Sprintf("blocked %s %s: %s", a.Reason.Code, a.Object.Name, strings.Join(a.Notes, " / ")))
			continue
		}
		var steps []string
		for _, s := range a.Steps {
			steps = append(steps, s.String())
		}
		text = append(text, fmt.Sprintf("%s %s %s: %s", a.Verb, a.Risk, a.Reason.Code, strings.Join(steps, "; ")))
	}
	return actions, text
}
