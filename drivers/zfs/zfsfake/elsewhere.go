package zfsfake

// place is where a mounted file system is mounted: at its mountpoint, or where it was left by `zfs set -u`.
func (p *Pool) place(name string) string {
	if at := p.Datasets[name].At; at != "" {
		return at
	}
	at, _ := p.mountpoint(name)
	return at
}

// stay runs what changes mountpoints and leaves what is mounted where it is, as `zfs set -u` does (2.2).
func (p *Pool) stay(change func()) {
	was := map[string]string{}
	for n, d := range p.Datasets {
		if d.Mounted {
			was[n] = p.place(n)
		}
	}
	change()
	for n, d := range p.Datasets {
		at := was[n]
		d.Mounted, d.At = at != "", ""
		if now, _ := p.mountpoint(n); d.Mounted && now != at {
			d.At = at
		}
	}
}
