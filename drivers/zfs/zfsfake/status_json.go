package zfsfake

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// object writes a JSON object whose keys keep their order, as zpool's do.
type object struct{ fields []string }

func (o *object) put(key string, value any) {
	text, err := json.Marshal(value)
	if raw, ok := value.(*object); ok {
		text, err = []byte(raw.String()), nil
	}
	if err != nil {
		panic(err) // plain data always marshals
	}
	o.fields = append(o.fields, fmt.Sprintf("%q:%s", key, text))
}

func (o *object) String() string { return "{" + strings.Join(o.fields, ",") + "}" }

// number puts a guid, which the model keeps as text.
func (o *object) number(key, digits string) { o.put(key, json.RawMessage(digits)) }

// statusJSON is `zpool status -j --json-int -P [-t]`.
func (k *call) statusJSON(pools []*Pool, trim bool) {
	version, all, doc := &object{}, &object{}, &object{}
	version.put("command", "zpool status")
	version.put("vers_major", 0)
	version.put("vers_minor", 1)
	for _, p := range pools {
		all.put(p.Name, k.poolJSON(p, trim))
	}
	doc.put("output_version", version)
	doc.put("pools", all)
	k.printf("%s\n", doc)
}

func (k *call) poolJSON(p *Pool, trim bool) *object {
	o := &object{}
	o.put("name", p.Name)
	o.put("state", p.health())
	o.number("pool_guid", p.GUID)
	if p.Suspended {
		o.put("status", "One or more devices are faulted in response to IO failures.\n")
	}
	if k.lacksFeatures(p) {
		o.put("status", "Some supported and requested features are not enabled on the pool.\n\tThe pool can still be used, but some features are unavailable.\n")
	}
	p.workJSON(o)
	root, tree := &object{}, &object{}
	root.put("name", p.Name)
	root.put("vdev_type", "root")
	root.number("guid", p.GUID)
	root.put("class", "normal")
	root.put("state", p.health())
	root.put("vdevs", k.jsonVdevs(p.Vdevs, "", trim))
	tree.put(p.Name, root)
	o.put("vdevs", tree)
	for _, c := range []struct{ class, key string }{{"dedup", "dedup"}, {"special", "special"}, {"log", "logs"}, {"cache", "l2cache"}, {"spare", "spares"}} {
		if slices.ContainsFunc(p.Vdevs, func(v Vdev) bool { return v.Class == c.class }) {
			o.put(c.key, k.jsonVdevs(p.Vdevs, c.class, trim))
		}
	}
	o.put("error_count", p.Errors)
	return o
}

func (p *Pool) workJSON(o *object) {
	if s := p.Scan; s != nil {
		w := &object{}
		w.put("function", s.Function)
		w.put("state", s.State)
		w.put("start_time", s.at())
		w.put("end_time", uint64(s.at())*flag(s.State != "SCANNING"))
		for _, f := range []struct {
			key   string
			value uint64
		}{{"to_examine", s.Total}, {"examined", s.Done}, {"skipped", 0}, {"processed", s.Done}, {"errors", s.Errors}, {"bytes_per_scan", 0}, {"pass_start", uint64(s.at())},
			{"scrub_pause", flag(s.Paused) * uint64(s.at())}, {"scrub_spent_paused", 0}, {"issued_bytes_per_scan", s.Done}, {"issued", s.Done}} {
			w.put(f.key, f.value)
		}
		o.put("scan_stats", w)
	}
	p.Removal.json(o, "removal_stats", "removing_vdev", "to_copy", "copied")
	p.Expansion.json(o, "raidz_expand_stats", "expanding_vdev", "to_reflow", "reflowed")
	if p.Checkpoint {
		c := &object{}
		c.put("state", "EXISTS")
		c.put("start_time", epoch)
		c.put("space", 0)
		o.put("checkpoint_stats", c)
	}
}

func (c *Copying) json(o *object, key, vdev, total, done string) {
	if c == nil {
		return
	}
	w := &object{}
	w.put("name", c.Name)
	w.put("state", c.State)
	w.put(vdev, c.Index)
	w.put("start_time", epoch)
	w.put("end_time", ended(c.State))
	w.put(total, c.Bytes)
	w.put(done, c.Bytes*uint64(flag(c.State == "FINISHED")))
	o.put(key, w)
}

func ended(state string) uint64 { return epoch * flag(state != "SCANNING") }

func flag(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func (k *call) jsonVdevs(vdevs []Vdev, class string, trim bool) *object {
	o := &object{}
	for _, v := range vdevs {
		if v.Class == class {
			o.put(v.shown(false), k.vdevJSON(v, trim))
		}
	}
	return o
}

func (k *call) vdevJSON(v Vdev, trim bool) *object {
	o := &object{}
	o.put("name", v.shown(false))
	o.put("vdev_type", v.kind())
	o.number("guid", v.GUID)
	if len(v.Children) == 0 {
		o.put("path", v.Name)
	}
	state := v.state()
	switch state {
	case "UNAVAIL":
		state = "CANT_OPEN"
	case "INUSE":
		o.put("aux", "SPARED")
	}
	o.put("state", state)
	for _, e := range []string{"read", "write", "checksum"} {
		n := uint64(0)
		if e == "checksum" {
			n = v.Checksum
		}
		o.put(e+"_errors", n)
	}
	if v.gone() {
		o.put("not_present", 1)
		o.put("was", v.Name)
	}
	if v.Faulted {
		o.put("aux", "EXTERNAL")
	}
	if trim && len(v.Children) == 0 {
		k.trimJSON(v, o)
	}
	if len(v.Children) > 0 {
		o.put("vdevs", k.jsonVdevs(v.Children, "", trim))
	}
	return o
}
