package zfsfake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dplaneos/dplane/drivers/host"
)

// tank is a machine with a pool of that name, a disk to spare and a directory with something in it.
func tank(t *testing.T) *Fake {
	t.Helper()
	f := New()
	f.AddDisk("/dev/a", 1<<30)
	f.AddDisk("/dev/b", 1<<30)
	f.AddDisk("/dev/c", 1<<30)
	f.AddDir("/srv", "old")
	do(t, f, "zpool create -O mountpoint=/mnt tank mirror /dev/a /dev/b")
	return f
}

func do(t *testing.T, f *Fake, line string) string {
	t.Helper()
	out, err := f.Do(line)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestReadThatWritesIsAnError(t *testing.T) {
	f := tank(t)
	if _, err := f.Run(t.Context(), host.Read("zfs", "create", "tank/a")); err == nil || !strings.Contains(err.Error(), "said to read") {
		t.Errorf("%v", err)
	}
	if res, err := f.Run(t.Context(), host.Write("zfs", "list", "-H", "-o", "name", "tank")); err != nil || string(res.Stdout) != "tank\n" {
		t.Errorf("%q, %v", res.Stdout, err)
	}
}

func TestMissingProgramsAndModule(t *testing.T) {
	f := tank(t)
	if err := f.Control("missing zpool zdb"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Run(t.Context(), host.Read("zpool", "list")); !errors.Is(err, host.ErrNotFound) {
		t.Errorf("missing zpool: %v", err)
	}
	if _, err := f.Run(t.Context(), host.Read("mkfs.ext4", "/dev/c")); !errors.Is(err, host.ErrNotFound) {
		t.Errorf("a program that no machine here has: %v", err)
	}
	if err := f.Control("module off"); err != nil {
		t.Fatal(err)
	}
	var exit *host.ExitError
	if _, err := f.Run(t.Context(), host.Read("zfs", "version")); !errors.As(err, &exit) || !strings.Contains(exit.Stderr, "modprobe") {
		t.Errorf("no module: %v", err)
	}
}

// TestSuspended: zpool answers from memory, zfs is refused, and a scrub waits for its deadline whatever ctx says; on a pool
// that hangs altogether reads wait too, and end with ctx.
func TestSuspended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := tank(t)
		if err := f.Control("suspend tank"); err != nil {
			t.Fatal(err)
		}
		if out := do(t, f, "zpool list -H -o name,health"); out != "tank\tSUSPENDED\n" {
			t.Errorf("list: %q", out)
		}
		do(t, f, "zpool get -Hp all tank")
		for line, says := range map[string]string{
			"zfs get -Hp all tank":      "cannot open 'tank': pool I/O is currently suspended",
			"zfs create tank/a":         "cannot create 'tank/a': pool I/O is currently suspended",
			"zfs destroy tank@x":        "cannot open 'tank': pool I/O is currently suspended",
			"zpool set comment=x tank":  "cannot set property for 'tank': pool I/O is currently suspended",
			"zpool add tank log /dev/c": "cannot add to 'tank': pool I/O is currently suspended",
		} {
			if _, err := f.Do(line); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v", line, err)
			}
		}
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := f.Run(ctx, host.Write("zpool", "scrub", "tank")); !errors.Is(err, host.ErrTimeout) || time.Since(start) != host.WriteTimeout {
			t.Errorf("write: %v after %v", err, time.Since(start))
		}
		if err := f.Control("hang tank"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		if _, err := f.Run(ctx, host.Read("zfs", "get", "-Hp", "-r", "all", "tank")); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("read: %v after %v", err, time.Since(start))
		}
		do(t, f, "zpool list -H -o name")
		if err := f.Control("resume tank"); err != nil {
			t.Fatal(err)
		}
		do(t, f, "zfs create tank/a")
		if _, err := f.Do("zfs create tank/a"); err == nil {
			t.Error("the dataset was not made")
		}
	})
}

func TestProbes(t *testing.T) {
	f := tank(t)
	for _, line := range []string{"disk /dev/ext 1G ext4", "disk /dev/gpt 1G gpt", "file /pool/x 256M", "dir /empty"} {
		if err := f.Control(line); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		line string
		code int
		want string
	}{
		{"blkid -p /dev/c", 2, ""},
		{"blkid -p /dev/nosuch", 2, ""},
		{"blkid -p /dev/a", 0, `TYPE="zfs_member"`},
		{"blkid -p /dev/ext", 0, `TYPE="ext4"`},
		{"blkid -p /dev/gpt", 0, `PTTYPE="gpt"`},
		{"zdb -l /dev/a", 0, "name: 'tank'\n    state: 0"},
		{"zdb -l -q /dev/c", 2, ""},
		{"zdb -l /dev/nosuch", 1, ""},
		{"stat -L -c %F /dev/a", 0, "block special file\n"},
		{"stat -L -c %F /pool/x", 0, "regular file\n"},
		{"stat -L -c %F /srv", 0, "directory\n"},
		{"stat -L -c %F /nosuch", 1, ""},
		{"lsblk -J -p -o NAME,TYPE,FSTYPE,MOUNTPOINT /dev/gpt", 0, `"name": "/dev/gpt1"`},
		{"lsblk -n -r -o MOUNTPOINT /dev/c", 0, "\n"},
		{"lsblk -n -r -o MOUNTPOINT /pool/x", 32, ""},
		{"find -H /srv /empty /mnt /dev/c -maxdepth 0 ( ! -type d -o ! -empty )", 0, "/srv\n/dev/c\n"},
		{"find -H /nosuch /srv -maxdepth 0 ( ! -type d -o ! -empty )", 1, "/srv\n"},
		{"find /srv -maxdepth 0 -newer /x", 1, ""},
	} {
		out, err := f.Do(c.line)
		var exit *host.ExitError
		code := 0
		if errors.As(err, &exit) {
			code = exit.Code
		}
		if code != c.code || !strings.Contains(out, c.want) || c.want == "" && out != "" && code == 0 {
			t.Errorf("%s\n gave %d %q, want %d %q", c.line, code, out, c.code, c.want)
		}
	}
}

