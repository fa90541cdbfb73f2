package carry

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/drivers/host"
	"github.com/dplaneos/dplane/drivers/zfs"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

// node is a model of a machine: its ZFS, and what else the steps touch.
type node struct {
	*Node
	t         *testing.T
	zfs       *zfsfake.Fake
	did       []string        // what else was run
	addresses map[string]bool // on eth0
	taken     bool            // somebody else answers for the address
	bare      bool            // arping is not installed
	receiving map[string]string
	deaf      bool // what receives does not mind TERM
	writable  bool // a write succeeds where it must not
	mounts    string
	lagging   bool   // the kernel lets a volume be written, whatever its property says
	hidden    bool   // no device of a volume is seen
	fails     string // of what else is run, the line that fails
	now       time.Time
}

func newNode(t *testing.T) *node {
	n := &node{t: t, zfs: zfsfake.New(), addresses: map[string]bool{}, receiving: map[string]string{}, now: time.Date(2026, 11, 28, 20, 0, 0, 0, time.UTC)}
	n.zfs.AddFile("/pool/a", 1<<30)
	for _, line := range []string{
		"zpool create tank /pool/a", "zfs create tank/g", "zfs create tank/g/a", "zfs create -V 1048576 tank/g/v", "zfs create tank/other",
		"zfs snapshot -r tank/g@one", "zfs snapshot -r tank/g@two",
	} {
		n.do(line)
	}
	for _, d := range []string{"tank/g/a", "tank/g"} { // as they are received
		n.do("zfs unmount " + d)
		n.do("zfs set readonly=on canmount=noauto " + d)
	}
	n.do("zfs set readonly=on tank/g/v")
	n.Node = &Node{Runner: n, HA: &spec.HA{
		Datasets: []spec.DatasetName{"tank/g"}, VirtualAddress: &spec.VirtualAddress{Address: "10.0.0.10/24", Interface: "eth0"},
		Hooks: []spec.HAHook{{Unit: "nfs-server.service"}, {Run: []string{"/usr/local/bin/share"}}},
	}, Now: func() time.Time { return n.now }, Sleep: func(_ context.Context, d time.Duration) error { n.now = n.now.Add(d); return nil }}
	return n
}

func (n *node) volume() *zfsfake.Dataset { return n.zfs.Model.Pools["tank"].Datasets["tank/g/v"] }

func (n *node) device() string {
	res, err := n.zfs.Run(n.t.Context(), zfs.FindDevices("tank", []string{"tank/g/v"}))
	for device := range zfs.ParseDevices(res.Stdout) {
		return device
	}
	n.t.Fatal(err)
	return ""
}

func (n *node) do(line string) string {
	n.t.Helper()
	out, err := n.zfs.Do(line)
	if err != nil {
		n.t.Fatal(err)
	}
	return string(out)
}

// Run implements host.Runner.
func (n *node) Run(ctx context.Context, c host.Command) (host.Result, error) {
	line := strings.Join(c.Argv, " ")
	say := func(text string) (host.Result, error) { return host.Result{Stdout: []byte(text)}, nil }
	fail := func(code int, text string) (host.Result, error) {
		return host.Result{}, &host.ExitError{Command: c, Code: code, Stderr: text}
	}
	if n.fails != "" && strings.HasPrefix(line, n.fails) {
		return fail(3, "it does not work")
	}
	switch c.Argv[0] {
	case "find":
		if n.hidden && strings.HasPrefix(c.Argv[1], "/dev/zvol") {
			return fail(1, "find: '/dev/zvol/tank': No such file or directory")
		}
		return n.zfs.Run(ctx, c)
	case "zfs", "grep":
		return n.zfs.Run(ctx, c)
	case "blockdev": // OpenZFS 2.3.9: as the property, at once
		if strings.Contains(n.do("zfs get -Hp -o value readonly tank/g/v"), "on") && !n.lagging {
			return say("1\n")
		}
		return say("0\n")
	case "cat":
		if n.mounts != "" {
			return say(n.mounts)
		}
		return n.zfs.Run(ctx, c)
	case "ps":
		text := "    1 /sbin/init\n  77 zfs send tank/g@one\n"
		for pid, args := range n.receiving {
			text += fmt.Sprintf("%6s %s\n", pid, args)
		}
		return say(text)
	case "ip":
		switch c.Argv[1] + " " + c.Argv[2] {
		case "address add":
			n.addresses[c.Argv[3]] = true
		case "address del":
			delete(n.addresses, c.Argv[3])
		default:
			text := "1: lo    inet 127.0.0.1/8 scope host lo\n"
			for a := range n.addresses {
				text += "2: eth0    inet " + a + " scope global eth0\n"
			}
			return say(text)
		}
	case "arping":
		if n.bare {
			return host.Result{}, host.ErrNotFound
		}
		if n.taken && slices.Contains(c.Argv, "-D") {
			return fail(1, "")
		}
	case "touch":
		if !n.writable {
			return fail(1, "touch: cannot touch '"+c.Argv[1]+"': Read-only file system\n")
		}
	case "kill":
		for _, pid := range c.Argv[2:] {
			if !n.deaf || c.Argv[1] == "-KILL" {
				delete(n.receiving, pid)
			}
		}
	}
	n.did = append(n.did, line)
	return host.Result{}, nil
}

