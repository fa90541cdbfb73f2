package spec

import (
	"strconv"
	"strings"
)

// The tables follow module/zcommon/zfs_prop.c and zpool_prop.c of OpenZFS 2.1 to 2.4; a conformance
// test sets each value on the real one (drivers/zfs).
var (
	datasetProperties = byName(
		// what ZFS reports
		never("type creation used available referenced compressratio refcompressratio mounted origin "+
			"createtxg guid objsetid usedbysnapshots usedbydataset usedbychildren usedbyrefreservation written "+
			"logicalused logicalreferenced filesystem_count snapshot_count encryptionroot keystatus redacted "+
			"receive_resume_token redact_snaps snapshots_changed clones defer_destroy userrefs inconsistent "+
			"mlslabel"), // not on Linux: "mlslabels are unsupported"
		// what has a key of its own
		[]PropertyInfo{
			{Name: "volsize", On: datasets, Change: OwnKey, Local: true, Shape: Bytes, Instead: "volume: {size: 100G}"},
			{Name: "volblocksize", On: datasets, Change: OwnKey, Local: true, Shape: Bytes, Instead: "volume: {size: 100G, blockSize: 16K}"},
			{Name: "encryption", On: datasets, Change: OwnKey, Shape: Text, Instead: "encryption: {format: raw, keyFile: /path/of/key}"},
			{Name: "keyformat", On: datasets, Change: OwnKey, Shape: Text, Instead: "encryption: {format: raw, keyFile: /path/of/key}"},
			{Name: "keylocation", On: datasets, Change: OwnKey, Local: true, Shape: Text, Instead: "encryption: {format: raw, keyFile: /path/of/key}"},
			{Name: "version", On: datasets, Change: OwnKey, Local: true, Shape: Number, Instead: "zfs upgrade, by hand"},
		},
		// at creation only
		[]PropertyInfo{
			{Name: "casesensitivity", On: Filesystems, Change: AtCreation, Values: words("sensitive insensitive mixed"), Example: "sensitive"},
			{Name: "normalization", On: Filesystems, Change: AtCreation, Values: words("none formC formD formKC formKD"), Example: "formD"},
			{Name: "utf8only", On: Filesystems, Change: AtCreation, Shape: OnOff, Example: "on"},
			{Name: "pbkdf2iters", On: datasets, Change: AtCreation, Shape: Number, Min: 100000, Example: "350000"},
		},
		onOff(Filesystems, "atime relatime devices exec setuid nbmand vscan zoned overlay longname"),
		onOff(datasets, "readonly"),
		onOff(Volumes, "volthreading"),
		[]PropertyInfo{
			{Name: "aclinherit", On: Filesystems, Values: words("discard noallow restricted passthrough passthrough-x"), Alias: map[string]string{"secure": "restricted"}, Example: "passthrough"},
			{Name: "aclmode", On: Filesystems, Values: words("discard groupmask passthrough restricted"), Example: "passthrough"},
			{Name: "acltype", On: Filesystems, Values: words("off posix nfsv4"), Alias: map[string]string{"posixacl": "posix", "noacl": "off", "disabled": "off"}, Example: "posix"},
			{Name: "canmount", On: Filesystems, Local: true, Values: words("on off noauto"), Example: "noauto"},
			{Name: "checksum", On: datasets, Values: words("on off fletcher2 fletcher4 sha256 noparity sha512 skein edonr blake3"), Example: "sha256"},
			{Name: "compression", On: datasets, Values: compressions(), Alias: map[string]string{"gzip-6": "gzip", "zstd-fast-1": "zstd-fast"}, Example: "zstd"},
			{Name: "copies", On: datasets, Values: words("1 2 3"), Example: "2"},
			{Name: "dedup", On: datasets, Values: words("on off verify sha256 sha256,verify sha512 sha512,verify skein skein,verify edonr,verify blake3 blake3,verify"), Example: "off"},
			{Name: "direct", On: Filesystems, Values: words("disabled standard always"), Example: "standard"},
			{Name: "dnodesize", On: Filesystems, Values: words("legacy auto 1k 2k 4k 8k 16k"), Alias: map[string]string{"512": "legacy", "1024": "1k", "2048": "2k", "4096": "4k", "8192": "8k", "16384": "16k", "1K": "1k", "2K": "2k", "4K": "4k", "8K": "8k", "16K": "16k"}, Example: "auto"},
			{Name: "logbias", On: datasets, Values: words("latency throughput"), Example: "throughput"},
			{Name: "prefetch", On: datasets, Values: words("none metadata all"), Example: "metadata"},
			{Name: "primarycache", On: datasets, Values: words("none metadata all"), Example: "metadata"},
			{Name: "secondarycache", On: datasets, Values: words("none metadata all"), Example: "metadata"},
			{Name: "redundant_metadata", On: datasets, Values: words("all most some none"), Example: "most"},
			{Name: "snapdev", On: datasets, Values: words("hidden visible"), Example: "visible"},
			{Name: "snapdir", On: Filesystems, Values: words("hidden visible disabled"), Example: "visible"},
			{Name: "sync", On: datasets, Values: words("standard always disabled"), Example: "always"},
			{Name: "volmode", On: datasets, Values: words("default full geom dev none"), Alias: map[string]string{"geom": "full"}, Example: "dev"},
			{Name: "xattr", On: Filesystems, Values: words("on off sa dir"), Example: "sa"},

			{Name: "mountpoint", On: Filesystems, Shape: Path, Values: words("legacy none"), Example: "/srv/home"},
			{Name: "recordsize", On: Filesystems, Shape: Bytes, Min: 512, Max: 16 << 20, Power2: true, Example: "128K"},
			{Name: "special_small_blocks", On: datasets, Shape: Bytes, Max: 16 << 20, Example: "32K"},
			{Name: "quota", On: Filesystems, Shape: Bytes, Local: true, Example: "2T"},
			{Name: "refquota", On: Filesystems, Shape: Bytes, Local: true, Example: "2T"},
			{Name: "reservation", On: datasets, Shape: Bytes, Local: true, Example: "100G"},
			{Name: "refreservation", On: datasets, Shape: Bytes, Local: true, Values: words("auto"), Example: "100G"},
			{Name: "filesystem_limit", On: Filesystems, Shape: Count, Local: true, Example: "100"},
			{Name: "snapshot_limit", On: datasets, Shape: Count, Local: true, Example: "1000"},

			{Name: "sharenfs", On: Filesystems, Shape: Text, Alias: map[string]string{"true": "on", "false": "off"}, Example: "off"},
			{Name: "sharesmb", On: Filesystems, Shape: Text, Alias: map[string]string{"true": "on", "false": "off"}, Example: "off"},
			{Name: "context", On: datasets, Shape: Text, Example: "none"},
			{Name: "fscontext", On: datasets, Shape: Text, Example: "none"},
			{Name: "defcontext", On: datasets, Shape: Text, Example: "none"},
			{Name: "rootcontext", On: datasets, Shape: Text, Example: "none"},
		},
		defaultQuotas("defaultuserquota defaultgroupquota defaultprojectquota", Bytes),
		defaultQuotas("defaultuserobjquota defaultgroupobjquota defaultprojectobjquota", Count),
	)

	poolProperties = byName(
		onPool(never("allocated bcloneratio bclonesaved bcloneused capacity checkpoint dedupratio dedup_table_size "+
			"expandsize fragmentation free freeing guid health last_scrubbed_txg leaked load_guid size dedupcached dedupused dedupsaved")),
		[]PropertyInfo{
			{Name: "compatibility", On: PoolProps, Change: OwnKey, Shape: Text, Instead: "compatibility, beside properties"},
			{Name: "version", On: PoolProps, Change: OwnKey, Shape: Number, Instead: "zpool upgrade, by hand"},
			{Name: "readonly", On: PoolProps, Change: OwnKey, Shape: OnOff, Instead: "zpool import -o readonly=on, by hand"},
			{Name: "altroot", On: PoolProps, Change: OwnKey, Shape: Text, Instead: "zpool import -R, by hand"},
			{Name: "ashift", On: PoolProps, Shape: Number, Min: 9, Max: 16, Example: "12"},
			{Name: "bootfs", On: PoolProps, Shape: Text, Example: "rpool/ROOT/debian"},
			{Name: "cachefile", On: PoolProps, Shape: Path, Values: words("none"), Example: "none"},
			{Name: "comment", On: PoolProps, Shape: Text, Max: 32, Example: "the big one"}, // ZPROP_MAX_COMMENT,
			{Name: "dedup_table_quota", On: PoolProps, Shape: Bytes, Values: words("auto"), Example: "auto"},
			{Name: "failmode", On: PoolProps, Values: words("wait continue panic"), Example: "continue"},
		},
		onOff(PoolProps, "autoexpand autoreplace autotrim delegation listsnapshots multihost"),
	)
)

