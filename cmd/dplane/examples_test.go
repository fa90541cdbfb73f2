package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dplaneos/dplane/cmd/internal/render"
	"github.com/dplaneos/dplane/drivers"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/reconcile"
	"github.com/dplaneos/dplane/spec"
	"github.com/dplaneos/dplane/state"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGoldenExamples loads and plans what people copy, on a machine that has the declared disks, blank; the
// laptop's pool is there already.
func TestGoldenExamples(t *testing.T) {
	for _, dir := range []string{"home-nas", "pair/nas-a", "pair/nas-b", "laptop"} {
		t.Run(dir, func(t *testing.T) {
			want, err := spec.LoadDir(filepath.Join("../../examples", dir), spec.LoadOptions{Hostname: "example"})
			if err != nil {
				t.Fatal(err)
			}
			fake := zfsfake.New()
			for _, name := range want.PoolNames() {
				for _, d := range want.Pools[name].Devices() {
					fake.AddDisk(d.Path, 4<<40)
				}
			}
			fake.AddDisk("/dev/nvme0n1p3", 1<<40)
			if _, err := fake.Do("zpool create rpool /dev/nvme0n1p3"); err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("testdata/examples", strings.ReplaceAll(dir, "/", "-")+".txt"), planText(t, want, fake))
		})
	}
}

// TestReadme: the plan that the README shows is the one that its file gives.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```")
	if len(blocks) < 5 {
		t.Fatal("the README has lost its example")
	}
	file, shown := strings.TrimPrefix(blocks[1], "yaml\n"), strings.TrimPrefix(blocks[3], "\n")
	want, err := spec.LoadFiles(map[string][]byte{"tank.yaml": []byte(file)}, spec.LoadOptions{Hostname: "example"})
	if err != nil {
		t.Fatal(err)
	}
	fake := zfsfake.New()
	fake.AddDisk("/dev/disk/by-id/ata-A", 4<<40)
	fake.AddDisk("/dev/disk/by-id/ata-B", 4<<40)
	_, plan, _ := strings.Cut(string(planText(t, want, fake)), "\n\n") // without the line that has the time
	if plan != shown {
		t.Errorf("the README shows\n%s\nand the plan is\n%s", shown, plan)
	}
}

func planText(t *testing.T, want *spec.Spec, fake *zfsfake.Fake) []byte {
	t.Helper()
	obs := state.NewObserved(time.Date(2026, 11, 24, 7, 3, 0, 0, time.UTC), "example")
	for _, d := range kinds(fake, forgetful{}, reconcile.Wall{}, false) {
		if err := d.Observe(t.Context(), want, obs); err != nil {
			t.Fatal(err)
		}
	}
	p := reconcile.Build(drivers.Input{Want: want, Have: obs, Now: obs.At}, kinds(nil, nil, reconcile.Wall{}, false), reconcile.ByHand(nil, nil))
	var out bytes.Buffer
	if err := render.PlanText(&out, p, render.TextOptions{Commands: true}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; got:\n%s", file, got)
	}
}
