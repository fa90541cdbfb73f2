package dataset

import (
	"context"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/drivertest"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/spec"
)

const (
	hexKey   = "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef"
	rawKey   = "raw key: 32 bytes, and no more. "
	otherRaw = "raw key: another one altogether."
)

// keyMachine is a pool with key files of every kind.
func keyMachine(t *testing.T, lines ...string) *zfsfake.Fake {
	t.Helper()
	f := zfsfake.New()
	f.AddDisk("/dev/a", 64<<30)
	for file, text := range map[string]string{
		"/k/raw": rawKey, "/k/other": otherRaw, "/k/copy": rawKey, "/k/hex": hexKey + "\n", "/k/pass": "correct horse\n",
		"/k/short": "1234567", "/k/bad": strings.Replace(hexKey, "0", "x", 1), "/k/empty": "", "/k/long": rawKey + "x", "/k/words": "short\nand a long enough second line\n",
	} {
		f.AddKey(file, text)
	}
	f.Model.Keys["/k/open"] = &zfsfake.KeyFile{Text: rawKey, Mode: "644", Owner: "0"}
	f.Model.Keys["/k/anna"] = &zfsfake.KeyFile{Text: rawKey, Mode: "600", Owner: "1000"}
	f.AddDir("/k/dir")
	for _, l := range append([]string{"zpool create tank /dev/a"}, lines...) {
		if _, err := f.Do(l); err != nil {
			t.Fatalf("%s: %v", l, err)
		}
	}
	return f
}

