package zfs_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/host/process"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/state"
)

// One suite runs against the model always, and against the real ZFS of this machine where the operator says
// so. Where they differ, the model is wrong.

func TestConformanceFake(t *testing.T) { conformance(t, fakeMachine(t)) }

func TestConformanceReal(t *testing.T) { conformance(t, realMachine(t)) }

// machine is what the suite runs on.
type machine struct {
	host.Runner
	t       *testing.T // of the running case
	real    bool
	v21     bool   // OpenZFS 2.1, which is ruder than the later releases that the model follows
	dir     string // of the file vdevs
	pool    string // a mirror that all cases share, each below a dataset of its own
	receive func(name string, props map[string]string) error
	key     func(name, text string) string                 // makes a key file
	use     func(name, mountpoint string) (release func()) // opens a file of it
	write   func(name, mountpoint string, bytes int)
	copied  func(snapshot, name string) error // sends it, with its properties
	// transfer joins both ends; after so many bytes the stream breaks, 0: it does not.
	transfer func(send, receive host.Command, after int64) error
	// hang is transfer that stops after so many bytes, and leaves the receiver waiting for more.
	hang func(send, receive host.Command, after int64)
	// receiveAs is transfer with an ordinary user at the receiving end. It gives what zfs said there.
	receiveAs func(user string, send, receive host.Command) (stderr []byte, err error)
}

const vdevSize = 256 << 20

func fakeMachine(t *testing.T) *machine {
	f := zfsfake.New()
	for _, n := range vdevs {
		f.AddFile("/pool/"+n, vdevSize)
	}
	f.AddDir("/pool/full", "something")
	key := func(name, text string) string {
		f.AddKey("/pool/"+name, text)
		return "/pool/" + name
	}
	write := func(name, _ string, bytes int) { f.Write(name, uint64(bytes)) }
	transfer := func(send, receive host.Command, after int64) error {
		f.Model.Cuts = []uint64{uint64(after)}
		receive.Stdin = &send
		_, err := f.Run(context.Background(), receive)
		f.Model.Cuts = nil
		return err
	}
	hang := func(send, receive host.Command, after int64) {
		_ = transfer(send, receive, after)
		f.Hang(receive.Argv[len(receive.Argv)-1], 0)
	}
	as := func(user string, send, receive host.Command) ([]byte, error) {
		f.Model.User = user
		defer func() { f.Model.User = "" }()
		receive.Stdin = &send
		res, err := f.Run(context.Background(), receive)
		return res.Stderr, err
	}
	return &machine{Runner: f, t: t, dir: "/pool", transfer: transfer, hang: hang, receiveAs: as, key: key, pool: "tank", receive: f.Receive, copied: f.Copy, write: write, use: func(name, _ string) func() {
		f.SetBusy(name, true)
		return func() { f.SetBusy(name, false) }
	}}
}

var vdevs = []string{"a", "b", "c", "d", "e", "f", "g"}

// realMachine makes sparse files in DPLANE_ZFS_DIR or a temporary directory. Pools get a random name, and
// exactly they are destroyed at the end.
func realMachine(t *testing.T) *machine {
	if os.Getenv("DPLANE_REAL_ZFS") != "1" {
		t.Skip("runs on real ZFS, as root, where DPLANE_REAL_ZFS=1 allows it")
	}
	parent := os.Getenv("DPLANE_ZFS_DIR")
	if parent == "" {
		parent = t.TempDir()
	}
	dir, err := os.MkdirTemp(parent, "conformance")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // sparse files of ours
	for _, n := range vdevs {
		f, err := os.Create(filepath.Join(dir, n))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Truncate(vdevSize), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "full", "something"), 0o700); err != nil {
		t.Fatal(err)
	}
	m := &machine{Runner: process.New(), t: t, real: true, dir: dir, pool: fmt.Sprintf("dplane%08x", rand.Uint32())}
	m.receive, m.use, m.key = m.sendReceive, m.openFile, m.writeKey
	m.write, m.copied, m.transfer, m.hang, m.receiveAs = m.writeFile, m.sendOne, m.shellPipe, m.hangPipe, m.pipeAs
	z, err := zfs.ParseVersion([]byte(m.do(zfs.Version())))
	if err != nil {
		t.Fatal(err)
	}
	m.v21 = strings.HasPrefix(z.Kernel, "2.1.")
	return m
}

// openFile keeps a file open for writing in a mounted file system.
func (m *machine) openFile(_, mountpoint string) func() {
	f, err := os.Create(filepath.Join(mountpoint, "file"))
	if err != nil {
		m.t.Fatal(err)
	}
	return func() { _ = f.Close() } // nothing was written
}

