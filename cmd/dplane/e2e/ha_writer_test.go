//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// often is the time between two tries of a writer.
const often = 200 * time.Millisecond

// zfsMagic is what statfs says of a ZFS file system.
const zfsMagic = 0x2fc12fc1

// TestWriter is no test of its own: it stands for who uses the group, for as long as it lives. It writes into a directory
// whenever that can be written, and keeps elsewhere when it did, and when the group's address was here. What it got through
// is the truth by which a pair is judged.
func TestWriter(t *testing.T) {
	of := strings.Fields(os.Getenv("DPLANE_E2E_WRITER")) // NODE DIRECTORY ADDRESS NOTES
	if len(of) != 4 {
		t.Skip("other tests run it")
	}
	notes, err := os.OpenFile(of[3], os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	for n := time.Now().UnixNano(); ; n++ {
		begin := time.Now()
		switch did, err := record(of[1], of[0], n); {
		case err != nil:
			fmt.Fprintf(notes, "failed %d %d %s\n", begin.UnixNano(), n, strings.ReplaceAll(err.Error(), " ", "_"))
		case did:
			fmt.Fprintf(notes, "wrote %d %d %d\n", begin.UnixNano(), time.Now().UnixNano(), n)
		}
		if has(of[2]) {
			fmt.Fprintf(notes, "address %d %d %d\n", begin.UnixNano(), time.Now().UnixNano(), n)
		}
		if err := notes.Sync(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(often)
	}
}

// record writes a line into the node's file, where that is on the group's dataset.
func record(dir, node string, n int64) (bool, error) {
	d, err := os.OpenRoot(dir)
	if err != nil {
		return false, nil
	}
	defer d.Close()
	f, err := d.OpenFile("log-"+node, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return false, nil // read-only, which is said by an error
	}
	defer f.Close()
	var fs syscall.Statfs_t
	if err := syscall.Fstatfs(int(f.Fd()), &fs); err != nil || fs.Type != zfsMagic {
		return false, err
	}
	if _, err := f.WriteString(strconv.FormatInt(n, 10) + "\n"); err != nil {
		return false, err
	}
	return true, f.Sync()
}

func has(address string) bool {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range all {
		if strings.HasPrefix(a.String(), address+"/") {
			return true
		}
	}
	return false
}
