package zfsfake

import (
	"bufio"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/dplaneos/dplane/spec"
)

// receiving is one `zfs receive`.
type receiving struct {
	target  string
	save    bool // -s
	mount   bool
	set     []assignment
	without []string
	kind    string // how it calls its stream
}

// zfsReceive is `zfs receive [-su] [-o PROP=VALUE]... [-x PROP]... TARGET` and `zfs receive -A TARGET`.
func (k *call) zfsReceive(args []string) int {
	opts, operands, ok := getopt(args, "suAo:x:")
	if !ok || len(operands) != 1 {
		return k.usage()
	}
	target := operands[0]
	if opts.has('A') {
		return k.discard(target)
	}
	set, r := assignments(opts['o'])
	if r == nil {
		r = twice(set, opts['x'])
	}
	if r != nil {
		return k.fail(2, "%s\nusage:\n\treceive ...", r.text)
	}
	rc := &receiving{target: target, save: opts.has('s'), mount: !opts.has('u'), set: set, without: opts['x']}
	in := bufio.NewReader(k.stdin)
	for n := 0; ; n++ {
		g, came, err := readSegment(in)
		switch {
		case err == io.EOF && n > 0:
			return 0
		case errors.Is(err, errGarbage):
			return k.fail(1, "cannot receive: %v", err)
		case err != nil:
			return k.fail(1, "cannot receive: %v", errNothing)
		}
		if code := k.receive(rc, g, came); code != 0 {
			return code
		}
		k.TXG++ // each snapshot in a transaction group of its own
	}
}

func twice(set []assignment, without []string) *refusal {
	for i, x := range without {
		if slices.Contains(without[:i], x) || slices.ContainsFunc(set, func(a assignment) bool { return a.name == x }) {
			return refuse(2, "property '%s' specified multiple times", x)
		}
	}
	return nil
}

// receive takes one snapshot's stream, of which so many bytes came.
func (k *call) receive(rc *receiving, g *segment, came uint64) int {
	name := rc.target + g.To[strings.Index(g.To, "@"):]
	p, d := k.dataset(rc.target)
	var r *refusal
	switch {
	case g.Done > 0:
		rc.kind = "resume stream"
		r = k.refusesResume(rc, d, g)
	case g.FromGUID == "":
		rc.kind = "new filesystem stream"
		p, r = k.refusesNew(rc, d, g)
	default:
		rc.kind = "incremental stream"
		if d != nil && d.has(name[len(rc.target)+1:], g.ToGUID) && d.Partial == nil {
			return 0 // it is here: the stream is read and left
		}
		r = k.refusesNext(rc, p, d, g, name)
	}
	if r == nil {
		r = k.refusesUser(rc, p, d == nil)
	}
	if r == nil {
		r = k.refusesProperties(rc, g)
	}
	if r != nil {
		return k.refused(r)
	}
	if !k.write(p) {
		return 0
	}
	return k.store(rc, p, g, came, name)
}

func (rc *receiving) refuse(format string, args ...any) *refusal {
	return refuse(1, "cannot receive "+rc.kind+": "+format, args...)
}

func (rc *receiving) refusePart() *refusal {
	return rc.refuse("destination %s contains partially-complete state from \"zfs receive -s\".", rc.target)
}

const (
	upgraded = "kernel modules must be upgraded to receive this stream."
	ivset    = "IV set guid mismatch. See the 'zfs receive' man page section\n discussing the limitations of raw encrypted send streams."
	rawPlain = "cannot perform raw receive on top of existing unencrypted dataset"
	keyless  = "inherited key must be loaded"
)

// refusesNew says why a full stream can't be received.
func (k *call) refusesNew(rc *receiving, d *Dataset, g *segment) (*Pool, *refusal) {
	up := parent(rc.target)
	p, above := k.dataset(up)
	switch {
	case d != nil:
		return nil, rc.refuse("destination '%s' exists\nmust specify -F to overwrite it", rc.target)
	case up == "" || above == nil:
		return nil, refuse(1, "cannot open '%s': dataset does not exist\ncannot receive %s: unable to restore to destination", parentOr(rc.target), rc.kind)
	case above.Volume:
		return nil, rc.refuse("parent '%s' is not a filesystem", up)
	case checkName(rc.target) != nil:
		return nil, rc.refuse(upgraded)
	case g.Raw:
		return p, nil
	case p.locked(up):
		return nil, rc.refuse(keyless)
	case g.Embedded && p.encryptionRoot(up) != "":
		return nil, rc.refuse("incompatible embedded data stream feature with encrypted receive.")
	}
	return p, nil
}

func parentOr(name string) string {
	if up := parent(name); up != "" {
		return up
	}
	return name
}

