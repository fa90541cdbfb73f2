package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
)

// The test binary is also dplane, and the programs of a model machine whose state is the file that
// DPLANE_FAKE_STATE names.
func TestMain(m *testing.M) {
	commands := map[string]func(){"dplane": main, "pairssh": pairSSH}
	for _, name := range zfsfake.Programs {
		commands[name] = func() {
			// Not os.Exit, at which the race detector sleeps for a second.
			syscall.Exit(zfsfake.Main(name, os.Args[1:], os.Stdout, os.Stderr))
		}
	}
	testscript.Main(m, commands)
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv(zfsfake.StateVariable, filepath.Join(e.WorkDir, "machine.json"))
			e.Setenv("GORACE", "atexit_sleep_ms=0")
			if err := os.MkdirAll(filepath.Join(e.WorkDir, "etc"), 0o755); err != nil {
				return err
			}
			daemon := fmt.Sprintf("daemon: {interval: 2s, listen: \"127.0.0.1:0\", runtime: %s/run, database: %[1]s/dplane.db}\n", e.WorkDir)
			return os.WriteFile(filepath.Join(e.WorkDir, "etc", "daemon.yaml"), []byte(daemon), 0o644)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "until": until, "keep": keep, "expand": expand, "ports": ports, "hold": hold},
	})
}

// exits runs a program and checks its exit status: exits 2 dplane plan --detailed-exitcode.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS program [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// keep makes what the last program printed the value of a variable: keep ID.
func keep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: keep VARIABLE")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// expand puts the values of variables into files: expand FILE...
func expand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: expand FILE...")
	}
	for _, name := range args {
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(os.Expand(ts.ReadFile(name), ts.Getenv)), 0o644))
	}
}

// ports finds addresses on the loopback that nobody listens at: ports VARIABLE...
func ports(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: ports VARIABLE...")
	}
	for _, name := range args {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		defer l.Close() // after all were found
		ts.Setenv(name, l.Addr().String())
	}
}

// hold listens at an address and answers nobody, until the script ends: hold ADDRESS. ! hold ends it before.
func hold(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: [!] hold ADDRESS")
	}
	if neg {
		held, _ := holds.LoadAndDelete(args[0])
		ts.Check(held.(net.Listener).Close())
		return
	}
	l, err := net.Listen("tcp", args[0])
	ts.Check(err)
	holds.Store(args[0], l)
	ts.Defer(func() { _ = l.Close() })
}

var holds sync.Map

// until repeats a program until it exits with a status, within a minute: what a daemon does is waited for.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until STATUS program [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	for range 300 {
		var exit *exec.ExitError
		switch err := ts.Exec(args[1], args[2:]...); {
		case err == nil && want == 0, errors.As(err, &exit) && exit.ExitCode() == want:
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	ts.Fatalf("no exit status %d in a minute", want)
}
