package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"sort"
)

// Encode is the canonical YAML of the desired state: sorted, values in their canonical form, what is
// the default left out. Two configurations that mean the same are the same bytes; loading them gives
// the same Spec again. History shows differences of it, and import writes it.
func (s *Spec) Encode() []byte {
	var root block
	name := s.Node.Name
	if s.Node.Assumed {
		name = "" // the same files are the same generation wherever they are checked
	}
	root.block("node", block{}.
		opt("name", name, "").
		opt("timezone", s.Node.Timezone, defaultTimezone))
	root.block("daemon", s.Daemon.encode())
	root.block("pools", entries(s.Pools, (*Pool).encode))
	root.block("datasets", entries(s.Datasets, (*Dataset).encode))
	root.block("schedules", entries(s.Schedules, (*Schedule).encode))
	root.block("remotes", entries(s.Remotes, (*Remote).encode))
	root.block("replications", entries(s.Replications, (*Replication).encode))
	if s.HA != nil {
		root.add("ha", s.HA.encode())
	}
	return root.yaml()
}

func (s *Spec) generation() string {
	sum := sha256.Sum256(s.Encode())
	return hex.EncodeToString(sum[:])
}

func (d *Daemon) encode() block {
	limits := block{}.opt("destroys", d.Limits.Destroys, 0).opt("changes", percent(d.Limits.Changes), percent(defaultChanges))
	b := block{}.
		opt("interval", d.Interval, defaultInterval).
		opt("apply", d.Apply, defaultApply)
	b.block("limits", limits)
	return b.opt("trash", d.Trash, defaultTrash).
		opt("listen", d.Listen, defaultListen).
		opt("runtime", d.Runtime, DefaultRuntime).
		opt("database", d.Database, defaultDatabase)
}

func (p *Pool) encode() block {
	var b block
	for _, g := range []struct {
		key   string
		vdevs []Vdev
	}{{"vdevs", p.Vdevs}, {"special", p.Special}, {"log", p.Log}, {"dedup", p.Dedup}} {
		var list []block
		for _, v := range g.vdevs {
			list = append(list, v.encode())
		}
		b.list(g.key, list)
	}
	b.words("cache", paths(p.Cache))
	b.words("spare", paths(p.Spare))
	b.properties("properties", p.Properties)
	b = b.opt("compatibility", p.Compatibility, "")
	b.recur("scrub", p.Scrub)
	b.recur("trim", p.Trim)
	b.block("capacity", block{}.
		opt("warn", percent(p.Capacity.Warn), percent(defaultWarn)).
		opt("critical", percent(p.Capacity.Critical), percent(defaultCritical)))
	b.words("remove", paths(p.Remove))
	return b.opt("removable", p.Removable, false)
}

func (v *Vdev) encode() block {
	var b block
	if v.Data == 0 && v.Spares == 0 && v.Type[0] != 'd' {
		b.words(string(v.Type), paths(v.Devices))
		return b
	}
	in := block{}.opt("data", v.Data, 0).opt("spares", v.Spares, 0)
	in.words("devices", paths(v.Devices))
	b.add(string(v.Type), in)
	return b
}

func paths(devices []Device) []string {
	var all []string
	for _, d := range devices {
		all = append(all, d.Path)
	}
	return all
}

func (d *Dataset) encode() block {
	var b block
	b.properties("properties", d.Properties)
	if s := d.Snapshots; s != nil && s.Before == nil && s.After == nil {
		b.add("snapshots", s.Schedule)
	} else if s != nil {
		b.add("snapshots", s.encode())
	}
	if d.Allow != nil {
		var allow block
		for _, who := range sortedKeys(d.Allow) {
			allow.add(who, d.Allow[who])
		}
		b.add("allow", allow)
	}
	if v := d.Volume; v != nil {
		volume := block{}.opt("size", v.Size, nil).opt("blockSize", v.BlockSize, Size(0))
		if v.Sparse != nil { // false is a word of its own: it reserves what was sparse
			volume.add("sparse", *v.Sparse)
		}
		b.add("volume", volume)
	}
	b = b.opt("origin", string(d.Origin), "")
	if e := d.Encryption; e != nil {
		b.add("encryption", block{}.opt("format", e.Format, "").opt("keyFile", e.KeyFile, ""))
	}
	return b.opt("absent", d.Absent, false).opt("renamedFrom", string(d.Renamed), "")
}