// all does all steps of a job, in their order.
func (n *node) promote(term uint64) {
	n.t.Helper()
	for _, step := range []string{ha.StepGate, ha.StepSet, ha.StepKeys, ha.StepAhead, ha.StepReadonly, ha.StepMount, ha.StepHooks, ha.StepAddress, ha.StepSchedule, ha.StepPublish} {
		for range 2 { // each can be done again
			if err := n.Promote(n.t.Context(), step, term); err != nil {
				n.t.Fatalf("%s: %v", step, err)
			}
		}
	}
}

func (n *node) demote() error {
	for _, step := range []string{ha.StepAddress, ha.StepHooks, ha.StepReadonly, ha.StepUnmount, ha.StepVerify, ha.StepRelease} {
		for range 2 {
			if err := n.Demote(n.t.Context(), step, "", 5); err != nil {
				return fmt.Errorf("%s: %w", step, err)
			}
		}
	}
	return nil
}

func (n *node) looks(want string, wantTerm uint64) {
	n.t.Helper()
	writable, term, err := n.Look(n.t.Context())
	if err != nil || writable != want || term != wantTerm {
		n.t.Errorf("%s in term %d (%v), want %s in %d", writable, term, err, want, wantTerm)
	}
}

// What a promotion will miss is told before.
func TestLacks(t *testing.T) {
	n := newNode(t)
	if err := n.Lacks(t.Context()); err != nil {
		t.Error(err)
	}
	n.bare = true
	if err := n.Lacks(t.Context()); err == nil || !strings.Contains(err.Error(), "apt install iputils-arping") {
		t.Errorf("%v", err)
	}
	n.HA.VirtualAddress.Address = "fd00::10/64" // the kernel's own
	if err := n.Lacks(t.Context()); err != nil {
		t.Error(err)
	}
}

// There and back: after a promotion the group can be written, and after a demotion it can't; nothing else is touched.
func TestThereAndBack(t *testing.T) {
	n := newNode(t)
	other := n.do("zfs get -Hp -o property,value,source all tank/other") + n.do("zfs get -Hp -o property,value,source readonly,canmount,dplane:term tank")
	n.looks(state.WritableNo, 0)
	n.promote(5)
	n.looks(state.WritableYes, 5)
	if got := n.do("zfs get -Hp -r -t filesystem,volume -o name,property,value readonly,mounted,canmount tank/g"); !strings.Contains(got, "tank/g/a\tmounted\tyes") || strings.Contains(got, "readonly\ton") || strings.Contains(got, "canmount\ton") {
		t.Error(got)
	}
	if got := n.do("zfs holds -H tank/g@two tank/g/a@two tank/g/v@two tank/g@one"); strings.Count(got, Tag) != 3 || strings.Contains(got, "@one") {
		t.Errorf("held: %s", got)
	}
	want := []string{
		"systemctl start nfs-server.service", "/usr/local/bin/share start", "systemctl start nfs-server.service", "/usr/local/bin/share start",
		"arping -q -D -c 2 -w 3 -I eth0 10.0.0.10", "ip address add 10.0.0.10/24 dev eth0", "arping -q -U -c 3 -w 5 -I eth0 10.0.0.10", "arping -q -U -c 3 -w 5 -I eth0 10.0.0.10",
	}
	if !slices.Equal(n.did, want) {
		t.Errorf("beside ZFS:\n%s", strings.Join(n.did, "\n"))
	}
	n.did = nil
	if err := n.Demote(t.Context(), ha.StepVerify, "", 5); err == nil {
		t.Error("an active node is verified as read-only")
	}
	if err := n.demote(); err != nil {
		t.Error(err)
	}
	n.looks(state.WritableNo, 5)
	if n.did[0] != "ip address del 10.0.0.10/24 dev eth0" || n.did[1] != "/usr/local/bin/share stop" || n.did[2] != "systemctl stop nfs-server.service" {
		t.Errorf("beside ZFS:\n%s", strings.Join(n.did, "\n"))
	}
	if now := n.do("zfs get -Hp -o property,value,source all tank/other") + n.do("zfs get -Hp -o property,value,source readonly,canmount,dplane:term tank"); now != other {
		t.Errorf("what is not of the group was changed:\n%s\n%s", other, now)
	}
}

