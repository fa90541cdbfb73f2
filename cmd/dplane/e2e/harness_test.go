//go:build e2e

package e2e

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMain refuses to run by accident: on a machine with pools of its own, root and a stray
// `go test -tags e2e ./...` are not a wish.
func TestMain(m *testing.M) {
	if os.Getenv("DPLANE_REAL_ZFS") != "1" || os.Getenv("DPLANE_BIN") == "" {
		fmt.Fprintln(os.Stderr, "e2e: writes to a real OpenZFS; run it with `make test-zfs` (sets DPLANE_REAL_ZFS and DPLANE_BIN)")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// result is how a program ended and what it said.
type result struct {
	Code           int
	Stdout, Stderr string
}

// box is one test's corner of the machine: a directory, a prefix for names of pools, a configuration.
// When the test ends, the pools it named are destroyed, its disks cleared and the directory is removed; nothing
// else is.
type box struct {
	t      *testing.T
	dir    string // temporary; holds the vdevs, mount points, configuration and database
	prefix string
	listen string // address for the status endpoint
	pools  []string
	disks  []string // real ones that this box was given
}

// newBox makes a corner with a configuration that says only where the daemon keeps its things.
func newBox(t *testing.T) *box {
	t.Helper()
	dir, err := os.MkdirTemp(os.Getenv("DPLANE_E2E_DIR"), "dplane-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	b := &box{t: t, dir: dir, prefix: "dpt" + randomHex(t), listen: freeAddress(t)}
	t.Cleanup(b.close)
	if err := os.Mkdir(b.path("etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	b.settings("10m")
	return b
}

// settings writes where the daemon keeps its things and how often it looks. Without a daemon a record may grow old
// on a slow machine before a test reads it, so only the daemon's own tests look often.
func (b *box) settings(interval string) {
	b.t.Helper()
	b.write("daemon.yaml", fmt.Sprintf("daemon:\n  interval: %s\n  listen: %s\n  runtime: %s\n  database: %s\n",
		interval, b.listen, b.path("run"), b.path("dplane.db")))
}

func randomHex(t *testing.T) string {
	var b [4]byte
	if _, err := rand.Read(b[:]); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(b[:])
}

// freeAddress is a loopback address that was free a moment ago.
func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (b *box) path(name string) string { return filepath.Join(b.dir, name) }

// disk makes a sparse file of 256 MiB for use as a vdev and gives its path; the file is not used yet.
func (b *box) disk(name string) string {
	b.t.Helper()
	f, err := os.OpenFile(b.path(name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		b.t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(256 << 20); err != nil {
		b.t.Fatal(err)
	}
	return f.Name()
}

// pool gives the full name for a pool of this box, which is destroyed at the end if it is there then.
func (b *box) pool(short string) string {
	name := b.prefix + short
	b.pools = append(b.pools, name)
	return name
}

// write puts a file into the configuration directory. Vdevs and mount points are the caller's to name.
func (b *box) write(file, yaml string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.path("etc"), file), []byte(yaml), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// dplane runs the binary on this box's configuration.
func (b *box) dplane(args ...string) result {
	b.t.Helper()
	return run(b.t, append([]string{os.Getenv("DPLANE_BIN"), "--config", b.path("etc")}, args...)...)
}

// close destroys the pools of this box that exist and have every vdev inside its directory or on its disks.
func (b *box) close() {
	for _, name := range b.pools {
		if run(b.t, "zpool", "list", "-H", "-o", "name", name).Code != 0 {
			continue
		}
		if stray := strayVdevs(b.t, name, append([]string{b.dir + "/"}, b.disks...)); stray != "" {
			b.t.Errorf("pool %s has vdevs outside %s and is left alone: %s", name, b.dir, stray)
			return
		}
		if !destroyPool(b.t, name) {
			return // the directory holds its disks
		}
	}
	for _, disk := range b.disks {
		giveBack(b.t, disk)
	}
	if err := os.RemoveAll(b.dir); err != nil {
		b.t.Errorf("remove the box: %v", err)
	}
}

// strayVdevs lists device paths of the pool that begin with none of these.
func strayVdevs(t *testing.T, pool string, ours []string) string {
	var stray []string
	for _, line := range strings.Split(run(t, "zpool", "list", "-HPv", pool).Stdout, "\n") {
		f := strings.Fields(line)
		if len(f) == 0 || !strings.HasPrefix(f[0], "/") {
			continue
		}
		if !slices.ContainsFunc(ours, func(o string) bool { return strings.HasPrefix(f[0], o) }) {
			stray = append(stray, f[0])
		}
	}
	return strings.Join(stray, " ")
}

// destroyPool tries a few times: a process that just ended may keep a mount busy a moment longer.
func destroyPool(t *testing.T, name string) bool {
	var r result
	for range 10 {
		if r = run(t, "zpool", "destroy", name); r.Code == 0 {
			return true
		}
		time.Sleep(200 * time.Millisecond) // waits on the real kernel, which has no clock to fake
	}
	t.Errorf("destroy %s: %s", name, r.Stderr)
	return false
}

// run runs a program to its end. A program that cannot be started fails the test.
func run(t *testing.T, argv ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("run %s: %v", strings.Join(argv, " "), err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// must runs a program that has to succeed and gives its standard output without the last newline.
func must(t *testing.T, argv ...string) string {
	t.Helper()
	r := run(t, argv...)
	if r.Code != 0 {
		t.Fatalf("%s: exit status %d\n%s%s", strings.Join(argv, " "), r.Code, r.Stdout, r.Stderr)
	}
	return strings.TrimSuffix(r.Stdout, "\n")
}

// zfsGet is the parsable value of one property; zfsSource is where it comes from.
func zfsGet(t *testing.T, property, name string) string {
	t.Helper()
	return must(t, "zfs", "get", "-Hpo", "value", property, name)
}

func zfsSource(t *testing.T, property, name string) string {
	t.Helper()
	return must(t, "zfs", "get", "-Hpo", "source", property, name)
}

// on21 tells whether the tools are of OpenZFS 2.1.
func on21(t *testing.T) bool { return strings.HasPrefix(must(t, "zfs", "version"), "zfs-2.1.") }