func (s *Snapshots) encode() block {
	b := block{}.opt("schedule", s.Schedule, nil)
	if h := s.Before; h != nil {
		b.add("before", h.encode().opt("onFailure", h.OnFailure, defaultOnFailure))
	}
	if h := s.After; h != nil {
		b.add("after", h.encode())
	}
	return b
}

func (h *Hook) encode() block {
	var b block
	b.add("run", h.Run)
	return b.opt("timeout", h.Timeout, defaultHook)
}

func (s *Schedule) encode() block {
	var b block
	b.keep("keep", s.Keep)
	return b.opt("frequentPeriod", s.FrequentPeriod, defaultFrequent).
		opt("at", s.At, defaultAt).
		opt("weekday", s.Weekday, defaultWeekday).
		opt("monthday", s.Monthday, defaultMonthday).
		opt("month", s.Month, defaultMonth).
		opt("timezone", s.Timezone, "").
		opt("skipEmpty", s.SkipEmpty, false).
		opt("format", s.Format, "").
		opt("maxPrune", percent(s.MaxPrune), percent(defaultMaxPrune))
}

func (r *Remote) encode() block {
	return block{}.opt("host", r.Host, "").
		opt("port", r.Port, defaultPort).
		opt("user", r.User, "").
		opt("identityFile", r.IdentityFile, "").
		opt("hostKey", r.HostKey, "")
}

func (r *Replication) encode() block {
	b := block{}.
		opt("source", r.Source.encode(), nil).
		opt("target", r.Target.encode(), nil).
		opt("recursive", r.Recursive, false)
	b.words("exclude", r.Exclude)
	b.words("snapshots", r.Snapshots)
	b.when(r.When)
	b = b.opt("objective", r.Objective, Duration(0)).opt("rateLimit", r.RateLimit, Size(0))
	send := block{}.opt("compressed", r.Send.Compressed, true)
	if r.Send.Raw == "true" || r.Send.Raw == "false" {
		send.add("raw", r.Send.Raw == "true")
	}
	b.block("send", send.opt("largeBlocks", r.Send.LargeBlocks, true))
	var receive block
	receive.properties("set", r.Receive.Set)
	receive.words("exclude", r.Receive.Exclude)
	b.block("receive", receive)
	b.keep("keep", r.Keep)
	return b
}

func (e *End) encode() any {
	switch {
	case e.Standby:
		return standby
	case e.Remote == "":
		return string(e.Dataset)
	}
	return block{}.opt("remote", e.Remote, nil).opt("dataset", string(e.Dataset), nil)
}

func (b *block) when(w When) {
	switch {
	case w.Manual:
		b.add("when", block{}.opt("manual", true, nil))
	case w.Recur != nil:
		b.recur("when", w.Recur)
	}
}

func (b *block) recur(key string, r *Recur) {
	if r == nil {
		return
	}
	b.add(key, block{}.opt("every", r.Every, Duration(0)).
		opt("daily", r.Daily, "").
		opt("weekly", r.Weekly, "").
		opt("monthly", r.Monthly, "").
		opt("cron", r.Cron, "").
		opt("timezone", r.Timezone, "").
		opt("window", r.Window, ""))
}

func (b *block) keep(key string, keep map[string]int) {
	if keep == nil {
		return
	}
	in := block{}
	for _, p := range periods {
		in = in.opt(p.name, keep[p.name], 0)
	}
	b.add(key, in)
}

// properties that are declared as none are not the same as nothing said of them.
func (b *block) properties(key string, m map[string]Property) {
	if m == nil {
		return
	}
	in := make(block, 0, len(m))
	for _, name := range sortedKeys(m) {
		in.add(name, anyText(m[name].Value))
	}
	b.add(key, in)
}

func entries[K ~string, V any](m map[K]*V, one func(*V) block) block {
	b := make(block, 0, len(m))
	for _, k := range sortedKeys(m) {
		b.add(string(k), one(m[k]))
	}
	return b
}

func sortedWords(in []string) []string {
	out := append([]string(nil), in...)
	sort.Strings(out)
	return out
}