// Each way in which a node might still write is seen, by itself.
func TestVerifySees(t *testing.T) {
	for name, spoil := range map[string]func(n *node){
		"readonly is off":       func(n *node) { n.do("zfs set readonly=off tank/g/v") },
		"readonly is inherited": func(n *node) { n.do("zfs inherit readonly tank/g/a") },
		"a mount that overrides it": func(n *node) {
			n.mounts = "tank/g/a /tank/g/a zfs rw,xattr 0 0\n"
		},
		"a mount elsewhere": func(n *node) { n.mounts = "tank/g /mnt/with\\040space zfs rw 0 0\n" },
		"a write succeeds": func(n *node) {
			n.do("zfs mount tank/g")
			n.mounts, n.writable = "tank/g /tank/g zfs ro 0 0\n", true
		},
		"a volume is open":                        func(n *node) { n.volume().Busy = true },
		"the kernel does not follow the property": func(n *node) { n.lagging = true },
		"a volume is served":                      func(n *node) { n.volume().Served = "/sys/kernel/config/target/core/iblock_0/disk/udev_path" },
		"a volume is mounted":                     func(n *node) { n.mounts = "/dev/zvol/tank/g/v /mnt ext4 ro 0 0\n" },
		"a volume is swapped to": func(n *node) {
			n.mounts = n.device() + " partition 1048572 0 -2\n"
		},
		"a volume's device is not seen": func(n *node) { n.hidden = true },
		"the kernel is not asked":       func(n *node) { n.fails = "blockdev " },
		"processes are not seen":        func(n *node) { n.fails = "find -H /proc" },
		"what is served is not seen":    func(n *node) { n.fails = "grep " },
		"the address":                   func(n *node) { n.addresses["10.0.0.10/24"] = true },
		"the mounts are not seen":       func(n *node) { n.fails = "cat " },
		"the addresses are not":         func(n *node) { n.fails = "ip " },
	} {
		n := newNode(t)
		if err := n.Verify(t.Context()); err != nil {
			t.Fatalf("as received: %v", err)
		}
		spoil(n)
		if err := n.Verify(t.Context()); err == nil {
			t.Errorf("%s: it is verified all the same", name)
		}
	}
}

// What is received into the group is ended, and nothing else.
func TestEndsReceives(t *testing.T) {
	n := newNode(t)
	n.receiving = map[string]string{
		"100": "zfs receive -s -u -o readonly=on tank/g", "101": "/usr/sbin/zfs receive -s -u tank/g/a/b", "102": "zfs receive -u tank/good",
		"103": "zfs receive -u tank/other", "104": "vi tank/g",
	}
	n.deaf = true
	if err := n.Promote(t.Context(), ha.StepGate, 5); err != nil {
		t.Fatal(err)
	}
	if len(n.receiving) != 3 || n.receiving["102"] == "" || n.receiving["103"] == "" || n.receiving["104"] == "" {
		t.Errorf("left: %v", n.receiving)
	}
	if !strings.HasPrefix(n.did[0], "kill -TERM ") || !strings.HasPrefix(n.did[1], "kill -KILL ") {
		t.Errorf("%v", n.did)
	}
}

// What can't be done is an error that names the object, and nothing is forced.
func TestStepsThatFail(t *testing.T) {
	n := newNode(t)
	n.taken = true
	if err := n.Promote(t.Context(), ha.StepAddress, 5); err == nil || !strings.Contains(err.Error(), "somebody else") || n.addresses["10.0.0.10/24"] {
		t.Errorf("an address that somebody has: %v", err)
	}
	n.fails = "systemctl"
	if err := n.Promote(t.Context(), ha.StepHooks, 5); err == nil || !slices.Contains(n.did, "/usr/local/bin/share start") {
		t.Errorf("a hook that fails: %v, %v", err, n.did)
	}
	if err := n.Demote(t.Context(), ha.StepSend, "b", 5); err == nil {
		t.Error("nothing sends, and the step is done")
	}
	n.HA.Datasets = append(n.HA.Datasets, "tank/gone")
	if err := n.Promote(t.Context(), ha.StepReadonly, 5); err == nil {
		t.Error("a dataset of the group is not here, and the step is done")
	}
}

