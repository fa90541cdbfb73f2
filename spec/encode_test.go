package spec

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
	"pgregory.net/rapid"

	"github.com/dplaneos/dplane/schema"
)

// TestEncodeOfExamples: the canonical form of every good example loads to the same generation, and is its own canonical form.
func TestEncodeOfExamples(t *testing.T) {
	names, _ := filepath.Glob("testdata/good/*.yaml")
	if len(names) == 0 {
		t.Fatal("no examples")
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		s := mustLoad(t, map[string]string{"a.yaml": string(data)})
		roundTrip(t, s)
	}
}

// TestGenerationIgnoresSpelling: what means the same is the same generation.
func TestGenerationIgnoresSpelling(t *testing.T) {
	head := "pools: {tank: {}, usb: {}}\nschedules: {s: {keep: {daily: 3}}}\n"
	for _, c := range []struct{ a, b string }{
		{"datasets: {tank/a: {properties: {quota: 2T}}}", "datasets: {tank/a: {properties: {quota: 2048G}}}"},
		{"datasets: {tank/a: {properties: {compression: gzip-6}}}", "datasets: {tank/a: {properties: {compression: \"gzip\"}}}"},
		{"datasets: {tank/a: {properties: {copies: 2}}}", "datasets: {tank/a: {properties: {copies: '2'}}}"},
		{"datasets: {tank/a: {properties: {atime: off}}}", "datasets: {tank/a: {properties: {atime: False}}}"},
		{"datasets: {tank/a: {}, tank/b: {absent: true}}", "datasets:\n  tank/b: {absent: true}\n  tank/a:\n"},
		{"datasets: {tank/a: {snapshots: s}}", "datasets: {tank/a: {snapshots: {schedule: s}}}"},
		{"datasets: {tank/a: {absent: false}}", "datasets: {tank/a: {}}"},
		{"datasets: {tank/a: {allow: {everyone: [send, hold]}}}", "datasets: {tank/a: {allow: {everyone: [hold, send]}}}"},
		{"datasets: {tank/a: {volume: {size: 1G, sparse: false}}}", "datasets: {tank/a: {volume: {size: 1073741824, sparse: false}}}"},
		{"daemon: {interval: 60s, trash: 7d, limits: {destroys: 0}}", "daemon: {interval: 1m, trash: 1w}"},
		{"node: {timezone: UTC}", "daemon: {apply: safe}"},
		{"replications: {r: {source: tank/a, target: usb/a, when: {after: snapshot}}}", "replications: {r: {source: tank/a, target: usb/a, send: {raw: auto, compressed: true}}}"},
		{"replications: {r: {source: tank/a, target: usb/a, when: {weekly: \"Sunday 02:00\"}}}", "replications: {r: {source: tank/a, target: usb/a, when: {weekly: \"sun 02:00\"}}}"},
		{"replications: {r: {source: tank/a, target: usb/a, when: {cron: \"0  3 * * SUN\"}}}", "replications: {r: {source: tank/a, target: usb/a, when: {cron: \"0 3 * * sun\"}}}"},
	} {
		a := mustLoad(t, map[string]string{"a.yaml": head + c.a + "\n"})
		b := mustLoad(t, map[string]string{"z.yml": "# other\n" + head, "b.yaml": c.b})
		if a.Generation != b.Generation {
			t.Errorf("%s\n%s\n%s\n%s", c.a, c.b, a.Encode(), b.Encode())
		}
	}
}

// TestGenerationSeesEveryChange: what differs in meaning differs in generation.
func TestGenerationSeesEveryChange(t *testing.T) {
	data, err := os.ReadFile("testdata/good/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	before := mustLoad(t, map[string]string{"a.yaml": string(data)}).Generation
	docs, _, _ := parseFile("a.yaml", data)
	changed := 0
	for _, e := range leaves(docs[0], nil) {
		// each scalar in turn becomes another valid one, where there is an obvious other
		other, ok := map[string]string{"true": "false", "false": "true", "sunday": "monday", "january": "may", "skip": "snapshot"}[e.text]
		if d, err := ParseDuration(e.text); err == nil && d > 0 {
			other, ok = (2 * d).String(), true
		}
		if !ok || e.pos.Line == 0 {
			continue
		}
		lines := strings.Split(string(data), "\n")
		l := []rune(lines[e.pos.Line-1])
		lines[e.pos.Line-1] = string(l[:e.pos.Column-1]) + other + string(l[e.pos.Column-1+len([]rune(e.text)):])
		s, err := loadText(t, map[string]string{"a.yaml": strings.Join(lines, "\n")})
		if err != nil {
			continue // the change was not valid there
		}
		changed++
		if s.Generation == before {
			t.Errorf("%s: %s -> %s changes nothing", e.pos, e.text, other)
		}
	}
	if changed < 20 {
		t.Errorf("only %d changes were tried", changed)
	}
}

func leaves(n *node, all []*node) []*node {
	if n.kind == scalarNode {
		return append(all, n)
	}
	for _, e := range n.keys {
		all = leaves(e.val, all)
	}
	for _, i := range n.items {
		all = leaves(i, all)
	}
	return all
}

// TestFileOrderIsIrrelevant: however the entries are spread over files, the generation is the same.
func TestFileOrderIsIrrelevant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		files := genFiles(t)
		one, err := LoadFiles(files, LoadOptions{Hostname: "h"})
		if err != nil {
			t.Fatalf("%v\n%s", err, files["f0.yaml"])
		}
		roundTrip(t, one)
		spread := spreadFiles(t, files["f0.yaml"])
		many, err := LoadFiles(spread, LoadOptions{Hostname: "h"})
		if err != nil {
			t.Fatalf("%v", err)
		}
		if one.Generation != many.Generation {
			t.Fatalf("spread over files:\n%s\n%s", one.Encode(), many.Encode())
		}
	})
}

