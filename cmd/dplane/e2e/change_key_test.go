//go:build e2e

package e2e

import (
	"os"
	"strings"
	"testing"
)

const keyed = "pools: {POOL: {vdevs: [{stripe: [DISK:a]}]}}\ndatasets:\n  POOL: {properties: {mountpoint: DIR/mnt}}\n"

// key makes a key file in the box's folder keys, root's and 0600, and gives what is in it.
func (p *place) key(name, text string) {
	p.Helper()
	if err := os.MkdirAll(p.path("keys"), 0o700); err != nil {
		p.Fatal(err)
	}
	if err := os.WriteFile(p.path("keys/"+name), []byte(text), 0o600); err != nil {
		p.Fatal(err)
	}
}

const (
	hexSecret  = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	rawSecret  = "an e2e key: 32 bytes, no more. "
	rawSecret2 = "another e2e key, 32 bytes long."
)

// with makes the keys and then applies the files.
func (p *place) with(yaml string) {
	p.Helper()
	p.keys()
	p.declare(yaml)
	p.expect(0, "apply", "--yes")
}

func (p *place) keys() {
	p.Helper()
	p.key("raw", rawSecret+"\x01")
	p.key("raw2", rawSecret2+"\x02")
	p.key("copy", rawSecret+"\x01")
	p.key("hex", hexSecret+"\n")
	p.key("pass", "correct horse battery\n")
	p.key("short", "short\n")
}

// silent fails where anything that dplane wrote holds a key.
func (p *place) silent(files ...string) {
	p.Helper()
	said := p.dplane("plan", "--commands").Stdout + p.dplane("plan", "--json").Stdout + p.dplane("observe", "--json").Stdout + p.dplane("events", "--json").Stdout
	for _, f := range append(files, p.path("dplane.db"), p.path("dplane.db-wal")) {
		if b, err := os.ReadFile(f); err == nil {
			said += string(b)
		}
	}
	for _, secret := range []string{hexSecret, rawSecret, rawSecret2, "correct horse"} {
		if strings.Contains(said, secret) {
			p.Errorf("dplane wrote the key %q", secret)
		}
	}
}

// TestChangeEncryption: encrypted datasets are made, their keys loaded, moved and changed.
func TestChangeEncryption(t *testing.T) {
	const one = keyed + "  POOL/raw: {encryption: {format: raw, keyFile: DIR/keys/raw}}\n"
	const three = keyed + `  POOL/raw: {encryption: {format: raw, keyFile: DIR/keys/raw}}
  POOL/raw/child: {}
  POOL/hex: {encryption: {format: hex, keyFile: DIR/keys/hex}}
  POOL/pass: {encryption: {format: passphrase, keyFile: DIR/keys/pass}, properties: {pbkdf2iters: 100000}}
`
	rows(t, []row{
		{
			name: "create an encrypted file system", before: keyed, hand: (*place).keys, after: three,
			verb: "create", risk: "safe", plan: []string{"keyformat=raw", "keyformat=hex", "keyformat=passphrase"},
			see: func(p *place) {
				p.want("the key's root", p.get("encryptionroot", "raw/child"), p.pool+"/raw")
				p.want("the format", p.get("keyformat", "hex"), "hex")
				p.want("the iterations", p.get("pbkdf2iters", "pass"), "100000")
				p.silent()
			},
			twin: twin{
				after: three + "  POOL/bad: {encryption: {format: passphrase, keyFile: DIR/keys/short}}\n",
				verb:  "blocked", risk: "safe", plan: []string{"and a passphrase has at least 8"},
				unchanged: func(p *place) {
					p.want("the exit status", exitOf(p, "zfs", "list", p.pool+"/bad"), "1")
				},
			},
		},
		{
			name: "load a key at start, and mount", before: keyed, after: three,
			hand: func(p *place) {
				p.with(three)
				must(p.T, "zpool", "export", p.pool)
				must(p.T, "zpool", "import", "-d", p.dir, p.pool)
				p.want("the key", p.get("keystatus", "raw"), "unavailable")
			},
			verb: "run", risk: "safe", plan: []string{"zfs load-key POOL/raw", "zfs mount POOL/raw/child", "zfs mount POOL/pass"},
			see: func(p *place) {
				p.want("the key", p.get("keystatus", "raw"), "available")
				p.want("the child", p.get("mounted", "raw/child"), "yes")
				p.want("another", p.get("mounted", "hex"), "yes")
				p.silent()
			},
			twin: twin{
				after: three,
				hand: func(p *place) {
					must(p.T, "zfs", "unmount", p.pool+"/raw")
					must(p.T, "zfs", "unload-key", p.pool+"/raw")
					if err := os.Rename(p.path("keys/raw"), p.path("keys/away")); err != nil {
						p.Fatal(err)
					}
				},
				verb: "blocked", risk: "safe", plan: []string{"is not there: the key can't be loaded"},
				unchanged: func(p *place) { p.want("the key", p.get("keystatus", "raw"), "unavailable") },
			},
		},
		{
			name: "take a key from another file", before: keyed, hand: func(p *place) { p.with(one) },
			after: keyed + "  POOL/raw: {encryption: {format: raw, keyFile: DIR/keys/copy}}\n",
			verb:  "update", risk: "safe", plan: []string{"zfs set keylocation=file://"},
			see: func(p *place) {
				p.want("the place", p.get("keylocation", "raw"), "file://"+p.path("keys/copy"))
			},
			twin: twin{ // the other file holds another key, and the old one is not loaded
				after: keyed + "  POOL/raw: {encryption: {format: raw, keyFile: DIR/keys/raw2}}\n",
				hand: func(p *place) {
					must(p.T, "zfs", "unmount", p.pool+"/raw")
					must(p.T, "zfs", "unload-key", p.pool+"/raw")
				},
				verb: "blocked", risk: "safe", plan: []string{"holds another key than"},
				unchanged: func(p *place) {
					p.want("the place", p.get("keylocation", "raw"), "file://"+p.path("keys/copy"))
				},
			},
		},
		{
			name: "change a key", before: keyed, hand: func(p *place) { p.with(one) },
			after: keyed + "  POOL/raw: {encryption: {format: hex, keyFile: DIR/keys/hex}}\n",
			verb:  "update", risk: "irreversible", plan: []string{"zfs change-key -o keyformat=hex"},
			see: func(p *place) {
				p.want("the format", p.get("keyformat", "raw"), "hex")
				must(p.T, "zfs", "load-key", "-n", p.pool+"/raw")
				p.silent()
			},
			twin: twin{
				after: keyed + "  POOL/raw: {encryption: {format: passphrase, keyFile: DIR/keys/short}}\n",
				verb:  "blocked", risk: "safe", plan: []string{"the key that it has stays in force"},
				unchanged: func(p *place) { p.want("the format", p.get("keyformat", "raw"), "hex") },
			},
			more: []twin{{ // and once more, with the word that it needs
				after: keyed + "  POOL/raw: {encryption: {format: raw, keyFile: DIR/keys/raw2}}\n",
				verb:  "update", risk: "irreversible", plan: []string{"zfs change-key -o keyformat=raw"}, yes: true,
				unchanged: func(p *place) { p.want("the format", p.get("keyformat", "raw"), "hex") },
				applied: func(p *place) {
					p.want("the format", p.get("keyformat", "raw"), "raw")
					must(p.T, "zfs", "load-key", "-n", p.pool+"/raw")
				},
			}},
		},
	})
}

