//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// hog keeps so much of the pool that only a little is left to the volume v.
func (p *place) hog(left int) {
	p.Helper()
	free, err := strconv.Atoi(p.get("available", ""))
	if err != nil {
		p.Fatal(err)
	}
	must(p.T, "zfs", "create", "-o", fmt.Sprintf("reservation=%d", free-left), p.pool+"/hog")
}

// TestChangeSpace are the rows of what is kept reserved, and of who may use how much.
func TestChangeSpace(t *testing.T) {
	v := func(volume string) string { return keyed + "  POOL/v: {volume: {" + volume + "}}\n" }
	reserved := func(p *place) bool {
		n, err := strconv.Atoi(p.get("refreservation", "v"))
		return err == nil && n >= 16<<20
	}
	rows(t, []row{
		{
			name: "make a volume sparse", before: v("size: 16M"), after: v("size: 16M, sparse: true"),
			verb: "update", risk: "safe", plan: []string{"zfs set refreservation=none POOL/v", "once the pool is full"},
			see: func(p *place) { p.want("reserved", p.get("refreservation", "v"), "0") },
			twin: twin{ // and smaller
				after: v("size: 8M, sparse: true"), verb: "update", risk: "destructive", plan: []string{"volsize=8388608"},
				unchanged: func(p *place) { p.want("size", p.get("volsize", "v"), "16777216") },
				applied: func(p *place) {
					p.want("size", p.get("volsize", "v"), "8388608")
					p.want("reserved", p.get("refreservation", "v"), "0")
				},
			},
		},
		{
			name: "keep the space of a volume that was sparse", before: v("size: 16M, sparse: true"), after: v("size: 16M, sparse: false"),
			verb: "update", risk: "safe", plan: []string{"zfs set refreservation=auto POOL/v"},
			see: func(p *place) { p.want("all of it is reserved", strconv.FormatBool(reserved(p)), "true") },
			twin: twin{ // where others have it
				before: v("size: 16M, sparse: true"), hand: func(p *place) { p.hog(8 << 20) },
				after: v("size: 16M, sparse: false"), verb: "blocked", risk: "safe", plan: []string{"to reserve the 16M of the volume takes", "free space first"},
				unchanged: func(p *place) { p.want("reserved", p.get("refreservation", "v"), "0") },
			},
		},
		{
			name: "set a project's quota", before: keyed + "  POOL/a: {}\n", after: keyed + "  POOL/a: {properties: {\"projectquota@7\": 20M, \"projectobjquota@7\": 100}}\n",
			verb: "update", risk: "disruptive", plan: []string{"projectquota@7=20971520"},
			see: func(p *place) { p.want("quota", p.get("projectquota@7", "a"), "20971520") },
			twin: twin{ // given back beside one of a group that is not there
				after: keyed + "  POOL/a: {properties: {\"projectobjquota@7\": 100, \"groupquota@nosuch\": 20M}}\n",
				verb:  "blocked", risk: "safe", plan: []string{"zfs set dplane:applied=projectobjquota@7 projectquota@7=none POOL/a", "knows no such user, group or project"},
				unchanged: func(p *place) { p.want("files", p.get("projectobjquota@7", "a"), "100") },
			},
		},
	})
}

// TestChangePlace: what is mounted elsewhere than its mountpoint says.
func TestChangePlace(t *testing.T) {
	const two = keyed + "  POOL/a: {}\n  POOL/a/b: {}\n"
	mounted := func(p *place, below, at string) bool {
		return strings.Contains("\n"+must(p.T, "cat", "/proc/self/mounts"), "\n"+p.pool+"/"+below+" "+p.path(at)+" zfs ")
	}
	elsewhere := func(p *place) {
		must(p.T, "zfs", "unmount", p.pool+"/a")
		if err := os.MkdirAll(p.path("else"), 0o755); err != nil {
			p.Fatal(err)
		}
		must(p.T, "mount", "-t", "zfs", "-o", "zfsutil", p.pool+"/a", p.path("else"))
	}
	rows(t, []row{
		{
			name: "mount where the mountpoint says", before: two, after: two, hand: elsewhere,
			verb: "run", risk: "disruptive", plan: []string{"POOL/a is mounted at DIR/else, and its mountpoint is DIR/mnt/a", "zfs inherit -S mountpoint POOL/a"},
			see: func(p *place) {
				p.want("a is there", strconv.FormatBool(mounted(p, "a", "mnt/a") && !mounted(p, "a", "else")), "true")
				p.want("b is there", strconv.FormatBool(mounted(p, "a/b", "mnt/a/b")), "true")
			},
			twin: twin{ // over files that it would hide
				after: two, verb: "blocked", risk: "safe", plan: []string{"DIR/mnt/a holds files, and mounting there would hide them"},
				hand: func(p *place) {
					elsewhere(p)
					if err := os.MkdirAll(p.path("mnt/a"), 0o755); err != nil {
						p.Fatal(err)
					}
					if err := os.WriteFile(p.path("mnt/a/file"), nil, 0o600); err != nil {
						p.Fatal(err)
					}
				},
				unchanged: func(p *place) { p.want("a is elsewhere", strconv.FormatBool(mounted(p, "a", "else")), "true") },
			},
		},
	})
}

// TestChangeEncryptedPool: a pool whose root dataset has a key of its own.
func TestChangeEncryptedPool(t *testing.T) {
	const pool = "pools: {POOL: {vdevs: [{stripe: [DISK:a]}]}}\ndatasets:\n  POOL: {encryption: {format: raw, keyFile: DIR/keys/raw}, properties: {mountpoint: DIR/mnt}}\n  POOL/a: {}\n"
	rows(t, []row{
		{
			name: "create a pool that is encrypted", hand: (*place).keys, after: pool,
			verb: "create", risk: "irreversible", plan: []string{"zpool create", "-O encryption=on", "-O keyformat=raw"},
			see: func(p *place) {
				p.want("the key's root", p.get("encryptionroot", "a"), p.pool)
				p.want("the child", p.get("mounted", "a"), "yes")
				p.silent()
			},
			twin: twin{ // imported again without it
				hand: func(p *place) {
					must(p.T, "zpool", "export", p.pool)
					if err := os.Rename(p.path("keys/raw"), p.path("keys/away")); err != nil {
						p.Fatal(err)
					}
					must(p.T, "zpool", "import", "-d", p.dir, p.pool)
				},
				after: pool, verb: "blocked", risk: "safe", plan: []string{"is not there: the key can't be loaded"},
				unchanged: func(p *place) {
					p.want("the key", p.get("keystatus", ""), "unavailable")
					p.want("the child", p.get("mounted", "a"), "no")
				},
			},
		},
	})
}
