package zfsfake

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// base is what an incremental stream begins at: a snapshot or a bookmark.
type base struct {
	name, guid string // the whole name
	txg, total uint64
	created    int64
	ivset      string
	bookmark   bool
}

// zfsSend is `zfs send [-nPvwLce] [-i|-I FROM] SNAPSHOT` and `zfs send [-nPvwLce] -t TOKEN`.
func (k *call) zfsSend(args []string) int {
	opts, operands, ok := getopt(args, "nPvwLcei:I:t:")
	if !ok || len(operands) != map[bool]int{true: 0, false: 1}[opts.has('t')] {
		return k.usage()
	}
	if opts.has('t') {
		return k.resumeSend(opts, opts.last('t', ""))
	}
	name := operands[0]
	of, _, isSnap := strings.Cut(name, "@")
	p, d, s := k.snapshot(name)
	switch {
	case !isSnap && p == nil:
		if _, d, code := k.open(name); d == nil {
			return code
		}
		return k.fail(1, "warning: cannot send '%s': Invalid argument", name)
	case s == nil:
		return k.fail(1, "cannot open '%s': dataset does not exist", name)
	}
	from, code := k.from(p, of, name, opts)
	if code != 0 {
		return code
	}
	all, code := k.segments(p, of, s, from, opts)
	if code != 0 {
		return code
	}
	return k.send(p, of, d, all, opts)
}

// from finds the base that -i or -I names; nil where there is none.
func (k *call) from(p *Pool, of, name string, opts options) (*base, int) {
	word := opts.last('i', opts.last('I', ""))
	if word == "" {
		return nil, 0
	}
	if word[0] == '@' || word[0] == '#' {
		word = of + word
	}
	b := k.base(word)
	switch {
	case strings.Contains(word, "#") && opts.has('I'):
		return nil, k.fail(1, "Error: multiple snapshots cannot be sent from a bookmark.")
	case b == nil && strings.Contains(word, "#"):
		return nil, k.fail(1, "warning: cannot send '%s': No such process", name)
	case b == nil:
		return nil, k.fail(1, "cannot open '%s': dataset does not exist", word)
	}
	_, d, s := k.snapshot(name)
	if origin := d.Origin == b.guid; b.txg >= s.TXG || !strings.HasPrefix(word, of+"@") && !strings.HasPrefix(word, of+"#") && !origin {
		if b.bookmark {
			return nil, k.fail(1, "warning: cannot send '%s': Invalid cross-device link", name)
		}
		return nil, k.fail(1, "warning: cannot send '%s': not an earlier snapshot from the same fs", name)
	}
	if d.Origin == b.guid { // a clone counts from there
		b.total = 0
	}
	return b, 0
}

func (m *Model) base(name string) *base {
	if _, d, s := m.snapshot(name); s != nil {
		return &base{name: name, guid: s.GUID, txg: s.TXG, total: s.Total, created: s.created(), ivset: d.ivset(s)}
	}
	of, mark, ok := strings.Cut(name, "#")
	_, d := m.dataset(of)
	if !ok || d == nil {
		return nil
	}
	if i := slices.IndexFunc(d.Bookmarks, func(b Bookmark) bool { return b.Name == mark }); i >= 0 {
		b := d.Bookmarks[i]
		return &base{name: name, guid: b.GUID, txg: b.TXG, total: b.Total, created: b.Creation, ivset: b.IVSet, bookmark: true}
	}
	return nil
}

// ivset tells apart what was encrypted by another key, or anew: a raw stream goes on only where it ended.
func (d *Dataset) ivset(s *Snapshot) string {
	if s.IVSet != "" {
		return s.IVSet
	}
	return s.GUID
}

// segments are what is to be sent: one snapshot, or with -I each after the base.
func (k *call) segments(p *Pool, of string, to *Snapshot, from *base, opts options) ([]*segment, int) {
	d := p.Datasets[of]
	var all []*segment
	for i := range d.Snapshots {
		s := &d.Snapshots[i]
		if s.GUID != to.GUID && (!opts.has('I') || from == nil || s.TXG <= from.txg || s.TXG > to.TXG) {
			continue
		}
		all = append(all, k.segment(p, of, s, from, opts))
		from = k.base(of + "@" + s.Name)
	}
	return all, 0
}

func (k *call) segment(p *Pool, of string, s *Snapshot, from *base, opts options) *segment {
	d := p.Datasets[of]
	raw, record := opts.has('w'), d.recordsize(k.Model, p, of)
	g := &segment{
		Magic: magic, To: of + "@" + s.Name, ToGUID: s.GUID, Creation: s.created(), Volume: d.Volume, Size: d.Local["volsize"],
		Fixed: map[string]string{}, Written: s.Total, Bytes: overhead + s.Total,
		Raw: raw && p.encryptionRoot(of) != "", Compressed: raw || opts.has('c'), LargeBlocks: raw || opts.has('L'), Embedded: opts.has('e'),
	}
	g.Large = g.LargeBlocks && (record > 131072 || d.Large)
	for n, v := range d.Fixed {
		if g.Raw || n != "encryption" && n != "keyformat" && n != "pbkdf2iters" {
			g.Fixed[n] = v
		}
	}
	if g.Raw {
		g.Key, g.IVSet = p.Datasets[p.encryptionRoot(of)].Key, d.ivset(s)
	}
	if from != nil {
		g.From, g.FromGUID, g.FromIVSet = from.name, from.guid, from.ivset
		g.Written, g.Bytes = s.Total-from.total, overhead+s.Total-from.total
	}
	return g
}

