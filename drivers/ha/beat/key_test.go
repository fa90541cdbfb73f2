package beat

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestKey(t *testing.T) {
	path := KeyFile(filepath.Join(t.TempDir(), "lib", "dplaneos.db"))
	if _, err := LoadKey(path); !errors.Is(err, ErrNoKey) {
		t.Fatal(err)
	}
	// Several that make it at once get the same one.
	var all [8]*Key
	var made [8]bool
	var wait sync.WaitGroup
	for i := range all {
		wait.Go(func() {
			var err error
			if all[i], made[i], err = EnsureKey(path); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	count := 0
	for i, k := range all {
		if made[i] {
			count++
		}
		if k.Pin() != all[0].Pin() {
			t.Error("two keys")
		}
	}
	if count != 1 {
		t.Errorf("made %d times", count)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".ha.key-*")); len(left) > 0 {
		t.Error("left behind:", left)
	}
	sum := sha256.Sum256(all[0].cert.Leaf.RawSubjectPublicKeyInfo)
	if want := "sha256/" + base64.StdEncoding.EncodeToString(sum[:]); all[0].Pin().String() != want || len(want) != 51 {
		t.Errorf("%s, want %s", all[0].Pin(), want)
	}
	secret, _ := os.ReadFile(path)
	body := strings.Split(string(secret), "\n")[1]
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if shown := fmt.Sprintf(verb, all[0]); shown != all[0].Pin().String() || strings.Contains(shown, body) {
			t.Errorf("%s shows %s", verb, shown)
		}
	}
}

func TestKeyIsRefused(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	if _, _, err := EnsureKey(good); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(good)
	for name, c := range map[string]struct {
		make func(path string) error
		want string
	}{
		"others can read it": {func(p string) error { return os.WriteFile(p, text, 0o640) }, "mode 0640"},
		"empty":              {func(p string) error { return os.WriteFile(p, nil, 0o600) }, "no private key"},
		"something else":     {func(p string) error { return os.WriteFile(p, []byte("hunter2"), 0o600) }, "no private key"},
		"cut":                {func(p string) error { return os.WriteFile(p, text[:60], 0o600) }, "no private key"},
		"a directory":        {func(p string) error { return os.Mkdir(p, 0o700) }, "no regular file"},
		"a link":             {func(p string) error { return os.Symlink(good, p) }, "too many levels"},
	} {
		path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		if err := c.make(path); err != nil {
			t.Fatal(err)
		}
		before, _ := os.ReadFile(path)
		_, made, err := EnsureKey(path)
		if err == nil || made || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: made %v, %v", name, made, err)
		}
		if after, _ := os.ReadFile(path); string(after) != string(before) {
			t.Errorf("%s: it was overwritten", name)
		}
	}
}
