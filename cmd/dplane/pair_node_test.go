package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers/ha/history"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
)

// pair are two machines of the model in network namespaces of their own, joined by a link that can be made bad. On each a real
// daemon runs; beats are TLS over the link, the virtual address is real. What happens to what can be written is noted as it
// happens (zfsfake.HistoryVariable, and what the kernel tells of addresses), and judged at the end by drivers/ha/history.
//
//	p := newPair(t, pairOptions{})   // nas-a has the data, nas-b a copy; no daemon runs yet
//	p.begin()                        // both run, and nas-a is active in term 1
//	p.a.dplane("ha", "switchover", "--to", "nas-b", "--yes")
//	p.judge()                        // fails the test where an invariant did not hold
type pair struct {
	t    *testing.T
	dir  string
	a, b *pairNode
	link *link
	opts pairOptions
	took func(what string, long time.Duration) // until it can be written

	mu    sync.Mutex
	noted []history.Fact
}

// pairOptions are what a case has otherwise.
type pairOptions struct {
	every string // of the heartbeat; "": 1s
	ha    string // more lines of ha, indented by two spaces
	more  string // more lines of the shared file
	env   []string
	// dplane is the program that runs on nas-b; "": that of the tests.
	dplane string
	// before is done before anything stands in the nodes' directories.
	before func(*pair)
}

// The group, and its address.
const (
	pairHome    = "tank/home"
	pairAddress = "10.99.0.10"
)

// pairNode is one of the machines.
type pairNode struct {
	p        *pair
	name, ip string
	dir      string
	space    *space
	daemon   *exec.Cmd
	ended    chan struct{} // of the daemon
	runs     int           // daemons that there were
	power    []powered
	// decisions are the facts of each that was persisted, by its time.
	decisions map[string][]history.Fact
}

// powered is when a machine was without power; to is 0 while it is.
type powered struct{ from, to int64 }

func newPair(t *testing.T, opts pairOptions) *pair {
	t.Helper()
	if os.Geteuid() != 0 {
		pairSkip(t, "not root")
	}
	for _, tool := range []string{"ip", "arping", "ssh-keygen"} {
		if _, err := exec.LookPath(tool); err != nil {
			pairSkip(t, "there is no "+tool+" (Debian: iproute2, iputils-arping, openssh-client)")
		}
	}
	dir, err := os.MkdirTemp("", "pair") // short: a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &pair{t: t, dir: dir, opts: opts, took: func(string, time.Duration) {}}
	p.a, p.b = p.node("nas-a", "10.99.0.1"), p.node("nas-b", "10.99.0.2")
	if opts.dplane != "" {
		p.must(os.Symlink(opts.dplane, p.b.path("bin", "dplane")))
	}
	if opts.before != nil {
		opts.before(p)
	}
	p.link = newLink(t, p.a.space, p.b.space)
	for _, n := range p.nodes() {
		n.network()
		n.machine()
		t.Cleanup(n.killAll)
	}
	p.write()
	return p
}

// pairSkip says why there is no pair here. Who asked for the matrix is not told that it passed.
func pairSkip(t *testing.T, why string) {
	t.Helper()
	if *matrix {
		t.Fatal("no two nodes can be made here: " + why)
	}
	t.Skip("no two nodes can be made here: " + why)
}

func (p *pair) nodes() []*pairNode { return []*pairNode{p.a, p.b} }

func (p *pair) node(name, ip string) *pairNode {
	n := &pairNode{p: p, name: name, ip: ip, dir: filepath.Join(p.dir, name), space: newSpace(p.t), decisions: map[string][]history.Fact{}}
	for _, d := range []string{"etc", "bin"} {
		p.must(os.MkdirAll(n.path(d), 0o755))
	}
	p.must(os.WriteFile(n.path("bin", "ssh"), []byte("#!/bin/sh\nexec pairssh \"$@\"\n"), 0o755))
	return n
}

func (p *pair) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (n *pairNode) path(elem ...string) string {
	return filepath.Join(append([]string{n.dir}, elem...)...)
}

func (n *pairNode) peer() *pairNode {
	if n == n.p.a {
		return n.p.b
	}
	return n.p.a
}

