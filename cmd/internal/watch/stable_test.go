package watch

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// steps is a clock on which waiting takes no time: each wait runs the next step of the scenario instead.
type steps struct {
	waits []time.Duration
	do    []func()
}

func (c *steps) Now() time.Time { return time.Time{} }

func (c *steps) After(d time.Duration) <-chan time.Time {
	if n := len(c.waits); n < len(c.do) && c.do[n] != nil {
		c.do[n]()
	}
	c.waits = append(c.waits, d)
	ch := make(chan time.Time, 1)
	ch <- time.Time{}
	return ch
}

func (c *steps) total() (d time.Duration) {
	for _, w := range c.waits {
		d += w
	}
	return d
}

func files(names ...string) map[string][]byte {
	m := map[string][]byte{}
	for _, n := range names {
		name, content, _ := strings.Cut(n, "=")
		m[name] = []byte(content)
	}
	return m
}

func TestStable(t *testing.T) {
	dir := t.TempDir()
	put := func(name, content string) func() { return func() { write(t, dir+"/"+name, content) } }
	del := func(name string) func() { return func() { do(t, os.Remove(dir+"/"+name)) } }
	for _, c := range []struct {
		name    string
		inForce map[string][]byte
		do      []func()
		want    map[string][]byte
		wait    time.Duration
	}{
		{"at rest", files("a.yaml=0"), nil, files("a.yaml=0"), apart},
		{"still being written", nil, []func(){put("a.yaml", "half"), put("a.yaml", "whole")}, files("a.yaml=whole"), 3 * apart},
		{"a new file", files("a.yaml=0"), []func(){put("b.yaml", "b")}, files("a.yaml=0", "b.yaml=b"), 2 * apart},
		{"gone for good", files("a.yaml=0", "b.yaml=b"), nil, files("a.yaml=0"), apart + confirmed + apart},
		{"gone for a moment", files("a.yaml=0", "b.yaml=b"), []func(){nil, put("b.yaml", "back")}, files("a.yaml=0", "b.yaml=back"), apart + confirmed + apart},
		{"gone, and then another one", files("a.yaml=0", "b.yaml=b"), []func(){nil, put("c.yaml", "c")}, files("a.yaml=0", "c.yaml=c"), 2*(apart+confirmed) + apart},
		{"a link before its target", nil, []func(){func() { do(t, os.Symlink("target", dir+"/l.yaml")) }, put("target", "t")}, files("a.yaml=0", "l.yaml=t"), 3 * apart},
		{"git ends", nil, []func(){del(".git/index.lock")}, files("a.yaml=0"), 2 * apart},
	} {
		t.Run(c.name, func(t *testing.T) {
			do(t, os.RemoveAll(dir), os.MkdirAll(dir+"/.git", 0o755))
			write(t, dir+"/a.yaml", "0")
			if c.name == "git ends" {
				write(t, dir+"/.git/index.lock", "")
			}
			clock := &steps{do: c.do}
			got, err := stable(context.Background(), dir, c.inForce, clock)
			if err != nil {
				t.Fatal(err)
			}
			if !equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if clock.total() != c.wait {
				t.Errorf("waited %s, want %s: %v", clock.total(), c.wait, clock.waits)
			}
		})
	}
}

func TestUnstable(t *testing.T) {
	for name, c := range map[string]struct {
		before func(dir string)
		want   string
	}{
		"no directory":    {func(dir string) { do(t, os.Remove(dir)) }, "read configuration directory"},
		"a broken link":   {func(dir string) { do(t, os.Symlink("nowhere", dir+"/a.yaml")) }, "no such file"},
		"a loop of links": {func(dir string) { do(t, os.Symlink("a.yaml", dir+"/a.yaml")) }, "too many levels"},
		"a pipe":          {func(dir string) { do(t, syscall.Mkfifo(dir+"/a.yaml", 0o600)) }, "no regular file"},
		"a directory":     {func(dir string) { do(t, os.Mkdir(dir+"/a.yaml", 0o755)) }, "no regular file"},
		"a rebase":        {func(dir string) { do(t, os.MkdirAll(dir+"/.git/rebase-merge", 0o755)) }, "git is at work"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c.before(dir)
			if _, err := stable(context.Background(), dir, nil, &steps{}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
	t.Run("never at rest", func(t *testing.T) {
		dir := t.TempDir()
		clock := &steps{}
		for range 100 {
			clock.do = append(clock.do, func() { write(t, dir+"/a.yaml", strings.Repeat("x", len(clock.waits))) })
		}
		if _, err := stable(context.Background(), dir, nil, clock); err == nil || !strings.Contains(err.Error(), "kept changing") {
			t.Error(err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := Stable(ctx, t.TempDir(), nil); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestCheckOwner(t *testing.T) {
	dir := t.TempDir()
	self := os.Geteuid()
	check := func(want string) {
		t.Helper()
		err := checkOwner(dir, self)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	check("")
	write(t, dir+"/a.yaml", "")
	write(t, dir+"/ignored.txt", "")
	do(t, os.Chmod(dir+"/ignored.txt", 0o666))
	check("")
	for _, mode := range []os.FileMode{0o664, 0o646, 0o622} {
		do(t, os.Chmod(dir+"/a.yaml", mode))
		check("chmod go-w " + dir + "/a.yaml")
	}
	do(t, os.Chmod(dir+"/a.yaml", 0o444))
	check("")
	do(t, os.Symlink("ignored.txt", dir+"/link.yaml"))
	check("link.yaml is writable")
	do(t, os.Chmod(dir+"/a.yaml", 0o666))
	check("chmod go-w " + dir + "/a.yaml\n" + dir + "/link.yaml is writable")
	do(t, os.Chmod(dir+"/a.yaml", 0o444))
	do(t, os.Remove(dir+"/link.yaml"), os.Mkdir(dir+"/d.yml", 0o755))
	check("no regular file")
	do(t, os.Remove(dir+"/d.yml"), os.Symlink("nowhere", dir+"/link.yaml"))
	check("no such file")
	do(t, os.Remove(dir+"/link.yaml"))
	if self != 0 {
		if err := checkOwner(dir, self+1); err == nil || !strings.Contains(err.Error(), "belongs to user") {
			t.Error(err)
		}
		return
	}
	do(t, os.Chown(dir+"/a.yaml", 12345, 0)) // only root can give a file away
	check("belongs to user 12345")
	if err := checkOwner(dir, 12345); err != nil {
		t.Error("the running user's own file:", err)
	}
}