// writeFile puts random bytes in a file, and waits until zfs counts them.
func (m *machine) writeFile(_, mountpoint string, bytes int) {
	text := make([]byte, bytes)
	for i := range text {
		text[i] = byte(rand.Uint32())
	}
	if err := os.WriteFile(filepath.Join(mountpoint, "written"), text, 0o600); err != nil {
		m.t.Fatal(err)
	}
	m.do(host.Write("zpool", "sync", m.pool))
}

// shellPipe is transfer by way of a shell, with the status of the end that fails.
func (m *machine) shellPipe(send, receive host.Command, after int64) error {
	line := shellWords(send)
	if after > 0 {
		line += fmt.Sprintf("| head -c %d ", after)
	}
	_, err := m.Run(context.Background(), host.Write("bash", "-c", "set -o pipefail; "+line+"| "+shellWords(receive)))
	return err
}

func shellWords(c host.Command) string {
	var line strings.Builder
	for _, w := range c.Argv {
		line.WriteString("'" + strings.ReplaceAll(w, "'", `'\''`) + "' ")
	}
	return line.String()
}

// hangPipe is hang by way of a shell in a session of its own, which a minute ends where the test does not.
func (m *machine) hangPipe(send, receive host.Command, after int64) {
	m.t.Helper()
	pid := m.file("hanging")
	line := fmt.Sprintf("echo $$ >'%s'; (%s| head -c %d; exec sleep 60) | %s", pid, shellWords(send), after, shellWords(receive))
	m.do(host.Write("bash", "-c", `setsid bash -c "$1" >/dev/null 2>&1 &`, "bash", line))
	m.t.Cleanup(func() {
		_, err := m.Run(context.Background(), host.Write("bash", "-c", `kill -- -"$(cat "$1")"`, "bash", pid))
		if err != nil && !strings.Contains(err.Error(), "No such process") {
			m.t.Error(err)
		}
	})
}

// pipeAs is receiveAs by way of pipes, as dplane joins both ends.
func (m *machine) pipeAs(user string, send, receive host.Command) ([]byte, error) {
	receive.Argv = append([]string{"setpriv", "--reuid", user, "--regid", "nogroup", "--clear-groups"}, receive.Argv...)
	receive.Stdin = &send
	res, err := m.Run(context.Background(), receive)
	return res.Stderr, err
}

func (m *machine) sendOne(snapshot, name string) error {
	_, err := m.Run(context.Background(), host.Write("sh", "-c", `zfs send -p "$1" | zfs recv -u "$2"`, "sh", snapshot, name))
	return err
}

// sendReceive makes a dataset with received properties, by way of a stream.
func (m *machine) sendReceive(name string, props map[string]string) error {
	from := m.pool + "/stream"
	for _, c := range []host.Command{
		zfs.CreateFilesystem(from, props), host.Write("zfs", "snapshot", from+"@s"),
	} {
		if _, err := m.Run(context.Background(), c); err != nil {
			return err
		}
	}
	if err := m.sendOne(from+"@s", name); err != nil {
		return err
	}
	_, err := m.Run(context.Background(), host.Write("zfs", "destroy", "-r", from))
	return err
}

// do runs what must succeed.
func (m *machine) do(c host.Command) string {
	m.t.Helper()
	res, err := m.Run(m.t.Context(), c)
	if err != nil {
		m.t.Fatalf("%v", err)
	}
	return string(res.Stdout)
}

// in21 chooses what holds on OpenZFS 2.1 or what holds later.
func (m *machine) in21(then, later string) string {
	if m.v21 {
		return then
	}
	return later
}

// refused runs what must be refused with this status, and for this reason. The status of `set` is mostly 1 in 2.1.
func (m *machine) refused(code int, kind error, c host.Command) {
	m.t.Helper()
	res, err := m.Run(m.t.Context(), c)
	if m.v21 && c.Argv[1] == "set" && res.Code == 1 {
		code = 1
	}
	if res.Code != code || kind != errStatus && !errors.Is(zfs.Classify(err), kind) {
		m.t.Errorf("%s\n gave status %d: %s\nwant status %d, %v", c, res.Code, strings.TrimSpace(string(res.Stderr)), code, kind)
	}
}

