package sim

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/spec"
)

const fromFar = `
datasets:
  usb: {}
pools:
  usb: {}
remotes:
  REMOTE: {host: far.lan, user: repl, identityFile: /root/key, hostKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}
replications:
  NAME: {source: {remote: REMOTE, dataset: SOURCE}, target: usb/f, recursive: true, exclude: [SOURCE/cache]}
`

// What is fetched from a machine or a dataset that has another name since, by a replication that has, is not fetched whole unasked where
// its target is gone: with its bookmarks at the source and without.
func TestReplicationFetchedRenamedAndLost(t *testing.T) {
	for _, names := range [][3]string{{"off", "nas", "tank/a"}, {"other", "far", "tank/a"}, {"off", "far", "tank/z"}, {"other", "nas", "tank/z"}, {"off", "far", "tank/a"}} {
		for _, marked := range []bool{true, false} {
			x := newSending(t)
			far := zfsfake.New()
			far.AddFile("/pool/c", 1<<30)
			for _, line := range []string{"zpool create tank /pool/c", "zfs create tank/a", "zfs create tank/a/b", "zfs snapshot tank/a@one", "zfs snapshot tank/a/b@one"} {
				doOn(t, far, line)
			}
			x.ZFS.Remotes = map[string]*zfsfake.Fake{"far": far}
			x.want = policyOf(t, strings.NewReplacer("NAME", "off", "REMOTE", "far", "SOURCE", "tank/a").Replace(fromFar))
			x.tick()
			if out := x.do("zfs list -H -r -t snapshot -o name usb"); !strings.Contains(out, "usb/f/b@one") {
				t.Fatalf("it did not come: %s", out)
			}
			x.gone("usb/f", "one")
			if !marked {
				for _, line := range strings.Fields(doOn(t, far, "zfs list -H -r -t bookmark -o name tank/a")) {
					doOn(t, far, "zfs destroy "+line)
				}
			}
			if names[2] != "tank/a" {
				doOn(t, far, "zfs rename tank/a "+names[2])
			}
			x.ZFS.Remotes = map[string]*zfsfake.Fake{names[1]: far}
			x.want = policyOf(t, strings.NewReplacer("NAME", names[0], "REMOTE", names[1], "SOURCE", names[2]).Replace(fromFar))
			asks := 0
			for m := range 4 {
				x.at(fmt.Sprintf("2026-11-24T%02d:00:00Z", 8+m))
				step := x.tick()
				asks = 0
				for _, a := range step.Remaining.Actions {
					if a.Object == (spec.Ref{Kind: spec.KindReplication, Name: names[0]}) && strings.Contains(a.Held, "replicated before") {
						asks++
					}
				}
			}
			if out := x.do("zfs list -H -r -o name usb"); asks != 1 || strings.Contains(out, "usb/f") {
				t.Errorf("%v, marked %t: asked %d times, and there is %s", names, marked, asks, out)
			}
		}
	}
}
