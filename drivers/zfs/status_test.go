package zfs

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dplaneos/dplane/state"
)

// short writes a vdev tree on one line.
func short(vdevs []state.Vdev) string {
	var words []string
	for _, v := range vdevs {
		w := v.Name
		if v.Class != "" {
			w = v.Class + ":" + w
		}
		if v.State != "ONLINE" {
			w += "=" + v.State
		}
		if n := v.Read + v.Write + v.Checksum; n > 0 {
			w += fmt.Sprintf("!%d", n)
		}
		if v.Note != "" {
			w += "<" + v.Note + ">"
		}
		if len(v.Children) > 0 {
			w += "(" + short(v.Children) + ")"
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

func TestParsePoolStatus(t *testing.T) {
	const tail = " log:/pool/l.img spare:/pool/s.img=AVAIL"
	for _, c := range []struct{ file, pool, health, vdevs string }{
		{"status_scrub", "tank", "ONLINE", "mirror-0(/pool/a.img /pool/b.img)" + tail},
		{"status_offline", "tank", "DEGRADED", "mirror-0=DEGRADED(/pool/a.img /pool/b.img=OFFLINE)" + tail},
		{"status_corrupt_mirror", "tank", "ONLINE", "mirror-0(/pool/a.img /pool/b.img!896)" + tail},
		{"status_faulted", "rz", "DEGRADED", "raidz1-0=DEGRADED(/pool/d.img=FAULTED<external device fault> /pool/e.img /pool/f.img)"},
		{"status_missing_vdev", "rz", "DEGRADED", "raidz1-0=DEGRADED(3552360303875591605=UNAVAIL<was /pool/d.img> /pool/e.img /pool/f.img)"},
		{"status_checkpoint", "tank", "ONLINE", "mirror-0(/pool/a.img /pool/h.img)" + tail},
		{"status_removed", "rem", "ONLINE", "/pool/x3.img"},
		{"status_permanent_errors", "backup", "ONLINE", "/pool/c.img!2447"},
		{"status_expand", "rz", "ONLINE", "raidz1-0(/pool/d.img!1 /pool/e.img /pool/f.img /pool/b.img)"},
		{"status_classes", "cls", "ONLINE", "mirror-0(/pool/c.img /pool/d.img) mirror-1(/pool/e.img /pool/f.img) " +
			"special:mirror-2(/pool/g.img /pool/h.img) log:/pool/i.img spare:/pool/j.img=AVAIL"},
		{"status_cache_dedup", "cls", "ONLINE", "/pool/c.img dedup:/pool/d.img log:mirror-2(/pool/g.img /pool/h.img) cache:/dev/vda1"},
		{"status_draid", "dr", "DEGRADED", "draid1:2d:4c:1s-0=DEGRADED(/pool/c.img spare-1=DEGRADED(/pool/d.img=FAULTED<external device fault> draid1-0-0) " +
			"/pool/e.img /pool/f.img) spare:draid1-0-0=INUSE<currently in use>"},
		{"status_spaces", "po ol", "ONLINE", "/pool/di r/x y.img"},
		{"status_spare", "sp", "DEGRADED", "mirror-0=DEGRADED(/pool/c.img spare-1=DEGRADED(/pool/d.img=OFFLINE /pool/e.img)) spare:/pool/e.img=INUSE<currently in use>"},
	} {
		p := state.Pool{Name: c.pool}
		if err := ParsePoolStatus(golden(t, "2.3.9", c.file+".txt"), &p); err != nil {
			t.Errorf("%s: %v", c.file, err)
			continue
		}
		if got := short(p.Vdevs); got != c.vdevs || p.Health != c.health {
			t.Errorf("%s: %s\n got %s\nwant %s", c.file, p.Health, got, c.vdevs)
		}
	}
}

// TestParsePoolStatusOfEveryCapture: no capture of any release is refused or loses its devices.
func TestParsePoolStatusOfEveryCapture(t *testing.T) {
	for _, r := range releases {
		files, err := filepath.Glob(filepath.Join("testdata", r, "status_*.txt"))
		if err != nil || len(files) < 20 {
			t.Fatalf("%s: %d captures, %v", r, len(files), err)
		}
		for _, f := range files {
			out := golden(t, r, filepath.Base(f))
			if len(out) == 0 {
				continue
			}
			p := state.Pool{Name: strings.TrimPrefix(strings.SplitN(string(out), "\n", 2)[0], "  pool: ")}
			if err := ParsePoolStatus(out, &p); err != nil || len(p.Vdevs) == 0 || p.Health == "" {
				t.Errorf("%s: %+v, %v", f, p, err)
			}
		}
	}
}

func TestParsePoolStatusText(t *testing.T) {
	p := state.Pool{Name: "tank"}
	if err := ParsePoolStatus(golden(t, "2.3.9", "status_scrub_paused.txt"), &p); err != nil {
		t.Fatal(err)
	}
	if p.Errors != "No known data errors" || p.Status != "" {
		t.Errorf("errors %q, status %q", p.Errors, p.Status)
	}
	if err := ParsePoolStatus(golden(t, "2.3.9", "status_offline.txt"), &p); err != nil || !strings.HasPrefix(p.Status, "One or more devices has been taken offline") {
		t.Errorf("status %q, %v", p.Status, err)
	}
}

func TestParsePoolStatusRefuses(t *testing.T) {
	whole := string(golden(t, "2.3.9", "status_scrub.txt"))
	for name, out := range map[string]string{
		"empty":        "",
		"another pool": strings.Replace(whole, "pool: tank", "pool: tonk", 1),
		"no table":     whole[:strings.Index(whole, "config:")],
		"cut off row":  strings.Replace(whole, "/pool/a.img  ONLINE", "/pool/a.img", 1),
		"odd indent":   strings.Replace(whole, "\t    /pool/a.img", "\t       /pool/a.img", 1),
	} {
		if err := ParsePoolStatus([]byte(out), &state.Pool{Name: "tank"}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