// refusesNext says why an incremental stream can't be received, in the order in which the kernel looks
// (recv_begin_check_existing_impl in module/zfs/dmu_recv.c).
func (k *call) refusesNext(rc *receiving, p *Pool, d *Dataset, g *segment, name string) *refusal {
	if d == nil {
		return rc.refuse("destination '%s' does not exist", rc.target)
	}
	if d.Partial != nil {
		return rc.refusePart()
	}
	if _, _, s := k.snapshot(name); s != nil {
		return refuse(1, "cannot restore to %s: destination already exists", name)
	}
	at := slices.IndexFunc(d.Snapshots, func(s Snapshot) bool { return s.GUID == g.FromGUID })
	if at < 0 {
		return rc.refuse("most recent snapshot of %s does not\nmatch incremental source", rc.target)
	}
	encrypted := p.encryptionRoot(rc.target) != ""
	switch from := &d.Snapshots[at]; {
	case d.Written != from.Total, g.Raw && at != len(d.Snapshots)-1:
		return rc.refuse("destination %s has been modified\nsince most recent snapshot", rc.target)
	case g.Raw && !encrypted:
		return rc.refuse(rawPlain)
	case g.Raw && d.ivset(from) != g.FromIVSet:
		return rc.refuse(ivset)
	case !g.Raw && encrypted && p.locked(rc.target):
		return rc.refuse(keyless)
	case d.Large && !g.Large:
		return rc.refuse("incremental send stream requires -L (--large-block), to match previous receive.")
	}
	return nil
}

func (k *call) refusesResume(rc *receiving, d *Dataset, g *segment) *refusal {
	switch {
	case d == nil:
		return rc.refuse("destination '%s' does not exist", rc.target)
	case d.Partial != nil && d.Partial.Busy:
		return rc.refusePart()
	case d.Partial == nil && g.FromGUID == "":
		return rc.refuse("Resuming recv on existing destination '%s'\nmust specify -F to overwrite it", rc.target)
	case d.Partial == nil || d.Partial.ToGUID != g.ToGUID || d.Partial.FromGUID != g.FromGUID || d.Partial.Bytes != g.Done:
		return rc.refuse(upgraded)
	case g.Raw && !d.Partial.Raw:
		return rc.refuse(rawPlain)
	case g.LargeBlocks != d.Partial.LargeBlocks || g.Compressed != d.Partial.Compressed || g.Raw != d.Partial.Raw:
		return rc.refuse(upgraded)
	}
	return nil
}

// refusesProperties says which of -o and -x do not fit. One of the other type can be excluded, with a warning.
func (k *call) refusesProperties(rc *receiving, g *segment) *refusal {
	kind, other := spec.Filesystems, spec.Volumes
	if g.Volume {
		kind, other = other, kind
	}
	unfit := func(name string) bool {
		n, known := findNative(name)
		return known && n.on&kind == 0 && n.on&other != 0
	}
	for i, a := range rc.set {
		value, r := k.check(a, kind, true)
		switch {
		case slices.Contains([]string{"volsize", "version", "normalization", "casesensitivity", "utf8only"}, a.name), r != nil && strings.HasPrefix(r.text, "invalid property"):
			return refuse(1, "cannot receive: cannot receive: invalid property '%s'", a.name)
		case unfit(a.name):
			return rc.refuse("property '%s' does not apply to datasets of this type", a.name)
		case r != nil:
			return rc.refuse("%s\ncannot receive %s: invalid property value", r.text, rc.kind)
		case g.Raw && strings.Contains("encryption keyformat keylocation pbkdf2iters", a.name):
			return rc.refuse("encryption property '%s' cannot be set or excluded for raw streams.", a.name)
		}
		rc.set[i].value = value
	}
	for _, x := range rc.without {
		if unfit(x) {
			k.fail(0, "Warning: %s: property '%s' does not apply to datasets of this type", rc.target, x)
		}
	}
	return nil
}

// has tells whether the dataset has that snapshot under that name.
func (d *Dataset) has(snap, guid string) bool {
	return slices.ContainsFunc(d.Snapshots, func(s Snapshot) bool { return s.Name == snap && s.GUID == guid })
}

// discard is `zfs receive -A`: a dataset that an interrupted receive made goes as a whole.
func (k *call) discard(name string) int {
	p, d := k.dataset(name)
	switch {
	case d == nil:
		return k.fail(2, "cannot open '%s': dataset does not exist\nusage:\n\treceive -A <filesystem|volume>", name)
	case d.Partial == nil:
		return k.fail(1, "'%s' does not have any resumable receive state to abort", name)
	case d.Partial.Busy:
		return k.fail(1, "cannot destroy '%s': dataset is busy", name+strings.Repeat("/%recv", map[bool]int{false: 1}[d.Partial.Fresh]))
	}
	if k.write(p) {
		if d.Partial.Fresh {
			p.remove(name)
		}
		d.Partial = nil
	}
	return 0
}

// pkill ends the processes that wait for the rest of a stream, by the pattern that their whole line fits.
func (k *call) pkill() int {
	fits, err := regexp.CompilePOSIX("^(" + k.argv[len(k.argv)-1] + ")$")
	if err != nil || !slices.Equal(k.argv[1:len(k.argv)-1], []string{"-TERM", "-x", "-f", "--"}) {
		return k.fail(2, "pkill: this model knows -TERM -x -f -- PATTERN alone")
	}
	code := 1
	k.each(func(_ *Pool, name string, d *Dataset) {
		if d.Partial != nil && d.Partial.Busy && fits.MatchString("zfs receive -s -u -o readonly=on "+name) {
			d.Partial.Busy, code = false, 0
		}
	})
	return code
}

// Hang leaves a process at what was received in part into a dataset, which waits for the rest, after so many bytes more.
func (f *Fake) Hang(name string, bytes uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, d := f.Model.dataset(name)
	d.Partial.Busy = true
	d.Partial.Bytes += bytes
}
