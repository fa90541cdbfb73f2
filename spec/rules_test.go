package spec

import (
	"strings"
	"testing"
)

// warned are the warnings of one file that loads, one a line.
func warned(t *testing.T, text string) string {
	t.Helper()
	var all []string
	for _, w := range mustLoad(t, map[string]string{"a.yaml": text}).Warnings {
		all = append(all, w.Error())
	}
	return strings.Join(all, "\n")
}

// TestDoubts: what can't work, or hides something, in files that are whole; "" where nothing is said.
func TestDoubts(t *testing.T) {
	const pool = "pools: {tank: {}}\n"
	for name, c := range map[string]struct{ text, want string }{
		"one mountpoint": {"datasets: {tank/a: {properties: {mountpoint: /srv}}, tank/b: {properties: {mountpoint: /srv/}}}",
			`a.yaml:2:54: datasets.tank/b: is mounted at "/srv", and so is tank/a (a.yaml:2:12)`},
		"an inherited one":   {"datasets: {tank/a: {properties: {mountpoint: /srv}}, tank/b: {properties: {mountpoint: /srv/c}}, tank/a/c: {}}", `is mounted at "/srv/c", and so is`},
		"the default one":    {"datasets: {tank/a: {}, tank/b: {properties: {mountpoint: /tank/a}}}", `is mounted at "/tank/a", and so is tank/a`},
		"boot environments":  {"datasets: {tank/a: {properties: {mountpoint: /, canmount: noauto}}, tank/b: {properties: {mountpoint: /, canmount: noauto}}, tank/c: {properties: {mountpoint: /}}}", ""},
		"nothing mounted":    {"datasets: {tank/a: {properties: {mountpoint: none}}, tank/b: {properties: {mountpoint: none}}, tank/v: {volume: {size: 1G}}, tank/w: {volume: {size: 1G}}}", ""},
		"one of them absent": {"datasets: {tank/a: {properties: {mountpoint: /srv}, absent: true}, tank/b: {properties: {mountpoint: /srv}}}", ""},
		"a root absent":      {"datasets: {tank: {absent: true}}", "a.yaml:2:27: datasets.tank.absent: a pool's root dataset is destroyed with its pool alone"},
		"a cut host key": {`remotes: {b: {host: b_1.lan, user: Anna.B, identityFile: /k, hostKey: "ssh-ed25519 AAAAC3Nza"}}`,
			"a.yaml:2:71: remotes.b.hostKey: the text after ssh-ed25519 is no key of that type"},
		"a host key of another type": {`remotes: {b: {host: b, user: u, identityFile: /k, hostKey: "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"}}`,
			"the text after ssh-rsa is no key of that type"},
		"a short identity": {`ha: {active: nas-a, datasets: [tank/a], peers: {nas-a: {address: "https://a:1", identity: sha256/short}, nas-b: {address: "https://b:1", identity: sha256/tiny}}}`,
			`ha.peers.nas-a.identity: "sha256/short" is no hash of a key`},
		"a replica's properties": {"datasets: {tank: {properties: {atime: off}}, tank/r/x: {properties: {atime: off}}, tank/r: {}}\nreplications: {r: {source: tank/a, target: tank/r}}",
			"a.yaml:2:46: datasets.tank/r/x: is received only, from the replication r (a.yaml:3:16): its properties are not set"},
		"targets within targets": {"datasets: {tank: {snapshots: s}}\nschedules: {s: {keep: {daily: 1}}}\nreplications: {a: {source: tank/a, target: tank/r, recursive: true, exclude: [tank/a/x]}, b: {source: tank/b, target: tank/r/x/y}}", ""},
		"targets beside targets": {"datasets: {tank: {snapshots: s}}\nschedules: {s: {keep: {daily: 1}}}\nreplications: {a: {source: tank/a, target: tank/r}, b: {source: tank/b, target: tank/r/x}}", ""},
		"one key for two, written otherwise": {`ha: {active: nas-a, datasets: [tank/a], peers: {nas-a: {address: "https://a:1", identity: sha256/AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE}, nas-b: {address: "http://b:1", identity: sha256/AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=}}}`,
			"ha.peers.nas-b.identity: the identity is that of another peer too"},
		"plain HTTP": {`ha: {active: nas-a, datasets: [tank/a], peers: {nas-a: {address: "https://a:1"}, nas-b: {address: "http://b:1"}}}`,
			`a.yaml:2:99: ha.peers.nas-b.address: plain HTTP is for monitoring alone: nas-b has no beats, counts in no quorum and can have no role`},
		"no identity": {`ha: {active: nas-a, datasets: [tank/a], peers: {nas-a: {address: "https://a:1"}, nas-b: {address: "http://b:1"}}}`,
			`a.yaml:2:49: ha.peers.nas-a: has no pinned identity: it is monitored alone`},
		"a group that is not sent whole": {strings.TrimPrefix(strings.ReplaceAll(testGroup, "recursive: true, ", ""), "pools: {tank: {}}\n") + "ha: {active: nas-a, datasets: [tank/a], " + testPeers + "}",
			"replications.pair: is not recursive: what is made below tank/a is in the group, and not sent"},
		"one address for two": {"ha: {active: nas-a, datasets: [tank/a], peers: {nas-a: {address: \"https://10.0.0.1:9443\"}, nas-b: " + testPeer + "}}",
			"ha.peers.nas-b.address: the address is that of another peer too (a.yaml:2:"},
	} {
		got := warned(t, pool+c.text+"\n")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// pairHere is one node's files without its name: its own entry has no remote, or one that the other node declares.
const pairHere = `pools: {tank: {}}
datasets: {tank/a: {snapshots: s}}
schedules: {s: {keep: {hourly: 1}}}
remotes: {nas-b: {host: b, user: u, identityFile: /k, hostKey: "` + testKey + `"}}
replications: {r: {source: tank/a, recursive: true, target: standby}}
ha: {active: nas-a, datasets: [tank/a], peers: {nas-a: {address: "https://a:1", identity: sha256/AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=OWN},
  nas-b: {address: "https://b:1", identity: sha256/AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=, remote: nas-b}}}
`

// TestSameWhereverChecked: files that name no node are valid, and are the same generation, on the node
// itself and on the machine of a pull-request check.
func TestSameWhereverChecked(t *testing.T) {
	for _, own := range []string{"", ", remote: nas-a"} {
		files := map[string][]byte{"a.yaml": []byte(strings.Replace(pairHere, "OWN", own, 1))}
		generation := ""
		for _, host := range []string{"nas-a", "ci", ""} {
			s, err := LoadFiles(files, LoadOptions{Hostname: host})
			if err != nil {
				t.Fatalf("on %s: %v", host, err)
			}
			if s.Node.Name != host || generation != "" && s.Generation != generation {
				t.Errorf("on %s: node %s, generation %s, not %s", host, s.Node.Name, s.Generation, generation)
			}
			generation = s.Generation
		}
		if _, err := LoadFiles(files, LoadOptions{Hostname: "nas-b"}); err == nil {
			t.Errorf("on nas-b with %q: nas-a can't be reached, and nothing is said", own)
		}
	}
}

// TestTextAsItStands: a user property and a fence agent's parameter get what is written, YAML's words too.
func TestTextAsItStands(t *testing.T) {
	s := mustLoad(t, map[string]string{"a.yaml": `pools: {tank: {removable: True}}
datasets: {tank/a: {properties: {"a:a": True, "a:b": 0x10, "a:c": 1_000, "a:d": 12:30, "a:e": 2026-11-24, "a:f": .inf, "a:g": yes, "a:h": 1.50, atime: TRUE, exec: False}}}
`})
	p := s.Datasets["tank/a"].Properties
	for name, want := range map[string]string{"a:a": "True", "a:b": "0x10", "a:c": "1_000", "a:d": "12:30", "a:e": "2026-11-24",
		"a:f": ".inf", "a:g": "yes", "a:h": "1.50", "atime": "on", "exec": "off"} {
		if p[name].Value != want {
			t.Errorf("%s: %q, want %q", name, p[name].Value, want)
		}
	}
	if !s.Pools["tank"].Removable {
		t.Error("True is not true")
	}
}

// TestSecretsInTheFiles: a password of a fence agent is refused, for the files go into the database; a path to one is not. The
// message says it by its name, and nowhere stands the password.
func TestSecretsInTheFiles(t *testing.T) {
	file := testGroup + "ha: {active: nas-a, datasets: [tank/a], " + testPeers + `, fencing: {nas-b: [
  {agent: fence_a, parameters: {PASSWD, ip: 10.0.0.1}},
  {agent: fence_b, parameters: {passwd_script: /x, identity_file: /y, plug: 1}, secretFile: /etc/dplaneos-keys/b}]}}
`
	mustLoad(t, map[string]string{"a.yaml": strings.Replace(file, "PASSWD", `passwd: ""`, 1)})
	for _, name := range []string{"passwd", "password", "snmp_community", "api_key", "ssh_passphrase"} {
		files := map[string][]byte{"a.yaml": []byte(strings.Replace(file, "PASSWD", name+": hunter22", 1))}
		_, err := LoadFiles(files, LoadOptions{Hostname: "nas-a"})
		if err == nil || !strings.Contains(err.Error(), "secretFile, as a line "+name+"=...") || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFinalSnapshotIsSent: a pattern that leaves it out would have every switchover fail. Elsewhere it means what it says.
func TestFinalSnapshotIsSent(t *testing.T) {
	r := &Replication{Snapshots: []string{"daily-*"}}
	if got := strings.Join(r.Patterns(), " "); got != "daily-*" {
		t.Error(got)
	}
	r.Pair = "pair"
	if got := strings.Join(r.Patterns(), " "); got != "daily-* dplane-ha-t*" || len(r.Snapshots) != 1 {
		t.Error(got, r.Snapshots)
	}
	if r.Snapshots = nil; len(r.Patterns()) > 0 {
		t.Error("all was not all")
	}
}