func TestExportAndImport(t *testing.T) {
	f := tank(t)
	do(t, f, "zfs create -o atime=off tank/a")
	guid := do(t, f, "zfs get -Hp -o value guid tank/a")
	do(t, f, "zpool export tank")
	if out := do(t, f, "zpool import -d /dev"); !strings.Contains(out, "  pool: tank\n    id: ") {
		t.Errorf("%q", out)
	}
	if _, err := f.Do("zpool import -d /elsewhere tank"); err == nil {
		t.Error("found where it is not")
	}
	do(t, f, "zpool import tank")
	if got := do(t, f, "zfs get -Hp -o value guid tank/a"); got != guid {
		t.Errorf("guid %s became %s", guid, got)
	}
}

func TestSaveAndLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "machine")
	f := tank(t)
	do(t, f, "zfs create -o 'com.example:a=b c' 'tank/with space'")
	do(t, f, "zfs snapshot tank@s")
	if err := f.Save(path); err != nil {
		t.Fatal(err)
	}
	g, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"zfs get -Hp -r all", "zpool status -P", "zpool get -Hp all", "zpool history tank"} {
		if a, b := do(t, f, line), do(t, g, line); a != b || a == "" {
			t.Errorf("%s: %q became %q", line, a, b)
		}
	}
}

func TestMainSharesOneMachine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "machine")
	t.Setenv(StateVariable, path)
	run := func(words ...string) (int, string, string) {
		var out, err bytes.Buffer
		code := Main("/usr/sbin/"+words[0], words[1:], &out, &err)
		return code, out.String(), err.String()
	}
	if code, _, err := run(Control, "disk", "/dev/a", "1G"); code != 0 {
		t.Fatal(err)
	}
	if code, _, err := run("zpool", "create", "tank", "/dev/a"); code != 0 {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if code, _, err := run("zfs", "create", "tank/"+string(rune('a'+i))); code != 0 {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if _, out, _ := run("zfs", "list", "-H", "-o", "name"); strings.Count(out, "\n") != 9 {
		t.Errorf("of 8 datasets made at once there are: %q", out)
	}
	if code, _, err := run("zfs", "create", "tank/a"); code != 1 || err != "cannot create 'tank/a': dataset already exists\n" {
		t.Errorf("%d %q", code, err)
	}
	if code, _, _ := run(Control, "missing", "zfs"); code != 0 {
		t.Error("control")
	}
	if code, _, _ := run("zfs", "list"); code != 127 {
		t.Errorf("a missing program gave %d", code)
	}
	t.Setenv(StateVariable, "")
	if code, _, _ := run("zfs", "list"); code != 126 {
		t.Errorf("no machine gave %d", code)
	}
}

// TestForeignHands: what is done by hand is there, and in the pool's history.
func TestForeignHands(t *testing.T) {
	f := tank(t)
	do(t, f, "zfs set compression=lz4 tank")
	if out := do(t, f, "zpool history tank"); !strings.Contains(out, "zfs set compression=lz4 tank") {
		t.Errorf("%q", out)
	}
	do(t, f, "zfs create tank/a")
	do(t, f, "zfs rename tank/a tank/b")
	do(t, f, "zfs snapshot -r tank@s")
	if _, err := f.Do("zfs destroy tank/b"); err == nil || !strings.Contains(err.Error(), "filesystem has children") {
		t.Errorf("destroy with a snapshot: %v", err)
	}
	do(t, f, "zfs destroy tank/b@s")
	do(t, f, "zfs destroy tank/b")
	f.Write("tank", 5<<20)
	if _, err := f.Do("zfs set quota=4M tank"); err == nil {
		t.Error("a quota below what is used")
	}
	if err := f.Control("busy tank"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Do("zpool destroy tank"); err == nil || !strings.Contains(err.Error(), "could not unmount datasets") {
		t.Errorf("a busy pool: %v", err)
	}
}

// TestManyDatasets: tests of cost make thousands; if the model counted the space of all for each, this would
// take minutes.
func TestManyDatasets(t *testing.T) {
	f := tank(t)
	const many = 3000
	for i := range many {
		do(t, f, fmt.Sprintf("zfs create tank/d%d", i))
	}
	out := do(t, f, "zfs get -Hp -r -t filesystem,volume -o name,property,value,source all tank")
	if n := strings.Count(out, "\ttype\tfilesystem"); n != many+1 {
		t.Errorf("%d datasets", n)
	}
}

// As on Linux, no process begins with a word of 128 KiB, nor with 2 MiB in all.
func TestTooManyArguments(t *testing.T) {
	f := tank(t)
	long := strings.Repeat("a", 127<<10)
	for _, argv := range [][]string{{"zfs", "list", long + long}, append([]string{"zfs", "list"}, slices.Repeat([]string{long}, 17)...)} {
		if _, err := f.Run(t.Context(), host.Read(argv...)); err == nil || !strings.HasSuffix(err.Error(), "argument list too long") {
			t.Errorf("%d words are taken", len(argv))
		}
	}
}
