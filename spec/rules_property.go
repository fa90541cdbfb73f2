package spec

import (
	"slices"
	"strconv"
)

// propertyRules are what ZFS refuses of several properties together.
func (l *loader) propertyRules(d *Dataset, path string) {
	path = join(path, "properties")
	l.textRules(d, path)
	l.limitRules(d, path)
	if p, ok := d.Properties["pbkdf2iters"]; ok && (d.Encryption == nil || d.Encryption.Format != "passphrase") {
		l.rule(p.Pos, join(path, "pbkdf2iters"), "pbkdf2iters without a passphrase").
			want("encryption: {format: passphrase} beside properties", "encryption: {format: passphrase}")
	}
}

// textRules: a normalised name must be UTF-8 (zfs_valid_proplist in lib/libzfs/libzfs_dataset.c).
func (l *loader) textRules(d *Dataset, path string) {
	form, utf8 := d.Properties["normalization"], d.Properties["utf8only"]
	if form.Value != "" && form.Value != "none" && utf8.Value == "off" {
		l.rule(utf8.Pos, join(path, "utf8only"), "utf8only is off, and normalization is %s (%s): ZFS refuses them together", form.Value, form.Pos).
			want("utf8only: on, or no normalization", "utf8only: on")
	}
}

// limitRules: ZFS reserves no more than its quota admits (dsl_dir_set_reservation_check,
// dsl_dataset_set_refquota_check).
func (l *loader) limitRules(d *Dataset, path string) {
	for _, pair := range [][2]string{{"reservation", "quota"}, {"refreservation", "refquota"}, {"refreservation", "quota"}} {
		least, most := d.Properties[pair[0]], d.Properties[pair[1]]
		a, _ := strconv.ParseUint(least.Value, 10, 64)
		b, _ := strconv.ParseUint(most.Value, 10, 64)
		if b != 0 && a > b {
			l.rule(least.Pos, join(path, pair[0]), "the %s %s is more than the %s %s (%s)", pair[0], quote(least.Text), pair[1], quote(most.Text), most.Pos).
				want("at most "+Size(b).String(), pair[0]+": "+Size(b).String())
		}
	}
}

// bootRules: a pool boots from a dataset of its own.
func (l *loader) bootRules(p *Pool) {
	boot, ok := p.Properties["bootfs"]
	if !ok || boot.Value == "" {
		return
	}
	name, err := ParseDatasetName(boot.Value)
	if err != nil || name.Pool() != p.Name {
		l.rule(boot.Pos, join("pools", string(p.Name))+".properties.bootfs", "%s is no dataset of the pool %s", quote(boot.Text), p.Name).
			want("a dataset of this pool", "bootfs: "+string(p.Name)+"/ROOT/debian")
	}
}

// mountWarnings: of two file systems with one mountpoint the later mount hides the other, or fails. Boot environments,
// which share theirs, are mounted by hand.
func (l *loader) mountWarnings() {
	taken := map[string]*Dataset{}
	for _, name := range l.spec.DatasetNames() {
		d := l.spec.Datasets[name]
		if d.Absent || slices.Contains([]string{"off", "noauto"}, d.Properties["canmount"].Value) {
			continue
		}
		at := l.mountpoint(name)
		if other := taken[at]; at != "" && other != nil {
			l.warn(d.Pos, join("datasets", string(name)), "is mounted at %s, and so is %s (%s)", quote(at), other.Name, other.Pos)
			continue
		}
		taken[at] = d
	}
}

// targetWarnings: what is declared of a replica is not done.
func (l *loader) targetWarnings() {
	here := map[DatasetName]*Replication{}
	for _, key := range sortedKeys(l.spec.Replications) {
		r := l.spec.Replications[key]
		if t := r.Target; t.Remote == "" && t.Dataset != "" {
			here[t.Dataset] = r
		}
	}
	for _, name := range l.spec.DatasetNames() {
		d := l.spec.Datasets[name]
		for up := name; up != "" && len(d.Properties) > 0; up = up.Parent() {
			if r := here[up]; r != nil {
				l.warn(d.Pos, join("datasets", string(name)), "is received only, from the replication %s (%s): its properties are not set", r.Name, r.Pos).
					want("receive.set of the replication", "receive: {set: {compression: zstd}}")
				break
			}
		}
	}
}
