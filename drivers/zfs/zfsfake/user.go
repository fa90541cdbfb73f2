package zfsfake

import (
	"slices"

	"github.com/dplaneos/dplane/spec"
)

// may tells whether who runs zfs has this right on a dataset, which need not be there yet.
func (k *call) may(p *Pool, name, perm string) bool {
	if k.User == "" {
		return true
	}
	has := func(grants map[string][]string) bool {
		return slices.Contains(grants["user "+k.User], perm) || slices.Contains(grants["everyone"], perm)
	}
	if d := p.Datasets[name]; d != nil && has(d.AllowHere) {
		return true
	}
	for up := parent(name); up != ""; up = parent(up) {
		if d := p.Datasets[up]; d != nil && has(d.AllowBelow) {
			return true
		}
	}
	return false
}

// refusesUser says why an ordinary user may not receive at all.
func (k *call) refusesUser(rc *receiving, p *Pool, fresh bool) *refusal {
	need := []string{"receive"}
	if fresh {
		need = []string{"receive", "create", "mount"}
	}
	for _, perm := range need {
		if !k.may(p, rc.target, perm) {
			return rc.refuse("permission denied")
		}
	}
	return nil
}

// maySet tells whether a property of -o is set. Where it may not be the stream is received all the same, and the status is 0.
func (k *call) maySet(p *Pool, rc *receiving, name string) bool {
	perm := name
	if spec.IsUserProperty(name) {
		perm = "userprop"
	}
	if k.may(p, rc.target, perm) {
		return true
	}
	k.fail(0, "cannot receive %s property on %s: permission denied", name, rc.target)
	return false
}

// mayLeaveOut says the same of a property of -x, which is set to what is inherited; one that can't be is left alone.
func (k *call) mayLeaveOut(p *Pool, rc *receiving, g *segment, name string) {
	kind := spec.Filesystems
	if g.Volume {
		kind = spec.Volumes
	}
	_, local := p.Datasets[rc.target].Local[name]
	n, known := findNative(name)
	if local || known && n.on&kind == 0 || inheritable(name, false) != nil {
		return
	}
	k.maySet(p, rc, name)
}
