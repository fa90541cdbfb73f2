package spec

func (h *HA) encode() block {
	b := block{}.opt("active", h.Active, nil)
	names := []string{}
	for _, d := range h.Datasets {
		names = append(names, string(d))
	}
	b.add("datasets", sortedWords(names))
	if v := h.VirtualAddress; v != nil {
		b.add("virtualAddress", block{}.opt("address", v.Address, "").opt("interface", v.Interface, ""))
	}
	var hooks []block
	for _, k := range h.Hooks {
		in := block{}.opt("unit", k.Unit, "")
		in.words("run", k.Run)
		hooks = append(hooks, in.opt("timeout", k.Timeout, defaultHook))
	}
	b.list("hooks", hooks)
	b.block("maxLag", block{}.opt("time", h.MaxLag.Time, Duration(0)).opt("bytes", h.MaxLag.Bytes, Size(0)))
	b.add("peers", entries(h.Peers, (*Peer).encode))
	b.block("heartbeat", block{}.opt("every", h.Heartbeat.Every, defaultBeat).opt("misses", h.Heartbeat.Misses, defaultMisses))
	b.block("fencing", encodeFencing(h.Fencing))
	if w := h.Watchdog; w != nil {
		b.add("watchdog", block{}.opt("device", w.Device, defaultWatchdog).opt("required", w.Required, false))
	}
	b = b.opt("startAlone", h.StartAlone, Duration(0)).opt("consistency", h.Consistency, "")
	b.block("failover", h.Failover.encode())
	return b
}

func (p *Peer) encode() block {
	return block{}.opt("address", p.Address, "").opt("identity", p.Identity, "").opt("remote", p.Remote, "")
}

func encodeFencing(fencing map[string][]FenceLevel) block {
	var b block
	for _, peer := range sortedKeys(fencing) {
		levels := make([]any, 0, len(fencing[peer]))
		for _, level := range fencing[peer] {
			if len(level) == 1 {
				levels = append(levels, level[0].encode())
				continue
			}
			devices := make([]any, 0, len(level))
			for _, d := range level {
				devices = append(devices, d.encode())
			}
			levels = append(levels, devices)
		}
		b.add(peer, levels)
	}
	return b
}

func (d *FenceDevice) encode() block {
	b := block{}.opt("agent", d.Agent, "")
	if len(d.Parameters) > 0 {
		var in block
		for _, k := range sortedKeys(d.Parameters) {
			in.add(k, anyText(d.Parameters[k]))
		}
		b.add("parameters", in)
	}
	return b.opt("secretFile", d.SecretFile, "").opt("timeout", d.Timeout, defaultFence)
}

func (f *Failover) encode() block {
	b := block{}.opt("mode", f.Mode, defaultMode)
	if e := f.Etcd; e != nil {
		in := block{}
		in.add("endpoints", e.Endpoints)
		in.block("tls", block{}.opt("ca", e.CA, "").opt("cert", e.Cert, "").opt("key", e.Key, ""))
		b.add("etcd", in)
	}
	return b.opt("ttl", f.TTL, defaultTTL).opt("failsafe", f.Failsafe, false).opt("block", f.Block, defaultBlock)
}
