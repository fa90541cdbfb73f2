package dataset

import (
	"path"
	"strconv"
	"strings"

	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// same tells whether the declared canonical value is what the dataset has. altroot is where the pool is
// imported, "" for /.
func same(name, declared string, have *state.Dataset, on spec.DatasetType, altroot string) bool {
	p, ok := have.Properties[name]
	if !ok {
		return false
	}
	switch {
	case name == "refreservation" && declared == "auto":
		return autoReserved(have)
	case name == "mountpoint" && path.IsAbs(declared):
		return path.Join("/", altroot, declared) == p.Value
	case strings.HasSuffix(strings.SplitN(name, "@", 2)[0], "objquota"): // none reads back as 0
		return unlimited(declared) && unlimited(p.Value) || spec.SameValue(name, declared, p.Value, on)
	}
	return spec.SameValue(name, declared, p.Value, on)
}

// autoReserved: ZFS answers auto with the bytes it computed, which depend on the vdevs; whatever covers the
// volume is what it took auto for.
func autoReserved(have *state.Dataset) bool {
	reserved, size := bytesOf(have.Properties["refreservation"].Value), bytesOf(have.Properties["volsize"].Value)
	return reserved > 0 && reserved >= size
}

// unlimited are the values with which a quota or limit binds nobody.
func unlimited(v string) bool {
	return v == "" || v == "0" || v == "none" || v == "-" || v == strconv.FormatUint(1<<64-1, 10)
}

// lower tells whether a quota or limit binds more than it did.
func lower(from, to string) bool {
	if unlimited(to) {
		return false
	}
	return unlimited(from) || bytesOf(to) < bytesOf(from)
}

// bytesOf is 0 where the text is no number.
func bytesOf(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// isLimit tells whether a property bounds what may be stored.
func isLimit(name string) bool {
	switch name {
	case "quota", "refquota", "filesystem_limit", "snapshot_limit":
		return true
	}
	return spec.IsUserQuota(name) || strings.HasPrefix(name, "default") && strings.HasSuffix(name, "quota")
}

// ofType is the type as zfs names it.
func ofType(have *state.Dataset) spec.DatasetType {
	if have.Type == "volume" {
		return spec.Volumes
	}
	return spec.Filesystems
}
