//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

const onePool = "pools: {POOL: {vdevs: [{mirror: [DISK:a, DISK:b]}]}}\ndatasets:\n  POOL: {properties: {mountpoint: DIR/mnt}}\n"

// TestPropertyChanges are the rows of what is declared as a property.
func TestPropertyChanges(t *testing.T) {
	home := func(body string) string { return onePool + "  POOL/home: " + body + "\n" }
	rows(t, []row{
		{
			name: "create a file system", before: onePool, after: home("{properties: {compression: zstd}}"),
			verb: "create", risk: "safe", plan: []string{"zfs create -o compression=zstd"},
			see: func(p *place) { p.want("compression", p.get("compression", "home"), "zstd") },
			twin: twin{ // over files that it would hide
				hand: func(p *place) {
					if err := os.MkdirAll(filepath.Join(p.dir, "mnt/full"), 0o755); err != nil {
						p.Fatal(err)
					}
					if err := os.WriteFile(filepath.Join(p.dir, "mnt/full/file"), []byte("x"), 0o644); err != nil {
						p.Fatal(err)
					}
				},
				after: home("{}") + "  POOL/full: {}\n", verb: "blocked", risk: "safe", plan: []string{"DIR/mnt/full", "would hide them"},
				unchanged: func(p *place) { p.want("exit status", exitOf(p, "zfs", "list", p.pool+"/full"), "1") },
			},
		},
		{
			name: "create a volume", before: onePool, after: onePool + "  POOL/vol: {volume: {size: 32M, blockSize: 16K, sparse: true}}\n",
			verb: "create", risk: "safe", plan: []string{"zfs create -s"},
			see: func(p *place) { p.want("volsize", p.get("volsize", "vol"), "33554432") },
			twin: twin{ // another block size
				after: onePool + "  POOL/vol: {volume: {size: 32M, blockSize: 32K, sparse: true}}\n", verb: "blocked", risk: "safe",
				plan:      []string{"chosen at creation"},
				unchanged: func(p *place) { p.want("volblocksize", p.get("volblocksize", "vol"), "16384") },
			},
		},
		{
			name: "set a property", before: home("{}"), after: home("{properties: {atime: off, recordsize: 64K}}"),
			verb: "update", risk: "safe", plan: []string{"recordsize", "new blocks only"},
			see: func(p *place) { p.want("recordsize", p.get("recordsize", "home"), "65536") },
			twin: twin{
				after: home("{properties: {atime: off, recordsize: 64K, utf8only: on}}"), verb: "blocked", risk: "safe",
				plan:      []string{"chosen at creation"},
				unchanged: func(p *place) { p.want("utf8only", p.get("utf8only", "home"), "off") },
			},
		},
		{
			name: "give a property back", before: home("{properties: {atime: off, recordsize: 64K}}"), after: home("{properties: {atime: off}}"),
			verb: "update", risk: "safe", plan: []string{"zfs inherit -S recordsize"},
			see: func(p *place) {
				p.want("source of recordsize", zfsSource(p.T, "recordsize", p.pool+"/home"), "default")
			},
			twin: twin{ // a value of the operator's own stays
				hand:  func(p *place) { must(p.T, "zfs", "set", "logbias=throughput", p.pool+"/home") },
				after: home("{properties: {atime: off, normalization: formD}}"), verb: "blocked", risk: "safe", plan: []string{"normalization"},
				unchanged: func(p *place) { p.want("logbias", p.get("logbias", "home"), "throughput") },
			},
		},
		{
			name: "set a quota", before: home("{}"), after: home("{properties: {quota: 100M}}"),
			verb: "update", risk: "disruptive", plan: []string{"quota"},
			see: func(p *place) { p.want("quota", p.get("quota", "home"), "104857600") },
			twin: twin{ // below what is used
				after: home("{properties: {quota: 8K}}"), verb: "blocked", risk: "safe", plan: []string{"that are used"},
				unchanged: func(p *place) { p.want("quota", p.get("quota", "home"), "104857600") },
			},
		},
		{
			name: "move a mountpoint", before: home("{}"), after: home("{properties: {mountpoint: DIR/elsewhere}}"),
			verb: "update", risk: "disruptive", plan: []string{"mountpoint"},
			see: func(p *place) { p.want("mounted", p.get("mounted", "home"), "yes") },
			twin: twin{ // a typo of the type
				after: onePool + "  POOL/home: {volume: {size: 32M}}\n", verb: "blocked", risk: "safe", plan: []string{"can't change its type"},
				unchanged: func(p *place) { p.want("type", p.get("type", "home"), "filesystem") },
			},
		},
	})
}

func exitOf(p *place, argv ...string) string {
	if run(p.T, argv...).Code == 0 {
		return "0"
	}
	return "1"
}