func loadYAML(t *testing.T, datasets string) *spec.Spec {
	t.Helper()
	s, err := spec.LoadFiles(map[string][]byte{"d.yaml": []byte("pools: {tank: {}}\ndatasets:\n" + datasets)}, spec.LoadOptions{Hostname: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// settle carries out all that is planned, a person being there who types the secret, and gives the plan as text.
func settle(t *testing.T, f *zfsfake.Fake, want *spec.Spec, secret string) string {
	t.Helper()
	actions, text := plan(want, look(t, f, want))
	r := host.Prompting{Runner: f, Ask: func(prompt string) ([]byte, error) {
		text = append(text, "asked for the "+prompt)
		return []byte(secret + "\n"), nil
	}}
	for _, a := range actions {
		if a.Verb == drivers.Blocked {
			continue
		}
		if err := drivers.Apply(t.Context(), r, a); err != nil {
			t.Fatalf("%s %s: %v", a.Verb, a.Object, err)
		}
	}
	return strings.Join(text, " | ")
}

func TestKeys(t *testing.T) {
	const createRaw = "zfs create -o encryption=on -o keyformat=raw -o keylocation=file:///k/raw tank/a"
	for name, c := range map[string]struct {
		machine []string
		want    string
		secret  string
		plan    string // "" is nothing
		left    string // what the next plan says, where it is not empty
		notice  string
	}{
		"create with a raw key": {
			want: "  tank/a: {encryption: {format: raw, keyFile: /k/raw}}",
			plan: "create safe missing: " + createRaw,
		},
		"create with a hex key": {
			want: "  tank/a: {encryption: {format: hex, keyFile: /k/hex}, properties: {atime: off}}",
			plan: "create safe missing: zfs create -o atime=off -o dplane:applied=atime -o encryption=on -o keyformat=hex -o keylocation=file:///k/hex tank/a",
		},
		"create with a passphrase, a child with its own key and one without": {
			want: "  tank/a: {encryption: {format: passphrase, keyFile: /k/pass}}\n  tank/a/b: {}\n  tank/a/c: {encryption: {format: raw, keyFile: /k/raw}}",
			plan: "create safe missing: zfs create -o encryption=on -o keyformat=passphrase -o keylocation=file:///k/pass tank/a | create safe missing: zfs create tank/a/b | " +
				"create safe missing: zfs create -o encryption=on -o keyformat=raw -o keylocation=file:///k/raw tank/a/c",
		},
		"create an encrypted volume": {
			want: "  tank/a: {volume: {size: 1M, sparse: true}, encryption: {format: raw, keyFile: /k/raw}}",
			plan: "create safe missing: zfs create -s -V 1048576 -o encryption=on -o keyformat=raw -o keylocation=file:///k/raw tank/a",
		},
		"create with a typed passphrase": {
			want: "  tank/a: {encryption: {format: passphrase}}", secret: "correct horse",
			plan: "create safe missing: zfs create -o encryption=on -o keyformat=passphrase -o keylocation=prompt tank/a | asked for the new passphrase of tank/a",
		},
		"a raw key can't be typed": {
			want: "  tank/a: {encryption: {format: raw}}",
			plan: "blocked conflict tank/a: a raw key can't be typed: name a keyFile, or another format",
			left: "blocked conflict tank/a: a raw key can't be typed: name a keyFile, or another format",
		},
		"load at start, the mounts below follow": {
			machine: []string{createRaw, "zfs create tank/a/b", "zpool export tank", "zpool import tank"},
			want:    "  tank/a: {encryption: {format: raw, keyFile: /k/raw}}\n  tank/a/b: {}\n  tank/a/new: {}",
			plan:    "run safe drift: zfs load-key tank/a | run safe drift: zfs mount tank/a | run safe drift: zfs mount tank/a/b | create safe missing: zfs create tank/a/new",
		},
		"a typed one is asked for": {
			machine: []string{"zfs create -o encryption=on -o keyformat=passphrase -o keylocation=file:///k/pass tank/a", "zfs set keylocation=prompt tank/a", "zpool export tank", "zpool import tank"},
			want:    "  tank/a: {encryption: {format: passphrase}}", secret: "correct horse",
			plan: "run safe drift: zfs load-key tank/a | run safe drift: zfs mount tank/a | asked for the passphrase of tank/a",
		},
		"load from a file that is bad": {
			machine: []string{createRaw, "zpool export tank", "zpool import tank", "zfsfake key /k/raw raw:31"},
			want:    "  tank/a: {encryption: {format: raw, keyFile: /k/raw}}\n  tank/a/b: {}",
			plan:    "blocked drift tank/a: the key file /k/raw has 31 bytes, and a raw key has 32: the key can't be loaded | blocked conflict tank/a/b: the key of tank/a is not loaded: zfs load-key tank/a",
			left:    "blocked drift tank/a: the key file /k/raw has 31 bytes, and a raw key has 32: the key can't be loaded | blocked conflict tank/a/b: the key of tank/a is not loaded: zfs load-key tank/a",
		},
		"the file is bad, and the key is loaded": {
			machine: []string{createRaw, "zfsfake key /k/raw raw:32 666"},
			want:    "  tank/a: {encryption: {format: raw, keyFile: /k/raw}}",
			notice:  "d.yaml:3: the key of tank/a is loaded, and could not be loaded again: the key file /k/raw has the mode 666, so that others may read it: chmod 600",
		},
		"nobody declares the key": {
			machine: []string{createRaw, "zpool export tank", "zpool import tank"},
			want:    "  tank/a: {}",
			notice:  "the key of tank/a is not loaded, and the files say nothing of it: zfs load-key tank/a",
		},
		"another key": {
			machine: []string{createRaw},
			want:    "  tank/a: {encryption: {format: raw, keyFile: /k/other}}",
			plan:    "update irreversible drift: zfs change-key -o keyformat=raw -o keylocation=file:///k/other tank/a",
		},
		"the same key in another file": {
			machine: []string{createRaw},
			want:    "  tank/a: {encryption: {format: raw, keyFile: /k/copy}}",
			plan:    "update safe drift: zfs set keylocation=file:///k/copy tank/a",
		},
		"the same key in another file, not loaded": {
			machine: []string{createRaw, "zpool export tank", "zpool import tank"},
			want:    "  tank/a: {encryption: {format: raw, keyFile: /k/copy}}",
			plan:    "update safe drift: zfs set keylocation=file:///k/copy tank/a | run safe drift: zfs load-key tank/a | run safe drift: zfs mount tank/a",
		},
		"another key, and the old one is not loaded": {
			machine: []string{createRaw, "zpool export tank", "zpool import tank"},
			want:    "  tank/a: {encryption: {format: raw, keyFile: /k/other}}",
			plan:    "blocked drift tank/a: /k/other holds another key than tank/a has, and the key can be changed only while it is loaded: zfs load-key -L file:///OLD/KEY tank/a, and apply again",
			left:    "blocked drift tank/a: /k/other holds another key than tank/a has, and the key can be changed only while it is loaded: zfs load-key -L file:///OLD/KEY tank/a, and apply again",
		},
		"another format": {
			machine: []string{createRaw},
			want:    "  tank/a: {encryption: {format: passphrase, keyFile: /k/pass}, properties: {pbkdf2iters: 400000}}",
			plan:    "update irreversible drift: zfs change-key -o keyformat=passphrase -o keylocation=file:///k/pass -o pbkdf2iters=400000 tank/a",
		},
		"another format whose file is bad": {
			machine: []string{createRaw},
			want:    "  tank/a: {encryption: {format: hex, keyFile: /k/bad}}",
			plan:    "blocked drift tank/a: the key file /k/bad holds something else than 64 hexadecimal digits; the key that it has stays in force",
			left:    "blocked drift tank/a: the key file /k/bad holds something else than 64 hexadecimal digits; the key that it has stays in force",
		},
		"from a file to typing": {
			machine: []string{"zfs create -o encryption=on -o keyformat=passphrase -o keylocation=file:///k/pass tank/a"},
			want:    "  tank/a: {encryption: {format: passphrase}}",
			plan:    "update safe drift: zfs set keylocation=prompt tank/a",
		},
		"a key of its own below another": {
			machine: []string{createRaw, "zfs create tank/a/b"},
			want:    "  tank/a: {encryption: {format: raw, keyFile: /k/raw}}\n  tank/a/b: {encryption: {format: raw, keyFile: /k/other}}",
			plan:    "update irreversible drift: zfs change-key -o keyformat=raw -o keylocation=file:///k/other tank/a/b",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := keyMachine(t)
			for _, l := range c.machine {
				if control, ok := strings.CutPrefix(l, "zfsfake "); ok {
					if err := f.Control(control); err != nil {
						t.Fatal(err)
					}
					continue
				}
				if _, err := f.Do(l); err != nil {
					t.Fatalf("%s: %v", l, err)
				}
			}
			want := loadYAML(t, c.want+"\n")
			if got := settle(t, f, want, c.secret); got != c.plan {
				t.Errorf("got\n%s\nwant\n%s", got, c.plan)
			}
			obs := look(t, f, want)
			if _, text := plan(want, obs); strings.Join(text, " | ") != c.left {
				t.Errorf("then\n%s\nwant\n%s", strings.Join(text, " | "), c.left)
			}
			notices := new(Driver).Diff(drivers.Input{Want: want, Have: obs}).Notices
			if got := strings.Join(notices, " | "); got != c.notice {
				t.Errorf("notices %q, want %q", got, c.notice)
			}
		})
	}
}

// TestKeyFiles: a file that would not do blocks, and says why.
func TestKeyFiles(t *testing.T) {
	for _, c := range []struct{ format, file, why string }{
		{"raw", "/k/raw", ""},
		{"hex", "/k/hex", ""},
		{"passphrase", "/k/pass", ""},
		{"raw", "/k/nosuch", "is not there"},
		{"raw", "/k/dir", "is no regular file but a directory"},
		{"raw", "/k/open", "has the mode 644, so that others may read it: chmod 600"},
		{"raw", "/k/anna", "belongs to the user 1000: chown root"},
		{"raw", "/k/long", "has 33 bytes, and a raw key has 32"},
		{"raw", "/k/empty", "has 0 bytes, and a raw key has 32"},
		{"hex", "/k/raw", "has 32 bytes, and a hex key has 64 digits"},
		{"hex", "/k/bad", "holds something else than 64 hexadecimal digits"},
		{"passphrase", "/k/short", "has 7 bytes, and a passphrase has at least 8"},
		{"passphrase", "/k/words", "has a line of less than 8 or more than 512 bytes"},
	} {
		f := keyMachine(t)
		want := loadYAML(t, "  tank/a: {encryption: {format: "+c.format+", keyFile: "+c.file+"}}\n")
		_, text := plan(want, look(t, f, want))
		got := strings.Join(text, " | ")
		if c.why == "" && !strings.HasPrefix(got, "create safe") || c.why != "" && got != "blocked conflict tank/a: the key file "+c.file+" "+c.why {
			t.Errorf("%s %s: %s", c.format, c.file, got)
		}
	}
}

// TestKeysAreNotShown: nothing that a plan holds, prints or hashes has a key in it.
func TestKeysAreNotShown(t *testing.T) {
	f := keyMachine(t, "zfs create -o encryption=on -o keyformat=raw -o keylocation=file:///k/raw tank/a")
	want := loadYAML(t, "  tank/a: {encryption: {format: passphrase, keyFile: /k/pass}}\n  tank/b: {encryption: {format: hex, keyFile: /k/hex}}\n")
	var said strings.Builder
	r := listening{f, &said}
	actions, text := plan(want, look(t, r, want))
	said.WriteString(drivertest.Text(actions) + strings.Join(text, "\n"))
	for _, secret := range []string{rawKey, "correct horse", hexKey} {
		if strings.Contains(said.String(), secret) {
			t.Errorf("%q is shown", secret)
		}
	}
}

// listening keeps every command line and answer.
type listening struct {
	host.Runner
	said *strings.Builder
}

func (l listening) Run(ctx context.Context, c host.Command) (host.Result, error) {
	res, err := l.Runner.Run(ctx, c)
	l.said.WriteString(c.String() + string(res.Stdout) + string(res.Stderr))
	return res, err
}