// The final snapshot is one moment.
func TestFinalSnapshot(t *testing.T) {
	n := newNode(t)
	if err := n.Demote(t.Context(), ha.StepSnapshot, "b", 5); err != nil {
		t.Fatal(err)
	}
	txg := strings.Fields(n.do("zfs list -Hp -r -t snapshot -o name,createtxg tank/g"))
	seen := map[string]bool{}
	for i := 0; i < len(txg); i += 2 {
		if strings.HasSuffix(txg[i], "@dplane-ha-t5-20261128T200000Z") {
			seen[txg[i+1]] = true
		}
	}
	if len(seen) != 1 {
		t.Errorf("%v: %v", seen, txg)
	}
}

// A volume that somebody holds open keeps its writer: the demotion does not go on over it, and is not believed; one that was
// closed does.
func TestVolumeHeldOpen(t *testing.T) {
	n := newNode(t)
	n.promote(5)
	n.volume().Busy = true
	err := n.demote()
	if err == nil || !strings.HasPrefix(err.Error(), "unmount: ") || !strings.Contains(err.Error(), "process 4242 has tank/g/v open") {
		t.Errorf("%v", err)
	}
	if err := n.Verify(t.Context()); err == nil {
		t.Error("it is verified all the same")
	}
	n.volume().Busy = false
	if err := n.demote(); err != nil {
		t.Error(err)
	}
}

// A replica has not the mountpoint that the files declare: nothing sends it. It is there before anything is mounted.
func TestDeclaredMountpoint(t *testing.T) {
	n := newNode(t)
	n.do("zfs set mountpoint=none tank/g")
	n.Mountpoints = map[string]string{"tank/g": "/srv/g", "tank/g/v": "/never"}
	for _, step := range []string{ha.StepReadonly, ha.StepMount} {
		if err := n.Promote(t.Context(), step, 3); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Fields(n.do("zfs get -Hp -o value mountpoint,mounted tank/g/a")); !slices.Equal(got, []string{"/srv/g/a", "yes"}) {
		t.Errorf("%q", got)
	}
}

// A group whose consistency is declared is promoted as its newest complete set, with its keys; what is ahead of that is kept, and
// comes back where the promotion is taken back. Where it is not declared, each dataset is promoted as it is.
func TestPromotedAsOneSet(t *testing.T) {
	n := newNode(t)
	n.zfs.AddKey("/key", "12345678")
	n.do("zfs create -o encryption=on -o keyformat=passphrase -o keylocation=file:///key tank/g/sec")
	n.do("zfs snapshot -r tank/g@set")
	n.do("zfs unmount tank/g/sec")
	n.do("zfs set readonly=on canmount=noauto tank/g/sec")
	for _, d := range []string{"tank/g/a", "tank/g/sec"} {
		n.zfs.Write(d, 1<<19)
		n.do("zfs snapshot " + d + "@ahead")
	}
	was := n.do("zfs list -Hp -r -t filesystem,volume,snapshot -o name,guid tank")
	n.promote(5)
	if got := n.do("zfs list -H -t filesystem,volume,snapshot -o name -r tank"); strings.Contains(got, ".ahead-t") {
		t.Errorf("not asked for: %s", got)
	}
	if err := n.demote(); err != nil {
		t.Fatal(err)
	}
	n.HA.Consistency = "group"
	var told []string
	n.Replaced = func(_ context.Context, name string) error { told = append(told, name); return nil }
	steps := []string{ha.StepGate, ha.StepSet, ha.StepKeys, ha.StepAhead, ha.StepReadonly, ha.StepMount}
	for _, step := range steps {
		for range 2 {
			if err := n.Promote(t.Context(), step, 6); err != nil {
				t.Fatalf("%s: %v", step, err)
			}
		}
	}
	for _, d := range []string{"tank/g", "tank/g/a", "tank/g/sec"} {
		if got := n.do("zfs list -H -d 1 -t snapshot -o name " + d); strings.Contains(got, d+"@ahead") || !strings.Contains(got, d+"@set\n") {
			t.Errorf("%s has %s", d, got)
		}
		if got := n.do("zfs get -H -o value mounted " + d); got != "yes\n" {
			t.Errorf("%s is mounted: %s", d, got)
		}
	}
	if got := n.do("zfs list -H -t snapshot -o name -r tank/g.ahead-t6"); got != "tank/g.ahead-t6/a@ahead\ntank/g.ahead-t6/sec@ahead\n" {
		t.Errorf("kept is %s", got)
	}
	if !slices.Equal(told, []string{"tank/g/a", "tank/g/sec"}) {
		t.Errorf("told was %q", told)
	}
	for _, step := range slices.Backward(steps) {
		if err := n.UndoPromote(t.Context(), step, 6); err != nil {
			t.Errorf("%s: %v", step, err)
		}
	}
	if got := n.do("zfs list -Hp -r -t filesystem,volume,snapshot -o name,guid tank"); got != was {
		t.Errorf("taken back it is\n%s\nand was\n%s", got, was)
	}
}
