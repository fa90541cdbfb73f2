package zfsfake

import (
	"strings"
)

// feature is the state of a feature: all are enabled that were not disabled.
func (p *Pool) feature(name string) string {
	if v, set := p.Props["feature@"+name]; set {
		return v
	}
	return "enabled"
}

// replicationOf is what zpool compares of a vdev.
func (k *call) replicationOf(v Vdev) (kind string, parity, devices int) {
	kind = v.redundancy()
	if i := strings.IndexByte(kind, ' '); i >= 0 {
		kind = kind[i+1:]
	}
	switch {
	case len(v.Children) == 0 && k.Devices[v.Name] != nil && k.Devices[v.Name].File:
		return "file", 0, 1
	case len(v.Children) == 0:
		return "disk", 0, 1
	case strings.Contains(kind, "raid"):
		return strings.TrimRight(kind, "123"), int(kind[len(kind)-1] - '0'), len(v.Children)
	}
	return kind, 0, len(v.Children)
}

// replication refuses to add what has another redundancy than what is there, where that is of one kind.
func (k *call) replication(have, fresh []Vdev) *refusal {
	compared := func(v Vdev) bool { return v.Class == "" || v.Class == "special" || v.Class == "dedup" }
	const bad = "invalid vdev specification\nuse '-f' to override the following errors:\nmismatched replication level: pool uses "
	var first *Vdev
	for i := range have {
		switch {
		case !compared(have[i]):
		case first == nil:
			first = &have[i]
		case k.replicationDiffers(*first, have[i], bad) != nil:
			return nil
		}
	}
	for _, v := range fresh {
		if compared(v) && first != nil {
			if r := k.replicationDiffers(*first, v, bad); r != nil {
				return r
			}
		}
	}
	return nil
}

func (k *call) replicationDiffers(have, fresh Vdev, bad string) *refusal {
	a, pa, na := k.replicationOf(have)
	b, pb, nb := k.replicationOf(fresh)
	raidzMirror := a == "raidz" && b == "mirror" && pa == nb-1 || a == "mirror" && b == "raidz" && pb == na-1
	switch {
	case a != b && !raidzMirror:
		return refuse(1, "%s%s and new vdev is %s", bad, a, b)
	case a != b:
		return nil
	case pa != pb:
		return refuse(1, "%s%d device parity and new vdev uses %d", bad, pa, pb)
	case na != nb:
		return refuse(1, "%s%d-way %s and new vdev uses %d-way %s", bad, na, a, nb, b)
	}
	return nil
}