// genFiles draws a valid configuration, as JSON-like YAML with one entry a line.
func genFiles(t *rapid.T) map[string][]byte {
	var b strings.Builder
	pick := func(label string, from ...string) string { return rapid.SampledFrom(from).Draw(t, label) }
	b.WriteString("pools: {tank: {capacity: {warn: " + pick("warn", "70%", "80%") + "}}}\n")
	b.WriteString("pools: {usb: {removable: " + pick("removable", "true", "false") + ", scrub: {" + pick("scrub", "every: 30d", `monthly: "1 03:00"`, `cron: "0 3 * * sun"`) + "}}}\n")
	b.WriteString("schedules: {s: {keep: {daily: " + fmt.Sprint(rapid.IntRange(1, 99).Draw(t, "daily")) + "}, at: \"0" + pick("at", "0", "3") + ":00\"}}\n")
	text := rapid.StringOf(rapid.RuneFrom([]rune("abcXYZ019 :,#'\"\\{}[]&*!|>%@`-?~é☃\t\n")))
	for i := range rapid.IntRange(0, 6).Draw(t, "datasets") {
		fmt.Fprintf(&b, "datasets: {\"tank/d %d\": {properties: {compression: %s, quota: %s, \"org.example:t\": %s}, snapshots: %s}}\n", i,
			pick("compression", "lz4", "zstd-3", "gzip-6", "off", "on"), pick("quota", "none", "1G", "1024M", "1.5T"),
			quoteYAML(text.Draw(t, "text")), pick("snapshots", "s", "none", "{schedule: s}"))
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "replications") {
		fmt.Fprintf(&b, "replications: {r%d: {source: tank/s%d, target: usb/t%d, when: {%s}, rateLimit: %s}}\n", i, i, i,
			pick("when", "every: 5m", "manual: true", "after: snapshot", `daily: "02:00", window: "01:00-05:00"`), pick("rate", "1M", "1048576", "7"))
	}
	b.WriteString("daemon: {interval: " + pick("interval", "60s", "1m", "5m") + "}\n")
	lines := strings.SplitAfter(b.String(), "\n")
	return map[string][]byte{"f0.yaml": []byte(strings.Join(lines, "---\n"))}
}

