//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// contained is a process that has a directory mounted for itself alone, as a container has its volumes. All other mounts
// follow those of the machine, so that it keeps nobody else's.
func contained(t *testing.T, dir, at string) (end func()) {
	t.Helper()
	c := exec.Command("unshare", "--mount", "--propagation", "slave", "sh", "-c",
		`mkdir "$2" && mount --bind "$1" "$2" && mount --make-private "$2" && cd "$2" && echo ready && exec sleep 1000`, "sh", dir, at)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	end = func() {
		_ = c.Process.Kill() // by its own number; the second time it is gone
		_ = c.Wait()
	}
	t.Cleanup(end)
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the container says %q: %v", line, err)
	}
	return end
}

// TestContainer: what a container has mounted is busy, though nothing here shows a file of it open, and stays as it is.
func TestContainer(t *testing.T) {
	b := newBox(t)
	pool := b.pool("c")
	pools := fmt.Sprintf("pools: {%s: {vdevs: [{stripe: [%s]}]}}\n", pool, b.disk("c"))
	b.write("tank.yaml", pools+fmt.Sprintf("datasets: {%s: {properties: {mountpoint: %s}}, %[1]s/old: {}}\n", pool, b.path("mnt")))
	b.expect(0, "apply", "--yes")
	end := contained(t, b.path("mnt/old"), b.path("inside"))

	b.write("tank.yaml", pools+fmt.Sprintf("datasets: {%s: {properties: {mountpoint: %s}}, %[1]s/old: {absent: true}}\n", pool, b.path("mnt")))
	r := b.expect(3, "apply", "--yes")
	if !strings.Contains(r.Stdout, "a container has it: sleep") || !strings.Contains(r.Stdout, b.path("inside")) {
		t.Errorf("it does not say who has it:\n%s", r.Stdout)
	}
	if got := zfsGet(t, "mounted", pool+"/old") + " " + zfsSource(t, "readonly", pool+"/old"); got != "yes default" {
		t.Errorf("mounted, and source of readonly: %s", got)
	}
	end()
	b.expect(0, "apply", "--yes")
	if run(t, "zfs", "list", pool+"/old").Code == 0 {
		t.Error("it is still there, though the container ended")
	}
}