func (d *Dataset) recordsize(m *Model, p *Pool, name string) uint64 {
	v, _, _ := m.get(p, name, "recordsize")
	n, _ := strconv.ParseUint(v, 10, 64) // of a volume there is none
	return n
}

// created is when a snapshot was taken.
func (s *Snapshot) created() int64 {
	if s.Creation != 0 {
		return s.Creation
	}
	return int64(1795505725 + s.TXG)
}

// send tells what is to be sent, and sends it: all, or with the first of Model.Cuts no more than that.
func (k *call) send(p *Pool, of string, d *Dataset, all []*segment, opts options) int {
	var text strings.Builder
	var size uint64
	for _, g := range all {
		left := g.Bytes - g.Done
		size += left
		from := g.From
		if opts.has('I') {
			from = from[strings.Index(from, "@")+1:]
		}
		if g.FromGUID == "" {
			fmt.Fprintf(&text, "full\t%s\t%d\n", g.To, left)
		} else {
			fmt.Fprintf(&text, "incremental\t%s\t%s\t%d\n", from, g.To, left)
		}
	}
	fmt.Fprintf(&text, "size\t%d\n", size)
	if opts.has('n') {
		k.printf("%s", text.String())
		return 0
	}
	if opts.has('v') {
		k.err.WriteString(text.String())
	}
	if p.locked(of) && !opts.has('w') && !all[0].Raw {
		return k.fail(1, "warning: cannot send '%s': dataset key must be loaded", all[0].To)
	}
	most := size
	if len(k.Cuts) > 0 {
		if k.Cuts[0] > 0 {
			most = k.Cuts[0]
		}
		k.Cuts = k.Cuts[1:]
		k.spent = true
	}
	k.sent = min(most, size)
	for _, g := range all {
		if err := g.writeTo(&k.out, most); err != nil {
			return k.fail(1, "internal error: %v", err)
		}
		if opts.has('v') {
			fmt.Fprintf(&k.err, "%s\t%d\t%s\n", time.Unix(k.now(), 0).UTC().Format("15:04:05"), min(most, g.Bytes-g.Done), g.To)
		}
		if left := g.Bytes - g.Done; most < left {
			return k.fail(1, "warning: cannot send '%s': signal received", g.To)
		} else {
			most -= left
		}
	}
	return 0
}

// resumeSend goes on with what a token is of. The names may have changed: what counts are the guids.
func (k *call) resumeSend(opts options, token string) int {
	t, bad := parseToken(token)
	if bad != "" {
		return k.fail(255, "cannot resume send: resume token is corrupt (%s)", bad)
	}
	if opts.has('n') {
		k.printf("%s", t.contents())
	} else if opts.has('v') {
		k.err.WriteString(t.contents())
	}
	of, _, _ := strings.Cut(t.To, "@")
	p, d := k.dataset(of)
	var to *Snapshot
	if d != nil {
		if i := slices.IndexFunc(d.Snapshots, func(s Snapshot) bool { return s.GUID == t.ToGUID }); i >= 0 {
			to = &d.Snapshots[i]
		}
	}
	if to == nil {
		if _, _, other := k.snapshot(t.To); other != nil {
			return k.fail(255, "cannot resume send: '%s' is no longer the same snapshot used in the initial send", t.To)
		}
		return k.fail(255, "cannot resume send: '%s' used in the initial send no longer exists", t.To)
	}
	from := k.baseOf(of, d, t.FromGUID)
	if from == nil && t.FromGUID != "" && p.anywhere(t.FromGUID) { // it is taken for the base
		return k.fail(255, "cannot resume send: Invalid cross-device link")
	}
	if from == nil && t.FromGUID != "" {
		return k.fail(255, "cannot resume send: incremental source %s no longer exists", hexadecimal(t.FromGUID))
	}
	for flag, on := range map[byte]bool{'w': t.Raw, 'c': t.Compressed, 'L': t.LargeBlocks, 'e': t.Embedded} {
		if on {
			opts[flag] = nil
		}
	}
	g := k.segment(p, of, to, from, opts)
	g.Done = min(t.Bytes, g.Bytes)
	return k.send(p, of, d, []*segment{g}, opts)
}

// baseOf finds the base of that guid: a snapshot before a bookmark.
func (k *call) baseOf(of string, d *Dataset, guid string) *base {
	for _, s := range d.Snapshots {
		if s.GUID == guid {
			return k.base(of + "@" + s.Name)
		}
	}
	for _, b := range d.Bookmarks {
		if b.GUID == guid {
			return k.base(of + "#" + b.Name)
		}
	}
	return nil
}

// anywhere tells whether a dataset of the pool has a snapshot of this guid.
func (p *Pool) anywhere(guid string) bool {
	for _, d := range p.Datasets {
		if slices.ContainsFunc(d.Snapshots, func(s Snapshot) bool { return s.GUID == guid }) {
			return true
		}
	}
	return false
}