func quoteYAML(s string) string {
	return strings.NewReplacer("\t", `\t`, "\n", `\n`).Replace(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`)
}

// spreadFiles puts each document of the file into a file of its own, in any order.
func spreadFiles(t *rapid.T, data []byte) map[string][]byte {
	docs := strings.Split(string(data), "---\n")
	order := rapid.Permutation(docs).Draw(t, "order")
	files := map[string][]byte{}
	for i, d := range order {
		files[fmt.Sprintf("f%03d.yaml", i)] = []byte(d)
	}
	return files
}

// TestDefaults: what Go fills in is what the schema says: each default, written out, changes nothing.
func TestDefaults(t *testing.T) {
	src, err := schemaSource(schema.FS)
	if err != nil {
		t.Fatal(err)
	}
	root := cuecontext.New().CompileString(src).LookupPath(cue.ParsePath("#Config"))
	fulls := map[string]string{
		"daemon":       "daemon: {%s}\n",
		"node":         "node: {%s}\n",
		"pools":        "pools: {usb: {}, tank: {%s}}\n",
		"datasets":     "pools: {tank: {}}\ndatasets: {tank/a: {%s}}\n",
		"schedules":    "schedules: {s: {keep: {daily: 1}, %s}}\n",
		"remotes":      "remotes: {r: {host: a, user: u, identityFile: /k, hostKey: \"" + testKey + "\", %s}}\n",
		"replications": "pools: {tank: {}, usb: {}}\nreplications: {r: {source: tank/a, target: usb/a, %s}}\n",
		"ha":           testGroup + "ha: {active: nas-a, datasets: [tank/a], " + testPeers + ", %s}\n",
	}
	// what must stand beside a nested setting
	beside := map[string]string{
		"volume": "size: 1G, ", "before": "run: [/a], ", "after": "run: [/a], ", "snapshots": "schedule: none, ",
		"draid1": "devices: [/a, /b, /c], ", "draid2": "devices: [/a, /b, /c], ", "draid3": "devices: [/a, /b, /c, /d], ", "hooks": "unit: a.service, ",
		"nas-b": "agent: fence_a, ",
	}
	seen := 0
	var walk func(v cue.Value, section string, path []string)
	walk = func(v cue.Value, section string, path []string) {
		if each := v.LookupPath(cue.MakePath(cue.AnyString)); each.Exists() {
			if len(path) > 0 {
				path = append(path, "nas-b") // any name
			}
			walk(each, section, path)
			return
		}
		if item := v.LookupPath(cue.MakePath(cue.AnyIndex)); item.Exists() {
			walk(item, section, append(path, "[]"))
			return
		}
		for _, arm := range arms(v) {
			it, err := arm.Fields(cue.Optional(true))
			if err != nil {
				continue
			}
			for it.Next() {
				if n := it.Selector().Unquoted(); n == "special" || n == "log" || n == "dedup" {
					continue // as vdevs, beside which they stand
				}
				name, def := it.Selector().Unquoted(), attribute(it.Value(), "default")
				if def != "" {
					seen++
					checkDefault(t, fulls[section], beside, append(append([]string(nil), path...), name), def)
				}
				walk(it.Value(), section, append(append([]string(nil), path...), name))
			}
		}
	}
	it, err := root.Fields(cue.Optional(true))
	if err != nil {
		t.Fatal(err)
	}
	for it.Next() {
		walk(it.Value(), it.Selector().Unquoted(), nil)
	}
	if seen < 35 {
		t.Errorf("only %d defaults were seen", seen)
	}
}

func arms(v cue.Value) []cue.Value {
	v = cue.Dereference(v)
	if op, args := v.Expr(); op == cue.OrOp {
		return args
	}
	return []cue.Value{v}
}

const (
	testKey  = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
	testPeer = `{address: "https://10.0.0.1:9443", identity: "sha256/AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="}`

	// a group whose dataset is sent, and its peers
	testGroup = "pools: {tank: {}}\nremotes: {nas-b: {host: b, user: u, identityFile: /k, hostKey: \"" + testKey + "\"}}\n" +
		"replications: {pair: {source: tank/a, recursive: true, target: standby}}\n"
	testPeers = "peers: {nas-a: " + testPeer + `, nas-b: {address: "https://10.0.0.2:9443", identity: "sha256/AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=", remote: nas-b}}`
)

func checkDefault(t *testing.T, full string, beside map[string]string, path []string, def string) {
	t.Helper()
	nest := func(inner string) string {
		for i := len(path) - 2; i >= 0; i-- {
			if path[i] == "[]" {
				inner = "[{" + inner + "}]"
				continue
			}
			inner = beside[path[i]] + inner
			if i+1 < len(path)-1 && path[i+1] == "[]" {
				inner = path[i] + ": " + strings.TrimPrefix(inner, beside[path[i]])
				if b := beside[path[i]]; b != "" {
					inner = strings.Replace(inner, "[{", "[{"+b, 1)
				}
				continue
			}
			inner = path[i] + ": {" + inner + "}"
		}
		return inner
	}
	if _, err := ParseDuration(def); err != nil && strings.ContainsAny(def, ":") {
		def = `"` + def + `"`
	}
	with, err := loadText(t, map[string]string{"a.yaml": fmt.Sprintf(full, nest(path[len(path)-1]+": "+def))})
	if err != nil {
		t.Errorf("%v: the default %s is refused: %v", path, def, err)
		return
	}
	without, err := loadText(t, map[string]string{"a.yaml": fmt.Sprintf(full, nest(""))})
	if err != nil {
		t.Errorf("%v: without it: %v", path, err)
		return
	}
	with.Generation, without.Generation, with.Files, without.Files = "", "", nil, nil
	if !reflect.DeepEqual(with.Daemon, without.Daemon) || string(with.Encode()) != string(without.Encode()) {
		t.Errorf("%v: the default %s is not what Go fills in:\n%s\n%s", path, def, with.Encode(), without.Encode())
	}
}
