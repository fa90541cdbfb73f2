package spec

import (
	"path"
	"strings"
)

func (l *loader) pool(name string, c cursor) *Pool {
	if _, err := ParsePoolName(name); err != nil {
		c.badKey("%v", err).want("a pool's name", "tank")
		return nil
	}
	p := &Pool{
		Name: PoolName(name), Pos: c.key,
		Vdevs:         c.get("vdevs").vdevs(),
		Special:       c.get("special").vdevs(),
		Log:           c.get("log").vdevs(),
		Dedup:         c.get("dedup").vdevs(),
		Cache:         c.get("cache").devices(),
		Spare:         c.get("spare").devices(),
		Properties:    c.get("properties").properties(PoolProps),
		Compatibility: c.get("compatibility").text(),
		Scrub:         c.get("scrub").recur(),
		Trim:          c.get("trim").recur(),
		Capacity: Capacity{
			Warn:     c.get("capacity").get("warn").percent(defaultWarn),
			Critical: c.get("capacity").get("critical").percent(defaultCritical),
		},
		Remove:    c.get("remove").devices(),
		Removable: c.get("removable").flag(false),
	}
	if p.Capacity.Warn > p.Capacity.Critical {
		c.get("capacity").badKey("warn (%d%%) is above critical (%d%%)", p.Capacity.Warn, p.Capacity.Critical)
	}
	c.checkTopology(p)
	return p
}

// checkTopology has the rules of zpool on what may stand beside what.
func (c cursor) checkTopology(p *Pool) {
	if vdevs := c.get("vdevs"); vdevs.there() && vdevs.n.kind == listNode && len(vdevs.n.items) == 0 {
		vdevs.badKey("a pool needs at least one vdev").Expected = "a vdev, or no vdevs at all where the pool exists and its topology is not managed"
	}
	for _, key := range []string{"special", "log", "dedup", "cache", "spare"} {
		if g := c.get(key); g.there() && len(p.Vdevs) == 0 && !c.get("vdevs").there() {
			g.badKey("%s without vdevs: the topology of this pool is not managed", key).Expected = "vdevs beside it"
		}
	}
	for _, v := range p.Log {
		if v.Type != "mirror" && v.Type != "stripe" && v.Type != "" {
			c.l.rule(v.Pos, join(c.path, "log"), "a log can't be %s", v.Type).Expected = "mirror or stripe (zpoolconcepts(7))"
		}
	}
}

func (c cursor) devices() []Device {
	var all []Device
	for _, d := range c.list() {
		all = append(all, d.device())
	}
	return all
}

func (c cursor) device() Device {
	text := c.text()
	if strings.ContainsAny(text, "\x00\n\t") {
		c.bad("the path of a device holds a control character").Expected = "an absolute path"
	}
	return Device{Path: path.Clean(text), Pos: c.n.pos}
}

func (c cursor) vdevs() []Vdev {
	var all []Vdev
	for _, v := range c.list() {
		if v.n.kind == mapNode {
			all = append(all, v.vdev())
		}
	}
	return all
}

func (c cursor) vdev() Vdev {
	names, values := c.entries()
	if len(names) != 1 {
		p := c.bad("%d layouts in one vdev", len(names))
		p.Expected, p.Example = "exactly one of stripe, mirror, raidz1 to raidz3, draid1 to draid3", "- mirror: [/dev/disk/by-id/ata-A, /dev/disk/by-id/ata-B]"
		return Vdev{Pos: c.n.pos}
	}
	v := Vdev{Type: VdevType(names[0]), Pos: values[0].key}
	in := values[0]
	if strings.HasPrefix(names[0], "draid") {
		v.Data, v.Spares = in.get("data").number(0), in.get("spares").number(0)
		in = in.get("devices")
	}
	if v.Devices = in.devices(); in.there() && in.n.kind == listNode {
		values[0].checkVdev(v)
	}
	return v
}

// parity is the redundancy of a raidz or draid by its last digit.
func (v *Vdev) parity() int {
	if d := v.Type[len(v.Type)-1]; d >= '1' && d <= '3' {
		return int(d - '0')
	}
	return 0
}

// minDevices follow get_parity and is_grouping in cmd/zpool/zpool_vdev.c.
func (v *Vdev) minDevices() int {
	switch {
	case v.Type == "mirror":
		return 2
	case strings.HasPrefix(string(v.Type), "raidz"):
		return v.parity() + 1
	case strings.HasPrefix(string(v.Type), "draid"):
		return max(v.Data, 1) + v.parity() + v.Spares
	}
	return 1
}

func (c cursor) checkVdev(v Vdev) {
	switch least := v.minDevices(); {
	case len(v.Devices) < least && v.parity() > 0 && v.Type[0] == 'd':
		c.badKey("%s has %d devices", v.Type, len(v.Devices)).Expected =
			plural(least, "device") + " or more: data, parity and spares together"
	case len(v.Devices) < least:
		c.badKey("%s has %s", v.Type, plural(len(v.Devices), "device")).Expected = plural(least, "device") + " or more"
	case len(v.Devices) > 255 && v.Type != "stripe":
		c.badKey("%s has %d devices", v.Type, len(v.Devices)).Expected = "at most 255"
	}
}