// network brings up what the namespace has, and watches its addresses.
func (n *pairNode) network() {
	n.p.t.Helper()
	for _, line := range []string{"link set lo up", "address add " + n.ip + "/24 dev " + lan, "link set " + lan + " up"} {
		n.must("ip", strings.Fields(line)...)
	}
	n.p.must(n.watchAddress())
	n.p.must(n.sshd())
}

// machine makes the pool and the group: nas-a has the data, and nas-b what it was sent.
func (n *pairNode) machine() {
	n.p.t.Helper()
	do := func(words string) { n.must(strings.Fields(words)[0], strings.Fields(words)[1:]...) }
	if n.name == "nas-b" { // no two machines give one guid
		f := zfsfake.New()
		f.Model.Serial = 1 << 20
		n.p.must(f.Save(n.path("machine.json")))
	}
	do("zfsfake file /vdev/a 1G")
	do("zpool create -O mountpoint=none tank /vdev/a")
	if n.name == "nas-b" {
		n.must("sh", "-c", "zfs receive -u -o readonly=on -o canmount=noauto -o mountpoint=/srv/home tank/home <"+n.p.a.path("first"))
		return
	}
	do("zfs create -o mountpoint=/srv/home -o canmount=noauto -o readonly=on tank/home")
	do("zfs snapshot tank/home@first")
	n.must("sh", "-c", "zfs send tank/home@first >"+n.path("first"))
}

// write writes the files of both nodes.
func (p *pair) write() {
	p.t.Helper()
	ids := map[string]string{}
	for _, n := range p.nodes() {
		p.must(os.WriteFile(n.path("etc", "node.yaml"), fmt.Appendf(nil, "node: {name: %s}\ndaemon: {interval: 3s, listen: \"127.0.0.1:0\", runtime: %s, database: %s}\n",
			n.name, n.path("run"), n.path("db", "d.db")), 0o644))
		ids[n.name] = strings.TrimSpace(n.expect(0, "ha", "id").out)
		n.must("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", n.path("key"))
	}
	for _, n := range p.nodes() {
		p.must(os.WriteFile(n.path("etc", "shared.yaml"), []byte(p.shared(n, ids)), 0o644))
	}
}

func (p *pair) shared(n *pairNode, ids map[string]string) string {
	key, err := os.ReadFile(p.a.path("key.pub"))
	p.must(err)
	every := p.opts.every
	if every == "" {
		every = "1s"
	}
	remote := func(of *pairNode) string {
		return fmt.Sprintf("{host: %s, user: r, identityFile: %s, hostKey: %q}", of.ip, n.path("key"), strings.TrimSpace(string(key)))
	}
	return fmt.Sprintf(`pools: {tank: {}}
datasets: {tank/home: {properties: {mountpoint: /srv/home}, snapshots: often}}
schedules: {often: {keep: {hourly: 2}}}
replications: {pair: {source: tank/home, recursive: true, target: standby}}
remotes:
  nas-a: %s
  nas-b: %s
%sha:
  active: nas-a
  datasets: [tank/home]
  virtualAddress: {address: %s/24, interface: %s}
  heartbeat: {every: %s}
%s  peers:
    nas-a: {address: "https://%s:9443", identity: %q, remote: nas-a}
    nas-b: {address: "https://%s:9443", identity: %q, remote: nas-b}
`, remote(p.a), remote(p.b), p.opts.more, pairAddress, lan, every, p.opts.ha, p.a.ip, ids["nas-a"], p.b.ip, ids["nas-b"])
}

// begin starts both daemons, and makes nas-a active in term 1.
func (p *pair) begin() {
	p.t.Helper()
	p.a.start()
	p.b.start()
	p.a.hears("standby")
	p.b.hears("standby")
	p.a.expect(0, "ha", "failover", "--yes")
	p.b.until("it stands by behind nas-a", func(s *haShown) bool {
		return s.Role == "standby" && s.Job == "" && s.Term == 1 && s.peer().Role == "active" && s.peer().State == "healthy"
	})
}