func byName(groups ...[]PropertyInfo) map[string]PropertyInfo {
	m := map[string]PropertyInfo{}
	for _, g := range groups {
		for _, p := range g {
			m[p.Name] = p
		}
	}
	return m
}

func never(names string) []PropertyInfo {
	var out []PropertyInfo
	for _, n := range words(names) {
		out = append(out, PropertyInfo{Name: n, On: datasets, Change: Never, Local: true, Shape: Text})
	}
	return out
}

func onPool(in []PropertyInfo) []PropertyInfo {
	for i := range in {
		in[i].On = PoolProps
	}
	return in
}

func onOff(on DatasetType, names string) []PropertyInfo {
	var out []PropertyInfo
	for _, n := range words(names) {
		out = append(out, PropertyInfo{Name: n, On: on, Shape: OnOff, Example: "on"})
	}
	return out
}

// defaultQuotas (2.4) bind every user, group or project that has no quota of its own.
func defaultQuotas(names string, shape Shape) []PropertyInfo {
	var out []PropertyInfo
	for _, n := range words(names) {
		p := PropertyInfo{Name: n, On: Filesystems, Local: true, Shape: shape, Example: "50G"}
		if shape == Count {
			p.Alias, p.Example = noObjects, "1000"
		}
		out = append(out, p)
	}
	return out
}

// noObjects: a quota of objects has no limit where it is 0, as one of bytes has none; filesystem_limit=0 is a limit.
var noObjects = map[string]string{"none": "0"}

func compressions() []string {
	all := words("on off lz4 lzjb zle gzip zstd zstd-fast")
	for i := 1; i <= 9; i++ {
		all = append(all, "gzip-"+strconv.Itoa(i))
	}
	for i := 1; i <= 19; i++ {
		all = append(all, "zstd-"+strconv.Itoa(i))
	}
	for _, n := range words("1 2 3 4 5 6 7 8 9 10 20 30 40 50 60 70 80 90 100 500 1000") {
		all = append(all, "zstd-fast-"+n)
	}
	return all
}

func words(s string) []string { return strings.Fields(s) }
