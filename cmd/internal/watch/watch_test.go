package watch

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/reconcile"
)

// deadline is how long a poke may take on a busy machine before the test gives up on it.
const deadline = 20 * time.Second

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func do(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// eager is the wall clock, but without the slow poll: what it does not see, no event told.
type eager struct{ reconcile.Wall }

func (c eager) After(d time.Duration) <-chan time.Time {
	if d == poll {
		return nil
	}
	return c.Wall.After(d)
}

func start(t *testing.T, dir string, clock reconcile.Clock) <-chan struct{} {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	poke, done := watchDir(ctx, dir, slog.New(slog.NewTextHandler(io.Discard, nil)), clock)
	t.Cleanup(func() { cancel(); <-done })
	return poke
}

func await(t *testing.T, poke <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-poke:
	case <-time.After(deadline):
		t.Fatalf("no poke after: %s", what)
	}
}

// awaitContent waits for pokes until the files are as they should be: some changes show steps between.
func awaitContent(t *testing.T, poke <-chan struct{}, dir, what, want string) {
	t.Helper()
	for end := time.After(deadline); ; {
		select {
		case <-poke:
		case <-end:
			t.Fatalf("no poke after: %s", what)
		}
		if files, err := read(dir); err == nil && string(files["a.yaml"]) == want {
			return
		}
	}
}