// has reads properties back: "compression=lz4 (local)" for each.
func (m *machine) has(name string, want ...string) {
	m.t.Helper()
	var props []string
	for _, w := range want {
		p, _, _ := strings.Cut(w, "=")
		props = append(props, p)
	}
	program := "zfs"
	if !strings.Contains(name, "/") && strings.HasPrefix(props[0], "pool:") {
		program = "zpool"
		for i := range props {
			props[i], want[i] = strings.TrimPrefix(props[i], "pool:"), strings.TrimPrefix(want[i], "pool:")
		}
	}
	out := m.do(host.Read(program, "get", "-Hp", "-o", "property,value,source", strings.Join(props, ","), name))
	for i, line := range strings.Split(strings.TrimSuffix(out, "\n"), "\n") {
		f := strings.SplitN(line, "\t", 2)
		at := strings.LastIndex(f[1], "\t")
		source := strings.ReplaceAll(f[1][at+1:], m.pool, "POOL")
		got := fmt.Sprintf("%s=%s (%s)", f[0], strings.ReplaceAll(f[1][:at], m.pool, "POOL"), source)
		if got != want[i] {
			m.t.Errorf("%s has %s, want %s", name, got, want[i])
		}
	}
}

// datasets are all of the pool, observed as dplane does.
func (m *machine) datasets() map[string]*state.Dataset {
	m.t.Helper()
	list, err := zfs.ParseDatasets(m.pool, []byte(m.do(zfs.GetDatasets(m.pool))))
	if err != nil {
		m.t.Fatal(err)
	}
	by := map[string]*state.Dataset{}
	for _, d := range list {
		by[strings.TrimPrefix(d.Name, m.pool)] = d
	}
	return by
}

func (m *machine) file(name string) string { return filepath.Join(m.dir, name) }

// conformance makes the pool that all cases share, and runs them.
func conformance(t *testing.T, m *machine) {
	if m.real {
		t.Cleanup(func() {
			if _, err := m.Run(context.Background(), host.Write("zpool", "destroy", m.pool)); err != nil {
				t.Errorf("pool %s is left behind: %v", m.pool, err)
			}
		})
	}
	m.do(zfs.CreatePool(m.pool, map[string]string{"ashift": "12", "autotrim": "on"},
		map[string]string{"compression": "zstd", "mountpoint": m.file("mnt"), "dplane:applied": "compression,mountpoint", "userquota@root": "7M"},
		[]string{"mirror", m.file("a"), m.file("b")}))
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m.t = t
			c.run(m, m.pool+"/"+strings.ReplaceAll(c.name, " ", "-"))
		})
		m.t = t
	}
}

// cases are behaviours that dplane relies on. at is a name of the case's own, below the pool.
var cases = []struct {
	name string
	run  func(m *machine, at string)
}{
	{"version", func(m *machine, _ string) {
		z, err := zfs.ParseVersion([]byte(m.do(zfs.Version())))
		if err != nil || z.Kernel == "" {
			m.t.Errorf("%+v, %v", z, err)
		}
	}},
	{"pools", observePool},
	{"unopened", unopened},
	{"changed", changed},
	{"pool refusals", poolRefusals},
	{"pool properties", poolProperties},
	{"a used device", usedDevice},
	{"labels and signatures", wiping},
	{"inherited mark", func(m *machine, at string) {
		m.do(zfs.CreateFilesystem(at, nil))
		m.has(m.pool, "compression=zstd (local)", "dplane:applied=compression,mountpoint (local)")
		m.has(at, "compression=zstd (inherited from POOL)", "dplane:applied=compression,mountpoint (inherited from POOL)", "mountpoint="+m.file("mnt")+"/inherited-mark (inherited from POOL)")
	}},
	{"create and observe", createAndObserve},
	{"create refusals", createRefusals},
	{"names", names},
	{"set many", setMany},
	{"set refusals", setRefusals},
	{"inherit", inherit},
	{"inherit refusals", inheritRefusals},
	{"received", received},
	{"quotas", quotas},
	{"user quotas", userQuotas},
	{"volumes", volumes},
	{"mountpoints", mountpoints},
	{"busy", busy},
	{"guards", guards},
	{"keys", keys},
	{"key files", keyFiles},
	{"mounting", mounting},
	{"delegations", delegations},
	{"clones", clones},
	{"renames", renames},
	{"trashing", trashing},
	{"takes", takes},
	{"takes nothing", takesNothing},
	{"marks", marks},
	{"written", written},
	{"send", send},
	{"receive refusals", receiveRefusals},
	{"received by a user", receivedByUser},
	{"resume", resume},
	{"left waiting", leftWaiting},
	{"bad streams", badStreams},
	{"raw", raw},
	{"large blocks", largeBlocks},
	{"holds", holds},
	{"keys of a clone", keysOfClone},
	{"lists a snapshot", listsSnapshot},
	{"destroys what is held", destroysHeld},
	{"bookmarks", bookmarks},
	{"scrub and trim", scrubAndTrim},
	{"features", enableFeatures},
	{"a device that grew", growDevice},
	{"import", importPool},
	{"raidz", raidzChanges},
	{"vdevs", vdevChanges}, // leaves labels on the files
}

// errStatus stands for any refusal: only the status counts.
var errStatus = errors.New("any reason")