// TestChangeMount: what is declared and not mounted is mounted, and nothing is hidden by it.
func TestChangeMount(t *testing.T) {
	const two = keyed + "  POOL/a: {}\n  POOL/a/b: {}\n"
	rows(t, []row{
		{
			name: "mount what is not mounted", before: two, after: two,
			hand: func(p *place) {
				must(p.T, "zfs", "unmount", p.pool+"/a")
			},
			verb: "run", risk: "safe", plan: []string{"zfs mount POOL/a", "zfs mount POOL/a/b"},
			see: func(p *place) {
				p.want("a", p.get("mounted", "a"), "yes")
				p.want("b", p.get("mounted", "a/b"), "yes")
			},
			twin: twin{
				after: two,
				hand: func(p *place) {
					must(p.T, "zfs", "unmount", p.pool+"/a")
					if err := os.MkdirAll(p.path("mnt/a"), 0o755); err != nil {
						p.Fatal(err)
					}
					if err := os.WriteFile(p.path("mnt/a/file"), nil, 0o600); err != nil {
						p.Fatal(err)
					}
				},
				verb: "blocked", risk: "safe", plan: []string{"holds files, and mounting would hide them"},
				unchanged: func(p *place) { p.want("a", p.get("mounted", "a"), "no") },
			},
		},
		{
			name: "let a file system be mounted (canmount)", before: keyed + "  POOL/a: {properties: {canmount: noauto}}\n",
			after: keyed + "  POOL/a: {properties: {canmount: on}}\n",
			verb:  "run", risk: "safe", plan: []string{"zfs mount POOL/a"},
			see: func(p *place) { p.want("a", p.get("mounted", "a"), "yes") },
			twin: twin{ // to a place with files in it
				after: keyed + "  POOL/a: {properties: {canmount: on, mountpoint: DIR/full}}\n",
				hand: func(p *place) {
					if err := os.MkdirAll(p.path("full/files"), 0o755); err != nil {
						p.Fatal(err)
					}
				},
				verb: "blocked", risk: "safe", plan: []string{"holds files, and mounting there would hide them"},
				unchanged: func(p *place) { p.want("the place", p.get("mountpoint", "a"), p.path("mnt/a")) },
			},
			more: []twin{{ // no more
				after: keyed + "  POOL/a: {properties: {canmount: off}}\n", verb: "update", risk: "disruptive", plan: []string{"canmount=off"}, yes: true,
				unchanged: func(p *place) { p.want("a", p.get("mounted", "a"), "yes") },
				applied:   func(p *place) { p.want("a", p.get("mounted", "a"), "no") },
			}},
		},
	})
}
