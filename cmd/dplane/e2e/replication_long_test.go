//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// long is a machine whose daemon has a transfer under way that takes long.
type long struct {
	*pairOf
	daemon *running
	own    string // what is declared, and has nothing to do with the transfer
	n      int
}

// TestReplicationLong: while a transfer goes on for long (DPLANE_E2E_LONG seconds; an hour in make test-replication), all else
// goes on too: snapshots, the repair of drift, another replication, an apply by hand. It is one stream, and it comes to its end.
func TestReplicationLong(t *testing.T) {
	const mib = 4
	takes := time.Duration(numberFrom(t, "DPLANE_E2E_LONG", 60)) * time.Second
	p := newPair(t, "")
	p.sshd()
	l := &long{pairOf: p, own: p.from + "/own"}
	p.fill("big", mib)
	p.snapshot("big")
	must(t, "zfs", "create", l.own)
	rate := int(mib << 20 / takes.Seconds())
	p.write("pair.yaml", fmt.Sprintf(`pools: {%[1]s: {}, %[2]s: {}}
replications:
  off: {source: %[1]s/home/anna, target: {remote: far, dataset: %[2]s/anna}, rateLimit: %[3]d}
  quick: {source: %[4]s, target: %[2]s/own}
schedules: {often: {keep: {frequently: 5}, frequentPeriod: 1m}}
datasets: {%[4]s: {snapshots: often}, %[1]s/home/anna: {snapshots: often}}
`, p.from, p.to, rate, l.own))
	start := time.Now()
	l.daemon = p.daemon("")
	l.daemon.until("the transfer runs", l.sends)
	for time.Since(start) < takes-30*time.Second || l.n == 0 {
		l.all()
		if !l.sends() && time.Since(start) < takes { // after it, the rest beside it took long
			t.Fatalf("after %s the transfer is over: it was to take %s\n%s", time.Since(start).Round(time.Second), takes, l.daemon.log)
		}
		time.Sleep(takes / 20)
	}
	l.daemon.until("the transfer is at its end", func() bool { return zfsName(t, p.to+"/anna@big") })
	took := time.Since(start)
	l.daemon.until("what was taken meanwhile is sent too", func() bool { return l.newest(p.from+"/home/anna") == l.newest(p.to+"/anna") })
	l.daemon.stop()
	if a, b := p.sums(p.from+"/home/anna@big"), p.sums(p.to+"/anna@big"); a != b || a == "" {
		t.Errorf("the content differs:\n%s\n%s", a, b)
	}
	var doc struct {
		Replications []struct {
			Name string
			Runs []struct {
				Streams, Resumed int
				Outcome          string
			}
		}
	}
	if err := json.Unmarshal([]byte(p.expect(0, "replication", "list", "--json").Stdout), &doc); err != nil {
		t.Fatal(err)
	}
	for _, r := range doc.Replications {
		if first := r.Runs[len(r.Runs)-1]; r.Name == "off" && (first.Resumed > 0 || first.Outcome != "done") {
			t.Errorf("the transfer was not one: %+v", first)
		}
	}
	t.Logf("%s of transfer, %d times all else beside it", took.Round(time.Second), l.n)
}

// sends tells whether the transfer is under way.
func (l *long) sends() bool {
	return run(l.t, "pgrep", "-f", "^([^ ]*/)?zfs receive .*"+l.to+"/anna").Code == 0
}

// newest is the guid of the newest snapshot of a dataset.
func (l *long) newest(dataset string) string {
	all := strings.Fields(must(l.t, "zfs", "list", "-Hp", "-d", "1", "-t", "snapshot", "-o", "guid", "-s", "createtxg", dataset))
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1]
}

// all is everything that has to go on beside a transfer, once.
func (l *long) all() {
	t := l.t
	t.Helper()
	l.n++
	was := l.newest(l.own)
	more := fmt.Sprintf("%s/more%d", l.own, l.n) // another one each time: what is set back again and again is left alone
	l.write("more.yaml", "datasets: {"+more+": {properties: {compression: zstd}}}\n")
	l.expect(0, "apply", "--yes")
	if !zfsName(t, more) {
		t.Errorf("the apply did not make %s", more)
	}
	must(t, "zfs", "set", "compression=off", more)
	l.daemon.until("the drift is repaired", func() bool { return zfsGet(t, "compression", more) == "zstd" })
	l.daemon.until("a snapshot is taken", func() bool { return !slices.Contains([]string{"", was}, l.newest(l.own)) })
	l.daemon.until("the other replication has it", func() bool { return l.newest(l.own) == l.newest(l.to+"/own") })
}

// zfsName tells whether there is something by this name.
func zfsName(t *testing.T, name string) bool {
	t.Helper()
	return run(t, "zfs", "list", "-H", "-o", "name", name).Code == 0
}
