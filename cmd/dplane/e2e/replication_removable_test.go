//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"testing"
)

// A removable pool comes when there is something for it, and is exported once it has all; not while a file of it is open.
func TestReplicationRemovable(t *testing.T) {
	b := newBox(t)
	p := &pairOf{b, b.pool("from"), b.pool("usb")}
	disk := b.disk("b")
	must(t, "zpool", "create", "-m", b.path("mnt"), p.from, b.disk("a"))
	must(t, "zpool", "create", "-m", b.path("usb"), p.to, disk)
	must(t, "zfs", "create", p.from+"/data")
	must(t, "zfs", "snapshot", p.from+"/data@one")
	p.write("pair.yaml", fmt.Sprintf("pools: {%s: {}, %s: {vdevs: [{stripe: [%s]}], removable: true}}\nreplications: {off: {source: %s/data, target: %[2]s/data}}\n", p.from, p.to, disk, p.from))
	here := func(want bool) {
		t.Helper()
		if got := run(t, "zpool", "list", p.to).Code == 0; got != want {
			t.Errorf("%s is imported: %t", p.to, got)
		}
	}
	p.expect(0, "apply", "--yes")
	here(false)
	p.expect(0, "plan", "--detailed-exitcode")
	p.expect(0, "apply", "--yes")
	here(false)

	must(t, "zfs", "snapshot", p.from+"/data@two")
	p.expect(0, "apply", "--yes")
	here(true)
	open, err := os.Create(b.path("usb/open"))
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	p.expect(5, "replication", "run", "off")
	here(true)
	open.Close()
	p.expect(0, "apply", "--yes")
	here(false)
	must(t, "zpool", "import", "-d", b.dir, p.to)
	if a, b := zfsGet(t, "guid", p.from+"/data@two"), zfsGet(t, "guid", p.to+"/data@two"); a != b {
		t.Errorf("%s was sent, and it is %s", a, b)
	}
	p.expect(0, "apply", "--yes") // whoever imported it by hand keeps it
	here(true)
}