// The table of what happens to configuration directories. Each scenario changes a.yaml twice over,
// since a watch that died with the first change is found by the second.
func TestEveryChangeIsSeen(t *testing.T) {
	for name, scenario := range map[string]struct {
		watch  string // below the test's directory
		before func(t *testing.T, dir string)
		change func(t *testing.T, dir, content string)
	}{
		"write in place": {"cfg", plainDir, func(t *testing.T, dir, c string) { write(t, dir+"/cfg/a.yaml", c) }},
		"atomic rename": {"cfg", plainDir, func(t *testing.T, dir, c string) {
			write(t, dir+"/cfg/.a.tmp", c)
			do(t, os.Rename(dir+"/cfg/.a.tmp", dir+"/cfg/a.yaml"))
		}},
		"renamed in from elsewhere": {"cfg", plainDir, func(t *testing.T, dir, c string) {
			write(t, dir+"/new", c)
			do(t, os.Rename(dir+"/new", dir+"/cfg/a.yaml"))
		}},
		"sed -i": {"cfg", plainDir, func(t *testing.T, dir, c string) {
			if out, err := exec.Command("sed", "-i", "s/.*/"+c+"/", dir+"/cfg/a.yaml").CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}},
		"directory removed and made again": {"cfg", plainDir, func(t *testing.T, dir, c string) {
			do(t, os.RemoveAll(dir+"/cfg"), os.Mkdir(dir+"/cfg", 0o755))
			write(t, dir+"/cfg/a.yaml", c)
		}},
		"directory replaced by another": {"cfg", plainDir, func(t *testing.T, dir, c string) {
			do(t, os.Mkdir(dir+"/next", 0o755))
			write(t, dir+"/next/a.yaml", c)
			do(t, os.Rename(dir+"/cfg", dir+"/old-"+c), os.Rename(dir+"/next", dir+"/cfg"))
		}},
		"the parent replaced by another": {"etc/cfg", func(t *testing.T, dir string) {
			do(t, os.MkdirAll(dir+"/etc/cfg", 0o755))
			write(t, dir+"/etc/cfg/a.yaml", "0")
		}, func(t *testing.T, dir, c string) {
			do(t, os.MkdirAll(dir+"/next/cfg", 0o755))
			write(t, dir+"/next/cfg/a.yaml", c)
			do(t, os.Rename(dir+"/etc", dir+"/old-"+c), os.Rename(dir+"/next", dir+"/etc"))
		}},
		"..data swapped": {"cfg", func(t *testing.T, dir string) {
			do(t, os.MkdirAll(dir+"/cfg/..v0", 0o755), os.Symlink("..v0", dir+"/cfg/..data"), os.Symlink("..data/a.yaml", dir+"/cfg/a.yaml"))
			write(t, dir+"/cfg/..v0/a.yaml", "0")
		}, func(t *testing.T, dir, c string) {
			do(t, os.Mkdir(dir+"/cfg/..v"+c, 0o755))
			write(t, dir+"/cfg/..v"+c+"/a.yaml", c)
			do(t, os.Symlink("..v"+c, dir+"/cfg/..data_tmp"), os.Rename(dir+"/cfg/..data_tmp", dir+"/cfg/..data"))
		}},
		"the directory is a link that is swapped": {"cur", func(t *testing.T, dir string) {
			do(t, os.Mkdir(dir+"/r0", 0o755), os.Symlink("r0", dir+"/cur"))
			write(t, dir+"/r0/a.yaml", "0")
		}, func(t *testing.T, dir, c string) {
			do(t, os.Mkdir(dir+"/r"+c, 0o755))
			write(t, dir+"/r"+c+"/a.yaml", c)
			do(t, os.Symlink("r"+c, dir+"/tmp"), os.Rename(dir+"/tmp", dir+"/cur"))
		}},
		"a link above the directory is swapped": {"cur/cfg", func(t *testing.T, dir string) {
			do(t, os.MkdirAll(dir+"/r0/cfg", 0o755), os.Symlink(dir+"/r0", dir+"/cur"))
			write(t, dir+"/r0/cfg/a.yaml", "0")
		}, func(t *testing.T, dir, c string) {
			do(t, os.MkdirAll(dir+"/r"+c+"/cfg", 0o755))
			write(t, dir+"/r"+c+"/cfg/a.yaml", c)
			do(t, os.Symlink(dir+"/r"+c, dir+"/tmp"), os.Rename(dir+"/tmp", dir+"/cur"))
		}},
		"a file is a link, its target changes": {"cfg", func(t *testing.T, dir string) {
			do(t, os.MkdirAll(dir+"/store/x", 0o755), os.Mkdir(dir+"/cfg", 0o755), os.Symlink("../store/x/real", dir+"/cfg/a.yaml"))
			write(t, dir+"/store/x/real", "0")
		}, func(t *testing.T, dir, c string) {
			write(t, dir+"/store/x/tmp", c)
			do(t, os.Rename(dir+"/store/x/tmp", dir+"/store/x/real"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			scenario.before(t, dir)
			cfg := filepath.Join(dir, scenario.watch)
			poke := start(t, cfg, eager{})
			for _, content := range []string{"1", "2"} {
				scenario.change(t, dir, content)
				awaitContent(t, poke, cfg, name+" "+content, content)
			}
		})
	}
}

func plainDir(t *testing.T, dir string) {
	t.Helper()
	do(t, os.Mkdir(dir+"/cfg", 0o755))
	write(t, dir+"/cfg/a.yaml", "0")
}

func TestOtherChangesAreSeen(t *testing.T) {
	dir := t.TempDir()
	cfg := dir + "/some/parent/cfg"
	poke := start(t, cfg, eager{}) // before there is a directory
	do(t, os.MkdirAll(cfg, 0o755))
	await(t, poke, "the directory is made")
	write(t, cfg+"/a.yaml", "")
	await(t, poke, "a file is new")
	do(t, os.Chmod(cfg+"/a.yaml", 0o666))
	await(t, poke, "a file's mode is another")
	do(t, os.Rename(cfg+"/a.yaml", cfg+"/b.yaml"))
	await(t, poke, "a file's name is another")
	do(t, os.Remove(cfg+"/b.yaml"))
	await(t, poke, "a file is gone")
	do(t, os.RemoveAll(cfg))
	await(t, poke, "the directory is gone")
	do(t, os.RemoveAll(dir+"/some"), os.MkdirAll(cfg, 0o755))
	await(t, poke, "it is made again, and what is above it too")
}

// What does not concern the configuration, or changes nothing, does not start a reconcile.
func TestNoiseIsNotSeen(t *testing.T) {
	dir := t.TempDir()
	plainDir(t, dir)
	poke := start(t, dir+"/cfg", eager{})
	write(t, dir+"/neighbour.yaml", "x")
	write(t, dir+"/cfg/.a.yaml.swp", "x")
	write(t, dir+"/cfg/a.yaml~", "x")
	write(t, dir+"/cfg/#a.yaml#", "x")
	write(t, dir+"/cfg/4913", "x")
	write(t, dir+"/cfg/README.md", "x")
	do(t, os.Chtimes(dir+"/cfg/a.yaml", time.Now(), time.Now()))
	write(t, dir+"/cfg/a.yaml", "0")
	write(t, dir+"/cfg/a.yaml", "last")
	await(t, poke, "the only real change")
	select {
	case <-poke:
		t.Fatal("noise was taken for a change")
	case <-time.After(2 * quiet):
	}
}

// The slow poll finds what no event told; here nothing can be watched at all.
func TestThePollIsABackstop(t *testing.T) {
	dir := t.TempDir()
	plainDir(t, dir)
	tick := make(chan time.Time)
	w := &watcher{dir: dir + "/cfg", log: slog.New(slog.NewTextHandler(io.Discard, nil)), clock: only{tick}, poke: make(chan struct{}, 1), set: map[string]inode{}}
	w.warn(os.ErrPermission)
	w.seen = fingerprint(w.dir)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); w.run(ctx) }()
	defer func() { cancel(); <-done }()
	tick <- time.Time{}
	tick <- time.Time{} // the first look has ended
	if len(w.poke) != 0 {
		t.Fatal("nothing changed")
	}
	write(t, dir+"/cfg/a.yaml", "1")
	tick <- time.Time{}
	await(t, w.poke, "a poll")
}

