package spec

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func loadText(t testing.TB, files map[string]string) (*Spec, error) {
	t.Helper()
	m := map[string][]byte{}
	for name, text := range files {
		m[name] = []byte(text)
	}
	return LoadFiles(m, LoadOptions{Hostname: "nas-a"})
}

func mustLoad(t testing.TB, files map[string]string) *Spec {
	t.Helper()
	s, err := loadText(t, files)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestProduct loads the whole example of the product's page and looks at what came out.
func TestProduct(t *testing.T) {
	data, err := os.ReadFile("testdata/good/product.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s, err := LoadFiles(map[string][]byte{"product.yaml": data}, LoadOptions{Hostname: "other", Dir: "/etc/dplaneos"})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Warnings) > 0 {
		t.Errorf("warnings: %v", s.Warnings)
	}
	home := s.Datasets["tank/home"]
	got := fmt.Sprintln(s.Node.Name, s.PoolNames(), len(s.Datasets), len(s.Pools["tank"].Vdevs), s.Pools["rpool"].Vdevs == nil,
		s.Pools["usb"].Removable, home.Properties["quota"].Value, home.Properties["quota"].Text, home.Properties["quota"].Pos,
		s.Datasets["tank/pg"].Snapshots.Before.Timeout, s.Replications["pair"].Target.Standby, s.Replications["local"].When.After,
		s.Replications["offsite"].Objective, s.HA.Fencing["nas-b"][0][0].Parameters["username"], s.Daemon.Trash, s.Daemon.Apply)
	want := "nas-a [rpool tank usb] 9 2 true true 2199023255552 2T product.yaml:24:37 30s true true 1h admin 1w safe\n"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestFilesAsTheyCome: the ways in which editors and people write the same.
func TestFilesAsTheyCome(t *testing.T) {
	const plainText = "pools:\n  tank: {}\ndatasets:\n  tank/a:\n    properties:\n      compression: zstd\n      atime: \"off\"\n"
	want := mustLoad(t, map[string]string{"a.yaml": plainText}).Generation
	for name, files := range map[string]map[string]string{
		"CRLF":                          {"a.yaml": strings.ReplaceAll(plainText, "\n", "\r\n")},
		"BOM":                           {"a.yaml": "\xef\xbb\xbf" + plainText},
		"no last line":                  {"a.yaml": strings.TrimSuffix(plainText, "\n")},
		"documents":                     {"a.yaml": "---\npools: {tank: {}}\n---\n---\ndatasets: {tank/a: {properties: {compression: zstd, atime: off}}}\n...\n"},
		"two files":                     {"b.yml": "pools: {tank: }", "a.yaml": "datasets: {tank/a: {properties: {atime: false, compression: \"zstd\"}}}"},
		"empty files":                   {"a.yaml": plainText, "b.yaml": "", "c.yaml": "# nothing\n", "d.yaml": "---\n", "e.yaml": "null\n", "f.yaml": "datasets:\n"},
		"comments":                      {"a.yaml": "# one\npools: # two\n  tank: {} # three\ndatasets:\n  tank/a: {properties: {compression: zstd, atime: off}}\n"},
		"anchor":                        {"a.yaml": "x-p: &p {compression: zstd, atime: off}\npools: {tank: {}}\ndatasets: {tank/a: {properties: *p}}\n"},
		"merge":                         {"a.yaml": "x-p: &p {compression: lz4, atime: off}\npools: {tank: {}}\ndatasets: {tank/a: {properties: {<<: *p, compression: zstd}}}\n"},
		"merge list":                    {"a.yaml": "x-p: &p {atime: off}\nx-q: &q {atime: on, compression: zstd}\npools: {tank: {}}\ndatasets: {tank/a: {properties: {<<: [*p, *q]}}}\n"},
		"merge entry":                   {"a.yaml": "x-p: &p {tank/a: {properties: {compression: zstd, atime: off}}}\npools: {tank: {}}\ndatasets: {<<: *p}\n"},
		"editor's":                      {"a.yaml": plainText, ".a.yaml.swp": "\x00", "a.yaml~": "x", "#a.yaml#": "x", ".#a.yaml": "x", "README.md": "x", "4913": ""},
		"x- in another":                 {"a.yaml": plainText, "b.yaml": "x-other: {anything: [goes]}\n"},
		"JSON":                          {"a.yaml": `{"pools": {"tank": {}}, "datasets": {"tank/a": {"properties": {"compression": "zstd", "atime": false}}}}`},
		"anchor in an earlier document": {"a.yaml": "x-p: &p {compression: zstd, atime: off}\n---\npools: {tank: {}}\n---\ndatasets: {tank/a: {properties: {<<: *p}}}\n"},
		"alias as a key":                {"a.yaml": "x-k: &k tank/a\npools: {tank: {}}\ndatasets: {*k : {properties: {compression: zstd, atime: off}}}\n"},
		"folded":                        {"a.yaml": "pools: {tank: {}}\ndatasets:\n  tank/a:\n    properties:\n      compression: >-\n        zstd\n      atime: off\n"},
	} {
		s, err := loadText(t, files)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if s.Generation != want {
			t.Errorf("%s: another generation:\n%s", name, s.Encode())
		}
	}
}

// TestBadBytes: what is no text is named by its first bad byte.
func TestBadBytes(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"latin1":    {"pools: {}\n# gr\xfc\xdfe\n", "a.yaml:2:5: the byte 0xfc is no UTF-8"},
		"cut rune":  {"node:\n  name: \xe2\x82", "a.yaml:2:9: the byte 0xe2 is no UTF-8"},
		"UTF-16":    {"\xff\xfep\x00o\x00", "a.yaml:1:1: the byte 0xff is no UTF-8"},
		"NUL":       {"pools:\n  ta\x00nk: {}\n", "a.yaml:2:5: the character U+0000 is not allowed in YAML"},
		"escape":    {"\x1b[31m", "a.yaml:1:1: the character U+001B is not allowed in YAML"},
		"BOM later": {"node:\n  name: é\ufeff\n", "a.yaml:2:10: the character U+FEFF is not allowed in YAML"},
	} {
		_, err := loadText(t, map[string]string{"a.yaml": c.text})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestColumnsCountCharacters, as people and editors do.
func TestColumnsCountCharacters(t *testing.T) {
	_, err := loadText(t, map[string]string{"a.yaml": "pools: {tank: {properties: {comment: \"größe ß\", asift: 12}}}\n"})
	if err == nil || !strings.Contains(err.Error(), "a.yaml:1:49: ") {
		t.Error(err)
	}
}

// TestLarge: megabytes load or are refused in seconds, whatever is in them.
func TestLarge(t *testing.T) {
	size, n := 10<<20, 50_000
	if slow {
		size, n = 1<<20, 2_000
	}
	var datasets strings.Builder
	datasets.WriteString("pools: {tank: {}}\ndatasets:\n")
	for i := 0; datasets.Len() < size; i++ {
		fmt.Fprintf(&datasets, "  tank/d%d: {properties: {compression: zstd, \"com.example:text\": \"%s\"}}\n", i, strings.Repeat("x", 100))
	}
	merges := "x-a: &a {" + strings.Repeat("k: v, ", 1) + many(2000, func(i int) string { return fmt.Sprintf("k%d: v, ", i) }) + "}\n" +
		many(700, func(i int) string { return fmt.Sprintf("x-%d: {<<: *a}\n", i) })
	for _, c := range []struct {
		name, text string
		ok         bool
	}{
		{"10 MB of datasets", datasets.String(), true},
		{"10 MB of comments", strings.Repeat("# "+strings.Repeat("x", 60)+"\n", 160_000) + "pools: {tank: {}}\n", true},
		{"10 MB of one text", "x-a: \"" + strings.Repeat("x", size) + "\"\n", true},
		{"10 MB of empty lines", strings.Repeat("\n", 3_000_000), true},
		{"10 MB of numbers", "x-a: [" + strings.Repeat("1,", 5<<20) + "]\n", false},
		{"10 MB of brackets", strings.Repeat("[", 10<<20), false},
		{"10 MB of dashes", strings.Repeat("- ", 5<<20), false},
		{"10 MB of question marks", strings.Repeat("? ", 5<<20), false},
		{"mistakes without end", "datasets:\n" + many(max(n/2, 5001), func(i int) string { return fmt.Sprintf("  tonk/d%d: {propertis: {}, snapshots: dayly}\n", i) }), false},
		{"anchors without end", many(n, func(i int) string { return fmt.Sprintf("x-%d: &a%d {k: *a%d}\n", i, i, max(i-1, 0)) }), false},
		{"references without end", "pools: {tank: {}}\n" + "schedules:\n" + many(n, func(i int) string { return fmt.Sprintf("  s%d: {keep: {daily: 1}}\n", i) }) +
			"datasets:\n" + many(max(n/2, 5001), func(i int) string { return fmt.Sprintf("  tank/d%d: {snapshots: x%d}\n", i, i) }), false},
		{"replications without end", "pools: {tank: {}, usb: {}}\nreplications:\n" + many(max(n/2, 5001), func(i int) string {
			return fmt.Sprintf("  r%d: {source: tank/d%d, target: usb/d%d, recursive: true}\n", i, i, i)
		}), false},
		{"merges without end", merges, false},
		{"larger than the cap", strings.Repeat("#", maxFile+1), false},
	} {
		start := time.Now()
		_, err := loadText(t, map[string]string{"a.yaml": c.text})
		if (err == nil) != c.ok || strings.HasSuffix(c.name, "numbers") && !strings.Contains(err.Error(), "holds more than 4000000 values") {
			t.Errorf("%s: %.300v", c.name, err)
		}
		if d := time.Since(start); d > 3*time.Minute { // a hang; the race detector on a busy machine takes half a minute
			t.Errorf("%s: took %s", c.name, d)
		} else {
			t.Logf("%s: %s", c.name, d.Round(time.Millisecond))
		}
	}
}

func many(n int, one func(int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(one(i))
	}
	return b.String()
}

// TestDirectory: what a real directory can hold.
func TestDirectory(t *testing.T) {
	write := func(path, text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(dir, want string) {
		t.Helper()
		_, err := LoadDir(dir, LoadOptions{Hostname: "nas-a"})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", dir, err, want)
		}
	}
	base := t.TempDir()
	expect(filepath.Join(base, "none"), "the configuration directory can't be read: can't stat it: no such file or directory")
	file := filepath.Join(base, "file")
	write(file, "", 0o600)
	expect(file, "is not a directory")

	dir := filepath.Join(base, "conf")
	if err := os.MkdirAll(filepath.Join(dir, "sub.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	expect(dir, "there is no *.yaml file in this directory")
	write(filepath.Join(dir, "a.yaml"), "pools: {tank: {}}\n", 0o600)
	write(filepath.Join(dir, "sub.d", "b.yaml"), "not read\n", 0o600)
	expect(dir, "")

	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(dir, "pipe.yaml:1:1: is not a regular file")
	os.Remove(filepath.Join(dir, "pipe.yaml"))
	if err := os.Mkdir(filepath.Join(dir, "dir.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	expect(dir, "dir.yaml:1:1: is a directory")
	os.Remove(filepath.Join(dir, "dir.yaml"))
	if err := os.Symlink("nowhere", filepath.Join(dir, "link.yaml")); err != nil {
		t.Fatal(err)
	}
	expect(dir, "link.yaml:1:1: can't stat it: no such file or directory")
}

// TestUnreadableFile uses a file system that refuses, since root may read everything.
func TestUnreadableFile(t *testing.T) {
	_, err := Load(refusing{memoryFiles{"a.yaml": []byte("pools: {}")}}, LoadOptions{})
	if err == nil || !strings.Contains(err.Error(), "a.yaml:1:1: can't open it: permission denied") {
		t.Error(err)
	}
}

type refusing struct{ memoryFiles }

func (r refusing) Stat(name string) (fs.FileInfo, error) { return fs.Stat(r.memoryFiles, name) }

func (r refusing) Open(name string) (fs.File, error) {
	if name == "." {
		return r.memoryFiles.Open(name)
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
}

// TestConfigMap: a directory of links that are swapped all at once, as Kubernetes and some deploy tools do.
func TestConfigMap(t *testing.T) {
	dir := t.TempDir()
	swap := func(version, text string) {
		t.Helper()
		if err := errors.Join(
			os.Mkdir(filepath.Join(dir, version), 0o700),
			os.WriteFile(filepath.Join(dir, version, "a.yaml"), []byte(text), 0o600),
			os.Symlink(version, filepath.Join(dir, "..new")),
			os.Rename(filepath.Join(dir, "..new"), filepath.Join(dir, "..data")),
		); err != nil {
			t.Fatal(err)
		}
	}
	swap("..v1", "pools: {one: {}}\n")
	if err := os.Symlink("..data/a.yaml", filepath.Join(dir, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	for i, name := range []PoolName{"one", "two"} {
		if i == 1 {
			swap("..v2", "pools: {two: {}}\n")
		}
		s, err := LoadDir(dir, LoadOptions{})
		if err != nil || s.Pools[name] == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestKeyFileInDirectory: LoadDir knows where it is.
func TestKeyFileInDirectory(t *testing.T) {
	dir := t.TempDir()
	text := "pools: {tank: {}}\ndatasets: {tank/a: {encryption: {format: raw, keyFile: " + dir + "/keys/../a.key}}}\n"
	if err := os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadDir(dir, LoadOptions{}); err == nil || !strings.Contains(err.Error(), "a key file inside the configuration directory") {
		t.Error(err)
	}
}

// TestOneMistakeOnce: what stands behind an anchor is one mistake, however often it is used.
func TestOneMistakeOnce(t *testing.T) {
	_, err := loadText(t, map[string]string{"a.yaml": "x-p: &p {compresion: zstd}\npools: {tank: {}}\ndatasets: {tank/a: {properties: *p}, tank/b: {properties: *p}, tank/c: *q}\n"})
	if err == nil || strings.Contains(err.Error(), "\n") {
		t.Error(err)
	}
	_, err = loadText(t, map[string]string{"a.yaml": "x-p: &p {compresion: zstd}\npools: {tank: {}}\ndatasets: {tank/a: {properties: *p}, tank/b: {properties: *p}}\n"})
	if err == nil || strings.Contains(err.Error(), "\n") {
		t.Error(err)
	}
}

// TestNotWrong: what looks like a mistake and is none.
func TestNotWrong(t *testing.T) {
	ha := "ha: {active: nas-a, datasets: [tank/a], peers: {nas-a: " + testPeer + ", nas-b: " + strings.TrimSuffix(testPeer, "}") + ", remote: nas-b}}}\n" +
		"remotes: {nas-b: {host: b, user: u, identityFile: /k, hostKey: \"" + testKey + "\"}}\n"
	for name, text := range map[string]string{
		"key file beside an unmounted dataset":    "datasets: {tank/a: {properties: {mountpoint: none}, encryption: {format: raw, keyFile: /tank/a/key}}}",
		"key file on the parent":                  "datasets: {tank/a: {encryption: {format: raw, keyFile: /tank/keys/a}}}",
		"a key on another that is unlocked first": "datasets: {tank/a: {encryption: {format: passphrase}}, tank/c: {encryption: {format: raw, keyFile: /tank/a/key}}}",
		"absent below absent":                     "datasets: {tank/a: {absent: true}, tank/a/b: {absent: true}}",
		"a chain":                                 "replications: {a: {source: tank/a, target: usb/a}, b: {source: usb/a, target: tank/b}}",
		"there and back elsewhere":                "replications: {a: {source: tank/a, target: usb/a}, b: {source: usb/b, target: tank/b}}",
		"one source, two targets":                 "replications: {a: {source: tank/a, target: usb/a}, b: {source: tank/a, target: usb/b}}",
		"below, but not of it":                    "replications: {a: {source: tank/a, target: usb/a}, b: {source: usb/a/x, target: tank/a/y}}",
		"standby, with the part excluded":         ha + "replications: {a: {source: tank/a, recursive: true, exclude: [tank/a/b], target: standby}, b: {source: tank/a/b, target: standby}}",
		"one spare for two pools":                 "pools: {p: {vdevs: [{stripe: [/dev/a]}], spare: [/dev/s]}, q: {vdevs: [{stripe: [/dev/b]}], spare: [/dev/s]}}",
		"a dataset below an undeclared one":       "datasets: {tank/a/b/c: {}}",
		"a schedule of the parent":                "schedules: {s: {keep: {daily: 1}}}\ndatasets: {tank: {snapshots: {schedule: s}}, tank/a: {snapshots: none}}",
	} {
		pools := "pools: {tank: {}, usb: {}}\n"
		if _, err := loadText(t, map[string]string{"a.yaml": pools, "b.yaml": text + "\n"}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFilesAreKept(t *testing.T) {
	text := []byte("pools: {tank: {}}\n")
	s, err := LoadFiles(map[string][]byte{"a.yaml": text, "notes.txt": []byte("x")}, LoadOptions{})
	if err != nil || len(s.Files) != 1 || !bytes.Equal(s.Files["a.yaml"], text) {
		t.Errorf("%v %v", s, err)
	}
	again, err := LoadFiles(s.Files, LoadOptions{})
	if err != nil || again.Generation != s.Generation {
		t.Errorf("%v %v", again, err)
	}
}

// TestWarnings: valid, but doubtful.
func TestWarnings(t *testing.T) {
	head := "pools: {tank: {}, usb: {}}\nschedules:\n  daily: {keep: {daily: 3}}\n  often: {keep: {frequently: 4, daily: 3}}\n"
	for name, c := range map[string]struct{ text, want string }{
		"no schedule":    {"replications: {r: {source: tank/a, target: usb/a}}\n", "a.yaml:5:28: replications.r.source: no schedule covers tank/a"},
		"stopped":        {"datasets: {tank: {snapshots: daily}, tank/a: {snapshots: none}}\nreplications: {r: {source: tank/a, target: usb/a}}\n", "no schedule covers tank/a"},
		"too slow":       {"datasets: {tank: {snapshots: daily}}\nreplications: {r: {source: tank/a, target: usb/a, objective: 1h}}\n", "the objective is 1h, but schedule daily takes a snapshot every 1d"},
		"seldom":         {"datasets: {tank: {snapshots: often}}\nreplications: {r: {source: tank/a, target: usb/a, objective: 1h, when: {every: 2h}}}\n", "the objective is 1h, but it is sent every 2h"},
		"quick enough":   {"datasets: {tank: {snapshots: often}}\nreplications: {r: {source: tank/a, target: usb/a, objective: 1h}}\n", ""},
		"a pull is not ": {"remotes: {}\n", ""},
	} {
		s := mustLoad(t, map[string]string{"a.yaml": head + c.text})
		got := ""
		for _, w := range s.Warnings {
			got += w.Error() + "\n"
		}
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}