// program is one that runs on the machine.
func (n *pairNode) program(name string, args ...string) *exec.Cmd {
	path := n.path("bin") + ":" + os.Getenv("PATH")
	c := exec.Command(name, args...)
	if full, err := lookIn(path, name); err == nil {
		c.Path, c.Err = full, nil
	}
	c.Dir = n.dir
	c.Env = append(os.Environ(), "PATH="+path, zfsfake.StateVariable+"="+n.path("machine.json"),
		zfsfake.HistoryVariable+"="+n.path("history"), "GORACE=atexit_sleep_ms=0", "PAIR_NODE="+n.dir)
	c.Env = append(c.Env, n.p.opts.env...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c
}

func lookIn(path, name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, d := range filepath.SplitList(path) {
		if full, err := exec.LookPath(filepath.Join(d, name)); err == nil {
			return full, nil
		}
	}
	return "", exec.ErrNotFound
}

// launch starts it in the machine's network.
func (n *pairNode) launch(c *exec.Cmd) error { return n.space.in(c.Start) }

// printed is how a program ended.
type printed struct {
	code     int
	out, err string
}

func (n *pairNode) run(name string, args ...string) printed {
	n.p.t.Helper()
	c := n.program(name, args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err := n.launch(c)
	if err == nil {
		err = c.Wait()
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		n.p.t.Errorf("%s: %s %v: %v", n.name, name, args, err)
		return printed{-1, out.String(), err.Error()}
	}
	return printed{c.ProcessState.ExitCode(), out.String(), errs.String()}
}

// must runs one that has to do its work.
func (n *pairNode) must(name string, args ...string) string {
	n.p.t.Helper()
	r := n.run(name, args...)
	if r.code != 0 {
		n.p.t.Fatalf("%s: %s %v: exit status %d\n%s%s", n.name, name, args, r.code, r.out, r.err)
	}
	return strings.TrimSpace(r.out)
}

func (n *pairNode) dplane(args ...string) printed {
	n.p.t.Helper()
	return n.run("dplane", append([]string{"--config", n.path("etc")}, args...)...)
}

func (n *pairNode) expect(code int, args ...string) printed {
	n.p.t.Helper()
	r := n.dplane(args...)
	if r.code != code {
		n.p.t.Fatalf("%s: dplane %s: exit status %d, want %d\n%s%s%s", n.name, strings.Join(args, " "), r.code, code, r.out, r.err, n.p.told())
	}
	return r
}

// start begins the daemon.
func (n *pairNode) start() {
	n.p.t.Helper()
	n.runs++
	log, err := os.OpenFile(n.path("daemon.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	n.p.must(err)
	defer log.Close()
	c := n.program("dplane", "--config", n.path("etc"), "daemon")
	c.Stdout, c.Stderr = log, log
	n.p.must(n.launch(c))
	n.daemon, n.ended = c, make(chan struct{})
	go func() { _ = c.Wait(); close(n.ended) }()
}

// signal is for the daemon, by its process.
func (n *pairNode) signal(s syscall.Signal) { _ = n.daemon.Process.Signal(s) }

// kill ends the daemon as kill -9 does: what it had begun goes on.
func (n *pairNode) kill() {
	n.signal(syscall.SIGKILL)
	<-n.ended
}

// stop ends it as systemd does.
func (n *pairNode) stop() {
	n.signal(syscall.SIGTERM)
	<-n.ended
}

func (n *pairNode) pause()  { n.signal(syscall.SIGSTOP) }
func (n *pairNode) resume() { n.signal(syscall.SIGCONT) }

// killAll ends all that runs on the machine: they are known by their environment.
func (n *pairNode) killAll() {
	mark := []byte("PAIR_NODE=" + n.dir + "\x00")
	for range 20 {
		found := false
		dirs, _ := filepath.Glob("/proc/[0-9]*")
		for _, d := range dirs {
			env, err := os.ReadFile(d + "/environ")
			if err != nil || !bytes.Contains(append(env, 0), mark) {
				continue
			}
			if stat, _ := os.ReadFile(d + "/stat"); bytes.Contains(stat, []byte(") Z ")) {
				continue
			}
			pid, _ := strconv.Atoi(filepath.Base(d))
			found = syscall.Kill(pid, syscall.SIGKILL) == nil || found
		}
		if !found {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// off takes the machine's power away: nothing of it writes, nor has the address, and what it had in memory is gone.
func (n *pairNode) off() {
	n.p.t.Helper()
	n.killAll()
	n.must("ip", "address", "flush", "dev", lan)
	n.must("zfsfake", "power", "off")
	n.p.must(os.RemoveAll(n.path("run")))
	n.p.must(os.RemoveAll(n.path("run-ha")))
	for _, event := range []string{history.RWOff, history.VIPOff} {
		n.p.fact(history.Fact{Node: n.name, Event: event})
	}
	n.power = append(n.power, powered{from: zfsfake.Mono()})
}

// on boots it, without its daemon yet.
func (n *pairNode) on() {
	n.p.t.Helper()
	n.power[len(n.power)-1].to = zfsfake.Mono()
	n.must("ip", "address", "add", n.ip+"/24", "dev", lan)
	n.must("zfsfake", "power", "on")
}

// haShown is the document of `dplane ha status --json`.
type haShown struct {
	State, Role, Active, Job, Step, Frozen string
	Term                                   uint64
	Peers                                  []struct {
		Name, State, Role string
		Term              uint64
		Stale             bool
	}
	Reasons, Notices []string
	code             int
}

func (s *haShown) peer() (p struct{ Name, State, Role string }) {
	if len(s.Peers) > 0 {
		p.Name, p.State, p.Role = s.Peers[0].Name, s.Peers[0].State, s.Peers[0].Role
	}
	return p
}

// shows is what an operator sees at the node.
func (n *pairNode) shows() *haShown {
	n.p.t.Helper()
	r := n.dplane("ha", "status", "--json")
	s := &haShown{code: r.code}
	_ = json.Unmarshal([]byte(r.out), s) // nothing is known yet
	return s
}

// patient is how long anything is waited for.
const patient = 2 * time.Minute

// until waits for what an operator is to see.
func (n *pairNode) until(what string, ok func(*haShown) bool) {
	n.p.t.Helper()
	n.p.until(n.name+": "+what, func() bool { return ok(n.shows()) })
}

func (p *pair) until(what string, ok func() bool) {
	p.t.Helper()
	for end := time.Now().Add(patient); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if ok() {
			return
		}
	}
	p.t.Fatalf("after %s still not: %s\n%s", patient, what, p.told())
}

// told is all that is known, for who reads a failure.
func (p *pair) told() string {
	var text strings.Builder
	for _, n := range p.nodes() {
		log, _ := os.ReadFile(n.path("daemon.log"))
		lines := strings.Split(string(log), "\n")
		fmt.Fprintf(&text, "== %s\n%s%s\n", n.name, n.dplane("ha", "status").out, strings.Join(lines[max(0, len(lines)-25):], "\n"))
	}
	return text.String()
}

func (n *pairNode) role(role string) {
	n.p.t.Helper()
	n.until("it is "+role, func(s *haShown) bool { return s.Role == role && s.Job == "" })
}

// hears waits until it hears its peer, and both are in that role.
func (n *pairNode) hears(role string) {
	n.p.t.Helper()
	n.until("it hears its peer", func(s *haShown) bool {
		return s.Role == role && len(s.Peers) == 1 && s.Peers[0].State == "healthy" && s.Peers[0].Role == role
	})
}

// events are the events that contain a text, newest first.
func (n *pairNode) events(text string) string {
	n.p.t.Helper()
	return n.dplane("events", "--search", text).out
}

// snapshots are those of the group's dataset.
func (n *pairNode) snapshots() []string {
	n.p.t.Helper()
	return strings.Fields(n.must("zfs", "list", "-H", "-o", "name", "-t", "snapshot", "-r", pairHome))
}

// take writes something at the active node, takes a snapshot, and waits until the other one has all, that of the schedule too.
func (n *pairNode) take(name string) {
	n.p.t.Helper()
	n.must("zfsfake", "write", pairHome, "1M")
	n.must("zfs", "snapshot", pairHome+"@"+name)
	n.p.until(n.peer().name+" has all that is at "+n.name, func() bool {
		own, there := n.snapshots(), n.peer().snapshots()
		scheduled := strings.Contains(strings.Join(own, " "), "@dplane-")
		return scheduled && !slices.ContainsFunc(own, func(s string) bool { return !slices.Contains(there, s) })
	})
}