// No event tells that a folder far above was replaced. The poll does, and from then on the watch is on
// the directory that is there now.
func TestTheWatchFollowsThePoll(t *testing.T) {
	dir := t.TempDir()
	cfg := dir + "/a/b/c/cfg"
	fill := func(content string) {
		do(t, os.MkdirAll(cfg, 0o755))
		write(t, cfg+"/a.yaml", content)
	}
	fill("0")
	clock := polled{tick: make(chan time.Time)}
	poke := start(t, cfg, clock)
	do(t, os.Rename(dir+"/a", dir+"/old"))
	fill("1")
	clock.tick <- time.Time{}
	await(t, poke, "a poll")
	write(t, cfg+"/a.yaml", "2")
	await(t, poke, "a change in the directory that is there now")
}

// polled is the wall clock, but the slow poll comes when the test says so.
type polled struct {
	reconcile.Wall
	tick chan time.Time
}

func (c polled) After(d time.Duration) <-chan time.Time {
	if d == poll {
		return c.tick
	}
	return c.Wall.After(d)
}

// only is a clock whose timers all run out when the test says so.
type only struct{ tick chan time.Time }

func (c only) Now() time.Time                       { return time.Time{} }
func (c only) After(time.Duration) <-chan time.Time { return c.tick }

func TestGitCheckout(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	dir := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=x", "-c", "user.email=x@example.org"}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	git("init", "-q", "-b", "one")
	write(t, dir+"/a.yaml", "1")
	git("add", ".")
	git("commit", "-qm", "one")
	git("checkout", "-qb", "two")
	write(t, dir+"/a.yaml", "2")
	write(t, dir+"/b.yaml", "b")
	git("add", ".")
	git("commit", "-qm", "two")

	poke := start(t, dir, eager{})
	git("checkout", "-q", "one")
	awaitContent(t, poke, dir, "checkout one", "1")
	git("checkout", "-q", "two")
	awaitContent(t, poke, dir, "checkout two", "2")
	if sign := gitBusy(dir); sign != "" {
		t.Fatal("git is not at work:", sign)
	}
	do(t, os.Mkdir(dir+"/sub", 0o755))
	for _, sign := range gitSigns {
		write(t, dir+"/.git/"+sign, "")
		if got := gitBusy(dir + "/sub"); !strings.HasSuffix(got, "/.git/"+sign) {
			t.Errorf("%s: %q", sign, got)
		}
		do(t, os.Remove(dir+"/.git/"+sign))
	}
	git("worktree", "add", "-q", dir+"/linked", "one")
	write(t, dir+"/.git/worktrees/linked/index.lock", "")
	if gitBusy(dir+"/linked") == "" || gitBusy(dir) != "" {
		t.Error("a linked work tree has signs of its own")
	}
}
