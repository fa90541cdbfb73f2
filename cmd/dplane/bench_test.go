package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
)

// binary is the built dplane that `make bench` measures.
func binary(b *testing.B) string {
	path := os.Getenv("DPLANE_BIN")
	if path == "" {
		b.Skip("DPLANE_BIN names no binary: `make bench` builds one")
	}
	return path
}

// configuration writes n datasets under one pool, in groups of 50; with equal bodies, they differ in
// their names alone.
func configuration(b testing.TB, n int, equal bool, daemon string) string {
	var y strings.Builder
	y.WriteString("pools:\n  tank: {vdevs: [{mirror: [/dev/disk/by-id/ata-A, /dev/disk/by-id/ata-B]}]}\n" + daemon + "datasets:\n")
	for i := range n {
		if i%50 == 0 {
			fmt.Fprintf(&y, "  tank/g%d: {properties: {canmount: \"off\"}}\n", i/50)
		}
		quota := 10
		if !equal {
			quota += i
		}
		fmt.Fprintf(&y, "  tank/g%d/d%d:\n    properties: {compression: zstd, quota: %dG, recordsize: 128K, atime: off, \"com.example:owner\": it}\n", i/50, i, quota)
	}
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "tank.yaml"), []byte(y.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	return dir
}

// BenchmarkValidate is `dplane validate` from its start to its end, as a person waits for it, and
// beside it the process that does nothing.
func BenchmarkValidate(b *testing.B) {
	bin := binary(b)
	for _, c := range []struct {
		n     int
		equal bool
		aim   float64 // ms
	}{{10, false, 60}, {1000, false, 400}, {10000, false, 3000}, {10000, true, 1500}} {
		b.Run(fmt.Sprintf("datasets=%d/equal=%v", c.n, c.equal), func(b *testing.B) {
			dir := configuration(b, c.n, c.equal, "")
			for b.Loop() {
				if out, err := exec.Command(bin, "validate", "--config", dir).CombinedOutput(); err != nil {
					b.Fatalf("%v: %s", err, out)
				}
			}
			b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N), "ms")
			b.ReportMetric(c.aim, "aim-ms")
		})
	}
	b.Run("version", func(b *testing.B) {
		for b.Loop() {
			if err := exec.Command(bin, "version").Run(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N), "ms")
	})
}

// BenchmarkPlan is the plan for 10,000 datasets from a recorded state, a tenth of which has drifted.
func BenchmarkPlan(b *testing.B) {
	want, err := spec.LoadDir(configuration(b, 10000, false, ""), spec.LoadOptions{Hostname: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	in := drivers.Input{Want: want, Have: asDeclared(want)}
	i := 0
	for _, name := range want.DatasetNames() {
		if i++; i%10 == 0 {
			p := in.Have.Datasets[string(name)].Properties["compression"]
			p.Value = "lz4"
			in.Have.Datasets[string(name)].Properties["compression"] = p
		}
	}
	before := cpu()
	actions := 0
	for b.Loop() {
		actions = reconcile.Build(in, kinds(nil, nil, reconcile.Wall{}, false), reconcile.ByHand(nil, nil)).Pending()
	}
	b.ReportMetric((cpu()-before).Seconds()*1000/float64(b.N), "cpu-ms")
	b.ReportMetric(1000, "aim-ms")
	b.ReportMetric(float64(actions), "actions")
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDaemonIdle is the resident memory of an idle daemon with 100 datasets, on a model machine.
func BenchmarkDaemonIdle(b *testing.B) {
	bin := binary(b)
	programs := modelPrograms(b)
	for b.Loop() {
		dir := b.TempDir()
		const listen = "127.0.0.1:19000"
		config := configuration(b, 100, false, fmt.Sprintf(
			"daemon: {interval: 2s, listen: \"%s\", runtime: %s/run, database: %s/dplane.db}\n", listen, dir, dir))
		want, err := spec.LoadDir(config, spec.LoadOptions{Hostname: "bench"})
		if err != nil {
			b.Fatal(err)
		}
		modelMachine(b, filepath.Join(dir, "machine.json"), want)
		env := append(os.Environ(), "PATH="+programs+":"+os.Getenv("PATH"), zfsfake.StateVariable+"="+filepath.Join(dir, "machine.json"))
		apply := exec.Command(bin, "apply", "--yes", "--config", config)
		apply.Env = env
		if out, err := apply.CombinedOutput(); err != nil {
			b.Fatalf("apply: %v: %s", err, out)
		}
		daemon := exec.Command(bin, "daemon", "--config", config)
		daemon.Env = env
		var log bytes.Buffer
		daemon.Stderr = &log
		if err := daemon.Start(); err != nil {
			b.Fatal(err)
		}
		awaitHealth(b, "http://"+listen+"/health", &log)
		time.Sleep(20 * time.Second) // ten rounds: what is left is what stays
		b.ReportMetric(resident(b, daemon.Process.Pid), "MB")
		b.ReportMetric(40, "aim-MB")
		if err := daemon.Process.Signal(syscall.SIGTERM); err != nil {
			b.Fatal(err)
		}
		if err := daemon.Wait(); err != nil {
			b.Fatalf("the daemon ended with %v: %s", err, &log)
		}
	}
}

// modelPrograms is a directory in which this test binary goes by the names of the model's programs.
func modelPrograms(b *testing.B) string {
	dir := b.TempDir()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	for _, p := range zfsfake.Programs {
		if err := os.Symlink(self, filepath.Join(dir, p)); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

func awaitHealth(b *testing.B, url string, log *bytes.Buffer) {
	for range 100 {
		if res, err := http.Get(url); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	b.Fatalf("no answer from %s: %s", url, log)
}

func resident(b *testing.B, pid int) float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for _, line := range strings.Split(string(status), "\n") {
		if kb, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.Atoi(strings.Fields(kb)[0])
			if err != nil {
				b.Fatal(err)
			}
			return float64(n) / 1024
		}
	}
	b.Fatal("no VmRSS")
	return 0
}
