package process

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
)

func sh(script string) host.Command { return host.Read("/bin/sh", "-c", script) }

func TestRunGivesOutputAndStatus(t *testing.T) {
	r := New()
	for _, c := range []struct {
		script, stdout, stderr string
		code                   int
	}{
		{"echo out; echo err >&2", "out\n", "err\n", 0},
		{"echo no >&2; exit 3", "", "no\n", 3},
		{"kill -9 $$", "", "", -1},
		{"cat; pwd", "/\n", "", 0}, // standard input is empty
	} {
		res, err := r.Run(t.Context(), sh(c.script))
		if string(res.Stdout) != c.stdout || string(res.Stderr) != c.stderr || res.Code != c.code {
			t.Errorf("%s: %q %q %d", c.script, res.Stdout, res.Stderr, res.Code)
		}
		var exit *host.ExitError
		if errors.As(err, &exit) != (c.code != 0) || exit != nil && (exit.Code != c.code || exit.Stderr != c.stderr) {
			t.Errorf("%s: %v", c.script, err)
		}
	}
}

func TestEnvironmentIsBare(t *testing.T) {
	t.Setenv("ZFS_COLOR", "1")
	t.Setenv("LANG", "de_DE.UTF-8")
	t.Setenv("DPLANE_SOMETHING", "x y")
	t.Setenv("PATH", "/first")
	res, err := New().Run(t.Context(), host.Read("env"))
	if err != nil {
		t.Fatal(err)
	}
	want := "LC_ALL=C\nTZ=UTC\nTERM=dumb\nPATH=/first:" + systemPath + "\nDPLANE_SOMETHING=x y\n"
	for _, line := range strings.Split(strings.TrimSpace(want), "\n") {
		if !strings.Contains(string(res.Stdout), line+"\n") {
			t.Errorf("%s is missing in %q", line, res.Stdout)
		}
	}
	if got := string(res.Stdout); strings.Contains(got, "ZFS_COLOR") || strings.Contains(got, "LANG") {
		t.Errorf("environment %q", got)
	}
}

func TestProgramNotInstalled(t *testing.T) {
	dir := t.TempDir()
	r := New(WithPath(dir))
	for _, name := range []string{"zfs", filepath.Join(dir, "zfs")} {
		if _, err := r.Run(t.Context(), host.Read(name)); !errors.Is(err, host.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "zfs"), []byte("no program"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Run(t.Context(), host.Read("zfs")); !errors.Is(err, host.ErrNotFound) {
		t.Errorf("a file that can't be executed: %v", err)
	}
	if _, err := r.Run(t.Context(), host.Command{}); err == nil {
		t.Error("an empty command ran")
	}
}

// fast makes a Runner with little patience, and gives up on what does not end.
func fast() *Runner {
	r := New()
	r.grace = 50 * time.Millisecond
	return r
}

func TestDeadlineKillsTheGroup(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	for name, script := range map[string]string{
		"obeys":   "sleep 100 & echo $! >" + pidFile + "; wait",
		"child":   "sh -c 'trap \"\" TERM; echo $$ >" + pidFile + "; while :; do sleep 1; done' >/dev/null 2>&1 & trap 'exit 1' TERM; while :; do sleep 0.01; done",
		"ignores": "trap '' TERM; sleep 100 & echo $! >" + pidFile + "; while :; do sleep 100; done",
	} {
		for _, effect := range []host.Effect{host.Reads, host.Writes} {
			c := host.Command{Argv: sh(script).Argv, Effect: effect, Timeout: 300 * time.Millisecond}
			if _, err := fast().Run(t.Context(), c); !errors.Is(err, host.ErrTimeout) {
				t.Errorf("%s, %s: %v", name, effect, err)
			}
			waitGone(t, pidFile)
		}
	}
}

// waitGone waits until the process, a grandchild of the test, is no more.
func waitGone(t *testing.T, pidFile string) {
	t.Helper()
	b, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	for end := time.Now().Add(10 * time.Second); alive(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("process %d of the group is alive", pid)
		}
	}
}

// alive counts a zombie, whom nobody may be there to reap, as dead.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestUnkillableIsLeftBehind(t *testing.T) {
	r := fast()
	var pid int
	r.signal = func(p int, _ syscall.Signal) { pid = p } // as if blocked in the kernel
	c := sh("sleep 100")
	c.Timeout = 100 * time.Millisecond
	start := time.Now()
	if _, err := r.Run(t.Context(), c); !errors.Is(err, host.ErrTimeout) || time.Since(start) > 20*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
	if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil {
		t.Errorf("it was not alive any more: %v", err)
	}
}

func TestCancelEndsAReadAndNotAWrite(t *testing.T) {
	dir := t.TempDir()
	started, goOn := filepath.Join(dir, "started"), filepath.Join(dir, "goon")
	script := "echo >" + started + "; until [ -e " + goOn + " ]; do sleep 0.01; done; echo done"
	for _, effect := range []host.Effect{host.Reads, host.Writes} {
		ctx, cancel := context.WithCancel(t.Context())
		type answer struct {
			res host.Result
			err error
		}
		answers := make(chan answer, 1)
		go func() {
			res, err := fast().Run(ctx, host.Command{Argv: sh(script).Argv, Effect: effect})
			answers <- answer{res, err}
		}()
		waitFor(t, started)
		cancel()
		if effect == host.Writes {
			select {
			case a := <-answers:
				t.Fatalf("a cancelled write ended: %+v", a)
			case <-time.After(300 * time.Millisecond):
			}
			if err := os.WriteFile(goOn, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		a := <-answers
		if effect == host.Reads && !errors.Is(a.err, context.Canceled) {
			t.Errorf("cancelled read: %+v", a)
		}
		if effect == host.Writes && (a.err != nil || string(a.res.Stdout) != "done\n") {
			t.Errorf("cancelled write: %+v", a)
		}
		_ = os.Remove(started)
	}
}

func waitFor(t *testing.T, file string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(file); err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s never came", file)
		}
	}
}

func TestDoneContextStartsNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ran")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, effect := range []host.Effect{host.Reads, host.Writes} {
		_, err := New().Run(ctx, host.Command{Argv: []string{"touch", file}, Effect: effect})
		if _, statErr := os.Stat(file); !errors.Is(err, context.Canceled) || statErr == nil {
			t.Errorf("%s: %v, and it ran: %v", effect, err, statErr == nil)
		}
	}
}

func TestOutputIsBounded(t *testing.T) {
	r := New()
	r.maxStdout = 1000
	if _, err := r.Run(t.Context(), sh("head -c 1001 /dev/zero")); err == nil || !strings.Contains(err.Error(), "more than 1000 bytes") {
		t.Errorf("1001 bytes of 1000: %v", err)
	}
	if res, err := r.Run(t.Context(), sh("head -c 1000 /dev/zero")); err != nil || len(res.Stdout) != 1000 {
		t.Errorf("1000 bytes of 1000: %d, %v", len(res.Stdout), err)
	}
	res, err := r.Run(t.Context(), sh("head -c 3000000 /dev/zero >&2"))
	if err != nil || len(res.Stderr) != maxStderr {
		t.Errorf("stderr: %d, %v", len(res.Stderr), err)
	}
}

// TestGrandchildKeepsPipes: a daemon that a command left behind with its standard output does not hold it up.
func TestGrandchildKeepsPipes(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	res, err := fast().Run(t.Context(), sh("sleep 100 & echo $! >"+pidFile+"; echo up"))
	if err != nil || string(res.Stdout) != "up\n" {
		t.Errorf("%q, %v", res.Stdout, err)
	}
	b, _ := os.ReadFile(pidFile)
	if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// lanesBy makes a Runner whose commands work on what their last word says, which is gone when a file says so.
func lanesBy(gone string) *Runner {
	r := New(WithLanes(
		func(c host.Command) string { return c.Argv[len(c.Argv)-1] },
		func(_ context.Context, thing string) bool {
			_, err := os.Stat(gone)
			return thing == "tank" && err == nil
		}))
	r.grace, r.every = 50*time.Millisecond, 10*time.Millisecond
	return r
}

func on(thing, script string) host.Command {
	return host.Command{Argv: []string{"/bin/sh", "-c", script, thing}, Effect: host.Reads, Timeout: 100 * time.Millisecond}
}

// ends is a command on a thing that ends at once, however busy the machine is.
func ends(thing string) host.Command {
	c := on(thing, "exit 0")
	c.Timeout = time.Minute
	return c
}

// While a process that can't be killed hangs on one thing, no second one is begun there; elsewhere it goes on, and
// there too once the process is gone.
func TestNothingPilesUp(t *testing.T) {
	r := lanesBy("/nosuch")
	var pid int
	r.signal = func(p int, _ syscall.Signal) { pid = p } // as if blocked in the kernel
	if _, err := r.Run(t.Context(), on("tank", "sleep 100")); !errors.Is(err, host.ErrTimeout) {
		t.Fatal(err)
	}
	for range 3 {
		_, err := r.Run(t.Context(), ends("tank"))
		if !errors.Is(err, host.ErrStuck) || !strings.Contains(err.Error(), strconv.Itoa(pid)) {
			t.Errorf("a second one: %v", err)
		}
	}
	if _, err := r.Run(t.Context(), ends("other")); err != nil {
		t.Errorf("another thing: %v", err)
	}
	if _, err := r.Run(t.Context(), ends("")); err != nil {
		t.Errorf("no thing: %v", err)
	}
	if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		_, err := r.Run(t.Context(), ends("tank"))
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after its end: %v", err)
		}
	}
}

// What runs on a thing that is gone is not waited for to its deadline: a read is ended, and a write, whose work
// would be left half done, goes on when the thing comes back.
func TestGoneIsNotWaitedFor(t *testing.T) {
	for _, effect := range []host.Effect{host.Reads, host.Writes} {
		dir := t.TempDir()
		gone, started, goOn, done := filepath.Join(dir, "gone"), filepath.Join(dir, "started"), filepath.Join(dir, "goon"), filepath.Join(dir, "done")
		r := lanesBy(gone)
		c := on("tank", "echo >"+started+"; until [ -e "+goOn+" ]; do sleep 0.01; done; echo >"+done)
		c.Effect, c.Timeout = effect, time.Hour
		ended := make(chan error, 1)
		go func() {
			_, err := r.Run(t.Context(), c)
			ended <- err
		}()
		waitFor(t, started)
		if err := os.WriteFile(gone, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, host.ErrStuck) || !strings.Contains(err.Error(), "tank is suspended") {
			t.Errorf("%s: %v", effect, err)
		}
		_, err := r.Run(t.Context(), on("tank", "exit 0"))
		if stuck := errors.Is(err, host.ErrStuck); stuck != (effect == host.Writes) {
			t.Errorf("%s: the next one: %v", effect, err)
		}
		if err := os.WriteFile(goOn, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if effect == host.Writes {
			waitFor(t, done)
		}
	}
}
